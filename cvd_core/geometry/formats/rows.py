"""CAMERACTRL_POSES: the rows that ComfyUI camera nodes pass around, and that pose files hold line by line.

A row of 19 numbers is ``[time, fx, fy, cx, cy, w, h, m00 m01 m02 m03 m10 ... m23]``: normalised intrinsics, two numbers
that are 0 0 in files and the size of the image the intrinsics belong to in AnimateDiff-Evolved, and a 3x4 matrix row by
row. Rows of 18 lack the time. AnimateDiff-Evolved and CameraCtrl mean the world-to-camera matrix; the camera nodes of
ComfyUI's core put camera-to-world into the same place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Literal, NamedTuple

import numpy as np

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats.lens import checked_fractions
from cvd_core.geometry.formats.options import Convention, Intrinsics, Size
from cvd_core.geometry.formats.poses import Matrix, Pose, camera_to_world, gather, pose_matrix, w2c_of
from cvd_core.geometry.formats.text import numbers, shown

MatrixKind = Literal["w2c", "c2w"]
Row = list[float]


class ParsedRow(NamedTuple):
    """One row: ``(4, 4)`` camera-to-world, intrinsics, aspect of the stated image size, time as it stands there."""

    c2w: Matrix
    intrinsics: Intrinsics
    aspect: float | None
    time: float | None


def cameras_to_rows(
    cameras: Cameras, width: int, height: int, columns: Literal[18, 19] = 19, matrix: MatrixKind = "w2c"
) -> list[list[Row]]:
    """CAMERACTRL_POSES rows, one list per view.

    AnimateDiff-Evolved takes the intrinsics for those of a w x h image (the row's two size numbers) and rescales fx or
    fy to the aspect of the video it makes. The size numbers written here are the target's, which leaves fx and fy
    alone.

    Args:
        cameras: V views of F frames.
        width, height: the size of the video to be made, in pixels.
        columns: 19, or 18 without the leading time (always 0 here).
        matrix: what the 3x4 numbers are; see the module's text.
    """
    matrices = cameras.c2w.numpy() if matrix == "c2w" else w2c_of(cameras)
    head = [0.0] if columns == 19 else []
    return [
        [
            [*head, *K, float(width), float(height), *M[:3].reshape(-1).tolist()]
            for K, M in zip(intrinsics, view, strict=True)
        ]
        for intrinsics, view in zip(cameras.intrinsics.tolist(), matrices, strict=True)
    ]


def rows_to_cameras(
    rows: Sequence[Sequence[float]] | Sequence[Sequence[Sequence[float]]],
    matrix: MatrixKind = "w2c",
    names: Sequence[str] = (),
) -> Cameras:
    """Cameras from CAMERACTRL_POSES: the rows of one view, or a list of such lists.

    The intrinsics are returned as the rows state them. The aspect of the image size that a row states is kept in
    ``aspects``, so that :meth:`Cameras.crop_to` then crops as AnimateDiff-Evolved does, whether pixels are square or
    not.

    Args:
        rows: ``(F, 19)``, ``(V, F, 19)``, or 18 numbers each.
        matrix: what the 3x4 numbers are; see the module's text.
        names: one label per view; ``view0 ...`` if empty.

    Raises:
        ValueError: no rows, a row of another length, a number that is not finite, intrinsics that look like pixels, a
            matrix that is not a rotation, views of different lengths, or the wrong number of names. The message names
            the view and row.
    """
    source = "camera poses"
    views = [_items(view, source) for view in _items(rows, source)]
    if all(view and isinstance(view[0], Real) for view in views):
        views = [list(rows)]  # the rows of one view
    labels = tuple(names) or tuple(f"view{v}" for v in range(len(views)))
    if len(labels) != len(views):
        raise ValueError(f"{source}: {len(labels)} names for {len(views)} views; give one name per view")
    poses = []
    for label, view in zip(labels, views, strict=True):
        for frame, row in enumerate(view):
            where = f"{source}, {label}, row {frame}"
            parsed = parse_row(_items(row, where), where, matrix)
            poses.append(Pose(label, frame, parsed.c2w, parsed.intrinsics, where, parsed.aspect))
    return gather(poses, source).cameras


def _items(value: object, where: str) -> list[object]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError(f"{where}: {shown(value)} found where a list of 18 or 19 numbers per frame is expected")
    return list(value)


def parse_row(row: Sequence[object], where: str, convention: Convention = "w2c", size: Size | None = None) -> ParsedRow:
    """One row of 18 or 19 numbers.

    Args:
        row: the numbers, or words.
        where: their place, for messages.
        convention: of the 3x4 matrix.
        size: of the images, to convert intrinsics that are in pixels.

    Raises:
        ValueError: see :func:`rows_to_cameras`.
    """
    if len(row) not in {18, 19}:
        raise ValueError(
            f"{where}: {len(row)} numbers; expected 19 (time, fx, fy, cx, cy, 0, 0, the 3x4 matrix row by row), or "
            "18 without the time"
        )
    values = numbers(row, where)
    time = values[0] if len(values) == 19 else None
    *lens, w, h = values[-18:-12]
    if (w, h) != (0.0, 0.0) and min(w, h) < 1:
        raise ValueError(
            f"{where}: the two numbers after cy are {w:g} {h:g}; expected 0 0 or an image size. Lens distortion is not "
            "supported here: undistort first"
        )
    stated = (w, h) if w else None
    intrinsics = checked_fractions(lens, where, stated or size)
    matrix = pose_matrix(np.reshape(values[-12:], (3, 4)), where)
    return ParsedRow(camera_to_world(matrix, convention, where), intrinsics, w / h if stated else None, time)
