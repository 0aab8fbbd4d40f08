"""Pictures of Plücker rays: where every pixel looks, and how far its ray passes from the first camera."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from ..types import PluckerRays
from .pictures import FINE, GAP, columns_for, hue, label, panel_size, readable, sheet, to_images, to_picture

SIDE = 240
"""Longer side of a panel, in pixels."""
GRATICULE = 10.0
"""Degrees between two lines of equal azimuth or elevation."""


def draw_rays(rays: PluckerRays) -> Tensor:
    """``(F, H, W, 3)``: one picture per frame, for every view its ray directions above its moments.

    Directions: the hue says which way a ray leaves the axis of the first camera, the saturation how far; the lines are
    the world's azimuth and elevation, so they stand still while the camera moves along and wander when it turns.
    Moments ``o x d``: the hue is their direction in the picture plane, the brightness their length, black being zero.
    """
    step = max(1, min(rays.width, rays.height) // 64)  # for the two scales a sample will do
    moments, directions = rays.embedding[..., ::step, ::step].split(3, 2)
    sideways = max(float(directions[:, :, :2].norm(dim=2).max()), 1e-6)
    longest = float(moments.norm(dim=2).max())
    footer = (
        f"Above: direction d, white = ahead of the first camera, a line every {GRATICULE:g} degrees. "
        f"Below: moment o x d, black = 0, brightest = {longest:.2g} units."
    )
    size = panel_size(rays.width, rays.height, SIDE)
    columns = rays.cameras.views if rays.cameras.views <= 4 else columns_for(rays.cameras.views)
    text_size = readable(size[0], columns)

    def picture(frame: int) -> Image.Image:
        shown = interpolate(rays.embedding[:, frame], size=size[::-1], mode="bilinear", align_corners=False)
        views = shown.movedim(1, -1).contiguous()
        panels = [
            _pair(_directions(view[..., 3:], sideways), _moments(view[..., :3], longest), f"{name}  {frame}", text_size)
            for name, view in zip(rays.cameras.names, views, strict=True)
        ]
        return sheet(panels, footer=footer, columns=columns)

    return to_images(picture(frame) for frame in range(rays.cameras.frames))


def _directions(d: Tensor, sideways: float) -> Tensor:
    """``(H, W, 3)`` unit directions -> colours with a graticule."""
    tilt = d[..., :2].norm(dim=-1) / sideways
    colors = hue(torch.atan2(d[..., 1], d[..., 0]), tilt.clamp(max=1) * 0.9, torch.ones_like(tilt))
    azimuth = torch.rad2deg(torch.atan2(d[..., 0], d[..., 2]))
    elevation = torch.rad2deg(torch.asin(d[..., 1].clamp(-1, 1)))
    lines = torch.maximum(_contours(azimuth), _contours(elevation))
    return colors * (1 - 0.55 * lines[..., None])


def _contours(degrees: Tensor) -> Tensor:
    """``(H, W)`` 1 where ``degrees`` is a multiple of the graticule, 0 a pixel away from there."""
    dy, dx = torch.gradient(degrees)
    # Azimuth jumps by 360 degrees behind the camera: the steep gradient there would make a band of line.
    slope = (dx.square() + dy.square()).sqrt().clamp(1e-6, GRATICULE / 4)
    off = (degrees / GRATICULE - (degrees / GRATICULE).round()).abs() * GRATICULE
    return (1 - off / slope).clamp(0, 1)


def _moments(m: Tensor, longest: float) -> Tensor:
    """``(H, W, 3)`` moments -> colours."""
    length = m.norm(dim=-1) / max(longest, 1e-9)
    return hue(torch.atan2(m[..., 1], m[..., 0]), torch.full_like(length, 0.75), length.sqrt())


def _pair(above: Tensor, below: Tensor, words: str, size: int) -> Image.Image:
    """The two pictures of a view, one above the other."""
    first, second = to_picture(above), to_picture(below)
    label(first, words, size=size)
    gap = FINE * GAP // 4
    panel = Image.new("RGB", (first.width, first.height + gap + second.height))
    panel.paste(first, (0, 0))
    panel.paste(second, (0, first.height + gap))
    return panel
