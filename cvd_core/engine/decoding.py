"""From what an autoencoder decodes to pictures."""

from __future__ import annotations

from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor

FRAMES_AT_ONCE = 4
"""Frames decoded together: memory does not grow with the length or number of the videos."""


def decode_frames(decode: Callable[[Tensor], Tensor], latents: Tensor) -> Tensor:
    """Decode videos with an autoencoder for single pictures.

    Args:
        decode: ``(N, C, h, w)`` latents to ``(N, 3, H, W)`` pictures in -1 ... 1.
        latents: ``(V, C, F, h, w)``.

    Returns:
        ``(V, F, H, W, 3)`` uint8 RGB on the CPU.
    """
    frames = rearrange(latents, "v c f h w -> (v f) c h w").split(FRAMES_AT_ONCE)
    images = torch.cat([to_bytes(decode(part)) for part in frames])
    return rearrange(images, "(v f) c h w -> v f h w c", f=latents.shape[2])


def to_bytes(images: Tensor) -> Tensor:
    """Colours in -1 ... 1 as uint8 on the CPU."""
    return ((images.float() / 2 + 0.5).clamp(0, 1) * 255).round().to("cpu", torch.uint8)
