"""Agreement of views: zero for true tracks, the drawn error for false ones, and the copy control."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cvd_core.evaluation.cross_view import (
    Agreement,
    agreement,
    copy_control,
    epipolar_distances,
    nanmean,
    resting_errors,
    triangulate,
)
from cvd_core.evaluation.objects import ObjectTracks, track_objects
from cvd_core.geometry.cameras import Cameras
from cvd_core.scenes.render import film
from cvd_core.scenes.world import OBJECT_COLOURS
from tests.evaluation.scenes import paths, resting_scene, tracks_of_points

POINTS = [[-0.5, 0.2, 2.5], [0.6, 0.4, 3.5]]
TRUCKS = [[1.0, 0, 0, 0, 0], [-1.0, 0, 0, 0, 0]]
CROSSED = [[1.0, 0, 0, 0, 0], [0, 1.0, 0, 0, 0], [0.5, 0, 1, 3, -4]]


def shifted(tracks: ObjectTracks, view: int, by: tuple[float, float]) -> ObjectTracks:
    centers = tracks.centers.clone()
    centers[view] += torch.tensor(by)
    return replace(tracks, centers=centers)


def test_true_tracks_agree_exactly() -> None:
    cameras = paths(CROSSED)
    tracks = tracks_of_points(cameras, POINTS)
    distances = epipolar_distances(tracks, cameras)
    assert distances.shape == (3, 8, 2)
    assert distances[:, 0].isnan().all(), "common first frames have no epipolar lines"
    assert distances[:, 1:].max() < 1e-4
    found = triangulate(tracks, cameras)
    torch.testing.assert_close(found.points[3:], torch.tensor(POINTS, dtype=torch.float64).expand(5, 2, 3))
    assert found.errors[:, 3:].max() < 1e-8
    assert not found.apart.any()


@pytest.mark.parametrize(("by", "distance"), [((0.0, 3.0), 3.0), ((3.0, 0.0), 0.0), ((4.0, -2.0), 2.0)])
def test_between_trucks_only_the_height_counts(by: tuple[float, float], distance: float) -> None:
    """Trucking to both sides makes horizontal epipolar lines."""
    cameras = paths(TRUCKS)
    distances = epipolar_distances(shifted(tracks_of_points(cameras, POINTS), 1, by), cameras)[:, 1:]
    torch.testing.assert_close(distances, torch.full_like(distances, distance), atol=1e-4, rtol=0)


def test_reprojection_error_of_a_shift_across_the_lines() -> None:
    """Both views share the error: each is half the shift away from the point between them."""
    cameras = paths(TRUCKS)
    errors = triangulate(shifted(tracks_of_points(cameras, POINTS), 1, (0, 3)), cameras).errors[:, -1]
    torch.testing.assert_close(errors, torch.full_like(errors, 1.5), atol=0.02, rtol=0)


def test_rays_that_part_are_judged_by_their_mean_direction() -> None:
    """Swapped views of opposite trucks: what should be f T / Z pixels to one side is so far to the other."""
    cameras = paths(TRUCKS)
    found = triangulate(tracks_of_points(cameras, [[0.0, 0.0, 2.5]]).select([1, 0]), cameras)
    assert found.apart[-1].all()
    assert found.points[-1].isnan().all()
    focal = float(cameras.intrinsics[0, 0, 0]) * 64
    assert found.errors[:, -1].flatten().tolist() == pytest.approx([focal / 2.5] * 2)
    assert found.errors[:, 0].isnan().all(), "no baseline, nothing to judge"


def test_what_is_not_whole_is_not_compared() -> None:
    cameras = paths(TRUCKS)
    tracks = tracks_of_points(cameras, POINTS)
    whole = tracks.whole.clone()
    whole[1, 5, 0] = False
    distances = epipolar_distances(replace(tracks, whole=whole), cameras)[0]
    assert distances[5].isnan().tolist() == [True, False]
    assert triangulate(replace(tracks, whole=whole), cameras).points[5, :, 0].isnan().tolist() == [True, False]


@settings(deadline=None, max_examples=20)
@given(st.floats(0.1, 10), st.lists(st.floats(-3, 3), min_size=6, max_size=6))
def test_the_world_may_be_moved_and_scaled(scale: float, motion: list[float]) -> None:
    cameras = paths(CROSSED, frames=4)
    tracks = shifted(tracks_of_points(cameras, POINTS), 0, (1.0, 1.5))
    c2w = cameras.c2w.clone()
    R = torch.from_numpy(Rotation.from_rotvec(motion[:3]).as_matrix())
    c2w[..., :3, :3] = R @ cameras.c2w[..., :3, :3]
    c2w[..., :3, 3] = scale * (cameras.centers @ R.mT) + torch.tensor(motion[3:], dtype=torch.float64)
    moved = Cameras(c2w, cameras.intrinsics)
    kept = (epipolar_distances(tracks, cameras), triangulate(tracks, cameras).errors)
    then = (epipolar_distances(tracks, moved), triangulate(tracks, moved).errors)
    torch.testing.assert_close(then, kept, atol=1e-4, rtol=1e-4, equal_nan=True)


def test_colour_size_and_shape_by_hand() -> None:
    cameras = paths(TRUCKS)
    tracks = tracks_of_points(cameras, POINTS)
    other = replace(
        tracks,
        rgb=tracks.rgb + torch.tensor([0.0, 0.3])[:, None, None, None] * torch.tensor([1.0, 0, 0]),
        areas=tracks.areas * torch.tensor([1.0, 4.0])[:, None, None],
        roundness=tracks.roundness - torch.tensor([0.0, 0.2])[:, None, None],
    )
    measured = agreement(other, cameras)
    assert measured.colour == pytest.approx(0.3)
    assert measured.size == pytest.approx(math.log(2))
    assert measured.shape == pytest.approx(0.2)
    assert measured.compared == 1


def test_an_object_at_rest_is_at_one_place() -> None:
    """Trucks to opposite sides, shown the wrong way round: no epipolar distance sees it, the common point does."""
    cameras = paths(TRUCKS)
    tracks = tracks_of_points(cameras, POINTS)
    assert agreement(tracks, cameras).resting < 1e-8
    swapped = agreement(tracks.select([1, 0]), cameras)
    assert swapped.epipolar < 1e-4
    assert swapped.apart == 1
    assert swapped.resting > 5


@settings(deadline=None, max_examples=20)
@given(
    st.lists(st.floats(-1, 1), min_size=10, max_size=10),
    st.tuples(st.floats(-1, 1), st.floats(-0.5, 0.5), st.floats(2, 5)),
    st.integers(0, 1000),
)
def test_errors_of_resting_objects_are_those_that_were_made(
    motion: list[float], point: tuple[float, float, float], seed: int
) -> None:
    """Noise of one pixel cannot be explained away by a place, nor blown up."""
    amounts = [[*motion[:3], 10 * motion[3], 10 * motion[4]], [*motion[5:8], 10 * motion[8], 10 * motion[9]]]
    cameras = paths(amounts)
    extent = cameras.centers.flatten(0, 1)
    assume(float((extent.amax(0) - extent.amin(0)).norm()) > 0.1)
    tracks = tracks_of_points(cameras, [point])
    assert float(resting_errors(tracks, cameras).nan_to_num().max()) < 1e-3
    noise = torch.randn(tracks.centers.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    errors = resting_errors(replace(tracks, centers=tracks.centers + noise), cameras)
    made = noise.norm(dim=-1)[tracks.whole]
    assert 0.5 * made.mean() < nanmean(errors) < 1.1 * made.square().mean().sqrt()


def test_a_single_place_says_nothing_of_depth() -> None:
    cameras = paths([[0, 0, 0, 0, 10], [0, 0, 0, 5, -10]])
    assert resting_errors(tracks_of_points(cameras, POINTS), cameras).isnan().all()


@settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(-1, 1), min_size=6, max_size=6))
def test_no_line_tells_a_copy_from_the_truth_where_cameras_do_not_turn(motion: list[float]) -> None:
    cameras = paths([[*motion[:3], 0, 0], [*motion[3:], 0, 0]])
    assume(float((cameras.centers[0, -1] - cameras.centers[1, -1]).norm()) > 0.3)
    copied = copy_control(tracks_of_points(cameras, [[-0.5, 0.2, 3.5], [0.6, 0.4, 4.5]]), cameras)
    assert copied.epipolar < 1e-5
    assert copied.apart > 0.99


def test_rendered_views_agree_and_a_copy_does_not() -> None:
    true, copied = [], []
    for seed in range(8):
        scene, cameras = resting_scene(seed), paths([[0.7, 0, 0, 0, 0], [0, -0.4, 0, 0, 4]])
        tracks = track_objects(film(scene, cameras, 64), {name: OBJECT_COLOURS[name] for name in scene.colours})
        true.append(agreement(tracks, cameras))
        copied.append(copy_control(tracks, cameras))
    assert mean(true, "epipolar") < 0.3
    assert mean(true, "reprojection") < 0.3
    assert mean(true, "resting") < 0.5
    assert mean(true, "size") < 0.1
    assert mean(copied, "epipolar") > 5 * mean(true, "epipolar")
    assert mean(copied, "resting") > 5 * mean(true, "resting")
    assert mean(copied, "colour") == 0


def mean(measured: list[Agreement], name: str) -> float:
    return nanmean(torch.tensor([getattr(m, name) for m in measured]))


def test_numbers_of_cameras_and_views() -> None:
    cameras = paths(TRUCKS)
    tracks = tracks_of_points(cameras, POINTS)
    with pytest.raises(ValueError, match="2 views of 8 frames with cameras for 2 views of 5 frames"):
        epipolar_distances(tracks, paths(TRUCKS, frames=5))
    with pytest.raises(ValueError, match="two views or more"):
        agreement(tracks.select([0]), cameras.select([0]))
