"""Classifier-free guidance."""

from __future__ import annotations

from torch import Tensor


def guide(uncond: Tensor, cond: Tensor, scale: float) -> Tensor:
    """``uncond + scale * (cond - uncond)`` for noise predictions of one shape (Ho & Salimans, 2022)."""
    return uncond + scale * (cond - uncond)
