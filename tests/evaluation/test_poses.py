"""RotErr, TransErr and CamMC against numbers worked out by hand, and what must not matter."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from torch import Tensor

from cvd_core.evaluation.poses import canonical, is_pure_rotation, pose_errors
from cvd_core.geometry.cameras import Cameras
from tests.core.strategies import rigs
from tests.evaluation.scenes import paths


def turned(cameras: Cameras, rotation: Tensor) -> Cameras:
    """Every camera but the first turned in place by ``(3, 3)``."""
    c2w = cameras.c2w.clone()
    c2w[:, 1:, :3, :3] = c2w[:, 1:, :3, :3] @ rotation
    return Cameras(c2w, cameras.intrinsics)


@settings(deadline=None, max_examples=30)
@given(rigs(min_views=1, max_views=3))
def test_identical_poses_have_no_error(cameras: Cameras) -> None:
    errors = pose_errors(cameras, cameras)
    for values in (errors.rot_err, errors.trans_err, errors.cam_mc):
        assert values.shape == (cameras.views,)
        assert values.abs().max() < 1e-9


@settings(deadline=None, max_examples=30)
@given(rigs(min_views=2, max_views=2), st.floats(0.01, 100), st.lists(st.floats(-3, 3), min_size=6, max_size=6))
def test_neither_scale_nor_place_of_the_world_matters(cameras: Cameras, scale: float, motion: list[float]) -> None:
    """The errors of view 1 against view 0 stay when view 1's world is scaled, turned and moved."""
    a, b = cameras.select([0]), cameras.select([1])
    R = torch.from_numpy(Rotation.from_rotvec(motion[:3]).as_matrix())
    c2w = b.c2w.clone()
    c2w[..., :3, :3] = R @ b.c2w[..., :3, :3]
    c2w[..., :3, 3] = scale * b.centers @ R.mT + torch.tensor(motion[3:], dtype=torch.float64)
    kept, moved = pose_errors(b, a), pose_errors(Cameras(c2w, b.intrinsics), a)
    for name in ("rot_err", "trans_err", "cam_mc"):
        torch.testing.assert_close(getattr(moved, name), getattr(kept, name), atol=1e-5, rtol=1e-5)


def test_a_rotation_of_known_angle() -> None:
    """Seven frames turned by 0.1: RotErr 0.7, and CamMC the Frobenius norm 2 sqrt(2) sin(0.05) each."""
    true = paths([[1.0, 0, 0, 0, 0]])
    estimated = turned(true, torch.from_numpy(Rotation.from_rotvec([0, 0.1, 0]).as_matrix()))
    errors = pose_errors(estimated, true)
    assert errors.rot_err.item() == pytest.approx(0.7)
    assert errors.trans_err.item() == pytest.approx(0, abs=1e-12)
    assert errors.cam_mc.item() == pytest.approx(7 * 2 * math.sqrt(2) * math.sin(0.05))


def test_translations_by_hand() -> None:
    """A truck estimated as a dolly of three times the size: positions u e_x and u e_z differ by u sqrt(2)."""
    true, estimated = paths([[1.0, 0, 0, 0, 0]], frames=5), paths([[0, 0, 3.0, 0, 0]], frames=5)
    errors = pose_errors(estimated, true)
    steps = torch.linspace(0, 1, 5, dtype=torch.float64) * math.sqrt(2)
    torch.testing.assert_close(errors.translation[0], steps)
    assert errors.trans_err.item() == pytest.approx(2.5 * math.sqrt(2))
    assert errors.cam_mc.item() == pytest.approx(2.5 * math.sqrt(2))
    assert errors.rot_err.item() == pytest.approx(0)


def test_the_furthest_camera_sets_the_scale_not_the_last() -> None:
    c2w = torch.eye(4, dtype=torch.float64).repeat(1, 3, 1, 1)
    c2w[0, 1, 0, 3], c2w[0, 2, 0, 3] = 4, 2
    cameras = Cameras(c2w, torch.tensor([1.0, 1, 0.5, 0.5]).expand(1, 3, 4))
    assert canonical(cameras).centers[0, :, 0].tolist() == [0, 1, 0.5]


def test_pure_rotation_has_no_scale() -> None:
    true = paths([[0, 0, 0, 0, 10]])
    assert is_pure_rotation(true).tolist() == [True]
    errors = pose_errors(true, true)
    assert errors.pure_rotation.tolist() == [True]
    assert errors.trans_err.item() == 0
    noisy = pose_errors(paths([[0.01, 0, 0, 0, 10]]), true)
    assert noisy.rot_err.item() == pytest.approx(0, abs=1e-9)
    assert math.isnan(noisy.trans_err.item())
    assert math.isnan(noisy.cam_mc.item())


def test_other_numbers_of_frames() -> None:
    with pytest.raises(ValueError, match="1 views x 8 frames, true ones of 1 x 5"):
        pose_errors(paths([[1.0, 0, 0, 0, 0]]), paths([[1.0, 0, 0, 0, 0]], frames=5))
