"""The pictures of ``cvd demo``: runs side by side, large enough to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import interpolate, pad

from cvd_core.drawing.contact_sheet import GAP, contact_sheet, sheet_frames
from cvd_core.video.side_by_side import grid
from cvd_core.video.timing import play_order

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_THUMBNAIL = 96
"""Pixels of a picture's longer side in the sheet."""
_ENLARGEMENT = 4
_MARGIN = 8
"""White pixels around the views of a run in a video."""
_DPI = 100


@dataclass(frozen=True, eq=False)
class Panel:
    """What the sheet shows of a run.

    Attributes:
        title, caption: texts above and below.
        names: of the views.
        videos: ``(V, F, H, W, 3)`` uint8.
    """

    title: str
    caption: str
    names: tuple[str, ...]
    videos: Tensor


def draw_sheet(rows: Sequence[Sequence[Panel]]) -> Figure:
    """Contact sheets in rows and columns, those of a row with as many views as each other."""
    from matplotlib.figure import Figure

    heights = [len(row[0].videos) for row in rows]
    cell = (_THUMBNAIL + GAP) / _DPI
    width = sum(len(sheet_frames(panel.videos.shape[1])) for panel in rows[0]) * cell
    figure = Figure(
        figsize=(width + 1.8, sum(heights) * cell + 0.8 * len(rows)), dpi=_DPI, facecolor="white", layout="constrained"
    )
    grid_of_axes = figure.subplots(len(rows), len(rows[0]), height_ratios=heights, squeeze=False)
    for panels, places in zip(rows, grid_of_axes, strict=True):
        for panel, axes in zip(panels, places, strict=True):
            frames = sheet_frames(panel.videos.shape[1])
            image = contact_sheet(panel.videos, frames, _THUMBNAIL)
            columns, views = len(frames), len(panel.names)
            axes.imshow(image, extent=(0, columns, views, 0), aspect=image.height / views / (image.width / columns))
            axes.set_title(panel.title, loc="left", fontsize=13)
            axes.set_xlabel(panel.caption, loc="left", fontsize=11)
            axes.set_xticks([column + 0.5 for column in range(columns)], [f"{frame}" for frame in frames])
            axes.set_yticks([view + 0.5 for view in range(views)], panel.names)
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
    return figure


def side_by_side(runs: Sequence[Tensor], repeats: int = 1) -> Tensor:
    """Runs as one enlarged video ``(frames, H, W, 3)`` that plays there and back.

    Args:
        runs: ``(V, F, H, W, 3)`` uint8, all of one shape.
        repeats: how often it does.
    """
    grids = [pad(grid(_enlarge(videos)), (0, 0, *[_MARGIN] * 4), value=255) for videos in runs]
    return grid(torch.stack(grids), columns=len(runs))[play_order(runs[0].shape[1], "ping-pong", repeats)]


def _enlarge(videos: Tensor) -> Tensor:
    """``(V, F, H, W, 3)`` uint8 -> the same with sides :data:`_ENLARGEMENT` times as long."""
    images = rearrange(videos, "v f h w c -> (v f) c h w").float()
    large = interpolate(images, scale_factor=_ENLARGEMENT, mode="bicubic").clamp(0, 255).round().to(torch.uint8)
    return rearrange(large, "(v f) c h w -> v f h w c", v=len(videos))
