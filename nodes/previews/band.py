"""A picture of the epipolar mask: one query point, and what it may attend to in the other views."""

from __future__ import annotations

import math

import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn.functional import interpolate

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.epipolar import epipolar_lines, feature_pixels, pair_geometry, pseudo_lines
from cvd_core.geometry.plucker import camera_rays
from cvd_core.networks.sd15 import LATENT_STRIDE

from ..types import EpipolarSpec
from .pictures import ACCENT, FINE, Point, columns_for, label, panel_size, readable, sheet, to_images, to_picture

SIDE = 320
"""Longer side of a panel, in pixels."""
ANGLES = (0.15, 0.4, 0.65, 0.9)
"""Slopes shown where the real ones are drawn at random, as fractions of pi."""
_BAND = torch.tensor([255, 176, 0]) / 255


def draw_band(spec: EpipolarSpec, view: int, point: Point, images: Tensor | None) -> Tensor:
    """``(F, H, W, 3)``: per frame, ``point`` in ``view`` and the attention weight ``exp(bias)`` in all other views.

    The weights are those of the finest attention, one per latent pixel. Without a baseline between two cameras several
    of the possible random lines are shown together.

    Args:
        view: where the query is.
        point: x and y of the query as fractions of the image's width and height, below 1.
        images: ``(V, F, H, W, 3)`` in 0..1 to draw over; None: a room that the cameras look into.
    """
    size = panel_size(spec.width, spec.height, SIDE)
    w, h = spec.width // LATENT_STRIDE, spec.height // LATENT_STRIDE
    query = min(int(point[1] * h), h - 1) * w + min(int(point[0] * w), w - 1)
    weights, lines, degenerate = _weights(spec, view, query, (h, w))
    x, y, _ = feature_pixels(spec.width, spec.height, w, h)[query].tolist()
    shown = ((x + 0.5) / spec.width * size[0] * FINE, (y + 0.5) / spec.height * size[1] * FINE)

    text_size = readable(size[0], columns_for(spec.cameras.views))

    def picture_of(frame: int) -> Image.Image:
        backdrop = _room(spec.cameras, frame, *size) if images is None else _resize(images[:, frame], size)
        panels = []
        for v, name in enumerate(spec.cameras.names):
            words = f"{name}  {frame}"
            if v == view:
                picture = to_picture(backdrop[v])
                _cross(picture, shown)
                words += "  query"
            else:
                picture = to_picture(_overlay(backdrop[v], weights[v][frame]))
                _draw_lines(picture, lines[v][frame], (spec.width, spec.height))
                words += "  no baseline" if degenerate[v][frame] else ""
            label(picture, words, color=ACCENT if v == view else "#ffffff", size=text_size)
            panels.append(picture)
        return sheet(panels, footer=_footer(spec, w, h))

    return to_images(picture_of(frame) for frame in range(spec.cameras.frames))


def _footer(spec: EpipolarSpec, w: int, h: int) -> str:
    band = f"{spec.band} band, threshold {spec.threshold:g}{' px' if spec.band == 'hard' else ''}"
    return (
        f"Orange: how strongly the query may attend, exp(bias), on the {w} x {h} latent grid; {band}. No baseline: the "
        "line is drawn at random; several are shown."
    )


def _weights(
    spec: EpipolarSpec, view: int, query: int, size: tuple[int, int]
) -> tuple[dict[int, Tensor], dict[int, Tensor], dict[int, Tensor]]:
    """By partner: weights ``(F, h, w)``, lines ``(F, A, 3)`` in image pixels, and which frames lack a baseline."""
    frames, angles = spec.cameras.frames, math.pi * torch.tensor(ANGLES, dtype=torch.float64)
    bias = spec.bias()
    at = feature_pixels(spec.width, spec.height, size[1], size[0])[query : query + 1]
    weights, lines, degenerate = {}, {}, {}
    for partner in (v for v in range(spec.cameras.views) if v != view):
        geometry = pair_geometry(spec.cameras, view, partner, spec.width, spec.height)
        per_angle = [
            bias.rows(
                view,
                (partner,),
                slice(0, frames),
                slice(query, query + 1),
                size,
                angle.expand(frames),
                dtype=torch.float32,
                device=torch.device("cpu"),
            ).exp()
            for angle in angles
        ]
        weights[partner] = torch.stack(per_angle).amax(0).view(frames, *size)
        epipolar = epipolar_lines(geometry.fundamental, at).expand(frames, len(ANGLES), 3)
        pseudo = [
            pseudo_lines(geometry.homography, at, angle.expand(frames), spec.width, spec.height) for angle in angles
        ]
        degenerate[partner] = geometry.degenerate
        lines[partner] = torch.where(geometry.degenerate[:, None, None], torch.cat(pseudo, 1), epipolar)
    return weights, lines, degenerate


