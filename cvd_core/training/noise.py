"""Noise levels to train on."""

from __future__ import annotations

from torch import Tensor

TIMESTEPS = 1000


def shifted(uniform: Tensor, shift: float) -> Tensor:
    """Numbers in [0, 1) moved towards 1 by a ``shift`` above 1 (Esser et al., 2024, Sec. 5.3.2)."""
    return shift * uniform / (1 + (shift - 1) * uniform)


def timesteps(uniform: Tensor, shift: float) -> Tensor:
    """Whole timesteps 0 to 999 from numbers in [0, 1); a ``shift`` above 1 moves them towards the noise."""
    return (TIMESTEPS * shifted(uniform, shift)).long().clamp(max=TIMESTEPS - 1)
