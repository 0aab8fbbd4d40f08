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
    views = rearrange(latents, "v c f h w -> v f c h w")
    # Frames of one view alone: what they become does not depend on the views that are decoded with it.
    videos = [torch.cat([to_bytes(decode(part)) for part in view.split(FRAMES_AT_ONCE)]) for view in views]
    return rearrange(torch.stack(videos), "v f c h w -> v f h w c")


def to_bytes(images: Tensor) -> Tensor:
    """Colours in -1 ... 1 as uint8 on the CPU."""
    return ((images.float() / 2 + 0.5).clamp(0, 1) * 255).round().to("cpu", torch.uint8)
