"""A picture of camera paths: in perspective, from above, from the side and from behind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.frustum import all_points, frusta_frames, frustum_line

from .pictures import ACCENT, BACKGROUND, FAINT, FINE, GAP, PANEL, text, to_images

Array = NDArray[np.float64]

WIDTH, HEIGHT, TEXT_SIZE = 1120, 760, 23
GRID = "#333843"
MOST_DOTS = 64
"""With more frames than this, a dot for each would hide the line."""
FRUSTUM = 0.13
"""Depth of a frustum as a fraction of the rig's largest side."""


@dataclass(frozen=True)
class Look:
    """How a panel sees the world: ``axes`` are its right, down and away in world coordinates."""

    title: str
    axes: Array
    perspective: bool = False


def _oblique() -> Array:
    away = np.array([-0.42, 0.46, 0.78])
    away /= np.linalg.norm(away)
    right = np.cross([0.0, 1, 0], away)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(away, right), away])


_X, _Y, _Z = np.eye(3)
PERSPECTIVE = Look("perspective", _oblique(), perspective=True)
_LOOKS = (
    PERSPECTIVE,
    Look("plan (from above)", np.stack([_X, -_Z, _Y])),
    Look("side (from the right)", np.stack([_Z, _Y, -_X])),
    Look("front (from behind)", np.stack([_X, _Y, _Z])),
)


def frustum_depth(positions: Array) -> float:
    """How deep frusta are drawn, in world units, in a picture of ``positions`` ``(N, 3)``."""
    return FRUSTUM * (float(np.ptp(positions, axis=0).max()) or 1.0)


def draw_paths(cameras: Cameras, colors: Sequence[str]) -> Tensor:
    """``(1, H, W, 3)``: one coloured path per view, a dot per frame of short clips, some frusta.

    A ring marks the first pose, a square the last; the roof of a frustum is its upper side.
    """
    depth = frustum_depth(cameras.centers.reshape(-1, 3).numpy())
    canvas = Image.new("RGB", (WIDTH * FINE, HEIGHT * FINE), BACKGROUND)
    line, gap = round(TEXT_SIZE * FINE * 1.9), GAP * FINE
    top, bottom = line + gap // 2, HEIGHT * FINE - line - gap // 2
    height = (bottom - top - 2 * gap) // 3
    side = WIDTH * FINE - height - gap
    boxes = [(gap, top, side - gap, bottom)]
    boxes += [(side, top + i * (height + gap), side + height, top + i * (height + gap) + height) for i in range(3)]

    points = all_points(cameras, depth)
    center = (points.max(0) + points.min(0)) / 2
    flat = [np.abs((points - center) @ look.axes[:2].T).max() for look in _LOOKS[1:]]
    scale = height / 2 / (max(flat) * 1.12)  # one for all three, so that they can be compared
    for look, box in zip(_LOOKS, boxes, strict=True):
        panel = Panel(look, (box[2] - box[0], box[3] - box[1]), points, scale)
        panel.draw_grid(points)
        for view, color in enumerate(colors):
            panel.draw_view(cameras, view, color, depth)
        canvas.paste(panel.picture, box[:2])
        text(ImageDraw.Draw(canvas), (box[0] + gap, box[1] + gap * 0.6), look.title, color=FAINT, size=TEXT_SIZE - 3)

    draw = ImageDraw.Draw(canvas)
    count = f"{cameras.views} view{'s' * (cameras.views > 1)} x {cameras.frames} frame{'s' * (cameras.frames > 1)}"
    title = f"{count},  extent {cameras.extent():.3g},  grid {_step(points):g}"
    end = text(draw, (gap, gap * 0.7), title, size=TEXT_SIZE)
    if not torch.allclose(cameras.c2w[:, 0], cameras.c2w[0, 0], rtol=0, atol=1e-4 * max(1.0, cameras.extent())):
        note = "first poses differ: CVD moves them together"
        text(draw, (end + 3 * gap, gap * 0.7), note, color=ACCENT, size=TEXT_SIZE)
    x = float(gap)
    for name, color in zip(cameras.names, colors, strict=True):
        y = bottom + gap * 0.9
        draw.rounded_rectangle((x, y + 16, x + 26, y + 40), 5, fill=color)
        x += 36 + text(draw, (x + 36, y), name, size=TEXT_SIZE) + 28
    return to_images([canvas])


