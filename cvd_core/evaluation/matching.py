"""Corresponding points of two pictures. Any function of two pictures can stand in for :class:`SiftMatcher`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cvd_core.evaluation.extras import require_extra

MOST_KEYPOINTS = 2048
"""As SuperGlue takes them outdoors."""
RATIO = 0.8
"""Lowe's test: the best match must be closer than this fraction of the distance to the second best."""
CONTRAST = 0.02
"""Half of OpenCV's default: generated pictures of 256 pixels and less are soft."""


@dataclass(frozen=True, eq=False)
class Matches:
    """N corresponding points.

    Attributes:
        a, b: ``(N, 2)`` float64 pixel positions x, y in the first and in the second picture, corner at 0, 0.
        keypoints_a, keypoints_b: points that were found in each picture, matched or not.
    """

    a: Tensor
    b: Tensor
    keypoints_a: int
    keypoints_b: int


Matcher = Callable[[Tensor, Tensor], Matches]
"""Two ``(H, W, 3)`` uint8 pictures to their matches. A learned matcher such as SuperGlue fits in here."""


def matcher_name(matcher: Matcher) -> str:
    """What results call a matcher: its ``name``, or that of its function or class."""
    return str(getattr(matcher, "name", None) or getattr(matcher, "__name__", None) or type(matcher).__name__)


class SiftMatcher:
    """RootSIFT features of OpenCV, nearest neighbours in both directions, Lowe's ratio test.

    Raises:
        ValueError: OpenCV is not installed.
    """

    name = "SIFT"

    def __init__(self) -> None:
        require_extra("cv2", "matching with SIFT")
        import cv2

        self._sift = cv2.SIFT.create(nfeatures=MOST_KEYPOINTS, contrastThreshold=CONTRAST)

    def __call__(self, a: Tensor, b: Tensor) -> Matches:
        (points_a, features_a), (points_b, features_b) = self._features(a), self._features(b)
        pairs = mutual_matches(features_a, features_b, RATIO)
        return Matches(points_a[pairs[:, 0]], points_b[pairs[:, 1]], len(points_a), len(points_b))

    def _features(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """``(N, 2)`` positions and ``(N, 128)`` descriptors of length 1."""
        keypoints, descriptors = self._sift.detectAndCompute(np.ascontiguousarray(picture.cpu().numpy()), None)
        if not keypoints:
            return torch.empty(0, 2, dtype=torch.float64), torch.empty(0, 128)
        # OpenCV counts from the first pixel's centre
        points = torch.tensor([point.pt for point in keypoints], dtype=torch.float64) + 0.5
        features = torch.from_numpy(descriptors)
        return points, (features / features.sum(-1, keepdim=True).clamp(min=1e-9)).sqrt()


def mutual_matches(a: Tensor, b: Tensor, ratio: float) -> Tensor:
    """Pairs that are each other's nearest neighbours and pass the ratio test in the direction a to b.

    Args:
        a: ``(N, D)`` features of unit length.
        b: ``(M, D)`` features of unit length.
        ratio: of the distances to the nearest and to the second nearest.

    Returns:
        ``(P, 2)`` indices into a and b.
    """
    if len(a) < 1 or len(b) < 2:  # the ratio needs a second one
        return torch.empty(0, 2, dtype=torch.long)
    distance = torch.cdist(a, b)
    nearest, index = distance.topk(2, largest=False)
    back = distance.argmin(0)[index[:, 0]]
    rows = torch.arange(len(a))
    keep = (back == rows) & (nearest[:, 0] < ratio * nearest[:, 1])
    return torch.stack([rows[keep], index[keep, 0]], -1)
