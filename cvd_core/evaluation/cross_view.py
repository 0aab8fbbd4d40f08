"""Whether the views show one scene: exact measures on the tracks of objects with known colours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import least_squares
from torch import Tensor

from cvd_core.evaluation.objects import ObjectTracks
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.epipolar import epipolar_lines, pair_geometry, smallest_baseline

SMALLEST_ANGLE = 1e-4
"""Radians between the rays of two views, a hundredth of a pixel; flatter ones count as parallel."""
NEAREST = 0.2
"""World units in front of the first camera; no object is nearer."""
STARTS = (0.1, 0.5)
"""Inverse depths from which the best point is looked for: the way to it may be blocked from one side."""


def check_match(tracks: ObjectTracks, cameras: Cameras) -> None:
    """Raise ValueError unless there is one camera per picture."""
    if tracks.whole.shape[:2] != (cameras.views, cameras.frames):
        views, frames = tracks.whole.shape[:2]
        raise ValueError(
            f"{views} views of {frames} frames with cameras for {cameras.views} views of {cameras.frames} frames; "
            "expected one camera per picture"
        )


def epipolar_distances(tracks: ObjectTracks, cameras: Cameras) -> Tensor:
    """Distance of every object from the epipolar line of its partner, for all pairs of views.

    Args:
        tracks: of V views, F frames and M objects.
        cameras: of the same views, in one world (``relative_to_first()`` where views share their first pose).

    Returns:
        ``(P, F, M)`` pixels, pairs ``(0, 1), (0, 2) ... (V-2, V-1)``, the mean of both directions. NaN where an object
        is not whole in both views or the views have no baseline, as in common first frames.
    """
    check_match(tracks, cameras)
    rows = []
    points = torch.cat([tracks.centers, torch.ones_like(tracks.centers[..., :1])], -1)
    for a, b in combinations(range(cameras.views), 2):
        geometry = pair_geometry(cameras, a, b, tracks.width, tracks.height)
        forth = _line_distance(geometry.fundamental, points[a], points[b])
        back = _line_distance(geometry.fundamental.mT, points[b], points[a])
        valid = tracks.whole[a] & tracks.whole[b] & ~geometry.degenerate[:, None]
        rows.append(torch.where(valid, (forth + back) / 2, math.nan))
    return torch.stack(rows) if rows else torch.empty(0, *tracks.whole.shape[1:], dtype=torch.float64)


def _line_distance(fundamental: Tensor, points: Tensor, others: Tensor) -> Tensor:
    """``(F, M)`` distance of ``others`` from the lines of ``points``, both ``(F, M, 3)`` homogeneous."""
    lines = torch.stack([epipolar_lines(F, x.nan_to_num()) for F, x in zip(fundamental, points, strict=True)])
    return (lines * others).sum(-1).abs()


@dataclass(frozen=True, eq=False)
class Triangulation:
    """Objects in space, from all views of each frame.

    Attributes:
        points: ``(F, M, 3)`` world units; NaN where fewer than two views at different places see the whole object, or
            ``apart``.
        errors: ``(V, F, M)`` distance in pixels between the centroid seen and the image of the point, or of the mean
            direction where ``apart``; NaN where neither exists.
        radii: ``(V, F, M)`` world units: radius of a disc of the object's area at the point's depth; NaN without point.
        apart: ``(F, M)`` bool: the rays do not meet in front of all cameras that see the object, so that the best place
            is infinitely far away.
    """

    points: Tensor
    errors: Tensor
    radii: Tensor
    apart: Tensor


def triangulate(tracks: ObjectTracks, cameras: Cameras) -> Triangulation:
    """The points nearest to all rays (least squares over the views in which the object is whole)."""
    check_match(tracks, cameras)
    K = cameras.K(tracks.width, tracks.height)
    seen = tracks.whole
    pixels = torch.cat([tracks.centers, torch.ones_like(tracks.centers[..., :1])], -1).nan_to_num()
    rays = torch.einsum("vfij,vfmj->vfmi", cameras.c2w[..., :3, :3] @ torch.linalg.inv(K), pixels)
    rays = torch.nn.functional.normalize(rays, dim=-1) * seen[..., None]
    across = (torch.eye(3, dtype=rays.dtype) - rays[..., :, None] * rays[..., None, :]) * seen[..., None, None]
    normal = across.sum(0)  # (F, M, 3, 3)
    offset = torch.einsum("vfmij,vfj->fmi", across, cameras.centers)
    known = _baselines(cameras, seen)
    spread = torch.linalg.eigvalsh(normal)
    flat = spread[..., 0] <= SMALLEST_ANGLE**2 * spread[..., 2]
    identity = torch.eye(3, dtype=rays.dtype).expand_as(normal)
    points = torch.linalg.solve(torch.where((known & ~flat)[..., None, None], normal, identity), offset)
    apart = known & (flat | (seen & (_local(cameras, points)[..., 2] <= 0)).any(0))
    points = torch.where((known & ~apart)[..., None], points, math.nan)
    local = _local(cameras, points)
    direction = torch.einsum("vfij,fmj->vfmi", cameras.w2c[..., :3, :3], rays.sum(0))
    image = torch.einsum("vfij,vfmj->vfmi", K, torch.where(apart[..., None], direction, local))
    usable = seen & (image[..., 2] > 0)
    errors = (image[..., :2] / image[..., 2:] - tracks.centers).norm(dim=-1)
    focal = (K[..., 0, 0] * K[..., 1, 1]).sqrt()
    radii = (tracks.areas / math.pi).sqrt() * local[..., 2] / focal[..., None]
    return Triangulation(points, torch.where(usable, errors, math.nan), torch.where(seen, radii, math.nan), apart)


def _local(cameras: Cameras, points: Tensor) -> Tensor:
    """``(V, F, M, 3)`` points ``(F, M, 3)`` in every camera's coordinates."""
    return torch.einsum("vfij,fmj->vfmi", cameras.w2c[..., :3, :3], points) + cameras.w2c[..., None, :3, 3]


