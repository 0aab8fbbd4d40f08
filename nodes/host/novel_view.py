"""The guider for new views of a given video: Eq. 7 of SynCamMaster's paper around the host's network calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import comfy.samplers

from cvd_core.syncam.novel_view import REFERENCE, guide_novel_view, with_reference

from .wan import syncam_settings

if TYPE_CHECKING:
    from torch import Tensor

_GUIDANCE_PATCHES = (
    "sampler_cfg_function",
    "sampler_pre_cfg_function",
    "sampler_post_cfg_function",
    "sampler_calc_cond_batch_function",
)
"""Where the host keeps what other nodes do to guidance of one prompt against another."""


class NovelViewGuider(comfy.samplers.CFGGuider):  # type: ignore[misc]
    """Predicts the views around a given video, which is the first one of the latent batch.

    Args:
        model: a MODEL from Apply SynCamMaster.
        video_guidance, text_guidance: s_V and s_T.

    Attributes:
        always_guided: no group of views is without the given one, see :data:`cvd_core.syncam.novel_view.UNGUIDED`.

    Raises:
        ValueError: the model has no SynCamMaster modules, or guidance of its own.
    """

    def __init__(self, model: Any, video_guidance: float, text_guidance: float) -> None:
        super().__init__(model)
        settings = syncam_settings(model)
        self.views = settings.cameras.views
        self.always_guided = settings.pairing.always_with(REFERENCE, self.views)
        self.video_guidance, self.text_guidance = video_guidance, text_guidance
        if found := [name for name in _GUIDANCE_PATCHES if model.model_options.get(name)]:
            raise ValueError(
                f"the model has a node that changes guidance ({found[0]}), such as RescaleCFG; Novel View Guider "
                "guides by video and text apart - remove that node"
            )
        self._reference: Tensor | None = None

    def sample(self, noise: Tensor, latent_image: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Sample ``(scenes * V, 16, f, h, w)`` latents; the first view of every scene comes out as it is."""
        _check_reference(latent_image, self.views)
        found: Tensor = super().sample(noise, latent_image, *args, **kwargs)
        return found

    def inner_sample(self, noise: Tensor, latent_image: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        self._reference = self.inner_model.process_latent_in(latent_image)[:: self.views]
        try:
            found: Tensor = super().inner_sample(noise, latent_image, *args, **kwargs)
            return found
        finally:
            self._reference = None

    def predict_noise(
        self, x: Tensor, timestep: Tensor, model_options: dict[str, Any] | None = None, seed: int | None = None
    ) -> Tensor:
        reference = self._reference
        assert reference is not None, "predict_noise outside of sample"
        views = [*range(self.views)] * (len(x) // self.views)
        negative, positive = self.conds.get("negative"), self.conds.get("positive")

        def predict(conds: list[Any], x: Tensor) -> list[Tensor]:
            # By attribute: other packs replace this function while they sample.
            found: list[Tensor] = comfy.samplers.calc_cond_batch(
                self.inner_model, conds, x, timestep, model_options or {}
            )
            return found

        (nothing,) = predict([negative], x)
        video, both = predict([negative, positive], with_reference(x, reference, views))
        guided = guide_novel_view(
            nothing, video, both, video_guidance=self.video_guidance, text_guidance=self.text_guidance
        )
        return with_reference(guided, reference, views)


def _check_reference(latent: Tensor, views: int) -> None:
    if latent.is_nested or latent.ndim != 5 or len(latent) % views:
        shape = "several streams" if latent.is_nested else f"shape {tuple(latent.shape)}"
        raise ValueError(
            f"the latent has {shape}; expected a video for each of the {views} cameras, the first of them given - use "
            "Encode Reference View"
        )
    if empty := [row // views for row in range(0, len(latent), views) if not latent[row].any()]:
        scene = f" of scene {empty[0]}" if len(latent) > views else ""
        raise ValueError(
            f"the first video{scene} in the latent is empty; encode the given one with Encode Reference View"
        )
