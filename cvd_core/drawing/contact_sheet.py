"""A picture of videos side by side in time: one row per view, one column per frame."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image
from torch import Tensor

from cvd_core.geometry.interpolation import spaced_frames

MOST_FRAMES = 8
GAP = 3
"""Pixels between thumbnails."""


def sheet_frames(frames: int) -> list[int]:
    """Which of ``frames`` frames a sheet shows: evenly spaced, first and last among them."""
    return spaced_frames(frames, MOST_FRAMES)


def contact_sheet(videos: Tensor, frames: Sequence[int], side: int) -> Image.Image:
    """The sheet of ``(V, F, H, W, 3)`` uint8 videos.

    Args:
        frames: those to show.
        side: pixels of a thumbnail's longer side; videos are enlarged or reduced to it.
    """
    height, width = videos.shape[2:4]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    sheet = Image.new("RGB", (len(frames) * (size[0] + GAP) - GAP, len(videos) * (size[1] + GAP) - GAP), "white")
    for row, video in enumerate(videos.cpu()):
        for column, frame in enumerate(frames):
            thumbnail = Image.fromarray(video[frame].numpy()).resize(size)
            sheet.paste(thumbnail, (column * (size[0] + GAP), row * (size[1] + GAP)))
    return sheet
