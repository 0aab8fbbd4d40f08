"""The scale on which a copy is 0 and the truth 1: on points, on renders, and on every kind of rig."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cvd_core.evaluation.objects import ObjectTracks, track_objects
from cvd_core.evaluation.transfer import Transfer, own_places, transfer
from cvd_core.geometry.cameras import Cameras
from cvd_core.scenes.render import film
from cvd_core.scenes.world import OBJECT_COLOURS
from tests.evaluation.scenes import paths, resting_scene, tracks_of_points

POINTS = [[-0.5, 0.2, 2.2], [0.6, 0.4, 3.5]]
TURN = math.degrees(math.atan(1 / 2.9))
RIGS = {
    "mirrored": [[1.0, 0, 0, 0, 0], [-1.0, 0, 0, 0, 0]],
    "orbiting": [[1.0, 0, 0, 0, -TURN], [-1.0, 0, 0, 0, TURN]],
    "to and fro": [[0.3, 0, 0.9, 0, 0], [0.3, 0, -0.9, 0, 0]],
    "one way, one further": [[0.5, 0, 0, 0, 0], [1.5, 0, 0, 0, 0]],
    "three": [[1.0, 0, 0, 0, 0], [0, 0.8, 0, 0, 0], [0.5, 0, 0.8, 3, -4]],
}


def copy_of(tracks: ObjectTracks, view: int = 0) -> ObjectTracks:
    return tracks.select([view] * len(tracks.centers))


@pytest.mark.parametrize("rig", RIGS)
def test_the_truth_is_1_and_every_copy_0(rig: str) -> None:
    cameras = paths(RIGS[rig])
    tracks = tracks_of_points(cameras, POINTS)
    exact = transfer(tracks, cameras)
    assert exact.place == pytest.approx(1, abs=1e-6)
    assert exact.order == 1
    assert exact.judged > 10
    for view in range(cameras.views):
        found = transfer(copy_of(tracks, view), cameras)
        assert found.place == pytest.approx(0, abs=1e-9)
        assert found.judged > 5
        assert math.isnan(found.size) or found.size == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("rig", ["mirrored", "to and fro", "one way, one further"])
def test_a_copy_has_no_order_where_cameras_do_not_turn(rig: str) -> None:
    cameras = paths(RIGS[rig])
    for view in range(2):
        assert transfer(copy_of(tracks_of_points(cameras, POINTS), view), cameras).order == 0


def test_unrelated_views_are_worse_than_a_copy() -> None:
    cameras = paths(RIGS["mirrored"])
    here, there = (tracks_of_points(cameras, points) for points in (POINTS, [[0.7, 0.3, 2.2], [-0.6, 0.1, 3.5]]))
    mixed = replace(here, centers=torch.stack([here.centers[0], there.centers[1]]))
    assert transfer(mixed, cameras).place < 0


@settings(deadline=None, max_examples=15)
@given(st.floats(0, 1))
def test_halfway_to_a_copy_is_halfway(part: float) -> None:
    """A view that moves objects to a fraction of where they must be has that fraction."""
    cameras = paths([[1.0, 0, 0, 0, 0], [0, 0, 0, 0, 0]])  # the second view cannot tell depths: only the first judges
    tracks = tracks_of_points(cameras, POINTS)
    centers = tracks.centers.clone()
    centers[1] = centers[0] + part * (centers[1] - centers[0])
    assert transfer(replace(tracks, centers=centers), cameras).place == pytest.approx(part, abs=1e-6)


def test_sizes_by_hand() -> None:
    """Backwards and forwards: what comes nearer must grow; half the growth is half the agreement."""
    cameras = paths(RIGS["to and fro"])
    tracks = tracks_of_points(cameras, POINTS)
    depth = torch.tensor([p[2] for p in POINTS], dtype=torch.float64) - cameras.centers[..., 2:]
    for part in (0.0, 0.5, 1.0):
        assert transfer(replace(tracks, areas=100 * depth ** (-2 * part)), cameras).size == pytest.approx(
            part, abs=1e-6
        )


def test_what_cannot_be_told_is_not_judged() -> None:
    turning = paths([[0, 0, 0, 0, 10], [0, 0, 0, 5, -10]])
    tracks = tracks_of_points(turning, POINTS)
    assert own_places(tracks, turning, 0).isnan().all()
    found = transfer(tracks, turning)
    assert (found.judged, math.isnan(found.place), math.isnan(found.size)) == (0, True, True)
    same = paths([RIGS["mirrored"][0]] * 2)
    assert transfer(tracks_of_points(same, POINTS), same).judged == 0
    cameras = paths(RIGS["mirrored"])
    tracks = tracks_of_points(cameras, POINTS)
    hidden = replace(tracks, whole=torch.zeros_like(tracks.whole))
    assert transfer(hidden, cameras).judged == 0


def test_places_are_those_of_the_scene() -> None:
    cameras = paths(RIGS["three"])
    tracks = tracks_of_points(cameras, POINTS)
    for view in range(3):
        expected = torch.tensor(POINTS, dtype=torch.float64)
        torch.testing.assert_close(own_places(tracks, cameras, view), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("rig", ["mirrored", "orbiting", "to and fro"])
def test_rendered_views_are_near_1(rig: str) -> None:
    cameras = paths(RIGS[rig])
    found = [rendered(seed, cameras) for seed in range(6)]
    assert average(found, "place") > 0.9
    if rig == "to and fro":
        assert average(found, "size") > 0.7
    assert math.isnan(average(found, "order")) or average(found, "order") > 0.9


def rendered(seed: int, cameras: Cameras) -> Transfer:
    scene = resting_scene(seed)
    tracks = track_objects(film(scene, cameras, 64), {name: OBJECT_COLOURS[name] for name in scene.colours})
    return transfer(tracks, cameras)


def average(found: list[Transfer], name: str) -> float:
    return float(torch.tensor([getattr(f, name) for f in found]).nanmean())


def test_numbers_of_cameras() -> None:
    cameras = paths(RIGS["mirrored"])
    with pytest.raises(ValueError, match="2 views of 8 frames with cameras for 2 views of 5 frames"):
        transfer(tracks_of_points(cameras, POINTS), paths(RIGS["mirrored"], frames=5))