def _overlay(pixels: Tensor, weight: Tensor) -> Tensor:
    """``pixels`` ``(H, W, 3)`` darkened where the query may not look and tinted where it may, by weights ``(h, w)``."""
    w = interpolate(weight[None, None], size=pixels.shape[:2], mode="nearest")[0, 0, :, :, None]
    return pixels * (0.36 + 0.34 * w) + 0.45 * w * _BAND


def _resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """``(V, H, W, 3)`` -> the same in ``size`` (width, height)."""
    channels_first = images[..., :3].movedim(-1, 1).float().cpu()
    return interpolate(channels_first, size=size[::-1], mode="bilinear", antialias=True).movedim(1, -1)


def _cross(picture: Image.Image, at: Point) -> None:
    draw, (x, y), r = ImageDraw.Draw(picture), at, 9 * FINE
    for color, width in (("black", 5), (ACCENT, 2)):
        draw.ellipse((x - r / 2, y - r / 2, x + r / 2, y + r / 2), outline=color, width=width * FINE // 2)
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            ends = (x + dx * r / 2, y + dy * r / 2, x + dx * r * 1.6, y + dy * r * 1.6)
            draw.line(ends, fill=color, width=width * FINE // 2)


def _draw_lines(picture: Image.Image, lines: Tensor, image: tuple[int, int]) -> None:
    """Draw ``lines`` ``(A, 3)``, ``a x + b y + c = 0`` in image pixels with the first pixel's centre at 0."""
    draw = ImageDraw.Draw(picture)
    sx, sy = picture.width / image[0], picture.height / image[1]
    reach = 2.0 * (image[0] + image[1])
    middle = torch.tensor(image, dtype=torch.float64) / 2
    for a, b, c in lines.unique(dim=0).tolist():
        if a == b == 0:
            continue
        normal = torch.tensor([a, b], dtype=torch.float64)
        foot = middle - (normal @ middle + c) * normal
        along = reach * torch.tensor([-b, a], dtype=torch.float64)
        ends = [((x + 0.5) * sx, (y + 0.5) * sy) for x, y in ((foot - along).tolist(), (foot + along).tolist())]
        draw.line(ends, fill="white", width=FINE)


def _room(cameras: Cameras, frame: int, width: int, height: int) -> Tensor:
    """``(V, H, W, 3)`` what the cameras of one frame see of a tiled room about three times as large as the rig.

    The nearest wall a ray meets is that of the coordinate in which it gets out first.
    """
    origins, directions = camera_rays(cameras.frame(frame), width, height)
    o, d = origins[:, 0, None, None].float(), directions[:, 0].float()
    unit = max(1.0, float(cameras.centers.norm(dim=-1).max()))
    low, high = unit * torch.tensor([-1.5, -1.2, -1.6]), unit * torch.tensor([1.5, 0.8, 2.4])
    d = torch.where(d.abs() < 1e-9, 1e-9, d)
    t = torch.where(d > 0, high - o, low - o) / d
    distance, wall = t.min(-1)
    hit = (o + distance[..., None] * d) / unit
    on_wall = torch.nn.functional.one_hot(wall, 3).bool()
    odd = (torch.where(on_wall, 0.0, hit * 2.5 + 0.5).floor().sum(-1) % 2).abs()
    colors = torch.tensor([[0.46, 0.56, 0.72], [0.58, 0.56, 0.52], [0.52, 0.66, 0.58]])[wall]
    shade = (0.62 + 0.3 * odd) / (1 + 0.12 * distance / unit)
    return (colors * shade[..., None]).clamp(0, 1)
