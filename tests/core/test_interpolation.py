"""Camera paths hit their keyframes, keep their speed and stay rigid, whatever the keyframes are."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation, Slerp

from cvd_core.geometry.interpolation import EASINGS, Array, CameraPath, clip_times, easing_curve
from cvd_core.geometry.validation import count, number

coordinate = st.floats(-10, 10, allow_subnormal=False).map(lambda x: round(x, 6))
seeds = st.integers(0, 2**32 - 1)


def poses_of(points: Array, rotations: Rotation | None = None) -> Array:
    poses = np.tile(np.eye(4), (len(points), 1, 1))
    poses[:, :3, 3] = points
    if rotations is not None:
        poses[:, :3, :3] = rotations.as_matrix()
    return poses


def lenses(n: int, focal: Array | float = 1.0) -> Array:
    return np.stack(np.broadcast_arrays(focal, focal, 0.5, 0.5, np.zeros(n))[:4], -1)


def turned(*degrees: float) -> Rotation:
    """Rotations about the vertical."""
    return Rotation.from_rotvec(np.outer(degrees, [0, 1, 0]), degrees=True)


@settings(deadline=None)
@given(st.integers(1, 12).flatmap(lambda n: arrays(float, (n, 3), elements=coordinate)), seeds, st.booleans())
def test_every_keyframe_is_hit(points: Array, seed: int, timed: bool) -> None:
    n, rng = len(points), np.random.default_rng(seed)
    poses = poses_of(points, Rotation.random(n, random_state=rng))
    intrinsics = rng.uniform(0.3, 3, (n, 4))
    path = CameraPath(poses, intrinsics, np.cumsum(rng.uniform(0.1, 2, n)) if timed else None)
    at_keys, calibration = path.at(path.times)
    np.testing.assert_allclose(at_keys, poses, rtol=0, atol=1e-10)
    np.testing.assert_allclose(calibration, intrinsics, rtol=1e-12)


@settings(deadline=None)
@given(st.integers(1, 8), seeds, st.booleans())
def test_rotations_stay_rotations(n: int, seed: int, timed: bool) -> None:
    rng = np.random.default_rng(seed)
    poses = poses_of(rng.normal(size=(n, 3)), Rotation.random(n, random_state=rng))
    path = CameraPath(poses, lenses(n), np.arange(n) if timed else None)
    found, _ = path.at(np.linspace(path.times[0], path.times[-1], 40))
    R = found[:, :3, :3]
    np.testing.assert_allclose(R.swapaxes(1, 2) @ R, np.tile(np.eye(3), (40, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(R), 1, atol=1e-12)
    assert (found[:, 3] == [0, 0, 0, 1]).all()


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 10), seeds)
def test_speed_is_constant_without_times(n: int, seed: int) -> None:
    """Equal times cover equal arc length; it is measured on a path sampled 500 times as finely."""
    rng = np.random.default_rng(seed)
    points = np.cumsum(rng.normal(size=(n, 3)) * rng.uniform(0.2, 3, (n, 1)) + [1.5, 0, 0], 0)
    positions = CameraPath(poses_of(points), lenses(n)).at(np.linspace(0, 1, 15 * 500 + 1))[0][:, :3, 3]
    lengths = np.linalg.norm(np.diff(positions, axis=0), axis=-1).reshape(15, 500).sum(-1)
    np.testing.assert_allclose(lengths, lengths.mean(), rtol=1e-3)


def test_two_keyframes_are_a_straight_line_and_a_slerp() -> None:
    end = Rotation.from_rotvec([0.4, -1.1, 0.3])
    rotations = Rotation.concatenate([Rotation.identity(), end])
    points = np.array([[1.0, 2, 3], [-4, 0, 5]])
    u = np.linspace(0, 1, 11)
    found, _ = CameraPath(poses_of(points, rotations), lenses(2)).at(u)
    np.testing.assert_allclose(found[:, :3, 3], points[0] + u[:, None] * (points[1] - points[0]), atol=1e-12)
    np.testing.assert_allclose(found[:, :3, :3], Slerp([0, 1], rotations)(u).as_matrix(), atol=1e-12)


def test_collinear_keyframes_at_uneven_distances_are_a_straight_uniform_run() -> None:
    points = np.outer([0, 1, 1.01, 4, 4.5], [1, 2, -2]) / 3
    found, _ = CameraPath(poses_of(points), lenses(5)).at(np.linspace(0, 1, 10))
    np.testing.assert_allclose(found[:, :3, 3], np.outer(np.linspace(0, 4.5, 10), [1, 2, -2]) / 3, atol=1e-12)


def test_path_does_not_depend_on_the_axes() -> None:
    rng = np.random.default_rng(3)
    points, turn, u = rng.normal(size=(6, 3)), Rotation.from_rotvec([0.5, 1, -0.7]), np.linspace(0, 1, 30)
    plain = CameraPath(poses_of(points), lenses(6)).at(u)[0][:, :3, 3]
    rotated = CameraPath(poses_of(turn.apply(points)), lenses(6)).at(u)[0][:, :3, 3]
    np.testing.assert_allclose(rotated, turn.apply(plain), atol=1e-9)


def test_path_through_points_of_a_circle_is_nearly_one() -> None:
    a = np.deg2rad([0, 20, 60, 90, 105, 140, 180])
    points = np.stack([np.cos(a), np.sin(a), np.zeros(7)], -1)
    found, _ = CameraPath(poses_of(points), lenses(7)).at(np.linspace(0, 1, 200))
    np.testing.assert_allclose(np.linalg.norm(found[:, :3, 3], axis=-1), 1, atol=0.01)


def test_velocity_is_continuous_at_timed_keyframes() -> None:
    rng = np.random.default_rng(0)
    times = np.array([0, 1, 1.5, 4, 5])
    path = CameraPath(poses_of(rng.normal(size=(5, 3))), lenses(5), times)
    h, inner = 1e-5, times[1:-1]
    before, here, after = (path.at(inner + d)[0][:, :3, 3] for d in (-h, 0, h))
    np.testing.assert_allclose((here - before) / h, (after - here) / h, atol=1e-3)


def test_timed_camera_stands_still_between_equal_positions_and_takes_no_run_up() -> None:
    points = np.outer([0, 0, 1, 10, 10, 11], [1, 0, 0])
    x = CameraPath(poses_of(points), lenses(6), np.arange(6)).at(np.linspace(0, 5, 201))[0][:, 0, 3]
    assert (x[:41] == 0).all()
    assert (x[120:161] == 10).all()
    assert (np.diff(x) >= -1e-12).all()


def test_pure_rotation_turns_at_constant_rate() -> None:
    path = CameraPath(poses_of(np.ones((3, 3)), turned(0, 10, 90)), lenses(3))
    found, _ = path.at(np.linspace(0, 1, 10))
    np.testing.assert_allclose(found[:, :3, :3], turned(*np.linspace(0, 90, 10)).as_matrix(), atol=1e-12)
    assert (found[:, :3, 3] == 1).all()


def test_pure_zoom_is_geometric_in_time() -> None:
    _, calibration = CameraPath(poses_of(np.zeros((3, 3))), lenses(3, np.array([1.0, 2, 16]))).at(np.linspace(0, 1, 5))
    np.testing.assert_allclose(calibration[:, 0], [1, 2, 4, 8, 16], rtol=1e-12)


@pytest.mark.parametrize("jitter", [0.0, 1e-6])
def test_turn_on_the_spot_takes_its_time_inside_a_moving_path(jitter: float) -> None:
    """Half a radian counts as half the way, whether the camera stands or trembles."""
    points = np.array([[0, 0, 0], [0, 0, 1], [0, jitter, 1], [1, 0, 1]])
    path = CameraPath(poses_of(points, turned(0, 0, np.rad2deg(0.5), np.rad2deg(0.5))), lenses(4))
    np.testing.assert_allclose(path.times, [0, 1 / 3, 2 / 3, 1], atol=1e-5)
    middle, _ = path.at([0.5])
    np.testing.assert_allclose(middle[0], poses_of(np.array([[0, 0, 1]]), turned(np.rad2deg(0.25)))[0], atol=1e-5)


def test_repeated_keyframes_take_no_time() -> None:
    rng = np.random.default_rng(1)
    poses = poses_of(rng.normal(size=(4, 3)), Rotation.random(4, random_state=1))
    once = CameraPath(poses, lenses(4))
    often = CameraPath(poses[[0, 0, 1, 2, 2, 2, 3, 3]], lenses(8))
    np.testing.assert_array_equal(often.times, once.times[[0, 0, 1, 2, 2, 2, 3, 3]])
    np.testing.assert_array_equal(often.at(np.linspace(0, 1, 9))[0], once.at(np.linspace(0, 1, 9))[0])


@pytest.mark.parametrize("n", [1, 3])
def test_single_or_all_equal_keyframes_are_a_static_camera(n: int) -> None:
    poses = np.repeat(poses_of(np.array([[1.0, 2, 3]]), turned(30)), n, 0)
    found, _ = CameraPath(poses, lenses(n)).at(np.linspace(0, 1, 4))
    np.testing.assert_allclose(found, poses[[0] * 4], atol=1e-15)


@pytest.mark.parametrize("jitter", [1e-3, 1e-6, 1e-9, 1e-14])
def test_nearly_repeated_keyframes_do_not_bend_the_path(jitter: float) -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [1, jitter, 0], [1, jitter, jitter], [2, 0, 0]])
    found, _ = CameraPath(poses_of(points), lenses(5)).at(np.linspace(0, 1, 50))
    assert np.abs(found[:, 1:3, 3]).max() < 0.03
    assert (np.diff(found[:, 0, 3]) > 0).all()


def test_a_thousand_keyframes_are_fast() -> None:
    rng = np.random.default_rng(0)
    poses = poses_of(np.cumsum(rng.normal(size=(1000, 3)), 0), Rotation.random(1000, random_state=0))
    start = time.perf_counter()
    path = CameraPath(poses, lenses(1000))
    path.at(np.linspace(0, 1, 1000))
    assert time.perf_counter() - start < 2  # takes 0.05 s; a loop over pairs would take minutes
    np.testing.assert_allclose(path.at(path.times)[0], poses, atol=1e-9)


@pytest.mark.parametrize("name", EASINGS)
def test_easings_are_monotone_and_keep_the_ends(name: str) -> None:
    u = clip_times(101, name)
    assert (u[0], u[-1]) == (0, 1)
    assert (np.diff(u) > 0).all()


def test_easings_start_and_stop_at_rest_where_they_say() -> None:
    steps = {name: np.diff(clip_times(1001, name))[[0, -1]] * 1000 for name in EASINGS}
    np.testing.assert_allclose(steps["linear"], [1, 1])
    np.testing.assert_allclose(steps["ease-in"], [0, 2], atol=0.01)
    np.testing.assert_allclose(steps["ease-out"], [2, 0], atol=0.01)
    np.testing.assert_allclose(steps["ease-in-out"], [0, 0], atol=0.01)


def test_one_frame_is_the_first() -> None:
    assert clip_times(1, "ease-in-out").tolist() == [0]


@pytest.mark.parametrize(
    ("poses", "intrinsics", "times", "message"),
    [
        (np.zeros((0, 4, 4)), np.zeros((0, 4)), None, "at least one keyframe"),
        (np.eye(4), np.ones(4), None, "needs poses"),
        (poses_of(np.zeros((2, 3))), np.ones((3, 4)), None, "needs poses"),
        (poses_of(np.full((2, 3), np.nan)), np.ones((2, 4)), None, "NaN"),
        (poses_of(np.zeros((2, 3))), np.zeros((2, 4)), None, "must be positive"),
        (poses_of(np.zeros((2, 3))), np.ones((2, 4)), [1, 1], "increase"),
        (poses_of(np.zeros((2, 3))), np.ones((2, 4)), [0, np.inf], "infinity"),
        (poses_of(np.zeros((2, 3))), np.ones((2, 4)), [0, 1, 2], "2 numbers"),
    ],
)
def test_bad_paths_are_refused(poses: Array, intrinsics: Array, times: list[float] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CameraPath(poses, intrinsics, times)


def test_bad_numbers_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"unknown easing 'bounce'; choose one of linear, ease-in, ease-out"):
        clip_times(4, "bounce")
    for bad in (0, -3, 2.5, True, "4"):
        with pytest.raises(ValueError, match="frames is"):
            clip_times(bad)  # type: ignore[arg-type]
    for bad_number in (float("nan"), float("inf"), "1", True, None):
        with pytest.raises(ValueError, match="width is"):
            number("width", bad_number)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="width is 0; expected a positive number"):
        number("width", 0, positive=True)
    assert count("views", np.int64(3)) == 3  # type: ignore[arg-type]


@given(st.lists(st.floats(0.01, 0.99).map(lambda x: round(x, 3)), min_size=1, max_size=8, unique=True), seeds)
def test_an_easing_curve_meets_its_points_and_never_goes_back(times: list[float], seed: int) -> None:
    ways = np.sort(np.random.default_rng(seed).uniform(0, 1, len(times))).tolist()
    curve = easing_curve(list(zip(sorted(times), ways, strict=True)))
    np.testing.assert_allclose(curve(np.array([0, *sorted(times), 1])), [0, *ways, 1], atol=1e-15)
    assert (np.diff(curve(np.linspace(0, 1, 500))) >= -1e-15).all()


@pytest.mark.parametrize(
    ("curve", "message"),
    [
        ([], "at least one point"),
        ([[0.5]], "two numbers each"),
        (["ab"], "two numbers each"),
        ([[0, 0.5]], r"times of an easing curve are \[0.0\]"),
        ([[0.5, 0.1], [0.5, 0.2]], "expected numbers that increase between 0 and 1"),
        ([[0.2, 0.5], [0.5, 0.4]], "numbers from 0 to 1 that never decrease"),
        ([[0.2, 1.5]], r"ways of an easing curve are \[1.5\]"),
        ([[0.2, float("nan")]], "easing point is nan"),
    ],
)
def test_broken_easing_curves(curve: list[list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        clip_times(4, curve)
