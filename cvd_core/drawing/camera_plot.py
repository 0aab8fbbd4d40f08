"""A picture of a rig: camera paths from above, from the side, from the front and in perspective."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cvd_core.files import atomic_path
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.frustum import all_points, frusta_frames, frustum_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Vector = NDArray[np.float64]

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F3C8D", "#4B4B4B")
"""Distinguishable with any kind of colour vision (after Okabe and Ito); repeated from the ninth view on."""
_AXES = ("x (right)", "y (down)", "z (forward)")
_DEPTH = 0.09
"""Depth of a frustum as a fraction of the rig's largest side."""
_WIDTH, _HEIGHT = 11.0, 9.0
"""Room for the panels together, in inches."""
_GREY = "#6b7280"
_STEPS = (1, 2, 2.5, 5, 10)
"""Grid lines at round numbers."""
_MOST_DOTS = 48
"""With more frames than this, a dot for each would hide the line."""
_FIRST: dict[str, Any] = {"marker": "o", "mew": 1.8, "markersize": 9}
_LAST: dict[str, Any] = {"marker": "s", "markersize": 6}


def save_plot(cameras: Cameras, path: str | os.PathLike[str]) -> None:
    """Write :func:`draw_cameras` to a .png, .svg or .pdf file.

    Raises:
        ValueError: another extension, or a folder that cannot be written to.
    """
    path = Path(path)
    if path.suffix.lower() not in {".png", ".svg", ".pdf"}:
        raise ValueError(f"cannot write {path}: a picture ends in .png, .svg or .pdf; rename it")
    figure = draw_cameras(cameras)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def draw_cameras(cameras: Cameras) -> Figure:
    """Four panels with one coloured path per view, a dot per frame (of short videos), some frusta.

    Plan, front and side share one scale and line up as in a technical drawing; y points down in the picture as it does
    in the cameras. A ring marks the first pose, a square the last; the roof of a frustum is its upper side.
    """
    from matplotlib.figure import Figure

    depth = _DEPTH * (float(np.ptp(cameras.centers.reshape(-1, 3).numpy(), axis=0).max()) or 1.0)
    center, half = _bounds(cameras, depth)
    scale = min(_WIDTH / (half[0] + half[2]), _HEIGHT / (half[2] + half[1]))
    figure = Figure(
        figsize=(scale * (half[0] + half[2]) + 2.2, scale * (half[2] + half[1]) + 2.7),
        facecolor="white",
        layout="constrained",
    )
    panels = figure.subplot_mosaic(
        [["plan", "perspective"], ["front", "side"]],
        width_ratios=[half[0], half[2]],
        height_ratios=[half[2], half[1]],
        per_subplot_kw={"perspective": {"projection": "3d"}},
    )
    for name, title, across, up in (
        ("plan", "Plan: from above", 0, 2),
        ("front", "Front: from behind the cameras", 0, 1),
        ("side", "Side: from the right", 2, 1),
    ):
        _setup_flat(panels[name], title, center, half, across, up)
        _draw_paths(panels[name], cameras, depth, (across, up))
    _setup_perspective(panels["perspective"], center, half)
    _draw_paths(panels["perspective"], cameras, depth, (0, 2, 1))
    _add_legend(figure, panels["plan"])
    count = f"{cameras.views} views" if cameras.views > 1 else "1 view"
    figure.suptitle(f"{count} x {cameras.frames} frames, extent {cameras.extent():.3g} units", fontsize=14)
    return figure


def _bounds(cameras: Cameras, depth: float) -> tuple[Vector, Vector]:
    """``(3,)`` centre and half size of the box to show: all positions and frusta; no side under 0.6 of the longest."""
    points = all_points(cameras, depth)
    half = np.ptp(points, axis=0) / 2 * 1.1
    return (points.max(0) + points.min(0)) / 2, np.maximum(half, 0.6 * half.max())


def _setup_flat(axes: Any, title: str, center: Vector, half: Vector, across: int, up: int) -> None:
    from matplotlib.ticker import MaxNLocator

    low, high = center - half, center + half
    axes.set(title=title, aspect="equal", xlim=(low[across], high[across]), ylim=(low[up], high[up]))
    axes.set(xlabel=f"{_AXES[across]}, world units", ylabel=f"{_AXES[up]}, world units")
    if up == 1:
        axes.invert_yaxis()
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, steps=_STEPS))
    axes.grid(color="#e5e7eb", linewidth=0.8)
    axes.set_axisbelow(True)


def _setup_perspective(axes: Any, center: Vector, half: Vector) -> None:
    """The picture's axes are x, z and y with y pointing down, so that the scene stands upright."""
    from matplotlib.ticker import MaxNLocator

    low, high = center - half, center + half
    axes.set(xlim=(low[0], high[0]), ylim=(low[2], high[2]), zlim=(high[1], low[1]), title="Perspective")
    axes.set_box_aspect(half[[0, 2, 1]], zoom=0.82)
    axes.set(xlabel=_AXES[0], ylabel=_AXES[2], zlabel=_AXES[1])
    axes.set_proj_type("persp", focal_length=0.8)
    axes.view_init(elev=24, azim=-62)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_major_locator(MaxNLocator(4, steps=_STEPS))
        axis.set_pane_color((0.97, 0.975, 0.98, 1.0))


def _add_legend(figure: Figure, axes: Any) -> None:
    from matplotlib.lines import Line2D

    handles = [
        *axes.get_legend_handles_labels()[0],
        Line2D([], [], **_FIRST, color="none", mec=_GREY, label="first pose"),
        Line2D([], [], **_LAST, color="none", mec=_GREY, mfc=_GREY, label="last pose"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6), frameon=False, fontsize=10)


def _draw_paths(axes: Any, cameras: Cameras, depth: float, order: tuple[int, ...]) -> None:
    """Draw every view with the world axes ``order`` as the picture's axes."""
    for v, name in enumerate(cameras.names):
        color, style = COLORS[v % len(COLORS)], ("-", "--", ":")[v // len(COLORS) % 3]
        path = cameras.centers[v].numpy()
        axes.plot(*path[:, order].T, style, color=color, linewidth=1.8, label=plain_label(name), zorder=3)
        if cameras.frames <= _MOST_DOTS:
            axes.plot(*path[:, order].T, "o", color=color, markersize=2.6, zorder=3)
        for frame in frusta_frames(cameras.frames):
            lines = frustum_line(cameras, v, frame, depth)
            axes.plot(*lines[:, order].T, color=color, linewidth=0.9, alpha=0.75, zorder=2)
        axes.plot(*path[-1:, order].T, **_LAST, color=color, zorder=4)
        axes.plot(*path[:1, order].T, **_FIRST, color="white", mec=color, zorder=4)


def plain_label(name: str) -> str:
    """The name as plain text: no formula between dollars, and not dropped for a leading underscore."""
    return f" {name}".replace("$", r"\$")
