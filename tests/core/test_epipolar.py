"""Two-view geometry against projected points and kornia, degenerate pairs, and the two bands."""

from __future__ import annotations

import math

import kornia.geometry.epipolar as kornia_epipolar
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.epipolar import (
    HARD_BIAS,
    PairGeometry,
    about_center,
    epipolar_lines,
    feature_pixels,
    hard_bias,
    pair_geometry,
    pseudo_lines,
    soft_band,
    soft_bias,
)
from cvd_core.geometry.trajectories import resample
from tests.core.strategies import Motion, maps, points_in_front, random_rig, rectangles, rigs, seeds

angles = st.floats(0, math.pi)


def pixels_of(cameras: Cameras, view: int, points: Tensor, size: tuple[int, int]) -> Tensor:
    """``(F, N, 3)`` homogeneous pixels (last coordinate 1) of world points ``(N, 3)``."""
    homogeneous = torch.cat([points, torch.ones(len(points), 1)], -1)
    image = cameras.K(*size)[view] @ (torch.linalg.inv(cameras.c2w[view]) @ homogeneous.mT)[:, :3]
    return (image / image[:, 2:]).mT


def moved(cameras: Cameras, centers: Tensor) -> Cameras:
    c2w = cameras.c2w.clone()
    c2w[..., :3, 3] = centers
    return Cameras(c2w, cameras.intrinsics)


def unit(F: Tensor) -> Tensor:
    """Matrices scaled to norm 1, their sign fixed: equal if they are equal up to scale."""
    F = F / F.flatten(-2).norm(dim=-1)[..., None, None]
    largest = F.flatten(-2).gather(-1, F.flatten(-2).abs().argmax(-1, keepdim=True))
    return F * largest.sign()[..., None]


@settings(deadline=None, max_examples=40)
@given(rigs(min_views=2, max_views=3), seeds, rectangles)
def test_a_point_lies_on_its_epipolar_line(cameras: Cameras, seed: int, size: tuple[int, int]) -> None:
    points = torch.from_numpy(points_in_front(seed, 8))
    here, there = pixels_of(cameras, 0, points, size), pixels_of(cameras, 1, points, size)
    geometry = pair_geometry(cameras, 0, 1, *size)
    assert not geometry.degenerate.any()
    lines = torch.stack([epipolar_lines(F, x) for F, x in zip(geometry.fundamental, here, strict=True)])
    assert (lines * there).sum(-1).abs().max() < 1e-6, "pixels from the line"
    # and the line measures pixels: five to the side of it are five
    aside = there.clone()
    aside[..., :2] += 5 * lines[..., :2]
    torch.testing.assert_close((lines * aside).sum(-1), torch.full_like(aside[..., 0], 5), rtol=0, atol=0.1)


@settings(deadline=None, max_examples=30)
@given(rigs(min_views=2, max_views=3, max_frames=6), rectangles)
def test_fundamental_matrices_are_kornias(cameras: Cameras, size: tuple[int, int]) -> None:
    P = cameras.K(*size) @ torch.linalg.inv(cameras.c2w)[..., :3, :]
    for view, partner in ((0, 1), (1, 0)):
        expected = kornia_epipolar.fundamental_from_projections(P[view], P[partner])
        found = pair_geometry(cameras, view, partner, *size).fundamental
        torch.testing.assert_close(unit(found), unit(expected), rtol=0, atol=1e-8)


