"""What every camera format shares: single poses, in the order a file lists them, become :class:`Cameras`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from cvd_core.geometry.cameras import Cameras, check_count, first_fault
from cvd_core.geometry.formats.options import Convention, Intrinsics, ReadOptions
from cvd_core.geometry.formats.recording import Recording

Matrix = NDArray[np.float64]
OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
"""OpenGL camera axes to OpenCV camera axes, and back."""
_MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])
_SQUARE = 1e-9
"""Pixels whose sides differ by less than this, relatively, are square but for rounding."""
_QUATERNION_TOLERANCE = 1e-2
"""How far a quaternion's norm may be from 1: wide enough for three printed digits, too narrow for a wrong column."""


@dataclass(frozen=True)
class Pose:
    """One camera as a file states it, already in the project's convention.

    Attributes:
        view: name of the view.
        frame: number of the frame; a view's numbers need no particular start but no gaps.
        c2w: ``(4, 4)`` camera-to-world, OpenCV axes.
        intrinsics: normalised ``fx, fy, cx, cy``.
        where: file and line (or key), for messages.
        aspect: width / height of the image, where the file states its size.
        shift: pixels by which lens distortion, which is left out, moves the image's corner.
        time: in seconds.
        image: name of the picture.
        clip: address of the view's video.
    """

    view: str
    frame: int
    c2w: Matrix
    intrinsics: Intrinsics
    where: str
    aspect: float | None = None
    shift: float = 0.0
    time: float | None = None
    image: str = ""
    clip: str = ""


def gather(poses: Sequence[Pose], path: Path | str, options: ReadOptions | None = None) -> Recording:
    """Everything that the poses hold: views in order of first appearance, frames in order of their numbers.

    A file in which every pose mirrors (determinant -1) describes a left-handed world. Its mirror image is returned:
    poses relative to each other are the same, and proper rotations.

    Warns:
        UserWarning: lens distortion was left out (of how many pixels), or the world was mirrored.

    Raises:
        ValueError: no poses or too many; a frame that is missing in one of the views or listed twice; a matrix that is
            not a rotation, a number that is not finite or a focal length that is not positive; lens distortion if the
            options refuse it. The message names the place.
    """
    if not poses:
        raise ValueError(f"{path} holds no camera poses; expected at least one")
    views = _by_view(poses, path)
    ordered = [[frames[n] for n in sorted(frames)] for frames in views.values()]
    c2w = np.array([[pose.c2w for pose in view] for view in ordered], dtype=np.float64)
    intrinsics = torch.tensor([[pose.intrinsics for pose in view] for view in ordered], dtype=torch.float64)
    with np.errstate(all="ignore"):  # huge numbers are refused below
        mirrored = len(poses) > 1 and bool((np.linalg.det(np.nan_to_num(c2w[..., :3, :3])) < 0).all())
    matrices = torch.from_numpy(_MIRROR @ c2w if mirrored else c2w)
    if fault := first_fault(matrices, intrinsics):
        view, frame, problem = fault
        raise ValueError(f"{ordered[view][frame].where}: this camera {problem}")
    if mirrored:
        warnings.warn(
            f"{path}: every pose mirrors the world (determinant -1), as in left-handed coordinates; the mirror image "
            "is read, in which all moves relative to the first pose are the same",
            UserWarning,
            stacklevel=2,
        )
    _report_distortion(poses, path, options or ReadOptions())
    times = [[pose.time for pose in view] for view in ordered]
    timed = all(time is not None for view in times for time in view)
    return Recording(
        Cameras(matrices, intrinsics, tuple(views), aspects=tuple(_aspect(view, path) for view in ordered)),
        np.array(times, np.float64) if timed else None,
        tuple(view[0].clip for view in ordered),
        tuple(tuple(pose.image for pose in view) for view in ordered) if all(pose.image for pose in poses) else (),
    )


def _by_view(poses: Sequence[Pose], path: Path | str) -> dict[str, dict[int, Pose]]:
    """Poses by view and frame number; every view has the same unbroken numbers."""
    check_count(1, len(poses))
    views: dict[str, dict[int, Pose]] = {}
    for pose in poses:
        frames = views.setdefault(pose.view, {})
        if pose.frame in frames:
            raise ValueError(
                f"{pose.where}: frame {pose.frame} of view {pose.view!r} is already given at "
                f"{frames[pose.frame].where}; keep one of the two"
            )
        frames[pose.frame] = pose
    first = min(min(frames) for frames in views.values())
    last = max(max(frames) for frames in views.values())
    for name, frames in views.items():
        if not name.isprintable() or not name:
            raise ValueError(f"{path}: the view name {name!r} cannot be printed; rename the view")
        if len(frames) < last - first + 1:
            missing = next(n for n in count(first) if n not in frames)
            raise ValueError(
                f"{path}: view {name!r} has no frame {missing}; every view needs all frames {first} to {last}. "
                "Add the missing frames, or cut all views to the frames they share"
            )
    return views