def _baselines(cameras: Cameras, seen: Tensor) -> Tensor:
    """``(F, M)`` bool: whether the cameras that see an object stand at different places."""
    centers = cameras.centers[:, :, None].expand(*seen.shape, 3)
    highest = torch.where(seen[..., None], centers, -math.inf).amax(0)
    lowest = torch.where(seen[..., None], centers, math.inf).amin(0)
    return (highest - lowest).norm(dim=-1).nan_to_num(0, 0, 0) > smallest_baseline(cameras)


def resting_errors(tracks: ObjectTracks, cameras: Cameras) -> Tensor:
    """How far objects at rest are from a single place, over all frames of all views.

    Returns:
        ``(V, F, M)`` pixels between the centroid seen and the image of the point that fits all pictures best (least
        squares, no nearer to the first camera than :data:`NEAREST` and no further than infinity). NaN where an object
        is not whole, or where all its pictures were taken from one place.
    """
    check_match(tracks, cameras)
    K = cameras.K(tracks.width, tracks.height)
    out = torch.full(tracks.whole.shape, math.nan, dtype=torch.float64)
    for m in range(len(tracks.names)):
        seen = tracks.whole[..., m]
        centers = cameras.centers[seen]
        if len(centers) < 2 or (centers.amax(0) - centers.amin(0)).norm() <= smallest_baseline(cameras):
            continue
        project = K[seen] @ (cameras.w2c[seen] @ cameras.c2w[0, 0])[:, :3]  # (N, 3, 4)
        out[..., m][seen] = torch.from_numpy(_nearest_point(project.numpy(), tracks.centers[seen][:, m].numpy()))
    return out