@settings(deadline=None, max_examples=15)
@given(rigs(min_views=2, max_views=2, max_frames=5), rectangles)
def test_frames_do_not_mix(cameras: Cameras, size: tuple[int, int]) -> None:
    """Three frames are the trap: a cross product or a 3x3 transpose along the wrong axis passes unnoticed."""
    whole = pair_geometry(cameras, 0, 1, *size)
    for f in range(cameras.frames):
        alone = pair_geometry(Cameras(cameras.c2w[:, f : f + 1], cameras.intrinsics[:, f : f + 1]), 0, 1, *size)
        torch.testing.assert_close(whole.fundamental[f], alone.fundamental[0], rtol=1e-9, atol=1e-15)
        torch.testing.assert_close(whole.homography[f], alone.homography[0])


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(1, 32), rectangles)
def test_a_rotation_maps_pixels_by_the_infinite_homography(seed: int, frames: int, size: tuple[int, int]) -> None:
    cameras = random_rig(seed, 2, frames, "rotating")
    geometry = pair_geometry(cameras, 0, 1, *size)
    assert geometry.degenerate.all()
    points = torch.from_numpy(points_in_front(seed, 8))
    mapped = pixels_of(cameras, 0, points, size) @ geometry.homography.mT
    torch.testing.assert_close(
        mapped / mapped[..., 2:], pixels_of(cameras, 1, points, size).expand_as(mapped), rtol=0, atol=1e-7
    )


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(1, 32))
def test_which_frames_have_no_baseline(seed: int, frames: int) -> None:
    def degenerate(motion: Motion) -> list[bool]:
        return pair_geometry(random_rig(seed, 3, frames, motion), 2, 0, 256, 256).degenerate.tolist()

    assert degenerate("free") == [False] * frames
    assert degenerate("shared start") == [True] + [False] * (frames - 1)
    assert degenerate("rotating") == degenerate("identical") == [True] * frames


def test_two_cameras_may_meet_in_the_middle_of_their_paths() -> None:
    cameras = random_rig(5, 2, 9, "shared start")
    c2w = cameras.c2w.clone()
    c2w[0, 4:6] = c2w[1, 4:6]
    found = pair_geometry(Cameras(c2w, cameras.intrinsics), 0, 1, 256, 256)
    assert found.degenerate.nonzero().flatten().tolist() == [0, 4, 5]
    assert (found.fundamental[found.degenerate] == 0).all()


@pytest.mark.parametrize("motion", ["identical", "rotating"])
@pytest.mark.parametrize("distance", [0.0, 1.0, 1e3])
@pytest.mark.parametrize("digits", ["float32", "9 decimals"])
def test_rounding_makes_no_baseline(motion: Motion, distance: float, digits: str) -> None:
    """World-to-camera matrices as files hold them, far from the world's origin, each view rounded on its own."""
    cameras = random_rig(3, 2, 16, motion)
    cameras = moved(cameras, cameras.centers + distance * torch.tensor([1, -1, 0.5]))
    if motion == "identical":  # told apart by rounding only: one view went through another file
        cameras = Cameras(torch.stack([cameras.c2w[0], cameras.c2w[1].float().double()]), cameras.intrinsics)
    w2c = cameras.w2c.float().double() if digits == "float32" else cameras.w2c.round(decimals=9)
    reread = Cameras(torch.linalg.inv(w2c), cameras.intrinsics)
    assert pair_geometry(reread, 0, 1, 256, 256).degenerate.all()


@pytest.mark.parametrize("distance", [0.0, 1.0, 1e3])
@pytest.mark.parametrize("digits", ["float32", "9 decimals"])
def test_rounding_makes_no_baseline_in_relative_poses(distance: float, digits: str) -> None:
    """The same, after the poses were made relative to the first and went through whatever keeps their unit."""
    cameras = random_rig(3, 2, 16, "rotating")
    cameras = moved(cameras, cameras.centers + distance * torch.tensor([1, -1, 0.5]))
    w2c = cameras.w2c.float().double() if digits == "float32" else cameras.w2c.round(decimals=9)
    reread = Cameras(torch.linalg.inv(w2c), cameras.intrinsics)
    relative = reread.crop_to(256, 256).relative_to_first()
    halves = Cameras.concatenate([resample(relative.select([view]), 9) for view in (1, 0)])
    for rig in (relative, halves):
        assert rig.centers.norm(dim=-1).max() < max(1e-3 * distance, 1e-6)
        assert pair_geometry(rig, 0, 1, 256, 256).degenerate.all()


def test_a_baseline_far_from_the_origin_stays_one() -> None:
    cameras = random_rig(3, 2, 16, "shared start")
    far = moved(cameras, cameras.centers + 1e3 * torch.tensor([1, -1, 0.5]))
    assert pair_geometry(far.relative_to_first(), 0, 1, 256, 256).degenerate.tolist() == [True] + [False] * 15


