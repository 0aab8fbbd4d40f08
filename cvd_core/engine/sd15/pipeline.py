"""From cameras and a prompt to synchronised videos."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from einops import rearrange
from torch import Tensor, nn

from cvd_core.engine.sd15.denoise import denoise
from cvd_core.engine.sd15.loading import BaseModel
from cvd_core.engine.sd15.text import encode_prompts
from cvd_core.engine.sd15.unet import CollaborativeUNet
from cvd_core.geometry.cameras import Cameras, prepare_cameras
from cvd_core.sampling.collaborate import Progress
from cvd_core.sampling.draws import SeededDraws
from cvd_core.sampling.settings import Settings

VAE_FRAMES = 4
"""Frames decoded at once: the VAE's memory does not grow with the length or number of the videos."""


class CollaborativePipeline:
    """The networks of a run and the device they work on.

    Args:
        unet: the denoiser with its camera and sync modules.
        base: VAE, text encoder and tokenizer (its own UNet is not used).
        device: where the networks compute.
        offload: keep every network in main memory and move it to ``device`` only while it works.
    """

    def __init__(
        self, unet: CollaborativeUNet, base: BaseModel, device: torch.device | str = "cpu", *, offload: bool = False
    ) -> None:
        self.unet = unet
        self.base = base
        self.device = torch.device(device)
        self.offload = offload
        if not offload:
            for network in (unet, base.text_encoder, base.vae):
                network.to(self.device)

    def generate(
        self, cameras: Cameras, settings: Settings, on_progress: Callable[[Progress], None] | None = None
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
        self.unet.check_frames(cameras.frames)
        prompts, negative = settings.per_view(cameras.views)
        text = self.encode_text(prompts, negative if settings.guidance > 1 else None)
        prepared = prepare_cameras(cameras, settings.width, settings.height)
        with self._working(self.unet):
            latents = denoise(self.unet, prepared, text, settings, SeededDraws(settings.seed), on_progress)
        return self.decode(latents)

    @torch.no_grad()
    def encode_text(self, prompts: list[str], negative: list[str] | None) -> Tensor:
        """``(V, B, 77, C)``: branches uncond, cond; only cond if ``negative`` is None."""
        with self._working(self.base.text_encoder):
            branches = [encode_prompts(self.base, p) for p in (negative, prompts) if p is not None]
        return torch.stack(branches, 1)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """``(V, C, F, h, w)`` latents -> ``(V, F, 8h, 8w, 3)`` uint8 RGB on the CPU."""
        vae = self.base.vae
        frames = rearrange(latents, "v c f h w -> (v f) c h w") / vae.config.scaling_factor
        with self._working(vae):
            images = torch.cat([self._to_bytes(vae.decode(x.to(vae.dtype)).sample) for x in frames.split(VAE_FRAMES)])
        return rearrange(images, "(v f) c h w -> v f h w c", f=latents.shape[2])

    @staticmethod
    def _to_bytes(images: Tensor) -> Tensor:
        return ((images.float() / 2 + 0.5).clamp(0, 1) * 255).round().to("cpu", torch.uint8)

    @contextmanager
    def _working(self, network: nn.Module) -> Iterator[None]:
        if self.offload:
            network.to(self.device)
        try:
            yield
        finally:
            if self.offload:
                network.to("cpu")
