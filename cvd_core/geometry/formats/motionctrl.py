"""MotionCtrl camera poses (.json): a list of frames, each the 12 numbers of a world-to-camera matrix, 3x4 row by row.

OpenCV axes: "zoom in", a camera that moves forward, has a falling z translation. There are no intrinsics.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cvd_core.geometry.formats.lens import require_intrinsics
from cvd_core.geometry.formats.options import ReadOptions
from cvd_core.geometry.formats.poses import Pose, camera_to_world, gather, pose_matrix
from cvd_core.geometry.formats.recording import Recording
from cvd_core.geometry.formats.text import json_start, numbers, read_json, shown


def read(path: Path, options: ReadOptions) -> Recording:
    """``(1, F)`` cameras, called like the file.

    Raises:
        ValueError: no intrinsics were given, anything but lists of 12 numbers (or 3x4 or 4x4), or as :func:`gather`.
    """
    lens = require_intrinsics(options, path)
    poses = []
    for frame, values in enumerate(read_json(path, list)):
        where = f"{path}, frame {frame}"
        if not isinstance(values, list):
            raise ValueError(f"{where} is {shown(values)}; expected 12 numbers, a world-to-camera matrix row by row")
        nested = any(isinstance(value, list) for value in values)
        if not nested and len(values) != 12:
            raise ValueError(f"{where}: {len(values)} numbers; expected 12, a world-to-camera matrix row by row")
        matrix = pose_matrix(values if nested else np.reshape(numbers(values, where), (3, 4)), where)
        c2w = camera_to_world(matrix, options.convention or "w2c", where)
        poses.append(Pose(path.stem, frame, c2w, lens, where))
    return gather(poses, path, options)


def matches(path: Path) -> bool:
    """Whether the file is a JSON array of arrays."""
    if not path.is_file() or json_start(path) != "[":
        return False
    data = read_json(path, list)
    return bool(data) and all(isinstance(frame, list) for frame in data)
