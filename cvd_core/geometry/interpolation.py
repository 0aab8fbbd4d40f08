"""Smooth camera paths through keyframes, and the easing curves a camera starts and stops with.

Rotations are interpolated by slerp, positions by a cubic Hermite spline, focal lengths geometrically. Everything is
numpy, float64, OpenCV axes, camera-to-world.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicHermiteSpline, PchipInterpolator
from scipy.spatial.transform import Rotation, Slerp

from cvd_core.geometry.validation import count, finite, number, pick

Array = NDArray[np.float64]

EASINGS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda u: u,
    "ease-in": lambda u: u**2,
    "ease-out": lambda u: u * (2 - u),
    "ease-in-out": lambda u: u**2 * (3 - 2 * u),
}
"""Monotone maps of [0, 1] onto itself, from the fraction of time gone by to the fraction of the way done."""

Easing = str | Sequence[Sequence[float]]
"""A name of :data:`EASINGS`, or the points ``(time, way)`` of a curve of one's own: see :func:`easing_curve`."""

TURN_RATE = 20.0
"""Radians per path length above which a stretch of path counts as a turn on the spot."""

_INTERVALS = 64
"""Intervals per segment in the table that inverts arc length."""


class CameraPath:
    """A camera path through N keyframes.

    With ``times`` the camera is at keyframe k at ``times[k]``. Its position is a C1 spline in time that never takes a
    run-up backwards, and stands still between equal positions.

    Without ``times`` the camera moves at constant speed: ``times[k]`` becomes the fraction of the path's arc length
    that lies before keyframe k, 0 to 1. A keyframe that repeats its predecessor takes no time. Where the camera turns
    or zooms but hardly moves, arc length says nothing; there one radian, or a focal length changed by the factor e,
    takes as long as the movement along the whole path.

    Two keyframes are joined by a straight line.

    Args:
        poses: ``(N, 4, 4)`` camera-to-world matrices, N >= 1.
        intrinsics: ``(N, 4)`` fx, fy, cx, cy.
        times: ``(N,)`` strictly increasing, or None.

    Raises:
        ValueError: shapes that do not match, no keyframe, NaN or infinity, a focal length that is not positive, or
            times that do not increase.
    """

    times: Array

    def __init__(self, poses: ArrayLike, intrinsics: ArrayLike, times: ArrayLike | None = None) -> None:
        c2w, calibration = finite("keyframe poses", poses), finite("keyframe intrinsics", intrinsics)
        n = len(c2w) if c2w.ndim else 0
        if n == 0 or c2w.shape != (n, 4, 4) or calibration.shape != (n, 4):
            raise ValueError(
                "a camera path needs poses (N, 4, 4) and intrinsics (N, 4) of at least one keyframe; found "
                f"{c2w.shape} and {calibration.shape}"
            )
        if not (calibration[:, :2] > 0).all():
            raise ValueError(f"the smallest keyframe focal length is {calibration[:, :2].min():g}; it must be positive")
        if times is None:
            steps, on_the_spot = _step_lengths(c2w, calibration)
            kept = np.concatenate([[True], steps > 1e-9 * steps.sum()])
            knots = np.concatenate([[0.0], np.cumsum(steps)])[kept]
        else:
            self.times = knots = finite("keyframe times", times)
            kept = np.ones(n, bool)
            if knots.shape != (n,) or not (np.diff(knots) > 0).all():
                raise ValueError(f"keyframe times are {knots.tolist()}; expected {n} numbers that increase")

        c2w, calibration = c2w[kept], calibration[kept]
        if len(knots) == 1:  # scipy interpolates between two of a kind, not from a single one
            knots, c2w, calibration = knots[0] + np.arange(2.0), c2w.repeat(2, 0), calibration.repeat(2, 0)
        self._knots = self._clock = knots
        self._position = _position_spline(knots, c2w[:, :3, 3])
        self._rotation = Slerp(knots, Rotation.from_matrix(c2w[:, :3, :3]))
        self._calibration = np.concatenate([np.log(calibration[:, :2]), calibration[:, 2:]], -1)
        self._arc_length: Callable[[Array], Array] | None = None
        if times is None:
            self.times = np.zeros(n)
            if kept.sum() > 1:
                clock, fine = _arc_length_table(self._position, knots, on_the_spot[kept[1:]])
                self._arc_length, self._clock = PchipInterpolator(clock, fine), clock[::_INTERVALS]
                self.times = self._clock[np.cumsum(kept) - 1]

    def at(self, times: ArrayLike) -> tuple[Array, Array]:
        """Poses ``(M, 4, 4)`` and intrinsics ``(M, 4)`` at ``times`` ``(M,)``; the camera rests before and after."""
        t = np.clip(finite("times", times), self.times[0], self.times[-1])
        knot = np.interp(t, self._clock, self._knots)
        place = knot if self._arc_length is None else self._arc_length(t)
        c2w = np.tile(np.eye(4), (len(t), 1, 1))
        c2w[:, :3, :3] = self._rotation(knot).as_matrix()
        c2w[:, :3, 3] = self._position(np.clip(place, self._knots[0], self._knots[-1]))
        calibration = np.stack([np.interp(knot, self._knots, column) for column in self._calibration.T], -1)
        calibration[:, :2] = np.exp(calibration[:, :2])
        return c2w, calibration


