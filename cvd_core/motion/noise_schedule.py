"""The noise that AnimateDiff's motion modules were trained with."""

from __future__ import annotations

import torch
from torch import Tensor

TIMESTEPS = 1000
BETA_START, BETA_END = 0.00085, 0.012
"""Linear betas; Stable Diffusion itself is linear in their square roots between the same ends."""


def sigmas() -> Tensor:
    """``(1000,)`` float64 noise over signal, ``sqrt((1 - abar) / abar)``, by timestep."""
    signal = torch.cumprod(1 - torch.linspace(BETA_START, BETA_END, TIMESTEPS, dtype=torch.float64), 0)
    return ((1 - signal) / signal).sqrt()
