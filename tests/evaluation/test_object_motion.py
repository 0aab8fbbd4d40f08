"""The truck test: known shares of a commanded motion, and rendered clips that follow by construction."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from cvd_core.evaluation.object_motion import commanded_motion, compare_motion, observed_motion
from cvd_core.evaluation.objects import track_objects
from cvd_core.scenes.render import film
from cvd_core.scenes.world import OBJECT_COLOURS
from tests.evaluation.scenes import paths, resting_scene, tracks_of_points

POINTS = [[-0.5, 0.2, 2.5], [0.6, 0.4, 3.5]]
DEPTHS = [2.5, 3.5]


def test_a_truck_shifts_by_focal_length_over_depth() -> None:
    cameras = paths([[1.2, 0, 0, 0, 0]])
    motion = commanded_motion(tracks_of_points(cameras, POINTS), cameras, DEPTHS)
    assert motion.shape == (1, 2, 8, 2)
    focal = float(cameras.intrinsics[0, 0, 0]) * 64
    assert motion[0, :, -1, 0].tolist() == pytest.approx([-focal * 1.2 / z for z in DEPTHS])
    assert motion[..., 1].abs().max() < 1e-9


@pytest.mark.parametrize("amounts", [[1.2, 0, 0, 0, 0], [0, 0.5, 0, 0, 0], [0, 0, 1, 0, 0], [0.3, 0, -0.5, 4, 9]])
def test_points_at_rest_follow_exactly(amounts: list[float]) -> None:
    cameras = paths([amounts, [-x for x in amounts]])
    tracks = tracks_of_points(cameras, POINTS)
    result = compare_motion(observed_motion(tracks), commanded_motion(tracks, cameras, DEPTHS))
    assert (result.fraction, result.right_sign, result.correlation) == pytest.approx((1, 1, 1))
    assert (result.tracks, result.missing) == (4, 0)


@pytest.mark.parametrize("share", [0.6, 0.0, -0.5])
def test_a_known_share(share: float) -> None:
    cameras = paths([[1.2, 0, 0, 0, 0], [-1.2, 0, 0, 0, 0]])
    tracks = tracks_of_points(cameras, POINTS)
    commanded = commanded_motion(tracks, cameras, DEPTHS)
    result = compare_motion(share * commanded, commanded)
    assert result.fraction == pytest.approx(share)
    assert result.right_sign == (1 if share > 0 else 0)
    assert result.correlation == pytest.approx(math.copysign(1, share) if share else 0)


def test_by_hand() -> None:
    """Two tracks of one later frame: commanded 10 and -10, observed 8 and 2."""
    commanded = torch.tensor([[[0.0, 0], [10, 0]], [[0, 0], [-10, 0]]])
    observed = torch.tensor([[[0.0, 0], [8, 0]], [[0, 0], [2, 0]]])
    result = compare_motion(observed, commanded)
    assert result.fraction == pytest.approx((80 - 20) / 200)
    assert result.right_sign == 0.5
    # deviations of the four later components: commanded 10, 0, -10, 0; observed minus its mean 5.5, -2.5, -0.5, -2.5
    assert result.correlation == pytest.approx(60 / math.sqrt(200 * 43))


def test_tracks_that_say_nothing_are_counted() -> None:
    cameras = paths([[1.2, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    tracks = tracks_of_points(cameras, POINTS)
    whole = tracks.whole.clone()
    whole[0, 1:, 1] = False
    tracks = replace(tracks, whole=whole)
    result = compare_motion(observed_motion(tracks), commanded_motion(tracks, cameras, DEPTHS))
    assert (result.tracks, result.missing) == (1, 3)
    assert result.fraction == pytest.approx(1)
    nothing = compare_motion(observed_motion(tracks)[1:], commanded_motion(tracks, cameras, DEPTHS)[1:])
    assert nothing.tracks == 0
    assert math.isnan(nothing.fraction)


def test_rendered_clips_follow() -> None:
    observed, commanded = [], []
    for seed in range(8):
        scene, cameras = resting_scene(seed), paths([[1.0, 0, 0, 0, 0], [-0.6, 0, 0, 0, 5]])
        tracks = track_objects(film(scene, cameras, 64), {name: OBJECT_COLOURS[name] for name in scene.colours})
        observed.append(observed_motion(tracks).flatten(0, 1))
        commanded.append(commanded_motion(tracks, cameras, scene.centers[:, 2].tolist()).flatten(0, 1))
    result = compare_motion(torch.cat(observed), torch.cat(commanded))
    assert result.tracks >= 10
    assert result.fraction == pytest.approx(1, abs=0.1)
    assert result.right_sign == 1
    assert result.correlation > 0.99


def test_bad_input() -> None:
    cameras = paths([[1.2, 0, 0, 0, 0]])
    tracks = tracks_of_points(cameras, POINTS)
    with pytest.raises(ValueError, match="above 0"):
        commanded_motion(tracks, cameras, -1)
    with pytest.raises(ValueError, match="expected the same"):
        compare_motion(torch.zeros(3, 8, 2), torch.zeros(2, 8, 2))
