"""Views that should be the same."""

from __future__ import annotations

import pytest
import torch

from cvd_core.evaluation.equal_cameras import equal_first_frames, equal_views, mse_between
from cvd_core.geometry.cameras import Cameras
from cvd_core.scenes.render import film
from tests.evaluation.scenes import paths, resting_scene

A, B = [1.0, 0, 0, 0, 0], [0, 0, 1.0, 3, 0]


def test_same_trajectories_are_found() -> None:
    cameras = paths([A, B, A, B, A])
    assert equal_views(cameras) == [(0, 2), (0, 4), (1, 3), (2, 4)]
    assert equal_first_frames(cameras)
    zoomed = Cameras(cameras.c2w, cameras.intrinsics * torch.linspace(1, 1.2, 5)[:, None, None])
    assert equal_views(zoomed) == []
    assert not equal_first_frames(zoomed)
    turned = paths([A, [*A[:4], 5.0]])
    assert equal_views(turned) == []
    assert equal_first_frames(turned)


def test_mse_by_hand() -> None:
    videos = torch.zeros(2, 2, 4, 4, 3, dtype=torch.uint8)
    videos[1, 0] = 51
    videos[1, 1, :2] = 255
    assert mse_between(videos, 0, 1).tolist() == pytest.approx([0.04, 0.5])


def test_renders_of_one_path_are_equal_and_of_two_are_not() -> None:
    cameras = paths([A, A, B], frames=3)
    videos = film(resting_scene(1), cameras, 32)
    assert mse_between(videos, 0, 1).max() == 0
    different = mse_between(videos, 0, 2)
    assert different[0] == 0
    assert different[-1] > 1e-3