def clip_times(frames: int, easing: Easing = "linear") -> Array:
    """``(frames,)`` fractions of the way done: 0 at the first frame, 1 at the last; a single frame is the first.

    Raises:
        ValueError: fewer than one frame, or as :func:`easing_curve`.
    """
    curve = easing_curve(easing)
    return curve(np.linspace(0.0, 1.0, count("frames", frames)))


def spaced_frames(frames: int, most: int) -> list[int]:
    """At most ``most`` of a clip's frames, evenly spaced, the first and the last among them."""
    return sorted({round(frame) for frame in np.linspace(0, frames - 1, min(frames, most))})


def easing_curve(easing: Easing) -> Callable[[Array], Array]:
    """The map from the fraction of time gone by to the fraction of the way done, both from 0 to 1.

    Points are joined by a smooth curve from (0, 0) through all of them to (1, 1) that never goes back or overshoots
    (PCHIP); its slope is the camera's speed, and two points of the same way are a pause.

    Raises:
        ValueError: an unknown name; no points, or points whose times do not increase strictly between 0 and 1 or whose
            ways go back or leave [0, 1].
    """
    if isinstance(easing, str):
        return pick("easing", easing, EASINGS)
    if not len(easing):
        raise ValueError("an easing curve needs at least one point (time, way); found none")
    if any(isinstance(point, str) or len(point) != 2 for point in easing):
        raise ValueError("an easing curve is a list of points (time, way), two numbers each")
    points = np.array([[number("easing point", value) for value in point] for point in easing])
    time, way = np.concatenate([[[0.0, 0.0]], points, [[1.0, 1.0]]]).T
    if not (np.diff(time) > 0).all():
        raise ValueError(
            f"the times of an easing curve are {points[:, 0].tolist()}; expected numbers that increase between 0 and 1"
        )
    if not (np.diff(way) >= 0).all():
        raise ValueError(
            f"the ways of an easing curve are {points[:, 1].tolist()}; expected numbers from 0 to 1 that never decrease"
        )
    return PchipInterpolator(time, way)


def _norm(vectors: Array) -> Array:
    return np.sqrt((vectors**2).sum(-1))


def _shorten(vectors: Array, limits: Array) -> Array:
    """``vectors`` ``(N, 3)``, those longer than their limit scaled down to it."""
    lengths = _norm(vectors)
    return vectors * np.divide(limits, lengths, out=np.ones_like(lengths), where=lengths > limits)[:, None]


def _step_lengths(poses: Array, intrinsics: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Length ``(N-1,)`` of every step of a constant-speed path, and which steps are turns or zooms on the spot."""
    chord = _norm(np.diff(poses[:, :3, 3], axis=0))
    difference = np.diff(poses[:, :3, :3], axis=0).reshape(-1, 9)  # has norm sqrt(8) sin(angle / 2)
    angle = 2 * np.arcsin(np.minimum(_norm(difference) / math.sqrt(8), 1))
    zoom = np.abs(np.diff(np.log(intrinsics[:, :2]), axis=0)).max(-1, initial=0)
    change = np.maximum(angle, zoom) * (chord.sum() or 1)
    on_the_spot = chord * TURN_RATE <= change
    return np.where(on_the_spot, change, chord), on_the_spot


def _position_spline(knots: Array, points: Array) -> CubicHermiteSpline:
    """C1 spline through ``points`` ``(N, 3)``, N >= 2; each segment depends on four points only.

    Tangents are those of the parabola through three neighbours, kept short: at most three times the slower of the two
    adjacent average velocities, the bound of monotone interpolation (Fritsch and Carlson 1980), here on the vector's
    norm so that the curve does not depend on the axes. A neighbour less than a tenth as far away as the other loses its
    say, as the direction to a point that almost repeats is noise. The end segments are parabolas, unless these would
    begin by moving backwards.
    """
    h = np.diff(knots)[:, None]
    slopes = np.diff(points, axis=0) / h
    before = h[1:] * np.minimum(10 * h[:-1] / h[1:], 1) ** 2
    after = h[:-1] * np.minimum(10 * h[1:] / h[:-1], 1) ** 2
    inner = (before * slopes[:-1] + after * slopes[1:]) / (before + after)
    inner = _shorten(inner, 3 * np.minimum(_norm(slopes[:-1]), _norm(slopes[1:])))
    tangents = np.concatenate([slopes[:1], inner, slopes[-1:]])
    ends = slopes[[0, -1]]
    tangents[[0, -1]] = 2 * ends - _shorten(tangents[[1, -2]], 2 * _norm(ends))
    return CubicHermiteSpline(knots, points, tangents)


def _arc_length_table(spline: CubicHermiteSpline, knots: Array, on_the_spot: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Fraction of the arc length (0 to 1) before each of the finely spaced knots, and those knots."""
    fractions = np.arange(_INTERVALS) / _INTERVALS
    fine = np.append((knots[:-1, None] + np.diff(knots)[:, None] * fractions).ravel(), knots[-1])
    width = np.diff(fine)
    nodes, weights = np.polynomial.legendre.leggauss(4)
    samples = fine[:-1, None] + width[:, None] * (nodes + 1) / 2
    length = width * (_norm(spline(samples, 1)) @ weights) / 2
    length = np.where(on_the_spot.repeat(_INTERVALS), width, length)
    total = np.concatenate([[0.0], np.cumsum(length)])
    return total / total[-1], fine
