"""The guider that denoises all views together: ComfyUI's CFGGuider with the paper's pair strategies inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import comfy.model_management
import comfy.sampler_helpers
import comfy.samplers

from cvd_core.sampling.collaborate import NetworkCall, predict_together
from cvd_core.sampling.draws import Draws, SeededDraws
from cvd_core.sampling.pairs import Pairing

from ..types import PluckerRays
from .checks import check_epipolar, check_latent, check_mask, check_model
from .collaboration import CollaborativeCalls
from .control import ViewControls
from .injection import sync_settings
from .motion_backend import motion_of
from .packing import select_views

if TYPE_CHECKING:
    from torch import Tensor


class CollaborativeGuider(comfy.samplers.CFGGuider):  # type: ignore[misc]
    """Predicts the noise of V views together.

    Args:
        model: a MODEL with motion modules, cameras and sync modules.
        rays: cameras of all views.
        pairing: who talks to whom in a step.

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
        pairing: Pairing = Pairing(),  # noqa: B008 - frozen
    ) -> None:
        super().__init__(model)
        check_model(model)
        self.rays = rays
        self._video = motion_of(model, rays)
        self._video.check_frames(rays.cameras.frames)
        self.sync = sync_settings(model)
        check_epipolar(rays, self.sync.epipolar)
        self.pairing = pairing
        self.views = rays.cameras.views
        self.frames = rays.cameras.frames
        self._calls: CollaborativeCalls | None = None

    def make_draws(self, seed: int) -> Draws:
        """Where the random numbers of a run come from."""
        return SeededDraws(seed)

    def make_noise(self, latent: Tensor, seed: int) -> Tensor:
        """``(V * F, C, h, w)`` initial noise: a view's does not depend on the number of views."""
        check_latent(latent, self.rays, self._latent_channels)
        drawn = self.make_draws(seed).latents((self.views, latent.shape[1], self.frames, *latent.shape[2:]))
        return drawn.transpose(1, 2).flatten(0, 1)

    @property
    def _latent_channels(self) -> int:
        return int(self.model_patcher.get_model_object("latent_format").latent_channels)

    @property
    def views_together(self) -> int:
        """Most views that share a network call."""
        return max(sum(map(len, part)) for part in self.pairing.calls(self.views))

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
        """Sample ``(V * F, C, h, w)`` latents; what other packs wrap sees them as the motion backend packs them."""
        check_latent(latent_image, self.rays, self._latent_channels)
        check_mask(denoise_mask, self.views, self.frames)
        # Hosts since 0.5.1 fit a mask right here, to the packed shape; so it goes to outer_sample past them.
        self._mask = None
        if denoise_mask is not None:
            device = self.model_patcher.load_device
            self._mask = comfy.sampler_helpers.prepare_mask(denoise_mask, latent_image.shape, device)[:, :1].float()
        self.draws = self.make_draws(0 if seed is None else seed)
        packed = super().sample(
            self._video.pack(noise, self.views),
            self._video.pack(latent_image, self.views),
            sampler,
            sigmas,
            None,
            callback,
            disable_pbar,
            seed,
            **kwargs,
        )
        return self._video.unpack(packed, self.views)

    def outer_sample(
        self,
        noise: Tensor,
        latent_image: Tensor,
        sampler: Any,
        sigmas: Tensor,
        denoise_mask: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Tensor:
        model_sampling = self.model_patcher.get_model_object("model_sampling")
        video = motion_of(self.model_patcher, self.rays)
        self._calls = CollaborativeCalls(self.rays, self.sync, video, self.draws, self.views_together, model_sampling)
        options, self.model_options = self.model_options, self._calls.wrap(self.model_options)
        self._controls = ViewControls(self.views, self.frames)
        try:
            noise, latent_image = video.unpack(noise, self.views), video.unpack(latent_image, self.views)
            if "latent_shapes" in kwargs:  # since 0.5.1
                kwargs["latent_shapes"] = [latent_image.shape]
            rows = super().outer_sample(noise, latent_image, sampler, sigmas, self._mask, *args, **kwargs)
            return video.pack(rows, self.views)
        finally:
            self._controls.cleanup()
            self.model_options = options
            self._calls = None

    def predict_noise(
        self, x: Tensor, timestep: Tensor, model_options: dict[str, Any] | None = None, seed: int | None = None
    ) -> Tensor:
        calls = self._calls
        assert calls is not None, "predict_noise outside of sample"

        def denoise(latents: Tensor, batch: NetworkCall) -> Tensor:
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
            with calls.calling(batch):
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

        schedule = self.pairing.rounds(self.views, self.draws)
        together = predict_together(
            denoise, x.unflatten(0, (self.views, self.frames)), schedule, self.draws, self.pairing.views_per_pass
        )
        return together.flatten(0, 1)
