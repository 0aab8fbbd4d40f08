"""Keyframes, and operations on whole trajectories."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cvd_core.geometry import moves
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.rigs import make_rig
from cvd_core.geometry.trajectories import Keyframe, fold, from_keyframes, look_at, resample, reverse

seeds = st.integers(0, 2**32 - 1)


def wander(views: int, frames: int, seed: int) -> Cameras:
    rng = np.random.default_rng(seed)
    c2w = np.tile(np.eye(4), (views, frames, 1, 1))
    c2w[..., :3, 3] = rng.normal(size=(views, frames, 3)).cumsum(1)
    c2w[..., :3, :3] = Rotation.random(views * frames, random_state=rng).as_matrix().reshape(views, frames, 3, 3)
    return Cameras(torch.from_numpy(c2w), torch.from_numpy(rng.uniform(0.4, 2, (views, frames, 4))))


def in_camera(cameras: Cameras, point: tuple[float, float, float]) -> torch.Tensor:
    """``(V, F, 3)`` camera coordinates of a world point."""
    return (cameras.w2c @ torch.tensor([*point, 1.0], dtype=torch.float64))[..., :3]


# Keyframes


def test_keyframes_survive_json() -> None:
    keys = [
        Keyframe((1, 2, 3), rotation=(0, 0.6, 0, 0.8), focal=1.2, time=0, easing="ease-in"),
        Keyframe((4, 5, 6), look_at=(0, 0, 9), time=2.5),
    ]
    back = [Keyframe(**entry) for entry in json.loads(json.dumps([dataclasses.asdict(key) for key in keys]))]
    assert back == keys


def test_one_keyframe_is_a_static_camera() -> None:
    for key in (Keyframe((1, 2, 3)), Keyframe((1, 2, 3), look_at=(0, 0, 0), time=4, easing="ease-in")):
        cameras = from_keyframes([key], 5)
        np.testing.assert_allclose(cameras.c2w[0], np.tile(key.pose(), (5, 1, 1)), atol=1e-15)
        rest = dataclasses.replace(key, time=None)
        np.testing.assert_allclose(from_keyframes([rest, rest, rest], 5).c2w, cameras.c2w, atol=1e-15)


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 9), seeds)
def test_keyframes_are_hit_at_their_times_whatever_their_easing(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    keys = [
        Keyframe(
            tuple(rng.normal(size=3)),
            rotation=tuple(rng.normal(size=4)) if rng.random() < 0.5 else None,
            focal=rng.uniform(0.4, 2),
            time=10 + 3 * k,
            easing=str(rng.choice(["linear", "ease-in", "ease-out", "ease-in-out"])),
        )
        for k in range(n)
    ]
    cameras = from_keyframes(keys, 4 * (n - 1) + 1, aspect=2.0, name="mine")
    np.testing.assert_allclose(cameras.c2w[0, ::4], [key.pose() for key in keys], atol=1e-12)
    np.testing.assert_allclose(cameras.intrinsics[0, ::4, 0], [key.focal for key in keys], rtol=1e-12)
    np.testing.assert_allclose(cameras.intrinsics[..., 1], 2 * cameras.intrinsics[..., 0], rtol=1e-12)
    assert cameras.names == ("mine",)


def test_untimed_keyframes_are_passed_at_constant_speed() -> None:
    keys = [Keyframe((0, 0, 0)), Keyframe((1, 0, 0)), Keyframe((1.5, 0, 0)), Keyframe((4, 0, 0))]
    np.testing.assert_allclose(from_keyframes(keys, 9).centers[0, :, 0], np.linspace(0, 4, 9), atol=1e-12)


def test_easing_of_the_path_and_of_a_segment() -> None:
    a, b, c = (Keyframe((x, 0, 0), time=x) for x in (0, 1, 2))
    whole = from_keyframes([a, b, c], 5, easing="ease-in").centers[0, :, 0]
    np.testing.assert_allclose(whole, [0, 0.125, 0.5, 1.125, 2], atol=1e-12)
    second = from_keyframes([a, dataclasses.replace(b, easing="ease-in"), c], 9).centers[0, :, 0]
    np.testing.assert_allclose(second[:5], np.linspace(0, 1, 5), atol=1e-12)
    np.testing.assert_allclose(second[4:], 1 + np.linspace(0, 1, 5) ** 2, atol=1e-12)


def test_speed_is_independent_of_length() -> None:
    keys = [Keyframe((0, 0, 0)), Keyframe((1, 0.5, 0), rotation=(0, 0.3, 0, 1)), Keyframe((1, 2, 0), focal=2)]
    np.testing.assert_allclose(from_keyframes(keys, 41).c2w[:, ::4], from_keyframes(keys, 11).c2w, atol=1e-12)


def test_camera_keeps_looking_at_a_fixed_target() -> None:
    """A slerp between the ends would lose it: the middle of this path is much closer to the target."""
    keys = [Keyframe((x, -0.4, 0), look_at=(0.2, 0, 1), easing="ease-in-out") for x in (-3, 0, 2)]
    seen = in_camera(from_keyframes(keys, 21), (0.2, 0, 1))
    assert seen[..., :2].abs().max() < 1e-12
    assert (seen[..., 2] > 0).all()


def test_target_moves_straight_from_keyframe_to_keyframe() -> None:
    keys = [Keyframe((0, 0, 0), look_at=(-2, 0, 4), time=0), Keyframe((0, 0, 0), look_at=(2, 0, 4), time=1)]
    cameras = from_keyframes(keys, 5)
    for frame, x in enumerate((-2.0, -1, 0, 1, 2)):
        assert in_camera(cameras, (x, 0, 4))[0, frame, :2].abs().max() < 1e-12


def test_look_at_is_upright_rigid_and_centred() -> None:
    rng = np.random.default_rng(0)
    positions, targets = rng.normal(size=(2, 200, 3))
    R = look_at(positions, targets)
    np.testing.assert_allclose(R.swapaxes(1, 2) @ R, np.tile(np.eye(3), (200, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(R), 1)
    z = targets - positions
    np.testing.assert_allclose(R[:, :, 2], z / np.linalg.norm(z, axis=-1, keepdims=True), atol=1e-12)
    np.testing.assert_allclose(R[:, 1, 0], 0, atol=1e-12)  # x axis horizontal
    assert (R[:, 1, 1] > 0).all()  # y axis points down
    np.testing.assert_array_equal(look_at(np.zeros(3), np.array([0.0, 0, 5])), np.eye(3))


@pytest.mark.parametrize("y", [3.0, -3.0])
def test_look_at_straight_down_and_up(y: float) -> None:
    R = look_at(np.zeros(3), np.array([0, y, 0]))
    np.testing.assert_allclose(R[:, 2], [0, np.sign(y), 0])
    np.testing.assert_allclose(R[:, 0], [1, 0, 0])
    assert np.linalg.det(R) == pytest.approx(1)


def test_a_thousand_keyframes() -> None:
    rng = np.random.default_rng(0)
    keys = [
        Keyframe(tuple(p), rotation=tuple(q))
        for p, q in zip(rng.normal(size=(1000, 3)), rng.normal(size=(1000, 4)), strict=True)
    ]
    assert from_keyframes(keys, 120).frames == 120


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"position": (0, 0)}, r"position is \(0, 0\); expected 3 numbers"),
        ({"position": (0, 0, float("nan"))}, "position is nan"),
        ({"position": "abc"}, "expected 3 numbers"),
        ({"rotation": (0, 0, 0, 0)}, "zero quaternion"),
        ({"rotation": (0, 0, 1)}, "expected 4 numbers"),
        ({"rotation": (0, 0, 0, 1), "look_at": (0, 0, 1)}, "both a rotation and a look_at"),
        ({"look_at": (0, 0, 0)}, "its own position"),
        ({"focal": 0}, "focal is 0"),
        ({"time": float("inf")}, "time is inf"),
        ({"easing": "smooth"}, "unknown easing 'smooth'; choose one of linear"),
    ],
)
def test_bad_keyframes_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Keyframe(**{"position": (0, 0, 0), **arguments})  # type: ignore[arg-type]


def test_bad_paths_are_refused() -> None:
    key, later = Keyframe((0, 0, 0), time=1), Keyframe((1, 0, 0), time=2)
    with pytest.raises(ValueError, match="at least one keyframe"):
        from_keyframes([])
    with pytest.raises(ValueError, match="1 of 2 keyframes have a time"):
        from_keyframes([key, Keyframe((1, 0, 0))])
    with pytest.raises(ValueError, match="increase"):
        from_keyframes([later, key])
    with pytest.raises(ValueError, match="frames is 0"):
        from_keyframes([key, later], 0)
    with pytest.raises(ValueError, match="aspect is 0"):
        from_keyframes([key, later], aspect=0)
    through = [Keyframe((0, 0, z), look_at=(0, 0, 1)) for z in (0, 2)]
    with pytest.raises(ValueError, match="own position"):
        from_keyframes(through, 3)


# Whole trajectories


def test_reverse() -> None:
    cameras = wander(2, 5, 0)
    backwards = reverse(cameras)
    assert torch.equal(backwards.c2w[:, 0], cameras.c2w[:, -1])
    assert torch.equal(backwards.intrinsics[:, 1], cameras.intrinsics[:, -2])
    assert torch.equal(reverse(backwards).c2w, cameras.c2w)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 3), st.integers(1, 12), st.integers(1, 40), seeds)
def test_resample_keeps_the_ends_exactly(views: int, before: int, after: int, seed: int) -> None:
    cameras = wander(views, before, seed)
    result = resample(cameras, after)
    assert (result.views, result.frames, result.names) == (views, after, cameras.names)
    assert torch.equal(result.c2w[:, 0], cameras.c2w[:, 0])
    if after > 1:
        assert torch.equal(result.c2w[:, -1], cameras.c2w[:, -1])
        assert torch.equal(result.intrinsics[:, -1], cameras.intrinsics[:, -1])
    R = result.c2w[..., :3, :3]
    assert (R.mT @ R - torch.eye(3)).abs().max() < 1e-12


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 3), st.integers(2, 12), st.integers(1, 5), seeds)
def test_resample_passes_through_the_old_frames(views: int, frames: int, finer: int, seed: int) -> None:
    cameras = wander(views, frames, seed)
    result = resample(cameras, finer * (frames - 1) + 1)
    np.testing.assert_allclose(result.c2w[:, ::finer], cameras.c2w, atol=1e-12)
    np.testing.assert_allclose(result.intrinsics[:, ::finer], cameras.intrinsics, rtol=1e-12)


def test_resample_keeps_the_speed_of_the_frames() -> None:
    """A truck that eases in stays one, where arc length would have made it uniform; a pause stays a pause."""
    eased = moves.truck(1, 17, "ease-in").cameras()
    np.testing.assert_allclose(
        resample(eased, 41).centers[0, :, 0], moves.truck(1, 41, "ease-in").poses[:, 0, 3], atol=1e-3
    )
    pause = reverse(Cameras(eased.c2w[:, [0] * 8 + [8, 16]], eased.intrinsics[:, :10]))
    assert (resample(pause, 91).centers[0, 20:, 0] == 0).all()


def test_resample_turns_evenly() -> None:
    pan = moves.pan(120, 4).cameras()
    np.testing.assert_allclose(resample(pan, 25).c2w[0], moves.pan(120, 25).poses, atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 12), seeds)
def test_fold_cuts_a_path_into_a_pair_with_one_first_pose(frames: int, seed: int) -> None:
    path = wander(1, 2 * frames - 1, seed)
    pair = fold(path)
    assert (pair.views, pair.frames) == (2, frames)
    assert torch.equal(pair.c2w[0, 0], pair.c2w[1, 0])
    assert torch.equal(pair.c2w[0], path.c2w[0, list(range(frames - 1, -1, -1))])
    assert torch.equal(pair.c2w[1], path.c2w[0, frames - 1 :])
    assert torch.equal(pair.intrinsics[0], path.intrinsics[0, list(range(frames - 1, -1, -1))])
    assert (pair.relative_to_first().c2w[:, 0] == torch.eye(4)).all()


def test_fold_undoes_an_unfolded_pair() -> None:
    """Two views of a rig, played one backwards and then the other, are a path that folds into the same two."""
    rig = make_rig("circle", 2, 6)
    back, on = rig.select([0]), rig.select([1])
    path = Cameras(
        torch.cat([reverse(back).c2w, on.c2w[:, 1:]], 1),
        torch.cat([back.intrinsics, on.intrinsics[:, 1:]], 1),
        ("clip",),
    )
    pair = fold(path)
    assert torch.equal(pair.c2w, rig.c2w)
    assert pair.names == ("clip back", "clip on")


def test_bad_trajectories_are_refused() -> None:
    with pytest.raises(ValueError, match=r"6 frames has no middle frame.* 7"):
        fold(wander(1, 6, 0))
    with pytest.raises(ValueError, match="2 views were given to fold"):
        fold(wander(2, 5, 0))
    for frames in (0, -1, 2.5):
        with pytest.raises(ValueError, match="frames is"):
            resample(wander(1, 4, 0), frames)  # type: ignore[arg-type]
