"""Recurrent denoising: denoise, renoise, repeat (Bansal et al., 2023; CVD paper, Algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval
from torch import Tensor

from cvd_core.fields import FieldError, check_fields


@dataclass(frozen=True)
class NoiseLevel:
    """A point of a diffusion, ``x = signal * x0 + noise * epsilon``."""

    signal: float
    noise: float


@dataclass(frozen=True)
class Recurrence:
    """How many times each step is denoised.

    Attributes:
        times: R; 1 denoises every step once, plain sampling.
        start, end: fractions of the steps, 0 the first and 1 the end, between which steps are repeated. The last step
            of a run is never repeated, because nothing would be left to denoise.
    """

    times: Annotated[int, Interval(ge=1, le=1000)] = 1
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        try:
            check_fields(self)
        except FieldError as error:
            raise FieldError("recurrence" if error.field == "times" else "recurrence_range", error.problem) from None
        if not 0 <= self.start <= self.end <= 1:
            raise FieldError(
                "recurrence_range",
                f"is {self.start:g} to {self.end:g}; expected fractions of the steps, 0 <= start <= end <= 1",
            )

    def at(self, step: int, steps: int) -> int:
        """How often step ``step`` of ``steps`` is denoised."""
        inside = self.start <= step / steps < self.end
        return self.times if inside and step < steps - 1 else 1


def renoise(x: Tensor, reached: NoiseLevel, back_to: NoiseLevel, noise: Tensor) -> Tensor:
    """Take a sample at ``reached`` back to the noisier level ``back_to`` along the forward process.

    With DDIM levels this is Algorithm 1's ``sqrt(a) x + sqrt(1 - a) noise``, ``a`` being the ratio of the two
    alpha_bars; with sigma levels (signal 1) it is ``x + sqrt(s1^2 - s0^2) noise``.
    """
    scale = back_to.signal / reached.signal
    added = back_to.noise**2 - (scale * reached.noise) ** 2
    return scale * x + max(added, 0.0) ** 0.5 * noise
