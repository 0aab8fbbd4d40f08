"""What every camera format shares: single poses, in the order a file lists them, become :class:`Cameras`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from cvd_core.geometry.cameras import Cameras

Matrix = NDArray[np.float64]
Intrinsics = tuple[float, float, float, float]
"""fx, fy, cx, cy; fx and cx divided by the image width, fy and cy by the height."""


@dataclass(frozen=True)
class Pose:
    """One camera as a file states it, already in the project's convention.

    Attributes:
        view: name of the view.
        frame: number of the frame; a view's numbers need no particular start but no gaps.
        c2w: ``(4, 4)`` camera-to-world, OpenCV axes.
        intrinsics: normalised ``fx, fy, cx, cy``.
        where: file and line (or key), for messages.
    """

    view: str
    frame: int
    c2w: Matrix
    intrinsics: Intrinsics
    where: str


def gather(poses: Sequence[Pose], path: Path | str) -> Cameras:
    """Cameras of all poses: views in order of first appearance, frames in order of their numbers.

    Raises:
        ValueError: no poses; a frame that is missing in one of the views or listed twice; a matrix that is no rotation,
            a number that is not finite or a focal length that is not positive. The message names the place.
    """
    if not poses:
        raise ValueError(f"{path} holds no camera poses; expected at least one")
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
        if len(frames) < last - first + 1:
            missing = next(n for n in count(first) if n not in frames)
            raise ValueError(
                f"{path}: view {name!r} has no frame {missing}; every view needs all frames {first} to {last}. "
                "Add the missing frames, or cut all views to the frames they share"
            )
    ordered = [[frames[n] for n in sorted(frames)] for frames in views.values()]
    try:
        return Cameras(
            torch.from_numpy(np.array([[pose.c2w for pose in view] for view in ordered], dtype=np.float64)),
            torch.tensor([[pose.intrinsics for pose in view] for view in ordered], dtype=torch.float64),
            tuple(views),
        )
    except ValueError:
        for pose in poses:
            _check(pose)  # the same complaint, with the place in the file
        raise


def _check(pose: Pose) -> None:
    try:
        Cameras(torch.from_numpy(pose.c2w)[None, None], torch.tensor([[pose.intrinsics]], dtype=torch.float64), ("-",))
    except ValueError as error:
        problem = str(error).removeprefix("camera of -, frame 0, ")
        raise ValueError(f"{pose.where}: this camera {problem}") from error


def pose_matrix(values: ArrayLike, where: str) -> Matrix:
    """``(4, 4)`` matrix from 3x4 or 4x4 numbers.

    Raises:
        ValueError: any other shape, or something that is no number.
    """
    try:
        matrix = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{where}: not a matrix of numbers; expected 3x4 or 4x4 numbers") from error
    if matrix.shape not in {(3, 4), (4, 4)}:
        raise ValueError(f"{where}: a matrix of shape {matrix.shape}; expected 3x4 or 4x4 numbers")
    return matrix if len(matrix) == 4 else np.vstack([matrix, [0.0, 0.0, 0.0, 1.0]])


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


def check_names(cameras: Cameras, path: Path) -> None:
    """Refuse view names that cannot be part of a file name, or that two views share.

    Raises:
        ValueError: naming the view.
    """
    seen: set[str] = set()
    for name in cameras.names:
        if name.strip(" .") != name or not name.isprintable() or not name or set(name) & set('/\\:*?"<>|'):
            raise ValueError(f"cannot write {path}: the view name {name!r} cannot be part of a file name; rename it")
        if name.casefold() in seen:
            raise ValueError(f"cannot write {path}: two views are called {name!r}; give every view its own name")
        seen.add(name.casefold())


def check_constant_intrinsics(cameras: Cameras, path: Path, instead: str) -> None:
    """For formats without intrinsics, which are then given by hand when reading: once for all views and frames.

    Raises:
        ValueError: the intrinsics change between views or frames, so they would be lost.
    """
    if bool((cameras.intrinsics != cameras.intrinsics[0, 0]).any()):
        raise ValueError(
            f"cannot write {path}: this format holds no intrinsics, but those of the cameras change between views or "
            f"frames and would be lost; {instead}"
        )


def require_intrinsics(intrinsics: Intrinsics | None, place: Path | str) -> Intrinsics:
    """The intrinsics given by hand, for a file that has none.

    Raises:
        ValueError: none were given.
    """
    if intrinsics is None:
        raise ValueError(
            f"{place} holds no intrinsics; give fx, fy, cx, cy (fx and cx divided by the image width, fy and cy by the "
            "height), for example 1.01 1.01 0.5 0.5 for a 24 mm lens on a square 23.76 mm sensor"
        )
    return intrinsics


def refuse_intrinsics(intrinsics: Intrinsics | None, path: Path) -> None:
    """Refuse intrinsics given by hand for a file that states its own.

    Raises:
        ValueError: some were given.
    """
    if intrinsics is not None:
        raise ValueError(f"{path} states its own intrinsics; leave out the ones given by hand ({intrinsics})")


def image_size(width: int | None, height: int | None, path: Path) -> tuple[int, int]:
    """Width and height for a format that counts in pixels.

    Raises:
        ValueError: one of them is missing or not positive.
    """
    if width is None or height is None or width <= 0 or height <= 0:
        raise ValueError(
            f"cannot write {path}: this format counts in pixels, but the image size is {width} x {height}; give the "
            "width and height of the images"
        )
    return width, height