def _report_distortion(poses: Sequence[Pose], path: Path | str, options: ReadOptions) -> None:
    worst = max(poses, key=lambda pose: pose.shift)
    if worst.shift > 0 and options.pinhole_only:
        raise ValueError(
            f"{worst.where}: lens distortion that moves the picture's corner by {worst.shift:.2g} pixels; only pinhole "
            "cameras were asked for (`pinhole_only`), so undistort the images first (colmap image_undistorter)"
        )
    if worst.shift > 0:
        warnings.warn(
            f"{path}: lens distortion is left out; it moves the picture's corner by {worst.shift:.2g} pixels at most. "
            "The camera path does not depend on it",
            UserWarning,
            stacklevel=3,
        )


def _aspect(view: Sequence[Pose], path: Path | str) -> float | None:
    """Aspect of a view's images if it cannot be told from square pixels; :class:`Cameras` has one per view."""
    stated = {
        pose.aspect
        for pose in view
        if pose.aspect and abs(pose.intrinsics[1] / pose.intrinsics[0] / pose.aspect - 1) > _SQUARE
    }
    if not stated:
        return None
    if len({pose.aspect for pose in view}) > 1:
        warnings.warn(
            f"{path}: images of view {view[0].view!r} have different aspects and pixels that are not square; they are "
            "taken as square where the images are cropped",
            UserWarning,
            stacklevel=3,
        )
        return None
    return stated.pop()


def pose_matrix(values: ArrayLike, where: str) -> Matrix:
    """``(4, 4)`` matrix from 3x4 or 4x4 numbers.

    Raises:
        ValueError: any other shape, or something that is not a number.
    """
    try:
        matrix = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{where}: not a matrix of numbers; expected 3x4 or 4x4 numbers") from error
    if matrix.shape not in {(3, 4), (4, 4)}:
        raise ValueError(f"{where}: a matrix of shape {matrix.shape}; expected 3x4 or 4x4 numbers")
    return matrix if len(matrix) == 4 else np.vstack([matrix, [0.0, 0.0, 0.0, 1.0]])


def camera_to_world(matrix: Matrix, convention: Convention, where: str) -> Matrix:
    """A ``(4, 4)`` matrix of any convention as camera-to-world with OpenCV axes.

    Raises:
        ValueError: a world-to-camera matrix that is singular.
    """
    c2w = matrix if convention.startswith("c2w") else inverse(matrix, where)
    return c2w @ OPENGL if convention.endswith("opengl") else c2w


def rotation_of(quaternion: Sequence[float], where: str) -> Matrix:
    """``(3, 3)`` rotation of a quaternion x, y, z, w.

    Raises:
        ValueError: a norm that is not 1.
    """
    norm = float(np.linalg.norm(quaternion))
    if not abs(norm - 1) <= _QUATERNION_TOLERANCE:
        raise ValueError(f"{where}: the quaternion's norm is {norm:g}; expected 1. Is the order of the columns right?")
    return np.asarray(Rotation.from_quat(quaternion).as_matrix())


def inverse(matrix: Matrix, where: str) -> Matrix:
    """World-to-camera to camera-to-world and back.

    The true inverse, not the transpose: printed rotations drift by 1e-6 or more, and this way a file survives being
    read and written unchanged.

    Raises:
        ValueError: the matrix is singular.
    """
    try:
        return np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    except np.linalg.LinAlgError as error:
        raise ValueError(f"{where}: the 3x3 part is singular, so it is not a rotation; check the columns") from error


def w2c_of(cameras: Cameras) -> Matrix:
    """``(V, F, 4, 4)`` world-to-camera matrices, the counterpart of :func:`inverse`."""
    return np.linalg.inv(cameras.c2w.numpy())


def named(recording: Recording, names: Sequence[str]) -> Recording:
    """The same with other names of views."""
    return replace(recording, cameras=replace(recording.cameras, names=tuple(names)))
