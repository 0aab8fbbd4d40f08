"""Video pairs from single videos (CVD paper, Sec. 4.2 and A.3.1): folding, and homography augmentation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.epipolar import about_center
from cvd_core.geometry.interpolation import Array
from cvd_core.geometry.trajectories import fold as fold_path

SPREADS = {"shift": 0.12, "angle": 0.14, "scale": 0.10, "shear": 0.07, "projection": 0.08}
"""Standard deviations of the control vectors in the last frame: shifts in image heights, the angle in radians. Lengths
count from the image's middle in image heights. The paper does not publish its own."""


def fold_frames(frames: int) -> tuple[list[int], list[int]]:
    """Which frames of a clip of 2 ``frames`` - 1 make the two videos: from the middle back, and from the middle on."""
    middle = frames - 1
    return list(range(middle, -1, -1)), list(range(middle, 2 * frames - 1))


def fold(video: Tensor, cameras: Cameras, frames: int) -> tuple[Tensor, Cameras]:
    """Two synchronised videos of a static scene from one, sharing the first frame.

    Args:
        video: ``(2F - 1, ...)``.
        cameras: one view of as many frames.
        frames: F.

    Returns:
        ``(2, F, ...)``, and two views with poses relative to the common first frame.

    Raises:
        ValueError: another number of frames.
    """
    if not len(video) == cameras.frames == 2 * frames - 1:
        raise ValueError(
            f"folding into {frames} frames takes {2 * frames - 1}; the video has {len(video)}, its cameras "
            f"{cameras.frames}"
        )
    return video[torch.tensor(fold_frames(frames))], fold_path(cameras).relative_to_first()


def unfold(cameras: Cameras) -> Cameras:
    """One path through both paths of a pair, first view backwards: what :func:`fold` folds."""
    backwards = torch.arange(cameras.frames - 1, 0, -1)
    return Cameras(
        torch.cat([cameras.c2w[0, backwards], cameras.c2w[1]])[None],
        torch.cat([cameras.intrinsics[0, backwards], cameras.intrinsics[1]])[None],
    )


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
