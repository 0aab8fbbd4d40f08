"""Single pictures out of files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn.functional import interpolate

MOST_CUT = 16
"""How much of a picture may be cropped away, as a factor; scaled to cover, a strip would take any amount of memory."""


def read_still(path: str | os.PathLike[str]) -> Tensor:
    """A picture as people see it: turned as its EXIF orientation says, transparency over white.

    Returns:
        ``(3, H, W)`` float32 RGB in -1 ... 1.

    Raises:
        ValueError: no such file, or no picture that can be read.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}; expected a picture")
    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file).convert("RGBA")
    except Exception as error:  # damaged pictures make Pillow raise of every type
        raise ValueError(f"{path} cannot be read as a picture ({error}); expected e.g. a PNG or JPEG file") from error
    white = Image.new("RGBA", picture.size, "white")
    pixels = np.asarray(Image.alpha_composite(white, picture).convert("RGB"))
    return torch.from_numpy(pixels.copy()).movedim(-1, 0).float() / 127.5 - 1


def fit_picture(picture: Tensor, width: int, height: int) -> Tensor:
    """Scale to cover ``width`` x ``height``, then crop around the centre.

    Args:
        picture: ``(N, 3, H, W)``, any range.

    Returns:
        ``(N, 3, height, width)``.

    Raises:
        ValueError: a strip, of which less than a sixteenth would be left.
    """
    source_height, source_width = picture.shape[-2:]
    kept = (source_width * height) / (source_height * width)
    if not 1 / MOST_CUT <= kept <= MOST_CUT:
        raise ValueError(
            f"the picture has {source_width}x{source_height} pixels, so {width}x{height} would show less than a "
            f"{MOST_CUT}th of it; crop it first"
        )
    scale = max(width / source_width, height / source_height)
    size = (max(height, round(source_height * scale)), max(width, round(source_width * scale)))
    if size != (source_height, source_width):
        picture = interpolate(picture, size, mode="bilinear", antialias=True)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return picture[..., top : top + height, left : left + width]
