"""Sampling the latents of videos that start from a picture, with text and camera guided apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cvd_core.cami2v.ddim import DDIM
from cvd_core.cami2v.guidance import RESCALE, Schedule, camera_weight, guide_text_and_camera
from cvd_core.cami2v.network import FRAMES, DynamiCrafterUNet
from cvd_core.cami2v.transformers import CameraFeatures
from cvd_core.sampling.collaborate import NetworkCall
from cvd_core.sampling.recurrence import NoiseLevel


class DDIMSolver:
    """DynamiCrafter's sampler for :func:`cvd_core.sampling.collaborate.sample_together`.

    Args:
        sampler: its times and steps.
        noise: standard normal numbers of a shape, new ones in every pass.
    """

    def __init__(self, sampler: DDIM, noise: Callable[[tuple[int, ...]], Tensor]) -> None:
        self.sampler = sampler
        self._noise = noise

    @property
    def steps(self) -> int:
        return len(self.sampler.timesteps)

    def level(self, step: int) -> NoiseLevel:
        here, there = self.sampler.alpha_bars(min(step, self.steps - 1))
        alpha_bar = here if step < self.steps else there
        return NoiseLevel(alpha_bar**0.5, (1 - alpha_bar) ** 0.5)

    def scale_input(self, step: int, latents: Tensor) -> Tensor:
        return latents

    def advance(self, step: int, latents: Tensor, prediction: Tensor, *, final: bool) -> Tensor:
        noise = self._noise(tuple(latents.shape)).to(latents)
        return self.sampler.advance(step, latents, prediction, noise)[0]


def predictions_of_views(
    unet: DynamiCrafterUNet,
    cameras: Sequence[CameraFeatures | None],
    picture: Tensor,
    context: Tensor,
    sampler: DDIM,
    *,
    frame_rate: float,
    guidance: float,
    camera_guidance: float = 1.0,
    camera_guidance_schedule: Schedule = "constant",
    rescale: float = RESCALE,
) -> Callable[[int, Tensor, NetworkCall], Tensor]:
    """The prediction that :func:`cvd_core.sampling.collaborate.sample_together` asks for: noise or velocity.

    Views and branches are evaluated one by one: they share nothing, and one video alone fills a card.

    Args:
        unet: on the device where it is to compute.
        cameras: of each of V views; None: DynamiCrafter without camera.
        picture: ``(1, 4, 1, h, w)``, its latent.
        context: ``(V, B, 77 + 16 * 16, C)`` tokens of text and picture, branches uncond and cond, or cond alone.
        sampler: tells the network the time of a step.
        frame_rate: see :class:`cvd_core.sampling.settings.StartPicture`.
        guidance: classifier-free guidance scale; the branch without text and picture tokens keeps picture and camera.
        camera_guidance, camera_guidance_schedule, rescale: see
            :func:`cvd_core.cami2v.guidance.guide_text_and_camera`.
    """
    weights = next(unet.parameters())
    shown = picture.to(weights).expand(-1, -1, FRAMES, -1, -1)

    def evaluate(step: int, x: Tensor, tokens: Tensor, camera: CameraFeatures | None) -> Tensor:
        time, rate = (x.new_tensor([value], dtype=torch.float32) for value in (sampler.timesteps[step], frame_rate))
        return unet(torch.cat([x.to(weights), shown], 1), time, tokens[None].to(weights), rate, camera).float()

    def predict(step: int, x: Tensor, call: NetworkCall) -> Tensor:
        guided = []
        for view, latents in zip(call.views, x.split(1), strict=True):
            camera, tokens = cameras[view], context[view]
            conditioned = evaluate(step, latents, tokens[-1], camera)
            without_camera = None
            if camera_guidance != 1 and camera is not None:
                without_camera = evaluate(step, latents, tokens[-1], None)
            guided.append(
                guide_text_and_camera(
                    conditioned,
                    evaluate(step, latents, tokens[0], camera) if len(tokens) == 2 else conditioned,
                    without_camera,
                    guidance=guidance,
                    camera_guidance=camera_guidance,
                    weight=camera_weight(camera_guidance_schedule, sampler.timesteps[step]),
                    rescale=rescale,
                )
            )
        return torch.cat(guided)

    return predict
