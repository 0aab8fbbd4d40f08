"""Cameras as lines to draw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.interpolation import spaced_frames

MOST_FRUSTA = 5
"""More along one path would hide it."""


def frusta_frames(frames: int) -> list[int]:
    """The frames of a path to draw a frustum at: the first, the last and some between."""
    return spaced_frames(frames, MOST_FRUSTA)


def frustum_line(cameras: Cameras, view: int, frame: int, depth: float) -> NDArray[np.float64]:
    """``(12, 3)`` world points of one line along all edges of a camera's frustum, with a roof on its upper side.

    Wide lenses get a shorter frustum, so that it is nowhere much larger than ``depth``.
    """
    fx, fy, cx, cy = cameras.intrinsics[view, frame].tolist()
    left, right, top, bottom = -cx / fx, (1 - cx) / fx, -cy / fy, (1 - cy) / fy
    a, b, c, d = (left, top, 1), (right, top, 1), (right, bottom, 1), (left, bottom, 1)
    roof, eye = ((left + right) / 2, top - (bottom - top) * 0.28, 1), (0.0, 0.0, 0.0)
    corners = np.array([eye, a, b, eye, c, d, eye, d, a, roof, b, c]) * depth / max(1.0, (right - left) / 2)
    c2w = cameras.c2w[view, frame].numpy()
    return np.asarray(corners @ c2w[:3, :3].T + c2w[:3, 3])


def all_points(cameras: Cameras, depth: float) -> NDArray[np.float64]:
    """``(N, 3)`` everything that a picture of the paths must show: all positions and the corners of the frusta."""
    frames = frusta_frames(cameras.frames)
    frusta = [frustum_line(cameras, view, frame, depth) for view in range(cameras.views) for frame in frames]
    return np.concatenate([cameras.centers.reshape(-1, 3).numpy(), *frusta])
