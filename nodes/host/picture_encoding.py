"""A picture through the host's CLIP vision model and VAE, as DynamiCrafter was trained to see it."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import torch
from torch import Tensor

from cvd_core.cami2v.picture import CLIP_SIDE, clip_pixels
from cvd_core.video.stills import fit_picture

from .dynamicrafter import LATENT, PICTURE, RATE


def encode_picture(
    clip_vision: Any, vae: Any, picture: Tensor, width: int, height: int, frame_rate: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the positive and the negative CONDITIONING hold beside their text.

    Args:
        clip_vision, vae: the host's.
        picture: ``(P, H, W, 3)`` in 0 ... 1.
        width, height: of the video, pixels.
        frame_rate: 0 is the model's own.

    Raises:
        ValueError: an encoder is missing or of another kind.
    """
    if clip_vision is None or vae is None:
        what, node = ("picture encoder", "Load CLIP Vision") if clip_vision is None else ("VAE", "Load VAE")
        raise ValueError(f"the loaded file holds no {what}; connect {node}")
    fitted = fit_picture(picture[..., :3].movedim(-1, 1), width, height)
    latent = vae.encode(fitted.movedim(1, -1).contiguous())
    if latent.ndim != 4 or latent.shape[1] != 4:
        raise ValueError(
            f"the VAE makes latents of shape {tuple(latent.shape)}; DynamiCrafter takes those of Stable Diffusion 1 "
            "and 2, with 4 channels"
        )
    shown = 2 * fitted - 1
    tokens = _clip_tokens(clip_vision, torch.cat([shown, torch.zeros_like(shown[:1])]))
    shared = {LATENT: latent} | ({RATE: frame_rate} if frame_rate else {})
    return shared | {PICTURE: tokens[:-1]}, shared | {PICTURE: tokens[-1:]}


def _clip_tokens(clip_vision: Any, pictures: Tensor) -> Tensor:
    """``(P, 3, H, W)`` in -1 ... 1 to ``(P, 257, C)``: before the last norm and the projection.

    Not through the host's ``encode_image``, which crops to a square and rounds to 8 bits.
    """
    if clip_vision.image_size != CLIP_SIDE:
        raise ValueError(
            f"the picture encoder takes pictures of {clip_vision.image_size} pixels; expected OpenCLIP ViT-H for "
            f"{CLIP_SIDE} (CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors)"
        )
    comfy.model_management.load_model_gpu(clip_vision.patcher)
    found: Tensor = clip_vision.model(pixel_values=clip_pixels(pictures).to(clip_vision.load_device))[0]
    return found.float().to(comfy.model_management.intermediate_device())