def _nearest_point(project: NDArray[np.float64], seen: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances ``(N,)`` of pixels ``(N, 2)`` from the images of the point that fits best.

    Args:
        project: ``(N, 3, 4)`` from the first camera's coordinates to pixels.
    """

    def residuals(point: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y, inverse_depth = point
        image = project @ np.array([x, y, 1.0, inverse_depth])
        depth = np.maximum(image[:, 2:], 1e-3)  # behind a camera: a large error that still has a slope
        return (image[:, :2] / depth - seen).ravel()

    limits = ([-np.inf, -np.inf, 0.0], [np.inf, np.inf, 1 / NEAREST])
    starts = [least_squares(residuals, [0.0, 0.0, start], bounds=limits) for start in STARTS]
    best = min(starts, key=lambda found: float(found.cost))
    return np.linalg.norm(residuals(best.x).reshape(-1, 2), axis=-1)


@dataclass(frozen=True)
class Agreement:
    """Measures of a set of views, averages over all pairs, frames and objects that can be compared.

    Attributes:
        epipolar: mean distance from the epipolar line, pixels (:func:`epipolar_distances`).
        reprojection: mean reprojection error of points triangulated in each frame, pixels (:func:`triangulate`).
        apart: fraction of them whose rays do not meet in front of the cameras.
        resting: mean distance from one place for all frames of all views, pixels (:func:`resting_errors`): for objects
            at rest. It sees what ``epipolar`` cannot, errors along the epipolar lines.
        colour: mean distance between the colours of an object in two views, RGB in [0, 1].
        size: mean of ``|log(r / r')|`` for the radii in two views: 0.1 is 10%.
        shape: mean difference of roundness between two views.
        compared: fraction of pairs, frames and objects with the object found in both views: 1 where every view shows
            every object.
    """

    epipolar: float
    reprojection: float
    apart: float
    resting: float
    colour: float
    size: float
    shape: float
    compared: float


def agreement(tracks: ObjectTracks, cameras: Cameras) -> Agreement:
    """All exact measures of agreement; NaN where there is nothing to compare.

    Raises:
        ValueError: a single view, or cameras of other numbers of views or frames.
    """
    check_match(tracks, cameras)
    if cameras.views < 2:
        raise ValueError("agreement needs two views or more; found one")
    found = triangulate(tracks, cameras)
    a, b = (torch.tensor(side) for side in zip(*combinations(range(cameras.views), 2), strict=True))
    both = (tracks.whole[a] & tracks.whole[b]).to(torch.float64)
    both = torch.where(both > 0, 0.0, math.nan)  # added: turns what cannot be compared into NaN
    tried = found.apart | found.points.isfinite().all(-1)
    return Agreement(
        epipolar=nanmean(epipolar_distances(tracks, cameras)),
        reprojection=nanmean(found.errors),
        apart=float(found.apart.sum() / tried.sum()) if bool(tried.any()) else math.nan,
        resting=nanmean(resting_errors(tracks, cameras)),
        colour=nanmean((tracks.rgb[a] - tracks.rgb[b]).norm(dim=-1) + both),
        size=nanmean((found.radii[a] / found.radii[b]).log().abs()),
        shape=nanmean((tracks.roundness[a] - tracks.roundness[b]).abs() + both),
        compared=float(((tracks.areas[a] > 0) & (tracks.areas[b] > 0)).double().mean()),
    )


def copy_control(tracks: ObjectTracks, cameras: Cameras, view: int = 0) -> Agreement:
    """:func:`agreement` of one view shown as all views: what a model would reach that repeats a video.

    Claims of agreement must beat it clearly. ``epipolar`` cannot tell where cameras look in the same direction: F is
    then antisymmetric and a copy lies on its lines. ``apart`` and ``resting`` can.
    """
    return agreement(tracks.select([view] * cameras.views), cameras)


def nanmean(values: Tensor) -> float:
    """Mean of the numbers that are not NaN; NaN if there are none."""
    return float(values.nanmean())
