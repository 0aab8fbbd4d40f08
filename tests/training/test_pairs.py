"""The paper's two kinds of synchronised videos have the geometry it describes (Sec. 4.2, A.3.1)."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.epipolar import pair_geometry
from cvd_core.geometry.trajectories import fold as fold_path
from cvd_core.scenes.paths import camera_paths
from cvd_core.scenes.render import project
from cvd_core.training.config_parts import DataConfig
from cvd_core.training.data.clip_views import fold, fold_frames, random_homographies, warp
from cvd_core.training.data.clips import ClipViews, procedural_views

DATA = DataConfig(size=48, frames=5, dynamic=0.5)


def one_path(frames: int) -> Cameras:
    """Not at the identity in the middle: real clips are not."""
    rng = np.random.default_rng(0)
    path = camera_paths(rng.normal(size=(1, 5)) * [1, 0.2, 0.5, 4, 9], frames)
    return Cameras(camera_paths(np.array([[1.0, 0, 0.3, 5, 20]]), 2).c2w[:, 1:] @ path.c2w, path.intrinsics)


def test_folding_gives_two_videos_that_share_the_first_frame() -> None:
    frames = 5
    turned = one_path(2 * frames - 1)
    video = torch.arange(2 * frames - 1)[:, None, None, None].expand(-1, 3, 2, 2)
    pair, cameras = fold(video, turned, frames)
    assert pair[:, :, 0, 0, 0].tolist() == [[4, 3, 2, 1, 0], [4, 5, 6, 7, 8]]
    assert torch.equal(cameras.c2w[:, 0], torch.eye(4, dtype=torch.float64).expand(2, 4, 4))
    restored = turned.c2w[:, frames - 1] @ cameras.c2w[1, -1]
    assert torch.allclose(restored[0], turned.c2w[0, -1], atol=1e-12)
    assert torch.equal(cameras.c2w, fold_path(turned).relative_to_first().c2w)
    with pytest.raises(ValueError, match="2 views of 5 frames takes 9; the video has 8"):
        fold(video[:8], turned, frames)


def test_more_views_are_folded_at_higher_speeds() -> None:
    assert fold_frames(3, 4) == [[4, 3, 2], [4, 5, 6], [4, 2, 0], [4, 6, 8]]
    assert fold_frames(3, 3) == [[4, 3, 2], [4, 5, 6], [4, 2, 0]]
    video, path = torch.arange(9), one_path(9)
    videos, cameras = fold(video, path, 3, 4)
    assert videos.tolist() == fold_frames(3, 4)
    assert torch.equal(cameras.c2w[:, 0], torch.eye(4, dtype=torch.float64).expand(4, 4, 4))
    for view, frame in ((2, 0), (3, 8)):  # where the path ends, wherever it is seen from
        assert torch.allclose(path.c2w[0, 4] @ cameras.c2w[view, -1], path.c2w[0, frame], atol=1e-12)


def of_kind(data: DataConfig, *, static: bool) -> ClipViews:
    """The first clip of a kind."""
    return next(clip for clip, rests in (procedural_views(data, 0, 0, i) for i in range(50)) if rests == static)


@pytest.mark.parametrize(("views", "static"), [(2, True), (4, True), (3, False)])
def test_true_epipolar_lines_pass_through_projected_points(views: int, static: bool) -> None:
    clip = of_kind(replace(DATA, views=views, moving="rendered"), static=static)
    assert clip.cameras is not None
    points = np.random.default_rng(1).normal((0, 0, 4), 1, (20, 3))
    x = project(clip.cameras, points, DATA.size, DATA.size)
    # `project` puts the first pixel's centre at 0; the intrinsics of F count from the picture's corner.
    x = torch.cat([x + 0.5, torch.ones_like(x[..., :1])], -1)
    for view, partner in itertools.permutations(range(views), 2):
        geometry = pair_geometry(clip.cameras, view, partner, DATA.size, DATA.size)
        error = torch.einsum("fpi,fij,fpj->fp", x[partner], geometry.fundamental, x[view])
        assert geometry.degenerate[0]
        assert error[1:].abs().max() < 1e-9
        assert torch.equal(clip.videos[view, 0], clip.videos[partner, 0])
        assert not torch.equal(clip.videos[view, -1], clip.videos[partner, -1])
    assert bool(clip.valid.all())


def test_rendered_views_of_a_moving_scene_show_it_at_the_same_times() -> None:
    """Cameras that stand still at one place all see the same motion."""
    clip = of_kind(replace(DATA, views=3, moving="rendered", spread={"pan": 0.0}), static=False)
    assert torch.equal(clip.videos[0], clip.videos[2])
    assert not torch.equal(clip.videos[0, 0], clip.videos[0, -1])


def test_homographies_grow_from_the_identity() -> None:
    H = random_homographies(np.random.default_rng(3), 6, 64, 48)
    assert torch.allclose(H[0], torch.eye(3, dtype=torch.float64), atol=1e-12)
    strength = (H / H[:, 2:, 2:] - torch.eye(3)).flatten(1).norm(dim=1)
    assert (strength.diff() > 0).all()
    other = random_homographies(np.random.default_rng(4), 6, 64, 48)
    assert not torch.allclose(H[-1], other[-1])


def spots(x: float, y: float, width: int, height: int) -> Tensor:
    """``(1, 1, H, W)`` a smooth spot."""
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return (-((u - x) ** 2 + (v - y) ** 2) / 8).exp()[None, None].float()


@pytest.mark.parametrize(("x", "y"), [(20.0, 15.0), (40.0, 30.0), (31.5, 23.5)])
def test_what_was_at_x_is_at_Hx_after_warping(x: float, y: float) -> None:
    width, height = 64, 48
    H = random_homographies(np.random.default_rng(7), 3, width, height)
    video = spots(x, y, width, height).expand(3, 1, height, width)
    warped, valid = warp(video, H)
    assert torch.allclose(warped[0], video[0], atol=1e-5)
    assert bool(valid[0].all())
    for frame in range(3):
        target = H[frame] @ torch.tensor([x, y, 1.0], dtype=torch.float64)
        target = target[:2] / target[2]
        weights = warped[frame, 0] / warped[frame, 0].sum()
        v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        found = torch.stack([(weights * u).sum(), (weights * v).sum()])
        assert (found - target).abs().max() < 0.25


def test_the_valid_region_is_what_the_first_video_shows() -> None:
    shift = torch.eye(3, dtype=torch.float64)[None].clone()
    shift[0, 0, 2] = 10  # everything moves 10 pixels to the right
    _, valid = warp(torch.zeros(1, 3, 20, 32), shift)
    assert valid[0, :, 10:].all()
    assert not valid[0, :, :10].any()


@pytest.mark.parametrize("views", [2, 4])
def test_moving_clips_have_no_cameras_and_deformed_copies(views: int) -> None:
    clip = of_kind(replace(DATA, views=views), static=False)
    assert clip.cameras is None
    assert torch.equal(clip.homography[0], torch.eye(3, dtype=torch.float64).expand(DATA.frames, 3, 3))
    assert bool(clip.valid[0].all())
    for view in range(1, views):
        copy, valid = warp(clip.videos[0], clip.homography[view])
        assert torch.allclose(copy, clip.videos[view])
        assert torch.equal(valid, clip.valid[view])
        assert torch.allclose(clip.videos[0, 0], clip.videos[view, 0], atol=1e-5)
        assert not torch.allclose(clip.homography[view], clip.homography[view - 1])
    assert not torch.equal(clip.videos[0, 0], clip.videos[0, -1])
