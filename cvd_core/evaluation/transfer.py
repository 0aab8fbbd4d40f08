"""Whether one view shows what another view's own video says it must: a scale on which a copy is 0 and the truth 1.

A video of a resting scene from a moving camera tells by itself where things are. From there follows where another view
must show them, how much larger, and which of two is nearer. Distances from epipolar lines and common points cannot tell
agreement from a copy where cameras do nearly the same; here only frames are judged in which a copy must be wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import least_squares
from torch import Tensor

from cvd_core.evaluation.cross_view import check_match, triangulate
from cvd_core.evaluation.objects import ObjectTracks
from cvd_core.geometry.cameras import Cameras

DEPTHS = (1.0, 8.0)
"""World units in front of the first camera between which objects are taken to be: those of the procedural scenes are 2
to 4 away."""
OWN_PARALLAX = 3.0
"""Pixels by which a view's own video must tell the nearest depth from the furthest."""
SHIFT = 2.0
"""Pixels between what the other view must show and a copy: what is closer is not judged."""
GROWTH = math.log(1.1)
"""The same for the size: 10%."""
ORDER = math.log(1.2)
"""The same for the ratio of two objects' depths."""


@dataclass(frozen=True)
class Transfer:
    """Agreement of views, over all ordered pairs of views, frames and objects at rest that can be judged.

    Attributes:
        place: 1 - (distance in pixels of objects from where they must be) / (that of a copy): 1 is exact, 0 as good as
            a copy, below 0 worse. A copy has exactly 0.
        size: the same for the logarithm of how much larger an object must be than in the other view.
        order: fraction of pairs of objects whose nearer one by the parallax between the views is the nearer one by a
            view's own video: 1 is exact. Of a copy the rays do not meet where cameras do not turn, which counts as
            wrong; where they turn towards each other they meet, in an order that may be right by chance.
        judged: how many places.
    """

    place: float
    size: float
    order: float
    judged: int


def transfer(tracks: ObjectTracks, cameras: Cameras) -> Transfer:
    """Judge every view by every other one; NaN where nothing can be judged.

    Args:
        tracks: of objects at rest, V views of F frames.
        cameras: of the same views, in one world.

    Raises:
        ValueError: cameras of other numbers of views or frames.
    """
    check_match(tracks, cameras)
    K = cameras.K(tracks.width, tracks.height)
    places = torch.stack([own_places(tracks, cameras, view) for view in range(cameras.views)])  # (V, M, 3)
    local = torch.einsum("vfij,umj->uvfmi", cameras.w2c[..., :3, :3], places) + cameras.w2c[..., None, :3, 3]
    image = torch.einsum("vfij,uvfmj->uvfmi", K, local)
    depth = torch.where(local[..., 2] > 0, local[..., 2], math.nan)
    predicted = image[..., :2] / depth[..., None]  # (told by, shown in, F, M, 2)
    sizes = tracks.areas.sqrt().log()
    missed, copied, mis_sized, copied_size, right = [], [], [], [], []
    for a, b in permutations(range(cameras.views), 2):
        both = tracks.whole[a] & tracks.whole[b]
        of_copy = (tracks.centers[a] - predicted[a, b]).norm(dim=-1)
        told = both & (of_copy >= SHIFT)  # False where the place is not known
        missed.append((tracks.centers[b] - predicted[a, b]).norm(dim=-1)[told])
        copied.append(of_copy[told])
        growth = (depth[a, a] / depth[a, b]).log()
        told = both & (growth.abs() >= GROWTH)
        mis_sized.append((sizes[b] - sizes[a] - growth).abs()[told])
        copied_size.append(growth.abs()[told])
        right.append(_orders(tracks.select([a, b]), cameras.select([a, b]), depth[a, a]))
    judged = torch.cat(missed)
    return Transfer(
        place=_better_than_a_copy(judged, torch.cat(copied)),
        size=_better_than_a_copy(torch.cat(mis_sized), torch.cat(copied_size)),
        order=float(torch.cat(right).double().mean()),
        judged=len(judged),
    )


def own_places(tracks: ObjectTracks, cameras: Cameras, view: int) -> Tensor:
    """``(M, 3)`` where one view's video alone says that objects rest; NaN where its camera moves too little to tell."""
    found = torch.full((len(tracks.names), 3), math.nan, dtype=torch.float64)
    first = cameras.c2w[view, 0]
    project = cameras.K(tracks.width, tracks.height)[view] @ (cameras.w2c[view] @ first)[:, :3]  # (F, 3, 4)
    for m in range(len(tracks.names)):
        seen = tracks.whole[view, :, m]
        if int(seen.sum()) < 2:
            continue
        point = _place(project[seen].numpy(), tracks.centers[view, seen, m].numpy())
        if point is not None:
            found[m] = first[:3, :3] @ torch.from_numpy(point) + first[:3, 3]
    return found


def _place(project: NDArray[np.float64], seen: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The point ``(3,)`` in the first camera's coordinates whose images are nearest to pixels ``(N, 2)``."""

    def images(x: float, y: float, inverse_depth: float) -> NDArray[np.float64]:
        image = project @ np.array([x, y, 1.0, inverse_depth])
        return np.asarray(image[:, :2] / np.maximum(image[:, 2:], 1e-3))

    def residuals(point: NDArray[np.float64]) -> NDArray[np.float64]:
        return (images(*point) - seen).ravel()

    near, far = (1 / depth for depth in DEPTHS)
    limits = ([-np.inf, -np.inf, far], [np.inf, np.inf, near])
    found = least_squares(residuals, [0.0, 0.0, (near * far) ** 0.5], bounds=limits)
    x, y, inverse_depth = found.x
    # Seen from where the video starts, a depth is told by what it changes later.
    told = np.linalg.norm(images(x, y, near) - images(x, y, far), axis=-1).max()
    return np.array([x, y, 1.0]) / inverse_depth if told >= OWN_PARALLAX else None


def _orders(tracks: ObjectTracks, cameras: Cameras, depth: Tensor) -> Tensor:
    """Bools: whether the parallax between two views puts two objects in the order of ``depth`` ``(F, M)``."""
    points = triangulate(tracks, cameras)
    local = torch.einsum("fij,fmj->fmi", cameras.w2c[0, :, :3, :3], points.points) + cameras.w2c[0, :, None, :3, 3]
    tried = points.apart | points.points.isfinite().all(-1)
    found = []
    for i, j in permutations(range(len(tracks.names)), 2):
        expected = (depth[:, j] / depth[:, i]).log()
        told = tried[:, i] & tried[:, j] & (expected >= ORDER)
        found.append((local[:, i, 2] < local[:, j, 2])[told])  # NaN where rays do not meet: not nearer
    return torch.cat(found) if found else torch.empty(0, dtype=torch.bool)


def _better_than_a_copy(errors: Tensor, of_copy: Tensor) -> float:
    return 1 - float(errors.sum() / of_copy.sum()) if len(errors) else math.nan
