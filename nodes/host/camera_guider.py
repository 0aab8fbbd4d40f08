"""Guidance of text and camera apart in the host's samplers (CamI2V, Sec. 3.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import comfy.conds
import comfy.model_management
import comfy.samplers

from cvd_core.cami2v.guidance import RESCALE, Schedule, camera_weight, guide_text_and_camera
from cvd_core.cami2v.network import FRAMES

from .dynamicrafter import WITHOUT_CAMERA, network_of
from .names import renamed
from .path_features import camera_path_of

if TYPE_CHECKING:
    from torch import Tensor

    from .packing import Conds


@dataclass(frozen=True)
class CameraGuidance:
    """Scales of the parts.

    Attributes:
        text: classifier-free guidance.
        camera: 1 is none, and costs nothing.
        schedule: whether the camera's part falls towards the clean end.
        rescale: how far the result takes on the spread of the conditioned prediction.
    """

    text: float = 7.5
    camera: float = 1.0
    schedule: Schedule = "constant"
    rescale: float = RESCALE


class CameraGuider(comfy.samplers.CFGGuider):  # type: ignore[misc]
    """Predicts with everything, without text and picture, and - where the camera is guided - without camera.

    Args:
        model: a MODEL of Load CamI2V / DynamiCrafter.
        guidance: scales.

    Raises:
        ValueError: another kind of model, or camera guidance for one without cameras.
    """

    def __init__(self, model: Any, guidance: CameraGuidance) -> None:
        super().__init__(model)
        network_of(model)
        self.guidance = guidance
        self._path = camera_path_of(model)
        if guidance.camera != 1 and self._path is None:
            raise ValueError(
                f"camera_cfg is {guidance.camera:g}, but the model has no cameras; put Apply CamI2V Cameras before the "
                "guider, or set camera_cfg to 1"
            )
        self.set_cfg(guidance.text)

    def predict_noise(
        self, x: Tensor, timestep: Tensor, model_options: dict[str, Any] | None = None, seed: int | None = None
    ) -> Tensor:
        options = model_options or {}
        positive, negative = self.conds["positive"], self.conds["negative"]
        one_branch = self.guidance.text == 1 and not options.get("disable_cfg1_optimization", False)
        conds = [positive, None if one_branch else negative]
        comfy.model_management.throw_exception_if_processing_interrupted()
        # All branches in one call, by which the host's step caches decide for all of them alike.
        branches = [*conds, *self._without_camera(positive, timestep)]
        predictions = comfy.samplers.calc_cond_batch(self.inner_model, branches, x, timestep, options)
        found, without = predictions[:2], next(iter(predictions[2:]), None)
        for change in options.get("sampler_pre_cfg_function", []):
            found = change(
                {
                    "conds": conds,
                    "conds_out": found,
                    "cond_scale": self.guidance.text,
                    "timestep": timestep,
                    "input": x,
                    "sigma": timestep,
                    "model": self.inner_model,
                    "model_options": options,
                }
            )
        conditioned, unconditioned = found
        sampling = self.inner_model.model_sampling

        def output_of(denoised: Tensor) -> Tensor:
            """Noise or velocity, ``(N, 16, 4, h, w)``."""
            output: Tensor = self.inner_model.network_output(denoised, x, timestep)
            return output.unflatten(0, (-1, FRAMES))

        guided = guide_text_and_camera(
            output_of(conditioned),
            output_of(conditioned if one_branch else unconditioned),
            None if without is None else output_of(without),
            guidance=self.guidance.text,
            camera_guidance=self.guidance.camera,
            weight=camera_weight(self.guidance.schedule, float(sampling.timestep(timestep[:1]))),
            rescale=self.guidance.rescale,
        )
        denoised: Tensor = sampling.calculate_denoised(timestep, guided.flatten(0, 1), x)
        for change in options.get("sampler_post_cfg_function", []):
            denoised = change(
                {
                    "denoised": denoised,
                    "cond": positive,
                    "uncond": conds[1],
                    "cond_scale": self.guidance.text,
                    "model": self.inner_model,
                    "uncond_denoised": unconditioned,
                    "cond_denoised": conditioned,
                    "sigma": timestep,
                    "model_options": options,
                    "input": x,
                }
            )
        return denoised

    def _without_camera(self, positive: Conds, timestep: Tensor) -> list[Conds]:
        """The conditioning of the branch without camera; nothing where it is not needed."""
        path = self._path
        if self.guidance.camera == 1 or path is None or not path.active(float(timestep[0])):
            return []
        off = {WITHOUT_CAMERA: comfy.conds.CONDConstant(True)}
        named = renamed(positive, WITHOUT_CAMERA)
        return [[{**cond, "model_conds": {**cond["model_conds"], **off}} for cond in named]]
