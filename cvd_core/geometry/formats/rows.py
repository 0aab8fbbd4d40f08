"""CAMERACTRL_POSES: the rows that ComfyUI camera nodes pass around, and that pose files hold line by line.

A row of 19 numbers is ``[time, fx, fy, cx, cy, w, h, m00 m01 m02 m03 m10 ... m23]``: normalised intrinsics, two numbers
that are 0 0 in files and the size of the image the intrinsics belong to in AnimateDiff-Evolved, and a 3x4 matrix row by
row. Rows of 18 lack the time. AnimateDiff-Evolved and CameraCtrl mean the world-to-camera matrix; the camera nodes of
ComfyUI's core put camera-to-world into the same place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Literal

import numpy as np

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats.poses import Intrinsics, Matrix, Pose, gather, inverse, pose_matrix, w2c_of
from cvd_core.geometry.formats.text import numbers

MatrixKind = Literal["w2c", "c2w"]
Row = list[float]


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

    The intrinsics are returned as the rows state them. Where a row names an image size, AnimateDiff-Evolved would go
    on to widen fx (or fy) so that an image of that size is cropped to the video's aspect; :meth:`Cameras.crop_to` does
    the same for square pixels.

    Args:
        rows: ``(F, 19)``, ``(V, F, 19)``, or 18 numbers each.
        matrix: what the 3x4 numbers are; see the module's text.
        names: one label per view; ``view0 ...`` if empty.

    Raises:
        ValueError: no rows, a row of another length, a number that is not finite, a matrix that is no rotation, views
            of different lengths, or the wrong number of names. The message names the view and row.
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
            c2w, intrinsics = parse_row(_items(row, where), where, matrix)
            poses.append(Pose(label, frame, c2w, intrinsics, where))
    return gather(poses, source)


def _items(value: object, where: str) -> list[object]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError(f"{where}: {value!r} found where a list of 18 or 19 numbers per frame is expected")
    return list(value)


def parse_row(row: Sequence[object], where: str, matrix: MatrixKind = "w2c") -> tuple[Matrix, Intrinsics]:
    """``(4, 4)`` camera-to-world matrix and intrinsics of one row of 18 or 19 numbers.

    Raises:
        ValueError: see :func:`rows_to_cameras`.
    """
    if len(row) not in {18, 19}:
        raise ValueError(
            f"{where}: {len(row)} numbers; expected 19 (time, fx, fy, cx, cy, 0, 0, the 3x4 matrix row by row), or "
            "18 without the time"
        )
    values = numbers(row, where)[-18:]
    size = values[4:6]
    if size != [0.0, 0.0] and min(size) < 1:
        raise ValueError(
            f"{where}: the two numbers after cy are {size[0]:g} {size[1]:g}; expected 0 0 or an image size. Lens "
            "distortion is not supported: undistort first"
        )
    M = pose_matrix(np.reshape(values[6:], (3, 4)), where)
    fx, fy, cx, cy = values[:4]
    return (M if matrix == "c2w" else inverse(M, where)), (fx, fy, cx, cy)
