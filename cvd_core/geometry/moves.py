"""Named camera moves of one view: what a cinematographer calls truck, pan or orbit, as numbers.

Every move starts at the identity and is done at the last frame, so its amount is for the whole clip and does not
depend on the number of frames. Translations are truck, pedestal and dolly; rotations are pan, tilt and roll. Angles are
in degrees, distances in world units. All arrays are numpy, float64, OpenCV axes (x right, y down, z forward),
camera-to-world.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.interpolation import Array, Easing, clip_times
from cvd_core.geometry.validation import number, pick

DEFAULT_FOCAL = 223.578 / 256
"""Focal length divided by the image width: the camera of CVD's own rigs, 60 degrees wide."""

RIGHT, DOWN, FORWARD = np.eye(3)


@dataclass(frozen=True, eq=False)
class Motion:
    """Movement of one camera relative to where it starts.

    Args:
        poses: ``(F, 4, 4)`` camera-to-world matrices; the first is the identity.
        zoom: ``(F,)`` factors on the focal length; the first is 1.
    """

    poses: Array
    zoom: Array

    def cameras(self, focal: float = DEFAULT_FOCAL, aspect: float = 1.0, name: str = "") -> Cameras:
        """One view of square pixels that moves so.

        Args:
            focal: focal length at the start, divided by the image width.
            aspect: image width divided by height.
            name: label of the view; empty for ``view0``.

        Raises:
            ValueError: a focal length or aspect that is not positive and finite.
        """
        intrinsics = square_pixels(number("focal", focal, positive=True) * self.zoom, aspect)
        names = (name,) if name else ()
        return Cameras(torch.from_numpy(self.poses[None]), torch.from_numpy(intrinsics[None]), names)


@dataclass(frozen=True)
class Parameter:
    """One number a preset takes: its name, its unit and sign convention, and the value it has when none is given."""

    name: str
    unit: str
    default: float


@dataclass(frozen=True)
class Move:
    """An entry of :data:`MOVES`: ``build(frames=..., easing=..., **parameters)`` returns the :class:`Motion`."""

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    build: Callable[..., Motion]


MOVES: dict[str, Move] = {}
"""Every move by name, for menus and command lines."""

Build = TypeVar("Build", bound=Callable[..., Motion])


def make_move(name: str, frames: int = 16, easing: Easing = "linear", **parameters: float) -> Motion:
    """The move ``name`` of :data:`MOVES`, e.g. ``make_move("pan", 16, amount=30)``.

    Args:
        frames: F, at least 1.
        easing: an :data:`~cvd_core.geometry.interpolation.Easing`.
        parameters: numbers by the names that :data:`MOVES` lists; those left out have their defaults.

    Raises:
        ValueError: an unknown move, easing or parameter (the message lists the choices), fewer than one frame, or a
            number that is not finite or out of range.
    """
    move = pick("move", name, MOVES)
    check_names("move", name, move.parameters, parameters)
    return move.build(frames=frames, easing=easing, **parameters)


def combine(*motions: Motion) -> Motion:
    """Several moves at once: each is made in the moving frame of those before it, zooms multiply.

    The first is the vehicle, the next is what the camera does on it: ``combine(truck, pan)`` looks around from a track
    that stays straight, ``combine(pan, truck)`` moves sideways to where it looks, ``combine(orbit, dolly)`` closes in
    on the subject while circling it.

    Raises:
        ValueError: no moves, or moves of different lengths.
    """
    if not motions:
        raise ValueError("no moves to combine; give at least one")
    lengths = [len(motion.poses) for motion in motions]
    if len(set(lengths)) > 1:
        raise ValueError(f"moves of {lengths} frames cannot be combined; make them equally long")
    poses, zoom = motions[0].poses, motions[0].zoom
    for motion in motions[1:]:
        poses, zoom = poses @ motion.poses, zoom * motion.zoom
    return Motion(poses, zoom)


def square_pixels(focal: Array, aspect: float) -> Array:
    """Intrinsics ``(..., 4)`` of square pixels and a centred principal point, for focal lengths ``(...)``.

    ``focal`` is divided by the image width, ``aspect`` is width / height, so fy = focal * aspect.
    """
    ratio = number("aspect", aspect, positive=True)
    return np.stack([focal, focal * ratio, np.full_like(focal, 0.5), np.full_like(focal, 0.5)], -1)


def parameters_of(build: Callable[..., object], **units: str) -> tuple[Parameter, ...]:
    """The parameters named in ``units``, with the defaults ``build`` declares for them."""
    declared = inspect.signature(build).parameters
    return tuple(Parameter(name, unit, declared[name].default) for name, unit in units.items())


def check_names(kind: str, name: str, parameters: tuple[Parameter, ...], given: Mapping[str, object]) -> None:
    """Raise ValueError if ``given`` holds a name that the preset ``name`` does not take."""
    known = [parameter.name for parameter in parameters]
    for key in given:
        if key not in known:
            raise ValueError(f"{kind} {name!r} has no parameter {key!r}; it takes {', '.join(known) or 'none'}")


def _move(description: str, **units: str) -> Callable[[Build], Build]:
    """Enter the decorated function in :data:`MOVES` under its own name."""

    def enter(build: Build) -> Build:
        MOVES[build.__name__] = Move(build.__name__, description, parameters_of(build, **units), build)
        return build

    return enter


@_move("The camera does not move")
def static(frames: int = 16, easing: Easing = "linear") -> Motion:
    """The camera does not move."""
    return _motion(clip_times(frames, easing))


@_move("Translate sideways", amount="world units, positive moves right")
def truck(amount: float = 0.5, frames: int = 16, easing: Easing = "linear") -> Motion:
    """Translate along x by ``amount`` world units; positive moves right."""
    return _translate(RIGHT, amount, frames, easing)


