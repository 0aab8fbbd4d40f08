"""DynamiCrafter's noise schedules and its DDIM sampler (Song et al., 2021; zero terminal SNR: Lin et al., 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Spacing = Literal["uniform_trailing", "uniform"]
Predicts = Literal["noise", "velocity"]
TIMESTEPS = 1000
_FIRST_BETA, _LAST_BETA = 0.00085, 0.012
_SCALE_END, _SCALE_STEPS = 0.7, 400
"""The 512 model's samples are scaled by 1 to 0.7 over the first 400 times, and by 0.7 beyond."""


@dataclass(frozen=True)
class NoiseSchedule:
    """Noise over 1000 times.

    Attributes:
        alpha_bars: ``(1000,)`` float32, fraction of the variance that is signal.
        scales: ``(1000,)`` float32, factor on x0, ones where there is none.
        predicts: what the network was trained to predict.
    """

    alpha_bars: Tensor
    scales: Tensor
    predicts: Predicts

    @staticmethod
    def of(predicts: Predicts) -> NoiseSchedule:
        """That of the 256 model (noise), or of the 512 model (velocity, zero terminal SNR, scaled samples)."""
        betas = torch.linspace(_FIRST_BETA**0.5, _LAST_BETA**0.5, TIMESTEPS, dtype=torch.float64) ** 2
        roots = (1 - betas).cumprod(0).sqrt()
        scales = torch.ones(TIMESTEPS)
        if predicts == "velocity":
            roots = (roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])
            scales = torch.cat(
                [torch.linspace(1, _SCALE_END, _SCALE_STEPS), torch.full((TIMESTEPS - _SCALE_STEPS,), _SCALE_END)]
            )
        return NoiseSchedule((roots**2).float(), scales, predicts)


def ddim_timesteps(steps: int, spacing: Spacing = "uniform_trailing") -> list[int]:
    """Times of a run in the order of use, from noisy to clean.

    Any number of steps will do; the released ``uniform`` fails where it does not divide 1000.

    Raises:
        ValueError: not 1 to 1000 steps.
    """
    if not 1 <= steps <= TIMESTEPS:
        raise ValueError(f"{steps} sampling steps; expected 1 to {TIMESTEPS}")
    if spacing == "uniform_trailing":
        return [round(TIMESTEPS - step * TIMESTEPS / steps) - 1 for step in range(steps)]
    stride = TIMESTEPS // steps
    return [stride * step + 1 if stride > 1 else step for step in reversed(range(steps))]


class DDIM:
    """The sampler: x0 and noise from a prediction, then a step to the next time with fresh noise.

    Args:
        schedule: of the model.
        steps, spacing: see :func:`ddim_timesteps`.
        eta: 1 adds as much noise as the reverse process has, 0 none.
    """

    def __init__(
        self, schedule: NoiseSchedule, steps: int, spacing: Spacing = "uniform_trailing", eta: float = 1.0
    ) -> None:
        self.schedule = schedule
        self.timesteps = ddim_timesteps(steps, spacing)
        self.eta = eta

    @classmethod
    def through(cls, schedule: NoiseSchedule, timesteps: Sequence[int], eta: float = 1.0) -> DDIM:
        """A sampler through given times, from noisy to clean: a part of a run, or another spacing."""
        made = cls(schedule, len(timesteps), eta=eta)
        made.timesteps = list(timesteps)
        return made

    def alpha_bars(self, step: int) -> tuple[float, float]:
        """Of the step's time and of the next; after the last step that of time 0, not 1."""
        times = [*self.timesteps, 0]
        here, there = (self.schedule.alpha_bars[times[i]] for i in (step, step + 1))
        return float(here), float(there)

    def sigma(self, step: int) -> float:
        """Spread of the noise that a step adds."""
        here, there = self.alpha_bars(step)
        return self.eta * float(((1 - there) / (1 - here) * (1 - here / there)) ** 0.5)

    def advance(self, step: int, x: Tensor, prediction: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Latents after a step, and the clean ones that were predicted.

        Args:
            step: from 0.
            x: ``(N, ...)`` at the step's time.
            prediction: of the network, guided.
            noise: standard normal numbers of the same shape.
        """
        here, there = self.alpha_bars(step)
        signal, spread = here**0.5, (1 - here) ** 0.5
        if self.schedule.predicts == "noise":
            noise_found, clean = prediction, (x - spread * prediction) / signal
        else:
            noise_found, clean = signal * prediction + spread * x, signal * x - spread * prediction
        times = [*self.timesteps, 0]
        scale_here = self.schedule.scales[times[step]]
        scale_there = self.schedule.scales[times[step + 1]] if step + 1 < len(self.timesteps) else scale_here
        clean = clean * float(scale_there / scale_here)
        sigma = self.sigma(step)
        towards = max(1 - there - sigma**2, 0.0) ** 0.5
        return there**0.5 * clean + towards * noise_found + sigma * noise, clean
