"""Trajectories from keyframes, and what is done to whole trajectories: reverse, resample, fold.

OpenCV axes (x right, y down, z forward), camera-to-world.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from cvd_core.geometry.cameras import Cameras, check_count
from cvd_core.geometry.interpolation import Array, CameraPath, Easing, clip_times, easing_curve
from cvd_core.geometry.moves import DEFAULT_FOCAL, DOWN, RIGHT, square_pixels
from cvd_core.geometry.validation import count, number


@dataclass(frozen=True)
class Keyframe:
    """Where a camera is at one moment.

    Plain numbers and strings only: ``dataclasses.asdict`` turns it into JSON, ``Keyframe(**...)`` back.

    Args:
        position: camera centre in world units.
        rotation: camera-to-world quaternion x, y, z, w of any length but zero. With neither this nor ``look_at`` the
            camera looks along +z.
        look_at: instead of ``rotation``: the point the camera looks at, upright. Between two keyframes that both have
            one the camera keeps looking, at a point that moves straight from the one target to the other.
        focal: focal length divided by the image width.
        time: when the camera is here, in any unit. Give it for all keyframes of a path or for none: without times the
            camera moves at constant speed.
        easing: of the way from here to the next keyframe, an :data:`~cvd_core.geometry.interpolation.Easing`.

    Raises:
        ValueError: numbers that are missing or not finite, a zero quaternion, both rotation and look_at, a target at
            the camera's own position, a focal length that is not positive, or no easing.
    """

    position: tuple[float, float, float]
    rotation: tuple[float, float, float, float] | None = None
    look_at: tuple[float, float, float] | None = None
    focal: float = DEFAULT_FOCAL
    time: float | None = None
    easing: Easing = "linear"

    def __post_init__(self) -> None:
        object.__setattr__(self, "position", _numbers("position", self.position, 3))
        if self.rotation is not None and self.look_at is not None:
            raise ValueError("a keyframe has both a rotation and a look_at target; give one of them")
        if self.rotation is not None:
            object.__setattr__(self, "rotation", _numbers("rotation", self.rotation, 4))
            if not any(self.rotation):
                raise ValueError("keyframe rotation is a zero quaternion; no rotation is 0, 0, 0, 1 (x, y, z, w)")
        if self.look_at is not None:
            object.__setattr__(self, "look_at", _numbers("look_at", self.look_at, 3))
        number("keyframe focal", self.focal, positive=True)
        if self.time is not None:
            number("keyframe time", self.time)
        easing_curve(self.easing)
        self.pose()  # finds a look_at target at the camera's own position

    def pose(self) -> Array:
        """``(4, 4)`` camera-to-world matrix."""
        c2w = np.eye(4)
        c2w[:3, 3] = self.position
        if self.look_at is not None:
            c2w[:3, :3] = look_at(c2w[:3, 3], np.array(self.look_at))
        elif self.rotation is not None:
            c2w[:3, :3] = Rotation.from_quat(self.rotation).as_matrix()
        return c2w


def from_keyframes(
    keyframes: Sequence[Keyframe], frames: int = 16, *, easing: Easing = "linear", aspect: float = 1.0, name: str = ""
) -> Cameras:
    """One view along a smooth path through ``keyframes``, from the first of them to the last.

    The path stays where the keyframes put it; ``relative_to_first()`` moves it to the identity. How the camera gets
    from one keyframe to the next: :class:`~cvd_core.geometry.interpolation.CameraPath`.

    Args:
        keyframes: at least one.
        frames: F, at least 1, spread evenly over the path's time.
        easing: of the path as a whole, on top of that of its keyframes; a curve of points is the path's speed graph.
        aspect: image width divided by height; pixels are square.
        name: label of the view; empty for ``view0``.

    Raises:
        ValueError: no keyframes, times for some of them only or times that do not increase, fewer than one frame, an
            unknown easing, an aspect that is not positive, or a camera that runs into the point it looks at.
    """
    if not keyframes:
        raise ValueError("a trajectory needs at least one keyframe; found none")
    times = [key.time for key in keyframes if key.time is not None]
    if 0 < len(times) < len(keyframes):
        raise ValueError(f"{len(times)} of {len(keyframes)} keyframes have a time; give one to all of them or to none")
    check_count(1, count("frames", frames))
    intrinsics = square_pixels(np.array([key.focal for key in keyframes], np.float64), aspect)
    path = CameraPath([key.pose() for key in keyframes], intrinsics, times or None)

    t = path.times[0] + (path.times[-1] - path.times[0]) * clip_times(frames, easing)
    segment = np.searchsorted(path.times[1:-1], t, side="right")
    following = np.minimum(segment + 1, len(keyframes) - 1)
    start, duration = path.times[segment], path.times[following] - path.times[segment]
    part = np.divide(t - start, duration, out=np.zeros_like(t), where=duration > 0)
    for k in np.unique(segment):
        part[segment == k] = easing_curve(keyframes[k].easing)(part[segment == k])
    c2w, intrinsics = path.at(start + duration * part)

    aimed = np.array([key.look_at is not None for key in keyframes])
    targets = np.array([key.look_at or (0, 0, 0) for key in keyframes], np.float64)
    target = targets[segment] + part[:, None] * (targets[following] - targets[segment])
    looking = aimed[segment] & aimed[following]
    c2w[looking, :3, :3] = look_at(c2w[looking, :3, 3], target[looking])
    names = (name,) if name else ()
    return Cameras(torch.from_numpy(c2w[None]), torch.from_numpy(intrinsics[None]), names)


def look_at(positions: Array, targets: Array) -> Array:
    """Rotations ``(..., 3, 3)`` of upright cameras at ``positions`` ``(..., 3)`` that look at ``targets`` ``(..., 3)``.

    Upright: the x axis is horizontal. Straight up and straight down, where every camera is, it is the world's x.

    Raises:
        ValueError: a target at its camera's position.
    """
    z = targets - positions
    distance = np.linalg.norm(z, axis=-1, keepdims=True)
    if (distance == 0).any():
        raise ValueError(f"a camera at {positions[distance[..., 0] == 0][0].tolist()} cannot look at its own position")
    z = z / distance
    x = np.cross(DOWN, z)
    level = np.linalg.norm(x, axis=-1, keepdims=True)
    x = np.where(level > 1e-9, x / np.maximum(level, 1e-9), RIGHT)
    y = np.cross(z, x)
    return np.stack([x, y / np.linalg.norm(y, axis=-1, keepdims=True), z], -1)


def reverse(cameras: Cameras) -> Cameras:
    """The same trajectories from the last frame to the first; ``relative_to_first()`` moves them to the identity."""
    return replace(cameras, c2w=cameras.c2w.flip(1), intrinsics=cameras.intrinsics.flip(1))


def resample(cameras: Cameras, frames: int) -> Cameras:
    """The same trajectories in ``frames`` frames, at the same times of the clip: fast stays fast, a pause a pause.

    The first and the last camera are kept exactly; with one frame only the first is. Cameras that already have
    ``frames`` frames are returned as they are.

    Raises:
        ValueError: fewer than one frame, or more cameras than :func:`~cvd_core.geometry.cameras.check_count` allows.
    """
    if count("frames", frames) == cameras.frames:
        return cameras
    check_count(cameras.views, frames)
    c2w = torch.empty(cameras.views, frames, 4, 4, dtype=torch.float64)
    intrinsics = torch.empty(cameras.views, frames, 4, dtype=torch.float64)
    for view in range(cameras.views):
        path = CameraPath(cameras.c2w[view].numpy(), cameras.intrinsics[view].numpy(), np.arange(cameras.frames))
        poses, lenses = path.at(np.linspace(0, cameras.frames - 1, frames))
        c2w[view], intrinsics[view] = torch.from_numpy(poses), torch.from_numpy(lenses)
    for new, old in ((c2w, cameras.c2w), (intrinsics, cameras.intrinsics)):
        new[:, -1], new[:, 0] = old[:, -1], old[:, 0]  # in this order, for a single frame is the first
    return replace(cameras, c2w=c2w, intrinsics=intrinsics)


def fold(cameras: Cameras) -> Cameras:
    """A pair of trajectories with a common first pose, cut from one path at its middle (CVD paper, Sec. 4.2).

    A path of 2F - 1 frames becomes two views of F: the first runs from the middle frame back to the start, the second
    from the middle on to the end. ``relative_to_first()`` moves the common pose to the identity.

    Raises:
        ValueError: more than one view, or an even number of frames.
    """
    if cameras.views != 1:
        raise ValueError(f"{cameras.views} views were given to fold; it folds one path, so select([...]) one view")
    if cameras.frames % 2 == 0:
        raise ValueError(
            f"a path of {cameras.frames} frames has no middle frame to fold at; drop a frame or resample it to an odd "
            f"number such as {cameras.frames + 1}"
        )
    middle = cameras.frames // 2
    halves = (slice(None, middle + 1), slice(middle, None))
    back, on = (replace(cameras, c2w=cameras.c2w[:, h], intrinsics=cameras.intrinsics[:, h]) for h in halves)
    name = cameras.names[0]
    return replace(Cameras.concatenate([reverse(back), on]), names=(f"{name} back", f"{name} on"))


def _numbers(name: str, values: object, length: int) -> tuple[float, ...]:
    if not isinstance(values, Iterable) or isinstance(values, str) or len(numbers := list(values)) != length:
        raise ValueError(f"keyframe {name} is {values!r}; expected {length} numbers")
    return tuple(number(f"keyframe {name}", value) for value in numbers)
