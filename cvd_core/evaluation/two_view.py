"""Two-view measures of matches: SuperGlue's protocol, which CVD follows (Sec. 5.1 and Table 1), and epipolar error.

CVD compares the first frame of a video with its other frames, and corresponding frames of two videos.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from cvd_core.evaluation.extras import require_extra
from cvd_core.evaluation.matching import Matcher, Matches
from cvd_core.evaluation.objects import check_videos
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.epipolar import smallest_baseline

THRESHOLDS = (5.0, 10.0, 20.0)
"""Degrees."""
CORRECT = 5e-4
"""Squared symmetric epipolar distance in units of the focal length up to which SuperGlue counts a match as correct."""
RANSAC_PIXELS = 1.0
CONFIDENCE = 0.99999
FEWEST_MATCHES = 5
"""An essential matrix needs five."""


@dataclass(frozen=True)
class TwoView:
    """Measures of one pair of pictures.

    Attributes:
        rotation, translation: angle in degrees between estimated and true rotation, direction of translation; infinite
            if no pose could be estimated.
        precision: fraction of the matches that are correct; 0 without matches.
        matching_score: correct matches over the first picture's keypoints; 0 without matches.
        epipolar: median distance of the matches from their epipolar lines in pixels, mean of both directions; NaN
            without matches.
        matches: how many there are.
        direction: distance between estimated and true translation, both of length 1 and with their signs, 0 to 2:
            SynCamMaster's TransErr of a picture pair (App. C). ``translation`` leaves the sign open.
    """

    rotation: float
    translation: float
    precision: float
    matching_score: float
    epipolar: float
    matches: int
    direction: float = math.inf


@dataclass(frozen=True)
class Summary:
    """Measures of many pairs.

    Attributes:
        rotation_auc, translation_auc: area under the cumulative error curve up to each of :data:`THRESHOLDS`, 0 to 1.
        precision, matching_score: means over the pairs.
        epipolar: mean of the pairs' medians, pixels.
        pairs: how many were measured; ``without_baseline`` more could not be.
    """

    rotation_auc: tuple[float, ...]
    translation_auc: tuple[float, ...]
    precision: float
    matching_score: float
    epipolar: float
    pairs: int
    without_baseline: int


def pose_auc(errors: Sequence[float], thresholds: Sequence[float] = THRESHOLDS) -> tuple[float, ...]:
    """Area under the recall curve up to each threshold, divided by it.

    The curve joins the points (error, fraction of pairs up to it) by straight lines, starting at (0, 0), and stays
    level after the last error below the threshold. Infinite errors are failures. NaN without errors.
    """
    if not errors:
        return tuple(math.nan for _ in thresholds)
    ordered = np.concatenate([[0.0], np.sort(np.asarray(errors, dtype=np.float64))])
    recall = np.arange(len(ordered)) / len(errors)
    areas = []
    for threshold in thresholds:
        last = int(np.searchsorted(ordered, threshold))
        x, y = np.append(ordered[:last], threshold), np.append(recall[:last], recall[last - 1])
        areas.append(float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum() / threshold))
    return tuple(areas)


def compare(matches: Matches, K_a: Tensor, K_b: Tensor, a_to_b: Tensor) -> TwoView:
    """Judge the matches of two pictures by their true cameras, which stand at different places.

    Args:
        matches: of picture a with picture b.
        K_a, K_b: ``(3, 3)`` intrinsics in pixels.
        a_to_b: ``(4, 4)`` from camera coordinates of a to those of b.
    """
    count = len(matches.a)
    if not count:
        return TwoView(math.inf, math.inf, 0.0, 0.0, math.nan, 0)
    x, y = _normalised(matches.a, K_a), _normalised(matches.b, K_b)
    E = essential(a_to_b)
    correct = symmetric_distance(E, x, y).square() < CORRECT
    F = torch.linalg.inv(K_b).mT @ E @ torch.linalg.inv(K_a)
    distance = symmetric_distance(F, _homogeneous(matches.a), _homogeneous(matches.b), mean=True)
    focal = torch.stack([K_a, K_b])[:, [0, 1], [0, 1]].mean()
    rotation, translation, direction = _pose_error(x, y, float(focal), a_to_b)
    return TwoView(
        rotation,
        translation,
        precision=float(correct.double().mean()),
        matching_score=float(correct.sum()) / matches.keypoints_a,
        epipolar=float(distance.median()),
        matches=count,
        direction=direction,
    )


def essential(a_to_b: Tensor) -> Tensor:
    """``(3, 3)`` E with ``y^T E x = 0``, for a direction of translation of length 1."""
    x, y, z = torch.nn.functional.normalize(a_to_b[:3, 3], dim=0).tolist()
    return torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64) @ a_to_b[:3, :3]


def symmetric_distance(F: Tensor, x: Tensor, y: Tensor, *, mean: bool = False) -> Tensor:
    """``(N,)`` distances of y from the lines ``F x`` and of x from ``F^T y``: root of the sum of squares, or mean.

    Args:
        F: ``(3, 3)`` fundamental or essential matrix.
        x, y: ``(N, 3)`` homogeneous with last coordinate 1, in pixels or normalised.
    """
    forth, back = x @ F.mT, y @ F
    product = (y * forth).sum(-1).abs()
    tiny = torch.finfo(F.dtype).tiny
    there = product / forth[:, :2].norm(dim=-1).clamp(min=tiny)
    here = product / back[:, :2].norm(dim=-1).clamp(min=tiny)
    return (there + here) / 2 if mean else (there**2 + here**2).sqrt()


def match_views(videos: Tensor, a: int, b: int, matcher: Matcher) -> list[Matches]:
    """Matches of two views of ``(V, F, H, W, 3)`` uint8 at equal times, one set per frame."""
    check_videos(videos)
    return [matcher(*pictures) for pictures in zip(videos[a], videos[b], strict=True)]


def across_views(
    matches: Sequence[Matches], cameras: Cameras, a: int, b: int, size: tuple[int, int]
) -> list[TwoView | None]:
    """Judge :func:`match_views`; None where the cameras stand at one place, which leaves nothing to judge.

    Args:
        matches: one set per frame.
        cameras: of all views.
        a, b: the views.
        size: width and height of the pictures.
    """
    return [
        compare(found, *_relation(cameras, (a, f), (b, f), size)) if _apart(cameras, (a, f), (b, f)) else None
        for f, found in enumerate(matches)
    ]


def within_view(videos: Tensor, cameras: Cameras, view: int, matcher: Matcher) -> list[TwoView | None]:
    """The first frame of a view with each of the others; None where the cameras stand at one place."""
    check_videos(videos)
    first, size = (view, 0), (videos.shape[3], videos.shape[2])
    return [
        compare(matcher(videos[first], videos[other]), *_relation(cameras, first, other, size))
        if _apart(cameras, first, other)
        else None
        for other in ((view, f) for f in range(1, cameras.frames))
    ]


def summarise(pairs: Sequence[TwoView | None]) -> Summary:
    """Measures over all pairs."""
    judged = [pair for pair in pairs if pair is not None]
    return Summary(
        rotation_auc=pose_auc([pair.rotation for pair in judged]),
        translation_auc=pose_auc([pair.translation for pair in judged]),
        precision=_mean([pair.precision for pair in judged]),
        matching_score=_mean([pair.matching_score for pair in judged]),
        epipolar=_mean([pair.epipolar for pair in judged if not math.isnan(pair.epipolar)]),
        pairs=len(judged),
        without_baseline=len(pairs) - len(judged),
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _apart(cameras: Cameras, a: tuple[int, int], b: tuple[int, int]) -> bool:
    return float((cameras.centers[a] - cameras.centers[b]).norm()) > smallest_baseline(cameras)


def _relation(
    cameras: Cameras, a: tuple[int, int], b: tuple[int, int], size: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Intrinsics in pixels of two pictures (view, frame), and from camera coordinates of a to those of b."""
    K = cameras.K(*size)
    return K[a], K[b], cameras.w2c[b] @ cameras.c2w[a]


