"""SuperGlue's protocol: the curve by hand, exact matches of projected points, and pictures through SIFT."""

from __future__ import annotations

import importlib.util
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from cvd_core.evaluation.matching import Matches, mutual_matches
from cvd_core.evaluation.two_view import (
    TwoView,
    across_views,
    compare,
    match_views,
    pose_auc,
    summarise,
    within_view,
)
from cvd_core.geometry.cameras import Cameras
from cvd_core.scenes.render import film
from tests.core.strategies import points_in_front
from tests.evaluation.scenes import cluttered_scene, paths

needs_opencv = pytest.mark.skipif(
    importlib.util.find_spec("cv2") is None, reason="OpenCV is not installed (extra eval)"
)
SIDE = 1024
"""Pixels: RANSAC accepts any pose within one of them."""
BLANK = torch.zeros(64, 64, 3, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("errors", "auc"),
    [
        ([0.0], 1.0),
        ([math.inf], 0.0),
        ([5.0, 5.0], (5 * 0.25 + 0 * 0.75 + 5 * 1) / 10),  # (0, 0), (5, .5), (5, 1), (10, 1)
        ([2.0, math.inf], (2 * 0.5 / 2 + 8 * 0.5) / 10),
        ([2.0, 6.0, 20.0, 30.0], (2 * 0.125 + 4 * 0.375 + 4 * 0.5) / 10),
    ],
)
def test_area_by_hand(errors: list[float], auc: float) -> None:
    assert pose_auc(errors, [10.0]) == pytest.approx((auc,))


@given(st.lists(st.floats(0, 90), min_size=1, max_size=20), st.floats(1, 30))
def test_area_is_a_share_that_errors_lower(errors: list[float], threshold: float) -> None:
    (area,) = pose_auc(errors, [threshold])
    assert 0 <= area <= 1
    assert pose_auc([error + 1 for error in errors], [threshold])[0] <= area + 1e-12


def test_no_pairs() -> None:
    assert all(math.isnan(value) for value in pose_auc([]))


class TruePoints:
    """Projections of points as matches, every ``wrong``-th one moved down by ``by`` pixels in the second picture."""

    def __init__(self, cameras: Cameras, a: tuple[int, int], b: tuple[int, int], wrong: int = 0, by: float = 0) -> None:
        self.points = torch.from_numpy(points_in_front(5, 60))
        self.a, self.b = (self._pixels(cameras, place) for place in (a, b))
        if wrong:
            self.b[::wrong, 1] += by

    def _pixels(self, cameras: Cameras, place: tuple[int, int]) -> Tensor:
        local = (self.points - cameras.centers[place]) @ cameras.c2w[place][:3, :3]
        image = local @ cameras.K(SIDE, SIDE)[place].mT
        return image[:, :2] / image[:, 2:]

    def __call__(self, a: Tensor, b: Tensor) -> Matches:
        return Matches(self.a, self.b, keypoints_a=80, keypoints_b=100)


def judge(cameras: Cameras, matcher: TruePoints) -> TwoView:
    K = cameras.K(SIDE, SIDE)
    a, b = (0, 7), (1, 7)
    return compare(matcher(BLANK, BLANK), K[a], K[b], cameras.w2c[b] @ cameras.c2w[a])


@needs_opencv
def test_exact_matches_give_the_exact_pose() -> None:
    cameras = paths([[1.0, 0, 0, 0, -5], [0, -0.8, 0.2, 4, 0]])
    result = judge(cameras, TruePoints(cameras, (0, 7), (1, 7)))
    assert result.rotation < 0.01
    assert result.translation < 0.1
    assert result.precision == 1
    assert result.matching_score == pytest.approx(60 / 80)
    assert result.epipolar < 1e-6
    assert result.matches == 60
    assert result.direction < 0.002