class Panel:
    """One panel while it is drawn, in its own fine pixels: as large as it can be in perspective, else in ``scale``."""

    def __init__(self, look: Look, size: tuple[int, int], points: Array, scale: float = 1.0) -> None:
        center = (points.max(0) + points.min(0)) / 2
        self.look, self.size, self.center, self.scale = look, size, center, scale
        self.picture = Image.new("RGB", size, PANEL)
        self.draw = ImageDraw.Draw(self.picture)
        self.middle = np.array(size) / 2
        self.distance = 4 * float(np.linalg.norm(points - center, axis=-1).max())
        if look.perspective:
            self.scale = 1.0
            xy = self.project(points) - self.middle
            self.scale = 0.86 * float((self.middle / np.abs(xy).max(0)).min())
            xy = self.project(points)
            self.middle = self.middle - (xy.max(0) + xy.min(0)) / 2 + np.array(size) / 2

    def project(self, points: Array) -> Array:
        """World points ``(N, 3)`` -> pixels ``(N, 2)``."""
        right, down, away = ((points - self.center) @ self.look.axes.T).T
        shrink = self.distance / (self.distance + away) if self.look.perspective else 1.0
        return self.middle + self.scale * np.stack([right * shrink, down * shrink], -1)

    def line(self, points: Array, color: str, width: float) -> None:
        self.draw.line([tuple(p) for p in self.project(points)], fill=color, width=round(width * FINE), joint="curve")

    def draw_grid(self, points: Array) -> None:
        step = _step(points)
        if self.look.perspective:
            low = np.floor(points.min(0) / step - 0.5) * step
            high = np.ceil(points.max(0) / step + 0.5) * step
            floor = points[:, 1].max()
            for x in np.arange(low[0], high[0] + step / 2, step):
                self.line(np.array([[x, floor, low[2]], [x, floor, high[2]]]), GRID, 0.8)
            for z in np.arange(low[2], high[2] + step / 2, step):
                self.line(np.array([[low[0], floor, z], [high[0], floor, z]]), GRID, 0.8)
            return
        reach = np.array(self.size) / self.scale
        for axis in (0, 1):
            place = self.look.axes[axis] @ self.center
            for k in range(math.ceil((place - reach[axis]) / step), math.floor((place + reach[axis]) / step) + 1):
                at = self.middle[axis] + (k * step - place) * self.scale
                ends = ((at, 0), (at, self.size[1])) if axis == 0 else ((0, at), (self.size[0], at))
                self.draw.line(ends, fill=GRID if k else "#4a505c", width=FINE // 2 or 1)

    def draw_view(self, cameras: Cameras, view: int, color: str, depth: float) -> None:
        path = cameras.centers[view].numpy()
        for frame in frusta_frames(cameras.frames):
            self.line(frustum_line(cameras, view, frame, depth), color, 1.1)
        if len(path) > 1:
            self.line(path, color, 2.6)
        pixels = self.project(path)
        if len(path) <= MOST_DOTS:
            for x, y in pixels:
                self.mark(x, y, 2.2, fill=color)
        (x, y), r = pixels[-1], 5 * FINE
        self.draw.rectangle((x - r, y - r, x + r, y + r), fill=color)
        self.mark(pixels[0][0], pixels[0][1], 6, fill=PANEL, outline=color)

    def mark(self, x: float, y: float, radius: float, *, fill: str, outline: str | None = None) -> None:
        r = radius * FINE
        self.draw.ellipse((x - r, y - r, x + r, y + r), fill=fill, outline=outline, width=2 * FINE)


def _step(points: Array) -> float:
    """Distance of grid lines: a round number that gives about six of them."""
    rough = float(np.ptp(points, axis=0).max()) / 6
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.99)
