"""Guidance of the camera apart from the text's, as a patch of the MODEL that works with every sampler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import comfy.samplers

from cvd_core.cami2v.guidance import Schedule, camera_term, camera_weight

from .names import renamed
from .native_calls import KEY, NativeMotion, has_evolved, without_cameras

if TYPE_CHECKING:
    from torch import Tensor


def with_camera_guidance(model: Any, scale: float, schedule: Schedule) -> Any:
    """A clone of a MODEL whose guided predictions move on, away from what the text alone gives without camera.

    Args:
        model: with Apply Motion + Camera.
        scale: 1 is none; anything else costs a network evaluation more per step.
        schedule: constant or cosine.

    Raises:
        ValueError: the model has no cameras of this pack that a call could leave out.
    """
    motion: NativeMotion | None = model.get_attachment(KEY)
    if motion is None or motion.encoder is None:
        found = "has none of this pack's"
        if has_evolved(model):
            found = "has AnimateDiff-Evolved's, which no single call can leave out"
        elif motion is not None:
            found = "has motion modules, but Apply Motion + Camera got no CameraCtrl"
        raise ValueError(
            f"Camera Guidance needs a model with cameras, and this one {found}; put Load CameraCtrl and Apply Motion + "
            "Camera before it"
        )
    patched = model.clone()
    if scale != 1:
        patched.set_model_sampler_post_cfg_function(_CameraGuidance(scale, schedule))
    return patched


@dataclass(frozen=True)
class _CameraGuidance:
    """What the host calls after classifier-free guidance, on denoised latents, which are linear in the prediction."""

    scale: float
    schedule: Schedule

    def __call__(self, args: dict[str, Any]) -> Tensor:
        model, sigma = args["model"], args["sigma"]
        time = float(model.model_sampling.timestep(sigma.flatten()[:1]))
        options = without_cameras(args["model_options"])
        conds = renamed(args["cond"], "without cameras")
        (without,) = comfy.samplers.calc_cond_batch(model, [conds], args["input"], sigma, options)
        weight = camera_weight(self.schedule, time)
        guided: Tensor = args["denoised"] + camera_term(args["cond_denoised"], without, self.scale, weight)
        return guided
