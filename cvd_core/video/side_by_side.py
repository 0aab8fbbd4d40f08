"""All views in one picture, row by row, so that they play in step."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from cvd_core.video.clip import Clip, to_bytes


@dataclass(frozen=True)
class GridLayout:
    """Where the pictures of the views stand.

    Attributes:
        views: how many.
        columns: pictures per row.
        height, width: of one picture, in pixels.
        gap: pixels between pictures, black.
    """

    views: int
    columns: int
    height: int
    width: int
    gap: int = 0

    @staticmethod
    def of(videos: Tensor, columns: int | None = None, gap: int = 0) -> GridLayout:
        """Layout of videos ``(V, F, H, W, 3)``; see :func:`grid`."""
        if videos.ndim != 5 or videos.shape[-1] != 3 or 0 in videos.shape:
            raise ValueError(f"videos have shape {tuple(videos.shape)}; expected (views, frames, height, width, 3)")
        views, _, height, width, _ = videos.shape
        columns = math.ceil(math.sqrt(views)) if columns is None else columns
        if not 1 <= columns <= views:
            raise ValueError(f"the grid has {columns} columns for {views} views; expected 1 to {views}")
        return GridLayout(views, columns, height, width, gap)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the whole, in pixels."""
        rows = math.ceil(self.views / self.columns)
        return (
            rows * self.height + (rows - 1) * self.gap,
            self.columns * self.width + (self.columns - 1) * self.gap,
        )

    def paste(self, pictures: Iterable[Tensor], canvas: Tensor) -> Tensor:
        """Put ``(H, W, 3)`` pictures, view by view, onto ``canvas`` of :attr:`size`; returns the canvas."""
        for view, picture in enumerate(pictures):
            top = view // self.columns * (self.height + self.gap)
            left = view % self.columns * (self.width + self.gap)
            canvas[top : top + self.height, left : left + self.width] = picture
        return canvas


def grid(videos: Tensor, columns: int | None = None, gap: int = 0) -> Tensor:
    """All views in one picture, row by row.

    Args:
        videos: ``(V, F, H, W, 3)``.
        columns: pictures per row, 1 to V; by default as many as make the grid about as many pictures high as wide.
        gap: black pixels between pictures.

    Returns:
        ``(F, rows * H, columns * W, 3)``, more with a gap; cells without a view are black.

    Raises:
        ValueError: another shape, no views, or columns out of range.
    """
    layout = GridLayout.of(videos, columns, gap)
    canvas = videos.new_zeros(videos.shape[1], *layout.size, 3)
    for frame, picture in enumerate(canvas):
        layout.paste(videos[:, frame], picture)
    return canvas


def grid_clip(videos: Tensor, columns: int | None = None, gap: int = 0) -> Clip:
    """:func:`grid` for writing, in uint8: each picture is put together when it is asked for."""
    layout = GridLayout.of(videos, columns, gap)

    def picture(frame: int) -> Tensor:
        pictures = [to_bytes(video[frame]) for video in videos]
        return layout.paste(pictures, pictures[0].new_zeros(*layout.size, 3))

    return Clip(videos.shape[1], *layout.size, picture)
