"""The camera type: inverses, crops and relative poses against plain projection, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from torch import Tensor

from cvd_core.geometry.cameras import Cameras
from tests.core.strategies import points_in_front, random_rig, rectangles, rigs, seeds

EYE = torch.eye(4, dtype=torch.float64)


def project(cameras: Cameras, points: Tensor, width: int, height: int) -> Tensor:
    """``(V, F, N, 2)`` pixels of world points ``(N, 3)``."""
    homogeneous = torch.cat([points, torch.ones(len(points), 1)], -1)
    seen = torch.linalg.inv(cameras.c2w) @ homogeneous.mT
    image = cameras.K(width, height) @ seen[..., :3, :]
    return (image[..., :2, :] / image[..., 2:, :]).mT


@settings(deadline=None, max_examples=30)
@given(rigs())
def test_world_to_camera_is_the_inverse(cameras: Cameras) -> None:
    torch.testing.assert_close(cameras.w2c, torch.linalg.inv(cameras.c2w), rtol=0, atol=1e-12)
    torch.testing.assert_close(cameras.centers, cameras.c2w[..., :3, 3], rtol=0, atol=0)


@settings(deadline=None, max_examples=30)
@given(rigs(), seeds)
def test_relative_poses_are_the_motion_since_the_first_frame(cameras: Cameras, seed: int) -> None:
    relative = cameras.relative_to_first()
    assert torch.equal(relative.c2w[:, 0], EYE.expand(cameras.views, 4, 4)), "frame 0 must be exactly the identity"
    torch.testing.assert_close(cameras.c2w[:, :1] @ relative.c2w, cameras.c2w, rtol=0, atol=1e-12)
    world = torch.from_numpy(np.eye(4))
    world[:3, :3] = torch.from_numpy(Rotation.random(random_state=seed).as_matrix())
    world[:3, 3] = torch.tensor([3.0, -2, 7])
    moved = Cameras(world @ cameras.c2w, cameras.intrinsics).relative_to_first()
    torch.testing.assert_close(moved.c2w, relative.c2w, rtol=0, atol=1e-11)


@settings(deadline=None, max_examples=40)
@given(seeds, rectangles, rectangles)
def test_crop_shows_the_middle_of_the_source(seed: int, source: tuple[int, int], target: tuple[int, int]) -> None:
    """Oracle: project into the source image, subtract the window's corner, scale the window to the target."""
    (W, H), (w, h) = source, target
    rig = random_rig(seed, 2, 2)
    fx, _, cx, cy = rig.intrinsics.unbind(-1)
    cameras = Cameras(rig.c2w, torch.stack([fx, fx * W / H, cx, cy], -1))  # square pixels in the source
    cropped = cameras.crop_to(w, h)
    K = cropped.K(w, h)
    torch.testing.assert_close(K[..., 0, 0], K[..., 1, 1], msg="pixels must be square after the crop")
    scale = max(w / W, h / H)
    corner = torch.tensor([W - w / scale, H - h / scale]) / 2
    points = torch.from_numpy(points_in_front(seed, 6))
    expected = (project(cameras, points, W, H) - corner) * scale
    torch.testing.assert_close(project(cropped, points, w, h), expected, rtol=1e-6, atol=1e-4)
    assert torch.equal(cropped.c2w, cameras.c2w)
    assert cropped.names == cameras.names


@settings(deadline=None, max_examples=20)
@given(rigs(max_frames=8))
def test_extent_is_the_largest_distance(cameras: Cameras) -> None:
    centers = cameras.centers.reshape(-1, 3).numpy()
    largest = max(np.linalg.norm(a - b) for a in centers for b in centers)
    assert cameras.extent() == pytest.approx(largest, rel=1e-9, abs=1e-12)


def test_extent_does_not_depend_on_where_the_origin_is() -> None:
    still = random_rig(0, 4, 16, "rotating")
    far = still.c2w.clone()
    far[..., :3, 3] = torch.tensor([1e4, -3e4, 123.456])
    assert Cameras(far, still.intrinsics).extent() == 0
    far[3, 7, 0, 3] += 1e-3
    assert Cameras(far, still.intrinsics).extent() == pytest.approx(1e-3, rel=1e-6)