@needs_opencv
def test_the_sign_of_the_translation_counts_in_its_direction_alone() -> None:
    """Cameras that moved the other way: matches of the true ones give a translation with the wrong sign."""
    there, back = (paths([[0.0] * 5, [amount, 0, 0, 0, 0]]) for amount in (1.0, -1.0))
    result = judge(back, TruePoints(there, (0, 7), (1, 7)))
    assert result.translation < 0.1
    assert result.direction == pytest.approx(2, abs=1e-3)


@needs_opencv
def test_wrong_matches_are_counted_and_survived() -> None:
    """Between trucks a match moved down by 128 pixels is 128 pixels off its line; a quarter of them are."""
    cameras = paths([[1.0, 0, 0, 0, 0], [-1.0, 0, 0, 0, 0]])
    result = judge(cameras, TruePoints(cameras, (0, 7), (1, 7), wrong=4, by=128))
    assert result.precision == pytest.approx(0.75)
    assert result.matching_score == pytest.approx(45 / 80)
    assert result.rotation < 0.1
    everything = judge(cameras, TruePoints(cameras, (0, 7), (1, 7), wrong=1, by=128))
    assert everything.epipolar == pytest.approx(128)
    assert everything.precision == 0


@needs_opencv
def test_correct_is_superglue_s_threshold() -> None:
    """Squared symmetric distance below 5e-4 in focal lengths: for trucks 2 (d / f)^2 < 5e-4, d < 0.0158 f."""
    cameras = paths([[1.0, 0, 0, 0, 0], [-1.0, 0, 0, 0, 0]])
    limit = math.sqrt(5e-4 / 2) * float(cameras.intrinsics[0, 0, 0]) * SIDE
    for factor, precision in ((0.99, 1), (1.01, 0)):
        matcher = TruePoints(cameras, (0, 7), (1, 7), wrong=1, by=factor * limit)
        assert judge(cameras, matcher).precision == precision


def test_no_matches_are_a_failure() -> None:
    nothing = torch.empty(0, 2, dtype=torch.float64)
    cameras = paths([[1.0, 0, 0, 0, 0], [-1.0, 0, 0, 0, 0]])
    videos = torch.stack([BLANK, BLANK])[:, None].repeat(1, 8, 1, 1, 1)
    matches = match_views(videos, 0, 1, lambda a, b: Matches(nothing, nothing, 0, 0))
    pairs = across_views(matches, cameras, 0, 1, (64, 64))
    assert pairs[0] is None, "no baseline in common first frames"
    summary = summarise(pairs)
    assert (summary.pairs, summary.without_baseline) == (7, 1)
    assert summary.rotation_auc == (0, 0, 0)
    assert summary.precision == summary.matching_score == 0
    assert math.isnan(summary.epipolar)


def test_mutual_matches_by_hand() -> None:
    a = torch.tensor([[0.0, 0], [1, 0], [5, 0]])
    b = torch.tensor([[0.1, 0], [1, 0.1], [3, 0], [3.1, 0]])
    # the third is nearest to two that are equally far: ambiguous
    assert mutual_matches(a, b, 0.8).tolist() == [[0, 0], [1, 1]]
    assert mutual_matches(torch.zeros(1, 2), torch.zeros(1, 2), 0.8).shape == (0, 2)


@needs_opencv
def test_rendered_pictures_through_sift() -> None:
    from cvd_core.evaluation.matching import SiftMatcher

    cameras = paths([[0.3, 0, 0, 0, -3], [0, -0.25, 0, 0, 0]], frames=2)
    videos = film(cluttered_scene(3), cameras, 256)
    matcher = SiftMatcher()
    across = across_views(match_views(videos, 0, 1, matcher), cameras, 0, 1, (256, 256))
    for pairs in (across, within_view(videos, cameras, 0, matcher)):
        pair = pairs[-1]
        assert pair is not None
        assert pair.matches > 20
        assert pair.precision > 0.6
        assert pair.epipolar < 1
        assert pair.rotation < 5
    swapped = across_views(match_views(videos, 1, 0, matcher), cameras, 0, 1, (256, 256))[-1]
    assert swapped is not None
    assert swapped.precision < 0.5
