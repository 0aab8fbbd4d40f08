"""Diffusers' schedulers as solvers of :func:`cvd_core.sampling.collaborate.sample_together`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from cvd_core.fields import FieldError
from cvd_core.motion.noise_schedule import BETA_END, BETA_START, TIMESTEPS
from cvd_core.sampling.recurrence import NoiseLevel
from cvd_core.sampling.settings import Sampler

NOISE_SCHEDULE: dict[str, Any] = {
    "num_train_timesteps": TIMESTEPS,
    "beta_start": BETA_START,
    "beta_end": BETA_END,
    "beta_schedule": "linear",
    "timestep_spacing": "leading",
    "steps_offset": 1,
}

MOST_STEPS = 499
"""Leading spacing sets steps a whole number of timesteps apart: with more they are neighbours, and start halfway."""
MOST_LCM_STEPS = 50
"""Consistency models are distilled at so many timesteps (LCM, Luo et al., 2023, Sec. 4.3)."""

SOLVERS: dict[Sampler, Callable[[], Any]] = {
    "ddim": lambda: DDIMScheduler(**NOISE_SCHEDULE, set_alpha_to_one=True, clip_sample=False),
    "euler": lambda: EulerDiscreteScheduler(**NOISE_SCHEDULE),
    "euler_ancestral": lambda: EulerAncestralDiscreteScheduler(**NOISE_SCHEDULE),
    "dpmpp_2m": lambda: DPMSolverMultistepScheduler(**NOISE_SCHEDULE, algorithm_type="dpmsolver++", solver_order=2),
    "dpmpp_2m_sde": lambda: DPMSolverMultistepScheduler(
        **NOISE_SCHEDULE, algorithm_type="sde-dpmsolver++", solver_order=2
    ),
    "unipc": lambda: UniPCMultistepScheduler(**NOISE_SCHEDULE),
    "lcm": lambda: LCMScheduler(**NOISE_SCHEDULE, original_inference_steps=MOST_LCM_STEPS),
}
"""Sampling methods by name. ``ddim`` (eta 0) is the one of the paper; ``lcm`` is multistep consistency sampling."""


def most_steps(name: str) -> int:
    """The most steps that a method takes."""
    return MOST_LCM_STEPS if name == "lcm" else MOST_STEPS


class DiffusersSolver:
    """A diffusers scheduler with a fixed number of steps.

    Args:
        name: one of :data:`SOLVERS`.
        steps: denoising steps, 1 to :func:`most_steps`. A single one is taken at the highest noise, not where leading
            spacing has it: there it would return nearly the noise that it starts with.
        generator: gives the CPU generator for methods that add noise.
        device: where the latents will be.

    Raises:
        ValueError: unknown name or impossible number of steps.
    """

    def __init__(
        self, name: str, steps: int, generator: Callable[[], torch.Generator], device: torch.device | str = "cpu"
    ) -> None:
        if name not in SOLVERS:
            raise FieldError("sampler", f"is {name!r}; expected one of {', '.join(SOLVERS)}")
        self.scheduler = SOLVERS[name]()
        if steps == 1:
            self.scheduler.register_to_config(timestep_spacing="trailing")
        most = MOST_LCM_STEPS if name == "lcm" else TIMESTEPS
        if 1 <= steps <= most:
            self.scheduler.set_timesteps(steps, device=device)
        if not 1 <= steps <= most or (steps > 1 and self.timestep(0) - self.timestep(1) < 2):
            raise FieldError("steps", f"is {steps}; expected 1 to {most_steps(name)}")
        self._steps = steps
        self._generator = generator
        self._repeating = False
        self._adds_noise = name in ("euler_ancestral", "dpmpp_2m_sde", "lcm")

    @property
    def steps(self) -> int:
        return self._steps

    @property
    def initial_noise(self) -> float:
        """Standard deviation that the first latents must have."""
        return float(self.scheduler.init_noise_sigma)

    def timestep(self, step: int) -> Tensor:
        """What the network is told."""
        t: Tensor = self.scheduler.timesteps[step]
        return t

    def progress(self, step: int) -> float:
        """How far along the noise schedule a step starts, 0 at its noisy beginning and 1 at its clean end."""
        return 1 - float(self.timestep(step)) / (TIMESTEPS - 1)

    def level(self, step: int) -> NoiseLevel:
        sigmas = getattr(self.scheduler, "sigmas", None)
        if sigmas is None:  # DDIM: latents keep unit variance, and only alpha_bar is known
            alpha_bar = self.scheduler.final_alpha_cumprod
            if step < self.steps:
                alpha_bar = self.scheduler.alphas_cumprod[int(self.scheduler.timesteps[step])]
            return NoiseLevel(float(alpha_bar) ** 0.5, (1 - float(alpha_bar)) ** 0.5)
        sigma = float(sigmas[step])
        if isinstance(self.scheduler, EulerDiscreteScheduler | EulerAncestralDiscreteScheduler):
            return NoiseLevel(1.0, sigma)
        signal = 1 / (1 + sigma**2) ** 0.5
        return NoiseLevel(signal, sigma * signal)

    def scale_input(self, step: int, latents: Tensor) -> Tensor:
        scaled: Tensor = self.scheduler.scale_model_input(latents, self.timestep(step))
        return scaled

    def advance(self, step: int, latents: Tensor, prediction: Tensor, *, final: bool) -> Tensor:
        # Multistep schedulers remember earlier predictions. A pass that will be repeated works on a copy, so that their
        # history holds one prediction per step, the last one. A renoised sample did not come from that history: to
        # extrapolate from it would take fresh noise for a trend (twice the spread with R = 6), and UniPC's corrector
        # would bring back the sample from before. Such a pass starts over, with a step of first order.
        scheduler = self.scheduler if final else copy.deepcopy(self.scheduler)
        if self._repeating:
            for memory, empty in (("lower_order_nums", 0), ("last_sample", None)):
                if hasattr(scheduler, memory):
                    setattr(scheduler, memory, empty)
        self._repeating = not final
        noise = {"generator": self._generator()} if self._adds_noise else {}
        moved: Tensor = scheduler.step(prediction, self.timestep(step), latents, return_dict=False, **noise)[0]
        return moved
