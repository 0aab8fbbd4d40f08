"""Noise levels to train on."""

from __future__ import annotations

from torch import Tensor


def shifted(uniform: Tensor, shift: float) -> Tensor:
    """Numbers in [0, 1) moved towards 1 by a ``shift`` above 1 (Esser et al., 2024, Sec. 5.3.2)."""
    return shift * uniform / (1 + (shift - 1) * uniform)
