"""LLFF ``poses_bounds.npy``: one row of 17 numbers per picture.

A 3x5 matrix row by row - camera-to-world, whose columns are the camera's down, right and backward axis and its centre,
then image height, width and focal length in pixels - and two depth bounds, which are not kept. Pixels are square and
the principal point is the image centre.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cvd_core.geometry.formats.lens import from_pixels, refuse_intrinsics
from cvd_core.geometry.formats.npy import is_numpy, read_arrays, read_headers
from cvd_core.geometry.formats.options import ReadOptions
from cvd_core.geometry.formats.poses import Pose, gather
from cvd_core.geometry.formats.recording import Recording

_COLUMNS = (17, 15)
"""With and without the depth bounds."""
_TO_OPENCV = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, -1]])
"""Columns down, right, backward to right, down, forward, from the right."""


def read(path: Path, options: ReadOptions) -> Recording:
    """``(1, F)`` cameras in the order of the rows, which is that of the pictures' names.

    Raises:
        ValueError: another shape or kind of numbers, or as :func:`gather`.
    """
    refuse_intrinsics(options.intrinsics, path)
    array = read_arrays(path, {""}).get("")
    if array is None or array.ndim != 2 or array.shape[1] not in _COLUMNS or array.dtype.kind != "f":
        found = "no such array" if array is None else f"{array.dtype} of shape {array.shape}"
        raise ValueError(f"{path} holds {found}; expected LLFF poses, 17 numbers per picture in an .npy")
    poses = []
    for frame, row in enumerate(array.astype(np.float64)):
        where = f"{path}, row {frame}"
        if not np.isfinite(row).all():
            raise ValueError(f"{where} holds NaN or infinity; every number must be finite")
        matrix = row[:15].reshape(3, 5)
        c2w = np.eye(4)
        c2w[:3, :3], c2w[:3, 3] = matrix[:, :3] @ _TO_OPENCV, matrix[:, 3]
        h, w, f = matrix[:, 4].tolist()
        lens = from_pixels((f, f, w / 2, h / 2), (w, h), where)
        poses.append(Pose(path.stem, frame, c2w, lens, where, w / h))
    return gather(poses, path, options)


def matches(path: Path) -> bool:
    """Whether the file is an .npy of rows of 17 (or 15) numbers."""
    if not is_numpy(path):
        return False
    header = read_headers(path).get("")
    return header is not None and len(header.shape) == 2 and header.shape[1] in _COLUMNS
