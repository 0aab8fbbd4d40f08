"""A camera path on a picture-to-video model: what Apply CamI2V Cameras attaches, and the features of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from comfy.patcher_extension import CallbacksMP, WrappersMP

from cvd_core.cami2v.camera import SMALLEST_STEPS, relative_path
from cvd_core.cami2v.network import FRAMES
from cvd_core.networks.sd15 import LATENT_STRIDE
from cvd_core.sampling.draws import Draws, SeededDraws

from .dynamicrafter import CAMERA, WITHOUT_CAMERA, VideoNetwork, network_of

if TYPE_CHECKING:
    from torch import Tensor

    from cvd_core.cami2v.transformers import CameraFeatures
    from cvd_core.geometry.cameras import Cameras

KEY = "cvd camera path"
"""Name of what this file puts into the host's dictionaries."""


@dataclass(frozen=True, eq=False)
class PathSettings:
    """How Apply CamI2V Cameras wants cameras used.

    Attributes:
        cameras: V paths of 16 frames.
        reference: the frame that shows the picture.
        trace_scale: factor on all translations.
        strength: factor on what the camera adds.
        start, end: fractions of the noise schedule, 0 its noisy end, between which it is active.
        seed: of the random lines where two frames share their centre.
    """

    cameras: Cameras
    reference: int = 0
    trace_scale: float = 1.0
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    seed: int = 0


class CameraPath:
    """Cameras of a MODEL.

    Args:
        settings: from the node.
        sigmas: noise levels of their start and end.
    """

    def __init__(self, settings: PathSettings, sigmas: tuple[float, float]) -> None:
        self.settings = settings
        self._sigmas = sigmas
        self._features: dict[tuple[object, ...], CameraFeatures] = {}

    def active(self, sigma: float) -> bool:
        """Whether cameras are seen at a noise level."""
        return self.settings.strength != 0 and self._sigmas[1] <= sigma <= self._sigmas[0]

    def make_draws(self) -> Draws:
        """Where the random lines come from."""
        return SeededDraws(self.settings.seed)

    def around(
        self, executor: Any, x: Tensor, timesteps: Any, context: Any, control: Any, options: Any, **more: Any
    ) -> Any:
        """Around the network: tell it of the cameras."""
        if not more[WITHOUT_CAMERA] and self.active(float(options["sigmas"][0])):
            self._check(x, len(options["cond_or_uncond"]))
            options = {**options, CAMERA: self._of(executor.class_obj, x)}
        return executor(x, timesteps, context, control, options, **more)

    def forget(self) -> None:
        """Drop the features of a run that has ended."""
        self._features.clear()

    def _check(self, x: Tensor, branches: int) -> None:
        videos, views = len(x) // FRAMES // branches, self.settings.cameras.views
        if videos % views:
            raise ValueError(
                f"the latent holds {videos} videos of {FRAMES} frames; the cameras are {views} paths - set videos of "
                "Picture To Video Conditioning to that number"
            )

    def _of(self, network: VideoNetwork, x: Tensor) -> CameraFeatures:
        """Features for latents like ``x``, computed in float32 once per run."""
        height, width = (LATENT_STRIDE * side for side in x.shape[-2:])
        key = (id(network), height, width, x.device, x.dtype)
        if key not in self._features:
            assert network.camera is not None
            settings = self.settings
            path = relative_path(settings.cameras.crop_to(width, height), settings.reference, settings.trace_scale)
            noise = None
            if network.unet.layout.camera == "epipolar":
                noise = self.make_draws().lines((path.views, FRAMES, FRAMES, 3))
            made = network.camera(
                path,
                width,
                height,
                noise,
                smallest_step=SMALLEST_STEPS[network.predicts],
                strength=settings.strength,
                like=x.new_empty(0, dtype=torch.float32),
            )
            made.levels = [level.to(x.dtype) for level in made.levels]
            self._features[key] = made
        return self._features[key]


def apply_camera_path(model: Any, settings: PathSettings) -> Any:
    """A MODEL whose videos follow cameras, in any sampler.

    Raises:
        ValueError: the model takes no cameras, or the paths do not have 16 frames.
    """
    network = network_of(model)
    if network.camera is None:
        raise ValueError(
            f"the model is {network.label}, which takes no cameras; load CamI2V's file, or leave this node out"
        )
    relative_path(settings.cameras, settings.reference)
    model = model.clone()
    sampling = model.get_model_object("model_sampling")
    sigmas = (float(sampling.percent_to_sigma(settings.start)), float(sampling.percent_to_sigma(settings.end)))
    path = CameraPath(settings, sigmas)
    model.set_attachments(KEY, path)
    model.remove_wrappers_with_key(WrappersMP.DIFFUSION_MODEL, KEY)
    model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, KEY, path.around)
    model.remove_callbacks_with_key(CallbacksMP.ON_CLEANUP, KEY)
    model.add_callback_with_key(CallbacksMP.ON_CLEANUP, KEY, lambda _patcher: path.forget())
    return model


def camera_path_of(model: Any) -> CameraPath | None:
    """The cameras of a MODEL, if it has any."""
    path: CameraPath | None = model.get_attachment(KEY)
    return path
