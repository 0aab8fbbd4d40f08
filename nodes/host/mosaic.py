"""The preview of a sampler that shows all views: their middle frames side by side, as one latent."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import latent_preview
from torch import Tensor

from cvd_core.video.side_by_side import GridLayout

_GAP = 1
"""Latent pixels between the views."""


def mosaic_callback(model: Any, steps: int, views: int) -> Callable[[int, Tensor, Tensor, int], None]:
    """The host's own callback of a sampler - progress and preview -, which shows one row, on :func:`mosaic`."""
    show = latent_preview.prepare_callback(model, steps)

    def callback(step: int, denoised: Tensor, noisy: Tensor, total: int) -> None:
        show(step, mosaic(denoised, views), noisy, total)

    return callback


def mosaic(rows: Tensor, views: int) -> Tensor:
    """``(V * F, C, h, w)`` latents -> ``(1, C, H, W)``, the middle frame of every view in a grid."""
    latents = rows.unflatten(0, (views, -1))
    pictures = latents[:, latents.shape[1] // 2].movedim(1, -1)
    height, width, channels = pictures.shape[1:]
    layout = GridLayout(views, math.ceil(math.sqrt(views)), height, width, _GAP)
    return layout.paste(pictures, pictures.new_zeros(*layout.size, channels)).movedim(-1, 0)[None]