@pytest.mark.parametrize("unit_length", [1e-3, 1.0, 1e3])
def test_a_small_baseline_of_a_large_rig_is_rounding_and_a_small_rig_is_not(unit_length: float) -> None:
    cameras = random_rig(8, 2, 3, "shared start")
    centers = torch.zeros(2, 3, 3, dtype=torch.float64)
    centers[:, 1, 0] = torch.tensor([0.3, 0.3 + 1e-2])
    centers[:, 2, 0] = torch.tensor([1.0, 1.0 + 1e-5])
    found = pair_geometry(moved(cameras, unit_length * centers), 0, 1, 256, 256)
    assert found.degenerate.tolist() == [True, False, True]


def test_cameras_that_look_away_from_each_other() -> None:
    """Half a turn: nothing that one sees is in front of the other; without a baseline no line is left."""
    cameras = random_rig(4, 2, 3, "rotating")
    c2w = torch.eye(4, dtype=torch.float64).repeat(2, 3, 1, 1)
    c2w[1] = torch.diag(torch.tensor([-1.0, 1, -1, 1]))
    c2w[1, 2, :3, 3] = torch.tensor([0.4, 0.1, 0.2])
    geometry = pair_geometry(Cameras(c2w, cameras.intrinsics), 0, 1, 256, 192)
    assert geometry.degenerate.tolist() == [True, True, False]
    pixels = feature_pixels(256, 192, 8, 6)
    assert (pseudo_lines(geometry.homography[:2], pixels, torch.tensor([0.3, 1.0]), 256, 192) == 0).all()
    lines = epipolar_lines(geometry.fundamental, pixels)
    assert lines.isfinite().all()
    assert (lines[2].norm(dim=-1) > 0).all()


@settings(deadline=None, max_examples=30)
@given(seeds, angles, rectangles, maps)
def test_a_pseudo_line_goes_through_the_mapped_pixel(
    seed: int, angle: float, size: tuple[int, int], shape: tuple[int, int]
) -> None:
    homography = pair_geometry(random_rig(seed, 2, 2, "rotating"), 0, 1, *size).homography
    pixels = feature_pixels(*size, shape[1], shape[0])
    lines = pseudo_lines(homography, pixels, torch.tensor([angle, 0.5], dtype=torch.float64), *size)
    target = pixels @ homography.mT
    in_front = target[..., 2] > 0
    target = target / target[..., 2:]
    near = in_front & ((target[..., :2] - torch.tensor(size) / 2).norm(dim=-1) < 4 * max(size))
    assert (lines * target).sum(-1)[near].abs().max() < 1e-7
    normal = torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64)
    torch.testing.assert_close(lines[0, ..., :2][near[0]], normal.expand(int(near[0].sum()), 2))
    assert (lines[~near] == 0).all(), "a pixel thrown far outside or behind has no partner to look for"


def test_a_pixel_on_the_epipole_forbids_nothing() -> None:
    c2w = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1, 1)
    c2w[1, 0, 2, 3] = 0.5  # straight ahead: the epipole is the principal point
    cameras = Cameras(c2w, torch.tensor([1, 1, 0.5, 0.5]).expand(2, 1, 4))
    lines = epipolar_lines(pair_geometry(cameras, 0, 1, 64, 64).fundamental, torch.tensor([[32.0, 32, 1]]).double())
    assert lines.isfinite().all()
    assert (lines @ feature_pixels(64, 64, 8, 8).mT).abs().max() < 1e-6


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 8), st.integers(1, 8))
def test_feature_pixels_sit_in_the_middle_of_what_they_cover(w: int, h: int, sx: int, sy: int) -> None:
    x, y = torch.arange(w * sx, dtype=torch.float64), torch.arange(h * sy, dtype=torch.float64)
    rows, columns = torch.meshgrid(y.view(h, sy).mean(-1), x.view(w, sx).mean(-1), indexing="ij")
    expected = torch.stack([columns, rows, torch.ones(h, w)], -1).flatten(0, 1)
    torch.testing.assert_close(feature_pixels(w * sx, h * sy, w, h), expected)


