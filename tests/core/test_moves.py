"""Named moves go where their docstrings say, start at the identity and do not depend on the number of frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cvd_core.geometry import moves
from cvd_core.geometry.interpolation import EASINGS, Array
from cvd_core.geometry.moves import MOVES, Motion, combine, make_move

RIGHT, DOWN, FORWARD = np.eye(3)
UP = -DOWN


def project(motion: Motion, point: Array) -> Array:
    """``(F, 3)`` camera coordinates of a world point."""
    local: Array = np.einsum("fji,fj->fi", motion.poses[:, :3, :3], point - motion.poses[:, :3, 3])
    return local


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("easing", EASINGS)
@pytest.mark.parametrize("frames", [1, 2, 16, 33])
def test_every_move_is_valid_and_starts_at_the_identity(name: str, easing: str, frames: int) -> None:
    motion = make_move(name, frames, easing)
    assert (motion.poses[0] == np.eye(4)).all()
    assert motion.zoom[0] == 1
    cameras = motion.cameras(name=name)
    assert (cameras.views, cameras.frames, cameras.names) == (1, frames, (name,))
    R = cameras.c2w[..., :3, :3]
    assert (R.mT @ R - torch.eye(3)).abs().max() < 1e-12


@pytest.mark.parametrize("name", sorted(set(MOVES)))
def test_more_frames_follow_the_same_path(name: str) -> None:
    few, many = make_move(name, 9), make_move(name, 33)
    np.testing.assert_allclose(many.poses[::4], few.poses, atol=1e-12)
    np.testing.assert_allclose(many.zoom[::4], few.zoom, atol=1e-12)


@pytest.mark.parametrize(("name", "direction"), [("truck", RIGHT), ("pedestal", UP), ("dolly", FORWARD)])
@pytest.mark.parametrize("amount", [1.0, -0.25])
def test_translations(name: str, direction: Array, amount: float) -> None:
    motion = make_move(name, 5, amount=amount)
    np.testing.assert_allclose(motion.poses[:, :3, 3], np.outer(np.linspace(0, amount, 5), direction), atol=1e-15)
    assert (motion.poses[:, :3, :3] == np.eye(3)).all()


def test_pan_looks_right_and_tilt_looks_up() -> None:
    pan, tilt = moves.pan(30, 4).poses, moves.tilt(30, 4).poses
    s, c = 0.5, np.sqrt(0.75)
    np.testing.assert_allclose(pan[-1, :3, 2], c * FORWARD + s * RIGHT, atol=1e-12)
    np.testing.assert_allclose(tilt[-1, :3, 2], c * FORWARD + s * UP, atol=1e-12)
    assert (pan[:, :3, 3] == 0).all()
    assert (tilt[:, :3, 3] == 0).all()


def test_roll_turns_the_camera_clockwise_and_the_picture_counter_clockwise() -> None:
    roll = moves.roll(90, 4)
    np.testing.assert_allclose(roll.poses[-1, :3, 0], DOWN, atol=1e-12)  # the camera's right hand has gone down
    above = project(roll, FORWARD + 0.1 * UP)[-1]
    np.testing.assert_allclose(above[:2], [-0.1, 0], atol=1e-12)  # twelve o'clock went to nine


@settings(deadline=None, max_examples=50)
@given(st.floats(-360, 360), st.floats(-80, 80), st.floats(0.01, 100))
def test_orbit_keeps_its_distance_and_looks_at_the_target(angle: float, elevation: float, distance: float) -> None:
    motion = moves.orbit(angle, 9, elevation=elevation, distance=distance)
    target = project(motion, distance * FORWARD) / distance
    np.testing.assert_allclose(target, np.tile(FORWARD, (9, 1)), atol=1e-9)


def test_orbit_moves_right_and_up_and_stays_upright() -> None:
    right = moves.orbit(90, 4, distance=2).poses[-1]
    np.testing.assert_allclose(right[:3, 3], [2, 0, 2], atol=1e-12)
    up = moves.orbit(0, 4, elevation=45, distance=2).poses[-1]
    np.testing.assert_allclose(up[:3, 3], [0, -np.sqrt(2), 2 - np.sqrt(2)], atol=1e-12)
    both = moves.orbit(70, 12, elevation=40).poses
    np.testing.assert_allclose(both[:, 1, 0], 0, atol=1e-12)  # horizontal x axis


def test_zoom_grows_by_the_same_factor_per_frame() -> None:
    cameras = moves.zoom(4, 3).cameras(focal=0.8, aspect=16 / 9)
    np.testing.assert_allclose(cameras.intrinsics[0, :, 0], [0.8, 1.6, 3.2], rtol=1e-12)
    np.testing.assert_allclose(
        cameras.K(1600, 900)[0, 1], np.array([[2560, 0, 800], [0, 2560, 450], [0, 0, 1]]), rtol=1e-12
    )


def test_default_camera_is_that_of_cvd() -> None:
    K = moves.static(1).cameras().K(256, 256)[0, 0]
    np.testing.assert_allclose(K, np.array([[223.578, 0, 128], [0, 223.578, 128], [0, 0, 1]]), rtol=1e-12)


def test_easing_shifts_the_middle_but_not_the_end() -> None:
    middle = {name: moves.truck(1, 5, name).poses[2, 0, 3] for name in EASINGS}
    assert middle == pytest.approx({"linear": 0.5, "ease-in": 0.25, "ease-out": 0.75, "ease-in-out": 0.5})
    assert all(moves.truck(1, 5, name).poses[-1, 0, 3] == 1 for name in EASINGS)


def test_handheld_follows_its_seed_and_leaves_the_global_generator_alone() -> None:
    np.random.seed(5)  # noqa: NPY002 - the point is that this generator stays where it is
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    one, same, other = (moves.handheld(seed=seed) for seed in (7, 7, 8))
    assert np.random.random() == expected  # noqa: NPY002
    np.testing.assert_array_equal(one.poses, same.poses)
    assert np.abs(one.poses - other.poses).max() > 1e-3


def test_handheld_sways_as_much_as_asked_and_smoothly() -> None:
    poses = np.stack([moves.handheld(0.1, 2001, rotation=2, cycles=20, seed=s).poses for s in range(4)])
    np.testing.assert_allclose(poses[..., :3, 3].std(1).mean(), 0.1, rtol=0.1)
    angles = np.stack([Rotation.from_matrix(p[:, :3, :3]).as_rotvec(degrees=True) for p in poses])
    np.testing.assert_allclose(angles.std(1).mean(), 2, rtol=0.1)
    assert np.abs(np.diff(poses[..., :3, 3], 2, axis=1)).max() < 0.1 * 0.1


def test_combine_makes_each_move_in_the_frame_of_those_before() -> None:
    truck, pan, dolly = moves.truck(1, 7), moves.pan(90, 7), moves.dolly(1, 7)
    on_track = combine(truck, pan)
    np.testing.assert_array_equal(on_track.poses[:, :3, 3], truck.poses[:, :3, 3])
    np.testing.assert_allclose(on_track.poses[:, :3, :3], pan.poses[:, :3, :3], atol=1e-12)
    np.testing.assert_allclose(combine(pan, truck).poses[-1, :3, 3], -FORWARD, atol=1e-12)  # right of a right turn
    closing = project(combine(moves.orbit(50, 7, distance=2), dolly), 2 * FORWARD)
    np.testing.assert_allclose(closing, np.outer(2 - np.linspace(0, 1, 7), FORWARD), atol=1e-12)


def test_combine_multiplies_zooms_and_keeps_the_identity() -> None:
    motion = combine(moves.zoom(2, 4), moves.handheld(frames=4), moves.zoom(3, 4))
    assert motion.zoom[-1] == pytest.approx(6)
    assert (motion.poses[0] == np.eye(4)).all()


def test_registry_lists_what_the_functions_take() -> None:
    assert list(MOVES) == ["static", "truck", "pedestal", "dolly", "pan", "tilt", "roll", "orbit", "zoom", "handheld"]
    assert [(p.name, p.default) for p in MOVES["orbit"].parameters] == [
        ("amount", 45),
        ("elevation", 0),
        ("distance", 1),
    ]
    for name, move in MOVES.items():
        assert move.name == name
        assert move.description
        given_defaults = make_move(name, 5, "linear", **{p.name: p.default for p in move.parameters})
        np.testing.assert_array_equal(given_defaults.poses, make_move(name, 5).poses)


@pytest.mark.parametrize("name", MOVES)
def test_every_parameter_refuses_nan_by_name(name: str) -> None:
    for parameter in MOVES[name].parameters:
        with pytest.raises(ValueError, match=f"{parameter.name} is nan"):
            make_move(name, 4, "linear", **{parameter.name: float("nan")})


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown move 'swoop'; choose one of static, truck, .*, handheld"):
        make_move("swoop")
    with pytest.raises(ValueError, match=r"move 'pan' has no parameter 'distance'; it takes amount"):
        make_move("pan", distance=1)
    with pytest.raises(ValueError, match="unknown easing"):
        make_move("static", 4, "elastic")
    with pytest.raises(ValueError, match="frames is 0"):
        moves.truck(1, 0)
    with pytest.raises(ValueError, match="amount is 0; expected a positive number"):
        moves.zoom(0)
    with pytest.raises(ValueError, match="distance is -1"):
        moves.orbit(distance=-1)
    for seed in (-1, 1.5):
        with pytest.raises(ValueError, match="seed is"):
            make_move("handheld", seed=seed)
    with pytest.raises(ValueError, match=r"\[4, 5\] frames"):
        combine(moves.pan(1, 4), moves.tilt(1, 5))
    with pytest.raises(ValueError, match="no moves"):
        combine()
    with pytest.raises(ValueError, match="focal is 0"):
        moves.static().cameras(focal=0)
    with pytest.raises(ValueError, match="aspect is -1"):
        moves.static().cameras(aspect=-1)