@_move("Translate vertically", amount="world units, positive moves up")
def pedestal(amount: float = 0.5, frames: int = 16, easing: Easing = "linear") -> Motion:
    """Translate vertically by ``amount`` world units; positive moves UP, which is along -y."""
    return _translate(-DOWN, amount, frames, easing)


@_move("Translate along the view", amount="world units, positive moves forward")
def dolly(amount: float = 0.5, frames: int = 16, easing: Easing = "linear") -> Motion:
    """Translate along z by ``amount`` world units; positive moves forward."""
    return _translate(FORWARD, amount, frames, easing)


@_move("Turn sideways on the spot", amount="degrees, positive looks right")
def pan(amount: float = 30.0, frames: int = 16, easing: Easing = "linear") -> Motion:
    """Turn about the vertical by ``amount`` degrees; positive looks right."""
    return _rotate(DOWN, amount, frames, easing)


@_move("Turn up or down on the spot", amount="degrees, positive looks up")
def tilt(amount: float = 15.0, frames: int = 16, easing: Easing = "linear") -> Motion:
    """Turn about the camera's x axis by ``amount`` degrees; positive looks up."""
    return _rotate(RIGHT, amount, frames, easing)


@_move("Turn about the view", amount="degrees, positive turns the camera clockwise")
def roll(amount: float = 15.0, frames: int = 16, easing: Easing = "linear") -> Motion:
    """Turn about the viewing axis by ``amount`` degrees.

    Positive turns the camera clockwise as its operator sees it, so the picture's content turns counter-clockwise.
    """
    return _rotate(FORWARD, amount, frames, easing)


@_move(
    "Arc around a target straight ahead, looking at it",
    amount="degrees around, positive moves right",
    elevation="degrees over, positive moves up",
    distance="world units to the target",
)
def orbit(
    amount: float = 45.0, frames: int = 16, easing: Easing = "linear", *, elevation: float = 0.0, distance: float = 1.0
) -> Motion:
    """Move on a sphere around the target ``distance`` straight ahead of the first camera, always looking at it.

    Args:
        amount: horizontal angle in degrees around the target; positive moves right.
        elevation: vertical angle in degrees; positive moves up.
        distance: of the target, world units.
    """
    u = clip_times(frames, easing)
    around = Rotation.from_rotvec(np.outer(-number("amount", amount) * u, DOWN), degrees=True)
    over = Rotation.from_rotvec(np.outer(-number("elevation", elevation) * u, RIGHT), degrees=True)
    rotations = around * over
    target = number("distance", distance, positive=True) * FORWARD
    return _motion(u, target - rotations.apply(target), rotations)


@_move("Change the focal length", amount="factor, above 1 zooms in")
def zoom(amount: float = 2.0, frames: int = 16, easing: Easing = "linear") -> Motion:
    """Change the focal length to ``amount`` times itself, by the same factor per frame; above 1 zooms in."""
    u = clip_times(frames, easing)
    return Motion(_motion(u).poses, number("amount", amount, positive=True) ** u)


@_move(
    "Sway like a camera in the hand",
    amount="world units, root mean square per axis",
    rotation="degrees, root mean square per axis",
    cycles="sways per clip",
    seed="whole number from 0",
)
def handheld(
    amount: float = 0.02,
    frames: int = 16,
    easing: Easing = "linear",
    *,
    rotation: float = 0.5,
    cycles: float = 3.0,
    seed: int = 0,
) -> Motion:
    """Sway like a camera in the hand: smooth noise in position and rotation, zero at the first frame.

    The noise is a function of the fraction of the clip gone by, so more frames sample the same path more finely.

    Args:
        amount: root mean square of the sway along each axis about its mean, world units.
        rotation: the same about each axis, degrees.
        cycles: sways per clip.
        seed: whole number from 0; equal seeds sway equally.
    """
    if number("seed", seed) < 0 or seed != int(seed):
        raise ValueError(f"seed is {seed}; expected a whole number from 0")
    rng = np.random.default_rng(int(seed))
    u = clip_times(frames, easing)
    # Six channels of four waves: slow sways are wide, tremor is small; the random factors keep the sum from repeating.
    octaves = np.array([0.5, 1.0, 2.0, 4.0])
    amplitude = octaves**-1.0 * np.sqrt(2 / (octaves**-2.0).sum())
    frequency = number("cycles", cycles, positive=True) * octaves * rng.uniform(0.8, 1.2, (6, 4))
    phase = rng.uniform(0, 2 * np.pi, (6, 4))
    waves = np.sin(2 * np.pi * frequency * u[:, None, None] + phase) - np.sin(phase)
    sway = waves @ amplitude
    turn = Rotation.from_rotvec(number("rotation", rotation) * sway[:, 3:], degrees=True)
    return _motion(u, number("amount", amount) * sway[:, :3], turn)


def _motion(u: Array, positions: Array | None = None, rotations: Rotation | None = None) -> Motion:
    poses = np.tile(np.eye(4), (len(u), 1, 1))
    if positions is not None:
        poses[:, :3, 3] = positions
    if rotations is not None:
        poses[:, :3, :3] = rotations.as_matrix()
    return Motion(poses, np.ones(len(u)))


def _translate(direction: Array, amount: float, frames: int, easing: Easing) -> Motion:
    u = clip_times(frames, easing)
    return _motion(u, np.outer(number("amount", amount) * u, direction))


def _rotate(axis: Array, amount: float, frames: int, easing: Easing) -> Motion:
    u = clip_times(frames, easing)
    return _motion(u, None, Rotation.from_rotvec(np.outer(number("amount", amount) * u, axis), degrees=True))