def _homogeneous(points: Tensor) -> Tensor:
    return torch.cat([points, torch.ones_like(points[:, :1])], -1)


def _normalised(points: Tensor, K: Tensor) -> Tensor:
    """``(N, 3)`` rays with last coordinate 1."""
    return _homogeneous(points) @ torch.linalg.inv(K).mT


def _pose_error(x: Tensor, y: Tensor, focal: float, a_to_b: Tensor) -> tuple[float, float, float]:
    """Errors of the pose that RANSAC finds: see the first, second and last attribute of :class:`TwoView`."""
    require_extra("cv2", "the estimation of relative poses")
    import cv2

    best, error = 0, (math.inf, math.inf, math.inf)
    if len(x) < FEWEST_MATCHES:
        return error
    a, b = x[:, :2].numpy(), y[:, :2].numpy()
    threshold = RANSAC_PIXELS / focal
    stacked, mask = cv2.findEssentialMat(a, b, np.eye(3), method=cv2.RANSAC, prob=CONFIDENCE, threshold=threshold)
    for E in [] if stacked is None else np.split(stacked, len(stacked) // 3):
        count, R, t, _ = cv2.recoverPose(E, a, b, np.eye(3), 1e9, mask=mask.copy())[:4]
        if count > best:
            best, error = count, _errors(torch.from_numpy(R), torch.from_numpy(t[:, 0]), a_to_b)
    return error


def _errors(R: Tensor, t: Tensor, a_to_b: Tensor) -> tuple[float, float, float]:
    rotation = math.degrees(float(Rotation.from_matrix((R.mT @ a_to_b[:3, :3]).numpy()).magnitude()))
    found, true = (torch.nn.functional.normalize(v, dim=0) for v in (t, a_to_b[:3, 3]))
    cosine = (found @ true).clamp(-1, 1)
    return rotation, math.degrees(math.acos(float(cosine.abs()))), float((found - true).norm())
