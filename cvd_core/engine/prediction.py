"""What a network predicts - noise, or the velocity v - and the noise schedule behind it.

v = a * noise - s * x0 at x = a * x0 + s * noise (Salimans and Ho, 2022, App. D): as exact as noise where little
noise is left, and still telling where there is almost nothing but noise.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from cvd_core.engine.solvers import NOISE_SCHEDULE

Prediction = Literal["epsilon", "v_prediction"]
"""Diffusers' names."""


@cache
def _alpha_bars() -> Tensor:
    return torch.as_tensor(DDIMScheduler(**NOISE_SCHEDULE).alphas_cumprod)


def signal_and_noise(timestep: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Factors a and s of ``x = a * x0 + s * noise``, shaped to multiply ``like``.

    Args:
        timestep: whole numbers from 0 to 999, one for all or ``(rows,)``.
        like: ``(rows, ...)``.
    """
    alpha_bar = _alpha_bars()[timestep.long().cpu()].to(like)
    alpha_bar = alpha_bar.reshape(-1, *(1 for _ in like.shape[1:]))
    return alpha_bar.sqrt(), (1 - alpha_bar).sqrt()


def velocity(x0: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
    """v of samples ``(rows, ...)``."""
    a, s = signal_and_noise(timestep, x0)
    return a * noise - s * x0


def to_clean(kind: Prediction, output: Tensor, latents: Tensor, timestep: Tensor) -> Tensor:
    """The latents without noise that a network's ``output`` for ``latents`` ``(rows, ...)`` amounts to."""
    a, s = signal_and_noise(timestep, latents)
    return (latents - s * output) / a if kind == "epsilon" else a * latents - s * output


def to_noise(kind: Prediction, output: Tensor, latents: Tensor, timestep: Tensor) -> Tensor:
    """The noise that a network's ``output`` for ``latents`` ``(rows, ...)`` of unit variance amounts to."""
    if kind == "epsilon":
        return output
    a, s = signal_and_noise(timestep, latents)
    return a * output + s * latents
