"""Camera rigs: sets of V trajectories that leave one common first pose, the identity.

``circle``, ``upper_hemi`` and ``interpolate`` are the rigs of CVD's released code: every view moves in a straight line
to a place around the start while it turns towards a point straight ahead. ``orbit`` and ``stereo`` are rigs of our own.
OpenCV axes, camera-to-world, float64; distances in world units, angles in degrees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from cvd_core.geometry import moves
from cvd_core.geometry.cameras import Cameras, check_count
from cvd_core.geometry.interpolation import Array, CameraPath, Easing, clip_times
from cvd_core.geometry.moves import DEFAULT_FOCAL, FORWARD, RIGHT, Motion, Parameter
from cvd_core.geometry.validation import count, number, pick

SUBJECT = FORWARD
"""The point all views of CVD's rigs turn to."""


@dataclass(frozen=True)
class Rig:
    """An entry of :data:`RIGS`: ``build(views=..., frames=..., easing=..., **parameters)`` returns V motions."""

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    build: Callable[..., list[Motion]]


RIGS: dict[str, Rig] = {}
"""Every rig by name, for menus and command lines."""

Build = TypeVar("Build", bound=Callable[..., list[Motion]])


def make_rig(
    name: str,
    views: int,
    frames: int = 16,
    *,
    easing: Easing = "linear",
    focal: float = DEFAULT_FOCAL,
    aspect: float = 1.0,
    **parameters: float,
) -> Cameras:
    """The rig ``name`` of :data:`RIGS`, e.g. ``make_rig("circle", 4, distance=0.5)``.

    Args:
        views: V, at least 1; odd numbers are welcome.
        frames: F, at least 1; a single frame is the common first pose.
        easing: an :data:`~cvd_core.geometry.interpolation.Easing`.
        focal: focal length divided by the image width; pixels are square.
        aspect: image width divided by height.
        parameters: numbers by the names that :data:`RIGS` lists; those left out have their defaults.

    Raises:
        ValueError: an unknown rig, easing or parameter (the message lists the choices), fewer than one view or frame,
            or a number that is not finite or out of range.
    """
    rig = pick("rig", name, RIGS)
    moves.check_names("rig", name, rig.parameters, parameters)
    check_count(count("views", views), count("frames", frames))
    motions = rig.build(views=views, frames=frames, easing=easing, **parameters)
    return Cameras.concatenate([motion.cameras(focal, aspect) for motion in motions])


def _rig(description: str, **units: str) -> Callable[[Build], Build]:
    """Enter the decorated function in :data:`RIGS` under its own name."""

    def enter(build: Build) -> Build:
        RIGS[build.__name__] = Rig(build.__name__, description, moves.parameters_of(build, **units), build)
        return build

    return enter


@_rig("Out to the points of a circle around the start, turning to the subject", distance="world units, radius")
def circle(views: int, frames: int, easing: Easing, distance: float = 0.5) -> list[Motion]:
    """View i ends at angle 2 pi i / V of the circle, counted from the right."""
    a = 2 * np.pi * np.arange(views) / views
    return _depart(np.stack([np.cos(a), np.sin(a), np.zeros(views)], -1), distance, frames, easing)


@_rig("Out to the points of the upper half circle, turning to the subject", distance="world units, radius")
def upper_hemi(views: int, frames: int, easing: Easing, distance: float = 0.5) -> list[Motion]:
    """View i ends at angle pi i / (V - 1) of the half circle from the left over the top to the right."""
    a = np.pi + np.linspace(0, np.pi, views)  # a single view takes the first point, on the left
    return _depart(np.stack([np.cos(a), np.sin(a), np.zeros(views)], -1), distance, frames, easing)


@_rig("Out to points that sweep from right to left, bent and tilted", distance="world units, half the sweep's width")
def interpolate(views: int, frames: int, easing: Easing, distance: float = 0.5) -> list[Motion]:
    """View i ends at a = pi i / (V - 1) of (cos a, 0.3 cos(a + 0.5), -0.2 sin a) x distance."""
    a = np.linspace(0, np.pi, views)  # a single view takes the first point, on the right
    return _depart(np.stack([np.cos(a), 0.3 * np.cos(a + 0.5), -0.2 * np.sin(a)], -1), distance, frames, easing)


@_rig(
    "Arcs around the subject that fan out to both sides, looking at it",
    angle="degrees between the outermost views",
    distance="world units to the subject",
)
def orbit(views: int, frames: int, easing: Easing, angle: float = 60.0, distance: float = 1.0) -> list[Motion]:
    """View i ends at an azimuth between -angle / 2, left, and angle / 2, right."""
    half = number("angle", angle, positive=True) / 2
    return [moves.orbit(half * side, frames, easing, distance=distance) for side in _sides(views)]


@_rig(
    "Side by side, looking straight ahead, moving apart to the full baseline",
    baseline="world units between the outermost views",
)
def stereo(views: int, frames: int, easing: Easing, baseline: float = 0.5) -> list[Motion]:
    """View i ends at an x between -baseline / 2 and baseline / 2, having started with the others at 0."""
    half = number("baseline", baseline, positive=True) / 2
    return [moves.truck(half * side, frames, easing) for side in _sides(views)]


def _sides(views: int) -> Array:
    """``(V,)`` evenly spaced places from -1, left, to 1, right; a single view goes right, since the middle rests."""
    return np.linspace(-1.0, 1.0, views) if views > 1 else np.ones(1)


def _depart(directions: Array, distance: float, frames: int, easing: Easing) -> list[Motion]:
    """Straight lines from the start to ``directions`` ``(V, 3)`` x ``distance``, slerping to look at the subject."""
    centers = number("distance", distance, positive=True) * directions
    ends = np.tile(np.eye(4), (len(centers), 1, 1))
    ends[:, :3, :3], ends[:, :3, 3] = _look_at_subject(centers), centers
    lens = np.ones((2, 4))
    paths = [CameraPath([np.eye(4), end], lens, [0, 1]) for end in ends]
    u = clip_times(frames, easing)
    return [Motion(path.at(u)[0], np.ones(len(u))) for path in paths]


def _look_at_subject(centers: Array) -> Array:
    """Rotations ``(V, 3, 3)`` that look from ``centers`` at the subject, their y axis in the world's y-z plane.

    The released code leaves z at its unnormalised length and hands the result to scipy, whose newer versions take the
    nearest rotation. The columns are orthogonal, so that is the same as normalising z.
    """
    z = SUBJECT - centers
    y = np.cross(z, RIGHT)
    axes = np.stack([np.cross(y, z), y, z], -1)
    return axes / np.linalg.norm(axes, axis=-2, keepdims=True)
