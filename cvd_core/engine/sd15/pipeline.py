"""From cameras and a prompt to synchronised videos."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cvd_core.engine.branches import encode_branches
from cvd_core.engine.decoding import decode_frames
from cvd_core.engine.placement import Placement
from cvd_core.engine.prompts import encode_prompts
from cvd_core.engine.sd15.denoise import denoise
from cvd_core.engine.sd15.loading import BaseModel
from cvd_core.engine.sd15.unet import CollaborativeUNet
from cvd_core.geometry.cameras import Cameras, prepare_cameras
from cvd_core.sampling.collaborate import Progress
from cvd_core.sampling.draws import SeededDraws
from cvd_core.sampling.settings import Settings


class CollaborativePipeline:
    """The networks of a run and the device they work on.

    Args:
        unet: the denoiser with its camera and sync modules.
        base: VAE, text encoder and tokenizer (its own UNet is not used).
        placement: where the networks compute.
    """

    def __init__(self, unet: CollaborativeUNet, base: BaseModel, placement: Placement) -> None:
        self.unet = unet
        self.base = base
        self.placement = placement
        placement.settle(unet, base.text_encoder, base.vae)

    def check_frames(self, frames: int) -> None:
        """Raise ValueError if a network's position table is too short."""
        self.unet.check_frames(frames)

    def generate(
        self, cameras: Cameras, settings: Settings, on_progress: Callable[[Progress], object] | None = None
    ) -> Tensor:
        """Make one video per camera path.

        Args:
            cameras: V paths of F frames; only their motion relative to their own first pose counts.
            settings: the run.
            on_progress: called after every denoising pass.

        Returns:
            ``(V, F, H, W, 3)`` uint8 RGB on the CPU.

        Raises:
            ValueError: more frames than a network's position table holds, or prompts that do not match the views.
        """
        self.check_frames(cameras.frames)
        with self.placement.working(self.base.text_encoder):
            text = encode_branches(lambda texts: encode_prompts(self.base, texts), settings, cameras.views)
        prepared = prepare_cameras(cameras, settings.width, settings.height)
        with self.placement.working(self.unet):
            draws, team = SeededDraws(settings.seed), self.placement.team
            latents = denoise(self.unet, prepared, text, settings, draws, on_progress, team)
        return team.spread(self.decode, latents)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """``(V, C, F, h, w)`` latents -> ``(V, F, 8h, 8w, 3)`` uint8 RGB on the CPU."""
        vae = self.base.vae
        with self.placement.working(vae):
            return decode_frames(lambda x: vae.decode((x / vae.config.scaling_factor).to(vae.dtype)).sample, latents)
