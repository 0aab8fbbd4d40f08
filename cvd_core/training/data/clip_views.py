"""Synchronised videos from single ones (CVD paper, Sec. 4.2 and A.3.1): folding, and homography augmentation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.epipolar import about_center
from cvd_core.geometry.interpolation import Array

SPREADS = {"shift": 0.12, "angle": 0.14, "scale": 0.10, "shear": 0.07, "projection": 0.08}
"""Standard deviations of the control vectors in the last frame: shifts in image heights, the angle in radians. Lengths
count from the image's middle in image heights. The paper does not publish its own."""


def fold_frames(frames: int, views: int = 2) -> list[list[int]]:
    """Which frames of a clip make the videos that start at one of its frames.

    The first two run from there backwards and onwards, as in the paper; further ones do the same at two, three ...
    times the speed.

    Args:
        frames: F of every video.
        views: V.

    Returns:
        V lists of F frames, counted from the clip's first; the largest is its last.
    """
    speeds = [(1 if view % 2 else -1) * (view // 2 + 1) for view in range(views)]
    start = -min(0, *speeds) * (frames - 1)
    return [[start + speed * frame for frame in range(frames)] for speed in speeds]


def fold(video: Tensor, cameras: Cameras, frames: int, views: int = 2) -> tuple[Tensor, Cameras]:
    """Synchronised videos of a static scene from one, sharing their first frame.

    Args:
        video: ``(N, ...)``, as many frames as :func:`fold_frames` takes: 2F - 1 for two views.
        cameras: one view of N frames.
        frames: F.
        views: V.

    Returns:
        ``(V, F, ...)``, and V views with poses relative to the common first frame.

    Raises:
        ValueError: another number of frames.
    """
    index = torch.tensor(fold_frames(frames, views))
    expected = int(index.max()) + 1
    if not len(video) == cameras.frames == expected:
        raise ValueError(
            f"folding into {views} views of {frames} frames takes {expected}; the video has {len(video)}, its cameras "
            f"{cameras.frames}"
        )
    path = Cameras(cameras.c2w[0, index], cameras.intrinsics[0, index], magnitude=cameras.magnitude)
    return video[index], path.relative_to_first()


def random_homographies(rng: np.random.Generator, frames: int, width: int, height: int) -> Tensor:
    """``(F, 3, 3)`` pixel maps H = Ht Hr Hs Hsh Hp (paper, Eq. 24) from a video to its deformed copy.

    The control vectors are normal in the last frame and grow linearly from 0 in the first, whose H is the identity.
    """
    spread = SPREADS
    shift, scale = rng.normal(0, spread["shift"], 2), rng.normal(0, spread["scale"], 2)
    angle, shear = rng.normal(0, spread["angle"]), rng.normal(0, spread["shear"], 2)
    projection = rng.normal(0, spread["projection"], 2)
    maps = np.stack(
        [_homography(u * shift, u * angle, u * scale, u * shear, u * projection) for u in np.linspace(0, 1, frames)]
    )
    unit = torch.diag(torch.tensor([height, height, 1], dtype=torch.float64))
    return about_center(unit @ torch.from_numpy(maps) @ torch.linalg.inv(unit), width, height)


def _homography(shift: Array, angle: float, scale: Array, shear: Array, projection: Array) -> Array:
    cos, sin = np.cos(angle), np.sin(angle)
    Ht = np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]])
    Hr = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    Hs = np.diag([1 + scale[0], 1 + scale[1], 1])
    Hsh = np.array([[1, shear[0], 0], [shear[1], 1, 0], [0, 0, 1]])
    Hp = np.array([[1, 0, 0], [0, 1, 0], [projection[0], projection[1], 1]])
    out: Array = Ht @ Hr @ Hs @ Hsh @ Hp
    return out


def warp(video: Tensor, homography: Tensor) -> tuple[Tensor, Tensor]:
    """Deform a video frame by frame: what was at pixel x goes to H x.

    Args:
        video: ``(F, C, H, W)``.
        homography: ``(F, 3, 3)``, the first pixel's centre being 0, 0.

    Returns:
        the deformed video, and ``(F, H, W)`` bool: pixels whose source lies inside the picture.
    """
    height, width = video.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    target = torch.stack([x, y, torch.ones_like(x)], -1)
    source = torch.einsum("fij,hwj->fhwi", torch.linalg.inv(homography.double()), target)
    in_front = source[..., 2] > 1e-6
    xy = source[..., :2] / source[..., 2:].clamp(min=1e-6)
    size = torch.tensor([width, height], dtype=torch.float64)
    inside = in_front & (xy >= -0.5).all(-1) & (xy <= size - 0.5).all(-1)
    grid = ((2 * xy + 1) / size - 1).to(video)
    return grid_sample(video, grid, padding_mode="border", align_corners=False), inside
