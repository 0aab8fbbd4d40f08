"""Videos to Wan's latents of unit variance, and back."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor


@torch.no_grad()
def encode_videos(vae: AutoencoderKLWan, videos: Tensor) -> Tensor:
    """``(N, 3, 4n + 1, H, W)`` in [-1, 1] -> ``(N, C, n + 1, H/8, W/8)`` float32, one video at a time."""
    mean, spread = _statistics(vae, videos.device)
    means = [vae.encode(video.to(vae.dtype)).latent_dist.mean.float() for video in videos.split(1)]
    return (torch.cat(means) - mean) / spread


@torch.no_grad()
def decode_latents(vae: AutoencoderKLWan, latents: Tensor) -> Tensor:
    """The way back, for one video or more at once."""
    mean, spread = _statistics(vae, latents.device)
    return vae.decode((latents * spread + mean).to(vae.dtype)).sample


def _statistics(vae: AutoencoderKLWan, device: torch.device) -> tuple[Tensor, Tensor]:
    """``(1, C, 1, 1, 1)`` mean and standard deviation of what the autoencoder makes."""
    mean, spread = (
        torch.tensor(values, device=device).view(1, -1, 1, 1, 1)
        for values in (vae.config.latents_mean, vae.config.latents_std)
    )
    return mean, spread
