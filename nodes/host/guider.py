"""The guider that denoises all views together: ComfyUI's CFGGuider with the paper's pair strategies inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import comfy.model_management
import comfy.model_sampling
import comfy.samplers

from cvd_core.sampling.collaborate import Batch, predict_together
from cvd_core.sampling.draws import Draws, SeededDraws
from cvd_core.sampling.pairs import Strategy, batches, rounds

from ..types import PluckerRays
from .animatediff import AnimateDiff
from .control import ViewControls
from .injection import SyncSettings, sync_settings
from .packing import check_mask, pack, select_views, unpack
from .run import LATENT_STRIDE, Run

if TYPE_CHECKING:
    from torch import Tensor


LATENT_CHANNELS = 4


class CollaborativeGuider(comfy.samplers.CFGGuider):  # type: ignore[misc]
    """Predicts the noise of V views together.

    Args:
        model: a MODEL with AnimateDiff+CameraCtrl and sync modules.
        rays: cameras of all views.
        strategy, partitions, views_per_pass: see :mod:`cvd_core.sampling.pairs`.

    Raises:
        ValueError: something is missing on the model, or its parts do not fit each other.
    """

    draws: Draws
    """Random numbers of the current run, from its seed."""
    model_options: dict[str, Any]

    def __init__(
        self,
        model: Any,
        rays: PluckerRays,
        strategy: Strategy = "partition",
        partitions: int = 1,
        views_per_pass: int | None = None,
    ) -> None:
        super().__init__(model)
        _check_model(model)
        self.rays = rays
        self.video = AnimateDiff(model, rays)
        self.sync = sync_settings(model)
        _check_epipolar(rays, self.sync)
        self.strategy = strategy
        self.partitions = partitions
        self.views_per_pass = views_per_pass
        self.views = rays.cameras.views
        self.frames = rays.cameras.frames
        self._run: Run | None = None

    def make_draws(self, seed: int) -> Draws:
        """Where the random numbers of a run come from."""
        return SeededDraws(seed)

    @property
    def views_together(self) -> int:
        """Most views that share a network call."""
        schedule = rounds(self.strategy, self.views, SeededDraws(0), self.partitions)
        parts = [part for groups in schedule for part in batches(groups, self.views_per_pass)]
        return max(sum(map(len, part)) for part in parts)

    def sample(
        self,
        noise: Tensor,
        latent_image: Tensor,
        sampler: Any,
        sigmas: Tensor,
        denoise_mask: Tensor | None = None,
        callback: Any = None,
        disable_pbar: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Sample ``(V * F, C, h, w)`` latents; AnimateDiff-Evolved, which wraps what is inside, sees F frames."""
        self.video.check_frames(self.frames)
        check_latent(latent_image, self.rays)
        check_mask(denoise_mask, self.views, self.frames)
        self.draws = self.make_draws(0 if seed is None else seed)
        packed = super().sample(
            pack(noise, self.views),
            pack(latent_image, self.views),
            sampler,
            sigmas,
            denoise_mask,
            callback,
            disable_pbar,
            seed,
            **kwargs,
        )
        return unpack(packed, self.views)

    def outer_sample(self, noise: Tensor, latent_image: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        model_sampling = self.model_patcher.get_model_object("model_sampling")
        self._run = Run(self.rays, self.sync, self.video, self.draws, self.views_together, model_sampling)
        options, self.model_options = self.model_options, self._run.wrap(self.model_options)
        self._controls = ViewControls(self.views, self.frames)
        try:
            rows = super().outer_sample(unpack(noise, self.views), unpack(latent_image, self.views), *args, **kwargs)
            return pack(rows, self.views)
        finally:
            self._controls.cleanup()
            self.model_options = options
            self._run = None

    def predict_noise(
        self, x: Tensor, timestep: Tensor, model_options: dict[str, Any] | None = None, seed: int | None = None
    ) -> Tensor:
        run = self._run
        assert run is not None, "predict_noise outside of sample"

        def denoise(latents: Tensor, batch: Batch) -> Tensor:
            comfy.model_management.throw_exception_if_processing_interrupted()
            rows = latents.flatten(0, 1)
            negative, positive = (
                self._controls.select(
                    select_views(self.conds.get(name), batch.views, self.views, self.frames),
                    batch.views,
                    self.inner_model,
                )
                for name in ("negative", "positive")
            )
            with run.calling(batch):
                # By attribute: AnimateDiff-Evolved replaces this function while it samples.
                prediction: Tensor = comfy.samplers.sampling_function(
                    self.inner_model,
                    rows,
                    timestep[: len(rows)],
                    negative,
                    positive,
                    self.cfg,
                    model_options=model_options or {},
                    seed=seed,
                )
            return prediction.unflatten(0, (len(batch.views), self.frames))

        schedule = rounds(self.strategy, self.views, self.draws, self.partitions)
        together = predict_together(
            denoise, x.unflatten(0, (self.views, self.frames)), schedule, self.draws, self.views_per_pass
        )
        return together.flatten(0, 1)


def check_latent(latent: Tensor, rays: PluckerRays) -> None:
    """Raise ValueError if a latent batch is not of the cameras' views, frames and size."""
    views, frames = rays.cameras.views, rays.cameras.frames
    if latent.ndim != 4:
        raise ValueError(
            f"the latent has shape {tuple(latent.shape)}; expected (views x frames, 4, height / 8, width / 8) - use "
            "Empty Multi-View Latent, or images encoded with a Stable Diffusion 1.5 VAE"
        )
    if latent.shape[1] != LATENT_CHANNELS:
        raise ValueError(
            f"the latent has {latent.shape[1]} channels; expected {LATENT_CHANNELS} - use Empty Multi-View Latent, or "
            "images encoded with a Stable Diffusion 1.5 VAE"
        )
    if len(latent) != views * frames:
        raise ValueError(
            f"the latent holds {len(latent)} frames; the cameras are {views} views x {frames} frames = "
            f"{views * frames}. Give Empty Multi-View Latent the cameras' counts, or resample the trajectories"
        )
    width, height = latent.shape[-1] * LATENT_STRIDE, latent.shape[-2] * LATENT_STRIDE
    if (width, height) != (rays.width, rays.height):
        raise ValueError(
            f"the latent is for {width}x{height} pixels, the Pluecker embedding for {rays.width}x{rays.height}; make "
            "both for one size"
        )


def _check_model(model: Any) -> None:
    if isinstance(model.get_model_object("model_sampling"), comfy.model_sampling.CONST):
        raise ValueError(
            "the model's sampling is a rectified flow (CONST); collaborative sampling needs the diffusion of Stable "
            "Diffusion 1.5 - remove the ModelSampling node that changed it, or load another checkpoint"
        )
    if "multigpu_clones" in model.model_options or model.get_additional_models_with_key("multigpu"):
        raise ValueError(
            "the model is spread over several GPUs, which would split views that attend to each other; remove the "
            "MultiGPU node"
        )


def _check_epipolar(rays: PluckerRays, sync: SyncSettings) -> None:
    mask, cameras = sync.epipolar, rays.cameras
    if (mask.cameras.views, mask.cameras.frames) != (cameras.views, cameras.frames):
        raise ValueError(
            f"the epipolar mask is for {mask.cameras.views} views x {mask.cameras.frames} frames, the Pluecker "
            f"embedding for {cameras.views} x {cameras.frames}; make both from the same cameras"
        )
    if (mask.width, mask.height) != (rays.width, rays.height):
        raise ValueError(
            f"the epipolar mask is for {mask.width}x{mask.height} pixels, the Pluecker embedding for {rays.width}x"
            f"{rays.height}; make both for one size"
        )
    if not mask.cameras.c2w.allclose(cameras.c2w) or not mask.cameras.intrinsics.allclose(cameras.intrinsics):
        raise ValueError(
            "the epipolar mask and the Pluecker embedding are made from different cameras; connect both nodes to the "
            "same ones"
        )