def test_select_and_concatenate() -> None:
    a = random_rig(1, 3, 2)
    cameras = Cameras(a.c2w, a.intrinsics, ("left", "middle", "right"))
    chosen = cameras.select([2, 0])
    assert chosen.names == ("right", "left")
    assert torch.equal(chosen.c2w, cameras.c2w[[2, 0]])
    assert torch.equal(chosen.intrinsics, cameras.intrinsics[[2, 0]])
    both = Cameras.concatenate([chosen, cameras.select([1])])
    assert both.names == ("right", "left", "middle")
    assert torch.equal(both.c2w, cameras.c2w[[2, 0, 1]])
    assert Cameras.concatenate([cameras, chosen]).names == tuple(f"view{i}" for i in range(5)), "names must be unique"


def test_concatenate_needs_one_length() -> None:
    short, long = random_rig(1, 1, 3), random_rig(2, 1, 5)
    short, long = Cameras(short.c2w, short.intrinsics, ("pan",)), Cameras(long.c2w, long.intrinsics, ("orbit",))
    with pytest.raises(ValueError, match=r"pan: 3, orbit: 5.*resample"):
        Cameras.concatenate([short, long])
    with pytest.raises(ValueError, match="no cameras"):
        Cameras.concatenate([])


def test_numbers_become_float64_without_a_gradient() -> None:
    c2w = EYE.float().repeat(1, 2, 1, 1).requires_grad_()
    cameras = Cameras(c2w, torch.tensor([1, 1, 0.5, 0.5]).expand(1, 2, 4))
    assert cameras.c2w.dtype == cameras.intrinsics.dtype == torch.float64
    assert not cameras.c2w.requires_grad
    assert (cameras.views, cameras.frames, cameras.names) == (1, 2, ("view0",))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda c2w, lens: c2w[..., 0, 3].fill_(torch.nan), "NaN or infinity"),
        (lambda c2w, lens: lens[..., 2].fill_(torch.inf), "NaN or infinity"),
        (lambda c2w, lens: c2w[..., :3, :3].mul_(1.01), "not a rotation"),
        (lambda c2w, lens: c2w[..., :3, 3].add_(1e30), "more than 1e\\+12 units from the origin"),
        (lambda c2w, lens: c2w[..., :3, 0].mul_(-1), "mirrors"),
        (lambda c2w, lens: c2w[..., 3, 0].fill_(0.1), "last row"),
        (lambda c2w, lens: lens[..., 1].fill_(0), "focal length"),
        (lambda c2w, lens: lens[..., 0].neg_(), "focal length"),
    ],
)
@settings(deadline=None, max_examples=5)
@given(data=st.data(), seed=seeds)
def test_a_bad_camera_is_named(spoil, message, data, seed) -> None:  # type: ignore[no-untyped-def]
    rig = random_rig(seed, 3, 4)
    view, frame = data.draw(st.integers(0, 2)), data.draw(st.integers(0, 3))
    c2w, lens = rig.c2w.clone(), rig.intrinsics.clone()
    spoil(c2w[view, frame], lens[view, frame])
    with pytest.raises(ValueError, match=rf"camera of {'abc'[view]}, frame {frame}, .*{message}"):
        Cameras(c2w, lens, ("a", "b", "c"))


@pytest.mark.parametrize(
    ("c2w", "intrinsics", "names", "message"),
    [
        ((2, 3, 3, 4), (2, 3, 4), (), r"\(2, 3, 3, 4\); expected \(views, frames, 4, 4\)"),
        ((3, 4, 4), (3, 4), (), r"expected \(views, frames, 4, 4\)"),
        ((2, 0, 4, 4), (2, 0, 4), (), r"expected \(views, frames, 4, 4\)"),
        ((2, 3, 4, 4), (2, 4), (), r"intrinsics have shape \(2, 4\); expected \(2, 3, 4\)"),
        ((2, 3, 4, 4), (2, 3, 4), ("one",), "1 view names for 2 views"),
    ],
)
def test_wrong_shapes_are_named(
    c2w: tuple[int, ...], intrinsics: tuple[int, ...], names: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Cameras(torch.zeros(c2w), torch.ones(intrinsics), names)