@settings(deadline=None, max_examples=30)
@given(rigs(min_views=2, max_views=2, max_frames=4), rectangles, maps, st.floats(0.5, 8))
def test_the_soft_band_is_a_share_of_the_largest_distance(
    cameras: Cameras, size: tuple[int, int], shape: tuple[int, int], threshold: float
) -> None:
    pixels = feature_pixels(*size, shape[1], shape[0])
    lines = epipolar_lines(pair_geometry(cameras, 0, 1, *size).fundamental, pixels)
    largest = (lines @ pixels.mT).abs().amax((-1, -2))
    expected = (threshold / (size[1] // 2) * largest).clamp(min=0.01)
    torch.testing.assert_close(soft_band(lines, pixels, size[1], threshold), expected)


@settings(deadline=None)
@given(seeds, st.floats(0.5, 30))
def test_soft_bias_is_zero_in_the_band_and_minus_three_at_twice_its_width(seed: int, tau: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    angle, offset = torch.rand(2, 5, generator=generator, dtype=torch.float64)
    lines = torch.stack([angle.cos(), angle.sin(), offset * 50], -1)[None]
    foot = -lines[0, :, 2:] * lines[0, :, :2]  # the point of the line next to the origin
    expected = {0.0: 0.0, 0.5: 0.0, 0.999: 0.0, 1.5: -1.5, 2.0: -3.0, 5.0: -12.0}
    for query in range(5):
        for distance, value in expected.items():
            for side in (-1, 1):
                key = torch.cat([foot[query] + side * distance * tau * lines[0, query, :2], torch.ones(1)])[None]
                found = soft_bias(lines, key, torch.tensor([tau]).double())[0, query, 0]
                assert float(found) == pytest.approx(value, abs=1e-4)


def test_hard_bias_is_open_up_to_its_half_width_and_closed_beyond() -> None:
    lines = torch.tensor([[[0.6, 0.8, -10.0]]])
    keys = torch.tensor([[6 + 0.6 * d, 8 + 0.8 * d, 1] for d in (-3.01, -2.99, 0, 2.99, 3.01)])
    assert hard_bias(lines, keys, 3.0)[0, 0].tolist() == [HARD_BIAS, 0, 0, 0, HARD_BIAS]
    assert math.isfinite(torch.tensor(HARD_BIAS).half())


@settings(deadline=None, max_examples=20)
@given(seeds, rectangles)
def test_bias_is_zero_on_true_correspondences(seed: int, size: tuple[int, int]) -> None:
    cameras = random_rig(seed, 2, 2)
    points = torch.from_numpy(points_in_front(seed, 12))
    geometry = pair_geometry(cameras, 0, 1, *size)
    grid = feature_pixels(*size, 8, 8)
    for f in range(2):
        here, there = (pixels_of(cameras, view, points, size)[f] for view in (0, 1))
        lines = epipolar_lines(geometry.fundamental[f : f + 1], here)
        soft = soft_bias(lines, there, soft_band(lines, grid, size[1], 3.0))
        assert (soft[0].diagonal() == 0).all()
        assert (hard_bias(lines, there, 1e-5)[0].diagonal() == 0).all()
        assert (hard_bias(lines, there, 1e-5)[0] < 0).any(), "other points' pixels are not on the line"


def test_homographies_about_the_centre() -> None:
    middle = torch.tensor([(71 / 2), (39 / 2), 1.0], dtype=torch.float64)
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    shift = torch.tensor([[1.0, 0, 5], [0, 1, -2], [0, 0, 1]])
    torch.testing.assert_close(about_center(turn, 72, 40) @ middle, middle)
    right_of_it = middle + torch.tensor([3.0, 0, 0])
    torch.testing.assert_close(about_center(turn, 72, 40) @ right_of_it, middle + torch.tensor([0, 3.0, 0]))
    torch.testing.assert_close(about_center(shift, 72, 40), shift.double())


def test_geometry_without_cameras() -> None:
    H = torch.eye(3).repeat(4, 1, 1)
    plain = PairGeometry.from_homographies(H)
    assert (plain.frames, bool(plain.degenerate.all()), plain.homography.dtype) == (4, True, torch.float64)
    given_f = PairGeometry.from_fundamental(torch.ones(4, 3, 3))
    assert given_f.degenerate.tolist() == [True, False, False, False]
    assert torch.equal(given_f.fundamental, torch.ones(4, 3, 3).double())
    assert torch.equal(given_f.homography[0], torch.eye(3).double())
