"""Draw the pack's icon and banner for the node registry: cameras that leave one place, and look at one scene.

    python docs/registry/draw.py

writes ``icon.png`` (400 x 400) and ``banner.png`` (1344 x 576, 21:9) beside this file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

from cvd_core.geometry.frustum import frustum_line  # noqa: E402
from cvd_core.geometry.rigs import make_rig  # noqa: E402
from cvd_core.geometry.trajectory_json import VIEW_COLORS  # noqa: E402

FINE = 4
DARK, FLOOR, LIGHT, FAINT = "#16181d", "#262a33", "#e8eaed", "#9aa0a9"
SUBJECT = np.array([0.0, 0.0, 1.15])
_EYE, _AIM = np.array([-1.15, -1.0, -1.35]), np.array([0.05, 0.05, 0.45])


def scene(size: int) -> Image.Image:
    """Four paths from one place, a frustum at the end of each, a ball and a floor."""
    picture = Image.new("RGB", (size, size), DARK)
    draw = ImageDraw.Draw(picture)

    def pixels(points: np.ndarray) -> list[tuple[float, float]]:
        away = (_AIM - _EYE) / np.linalg.norm(_AIM - _EYE)
        right = np.cross([0.0, 1, 0], away)
        right /= np.linalg.norm(right)
        axes = np.stack([right, np.cross(away, right), away])
        x, y, z = ((points - _EYE) @ axes.T).T
        return [(size * (0.5 + 0.95 * a / c), size * (0.5 + 0.95 * b / c)) for a, b, c in zip(x, y, z, strict=True)]

    for step in np.linspace(-1.2, 1.6, 8):
        for ends in ([[step, 0.5, -0.6], [step, 0.5, 2.2]], [[-1.2, 0.5, step + 0.6], [1.6, 0.5, step + 0.6]]):
            draw.line(pixels(np.array(ends)), fill=FLOOR, width=size // 160)
    (center,), (edge,) = pixels(SUBJECT[None]), pixels(SUBJECT[None] + [[0, 0.22, 0]])
    r = edge[1] - center[1]
    draw.ellipse((center[0] - r, center[1] - r, center[0] + r, center[1] + r), fill="#e05a4e")
    shine = (center[0] - 0.45 * r, center[1] - 0.55 * r, center[0] - 0.05 * r, center[1] - 0.15 * r)
    draw.ellipse(shine, fill="#f0968c")
    rig = make_rig("circle", 4, 12, distance=0.6)
    for view, color in enumerate(VIEW_COLORS[:4]):
        draw.line(pixels(rig.centers[view].numpy()), fill=color, width=size // 70, joint="curve")
        draw.line(pixels(frustum_line(rig, view, 11, 0.3)), fill=color, width=size // 110, joint="curve")
    (start,), r = pixels(rig.centers[0, :1].numpy()), size / 55
    draw.ellipse((start[0] - r, start[1] - r, start[0] + r, start[1] + r), fill=LIGHT)
    return picture


def main() -> None:
    """Write both pictures."""
    scene(400 * FINE).reduce(FINE).save(FOLDER / "icon.png", optimize=True)
    width, height = 1344, 576
    banner = Image.new("RGB", (width, height), DARK)
    banner.paste(scene(height * FINE).reduce(FINE), (width - height - 40, 0))
    draw = ImageDraw.Draw(banner)
    for y, words, size, color in (
        (178, "Collaborative", 68, LIGHT),
        (254, "Video Diffusion", 68, LIGHT),
        (356, "one scene, several cameras, in step", 30, FAINT),
    ):
        draw.text((64, y), words, fill=color, font=ImageFont.load_default(size))
    banner.save(FOLDER / "banner.png", optimize=True)


if __name__ == "__main__":
    main()
