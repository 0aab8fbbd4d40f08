"""Rigs: CVD's own to the digit, every rig valid for any number of views and frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cvd_core.geometry.interpolation import EASINGS
from cvd_core.geometry.rigs import RIGS, make_rig

GOLDEN = Path(__file__).parents[1] / "golden" / "data"
CVD_RIGS = ("circle", "upper_hemi", "interpolate")


@pytest.mark.parametrize("name", CVD_RIGS)
def test_rigs_of_cvd_match_the_released_code(name: str) -> None:
    with np.load(GOLDEN / f"geometry_rig_{name}_4.npz") as golden:
        cameras = make_rig(name, 4, 16, distance=float(golden["camera_dist"]))
        size = int(golden["image_size"])
        np.testing.assert_allclose(cameras.c2w, golden["c2w"], rtol=0, atol=1e-6)
        np.testing.assert_allclose(cameras.K(size, size), golden["K"], rtol=0, atol=1e-5)


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(list(RIGS)), st.integers(1, 9), st.integers(1, 32), st.sampled_from(list(EASINGS)))
def test_every_rig_is_valid_and_starts_in_one_pose(name: str, views: int, frames: int, easing: str) -> None:
    cameras = make_rig(name, views, frames, easing=easing)
    assert (cameras.views, cameras.frames) == (views, frames)
    assert len(set(cameras.names)) == views
    assert (cameras.c2w[:, 0] == torch.eye(4, dtype=torch.float64)).all()
    R = cameras.c2w[..., :3, :3]
    assert (R.mT @ R - torch.eye(3)).abs().max() < 1e-12
    if frames > 1 and views > 1:
        ends = cameras.centers[:, -1]
        assert torch.pdist(ends).min() > 1e-2  # no two views take the same path


@pytest.mark.parametrize("name", RIGS)
def test_a_single_view_moves(name: str) -> None:
    assert make_rig(name, 1).centers[0, -1].norm() > 0.1


@pytest.mark.parametrize("name", CVD_RIGS)
def test_rigs_of_cvd_end_looking_at_the_subject(name: str) -> None:
    end = make_rig(name, 5, 8, distance=2.0).w2c[:, -1]
    subject = end @ torch.tensor([0.0, 0, 1, 1], dtype=torch.float64)
    np.testing.assert_allclose(subject[:, :2], 0, atol=1e-12)
    assert (subject[:, 2] >= 1).all()


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 9), st.integers(1, 32), st.floats(1, 300), st.floats(0.05, 50))
def test_orbit_keeps_its_distance_with_the_target_in_the_centre(
    views: int, frames: int, angle: float, distance: float
) -> None:
    cameras = make_rig("orbit", views, frames, angle=angle, distance=distance)
    target = cameras.w2c @ torch.tensor([0, 0, distance, 1], dtype=torch.float64)
    np.testing.assert_allclose(target[..., 2] / distance, 1, atol=1e-9)
    pixel = torch.einsum("vfij,vfj->vfi", cameras.K(640, 480), target[..., :3] / target[..., 2:3])
    np.testing.assert_allclose(pixel[..., :2], np.broadcast_to([320, 240], pixel[..., :2].shape), atol=1e-6)
    assert (cameras.centers[..., 1] == 0).all()


def test_orbit_fans_out_evenly_from_left_to_right() -> None:
    centers = make_rig("orbit", 5, 4, angle=80, distance=2).centers[:, -1]
    azimuth = torch.rad2deg(torch.atan2(centers[:, 0], 2 - centers[:, 2]))
    np.testing.assert_allclose(azimuth, [-40, -20, 0, 20, 40], atol=1e-9)


def test_stereo_moves_apart_to_the_full_baseline() -> None:
    cameras = make_rig("stereo", 3, 5, baseline=0.4)
    np.testing.assert_allclose(cameras.centers[:, -1], np.outer([-0.2, 0, 0.2], [1, 0, 0]), atol=1e-15)
    np.testing.assert_allclose(cameras.centers[2, :, 0], [0, 0.05, 0.1, 0.15, 0.2], atol=1e-15)
    assert (cameras.c2w[..., :3, :3] == torch.eye(3)).all()


def test_speed_is_independent_of_length_and_distance_scales() -> None:
    short, long = make_rig("interpolate", 3, 9), make_rig("interpolate", 3, 17)
    np.testing.assert_allclose(long.c2w[:, ::2], short.c2w, atol=1e-12)
    near, far = make_rig("circle", 3, distance=0.1), make_rig("circle", 3, distance=0.3)
    np.testing.assert_allclose(far.centers, 3 * near.centers, atol=1e-12)


def test_focal_length_and_aspect() -> None:
    cameras = make_rig("circle", 2, 4, focal=1.1, aspect=1.5)
    np.testing.assert_allclose(
        cameras.K(900, 600)[1, 3], np.array([[990, 0, 450], [0, 990, 300], [0, 0, 1]]), rtol=1e-12
    )


def test_registry_lists_what_the_rigs_take() -> None:
    assert list(RIGS) == ["circle", "upper_hemi", "interpolate", "orbit", "stereo"]
    for name, rig in RIGS.items():
        defaults = {p.name: p.default for p in rig.parameters}
        assert defaults
        assert rig.description
        np.testing.assert_array_equal(make_rig(name, 3, 16, easing="linear", **defaults).c2w, make_rig(name, 3).c2w)


@pytest.mark.parametrize("name", RIGS)
@pytest.mark.parametrize("bad", [-0.5, 0.0, float("nan"), float("inf")])
def test_every_parameter_must_be_positive(name: str, bad: float) -> None:
    for parameter in RIGS[name].parameters:
        with pytest.raises(ValueError, match=f"{parameter.name} is {bad}; expected a positive number"):
            make_rig(name, 2, 16, easing="linear", **{parameter.name: bad})


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown rig 'dome'; choose one of circle, upper_hemi, interpolate, orbit"):
        make_rig("dome", 4)
    with pytest.raises(ValueError, match=r"rig 'stereo' has no parameter 'distance'; it takes baseline"):
        make_rig("stereo", 4, distance=1)
    for views in (0, -1, 2.0):
        with pytest.raises(ValueError, match="views is"):
            make_rig("circle", views)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="frames is 0"):
        make_rig("circle", 2, 0)
    with pytest.raises(ValueError, match="unknown easing"):
        make_rig("circle", 2, easing="none")
    with pytest.raises(ValueError, match="focal is nan"):
        make_rig("circle", 2, focal=float("nan"))
