"""Orders of pixels along a pencil of lines, in which pixels that matter to each other come together.

All epipolar lines of a frame go through one point, the epipole, wherever it is; pseudo lines of one slope go through a
point at infinity. Such a pencil has one parameter: the lines are combinations of two, and the angle between them orders
the pixels of the view by their lines, and those of the partner by the line that they lie on. Both angles agree.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def pencil_basis(lines: Tensor) -> Tensor:
    """``(..., 2, 3)``: two lines that span the pencil of ``(..., N, 3)`` lines, of unit normals or zero."""
    lines = lines.double()
    # Offsets are in pixels: brought to the order of the normals, or they alone would decide what spans the lines.
    offset = lines[..., 2].square().mean(-1).sqrt().clamp(min=1.0)
    scale = torch.stack([torch.ones_like(offset), torch.ones_like(offset), 1 / offset], -1)
    scaled = lines * scale[..., None, :]
    _, vectors = torch.linalg.eigh(scaled.mT @ scaled)  # ascending
    return vectors[..., 1:].mT / scale[..., None, :]


def line_angles(lines: Tensor, basis: Tensor) -> Tensor:
    """``(..., N)`` float64 in [0, pi), of lines of the pencil; infinite where a line is zero.

    Args:
        lines: ``(..., N, 3)``.
        basis: ``(..., 2, 3)`` from :func:`pencil_basis`.
    """
    lines = lines.double()
    a, b = (lines @ torch.linalg.pinv(basis)).unbind(-1)
    return torch.where((lines != 0).any(-1), torch.atan2(b, a) % math.pi, math.inf)


def pixel_angles(pixels: Tensor, basis: Tensor) -> Tensor:
    """``(..., N)`` float64 in [0, pi): angle of the line of the pencil that each pixel lies on.

    Args:
        pixels: ``(N, 3)`` homogeneous.
        basis: ``(..., 2, 3)`` from :func:`pencil_basis`.
    """
    first, second = (pixels.double() @ basis.mT).unbind(-1)
    return torch.atan2(-first, second) % math.pi


def raster_in_tiles(size: tuple[int, int], tile: tuple[int, int]) -> Tensor:
    """``(h * w,)`` order of a map's pixels, tile after tile of ``tile`` (height, width) pixels."""
    y, x = (torch.arange(n) for n in size)
    columns = -(-size[1] // tile[1])
    return ((y // tile[0])[:, None] * columns + (x // tile[1])).flatten().argsort(stable=True)
