"""Views that should show the same: those under identical trajectories, and common first frames."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from cvd_core.evaluation.objects import check_videos
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.epipolar import smallest_baseline

SAME_ROTATION = 1e-4
"""Largest difference of matrix entries and of normalised intrinsics."""


def equal_views(cameras: Cameras) -> list[tuple[int, int]]:
    """Pairs of views whose cameras are the same in every frame."""
    return [(a, b) for a, b in combinations(range(cameras.views), 2) if bool(_same(cameras, a, b).all())]


def equal_first_frames(cameras: Cameras) -> bool:
    """Whether the first frames of all views were taken by the same camera."""
    return all(bool(_same(cameras, 0, view)[0]) for view in range(1, cameras.views))


def mse_between(videos: Tensor, a: int, b: int) -> Tensor:
    """``(F,)`` mean squared difference of two views of ``(V, F, H, W, 3)`` uint8, of colours in [0, 1]."""
    check_videos(videos)
    return ((videos[a].double() - videos[b].double()) / 255).square().mean((-1, -2, -3))


def _same(cameras: Cameras, a: int, b: int) -> Tensor:
    """``(F,)`` bool."""
    apart = (cameras.centers[a] - cameras.centers[b]).norm(dim=-1)
    turned = (cameras.c2w[a, :, :3, :3] - cameras.c2w[b, :, :3, :3]).abs().amax((-1, -2))
    zoomed = (cameras.intrinsics[a] - cameras.intrinsics[b]).abs().amax(-1)
    return (apart <= smallest_baseline(cameras)) & (torch.maximum(turned, zoomed) <= SAME_ROTATION)
