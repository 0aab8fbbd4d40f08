"""Rectified flow: Euler steps from noise to data along a predicted velocity (Liu et al., 2023), as Wan is sampled."""

from __future__ import annotations

from torch import Tensor

from cvd_core.sampling.recurrence import NoiseLevel

SHIFT = 5.0
"""As in the released SynCamMaster script; it moves the noise levels towards the noisy end."""


def flow_sigmas(steps: int, shift: float = SHIFT) -> list[float]:
    """Noise levels before every step, from 1 downwards, and 0 at the end: ``shift s / (1 + (shift - 1) s)``.

    Raises:
        ValueError: no steps, or a shift that is not positive.
    """
    if steps < 1:
        raise ValueError(f"{steps} sampling steps; expected at least 1")
    if not shift > 0:
        raise ValueError(f"shift is {shift}; expected a positive number")
    even = [1 - step / steps for step in range(steps + 1)]
    return [shift * s / (1 + (shift - 1) * s) for s in even]


class FlowEuler:
    """Euler's method as a solver of :func:`cvd_core.sampling.collaborate.sample_together`.

    Samples are ``(1 - sigma) x0 + sigma noise``; the network predicts the velocity ``noise - x0``.

    Args:
        steps, shift: see :func:`flow_sigmas`.
    """

    TIMESTEPS = 1000.0
    """What the network is told is sigma times this."""

    def __init__(self, steps: int, shift: float = SHIFT) -> None:
        self.sigmas = flow_sigmas(steps, shift)

    @property
    def steps(self) -> int:
        return len(self.sigmas) - 1

    def timestep(self, step: int) -> float:
        """What the network is told."""
        return self.TIMESTEPS * self.sigmas[step]

    def progress(self, step: int) -> float:
        """How far along the noise schedule a step starts, 0 at its noisy beginning and 1 at its clean end."""
        return step / self.steps

    def level(self, step: int) -> NoiseLevel:
        return NoiseLevel(1 - self.sigmas[step], self.sigmas[step])

    def scale_input(self, step: int, latents: Tensor) -> Tensor:
        return latents

    def advance(self, step: int, latents: Tensor, prediction: Tensor, *, final: bool) -> Tensor:
        return latents + (self.sigmas[step + 1] - self.sigmas[step]) * prediction
