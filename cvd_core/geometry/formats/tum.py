"""TUM RGB-D trajectories (.txt), as SLAM systems and the tool evo write them.

One line per pose, ``timestamp tx ty tz qx qy qz qw``: seconds, camera centre, camera-to-world rotation; ``#`` begins a
comment. Camera axes are OpenCV's unless the writer chose others. There are no intrinsics.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cvd_core.geometry.formats.lens import require_intrinsics
from cvd_core.geometry.formats.options import ReadOptions
from cvd_core.geometry.formats.poses import Pose, camera_to_world, gather, rotation_of
from cvd_core.geometry.formats.recording import Recording
from cvd_core.geometry.formats.text import first_lines, numbers, read_lines, words

_COLUMNS = 8


def read(path: Path, options: ReadOptions) -> Recording:
    """``(1, F)`` cameras in the order of the lines, called like the file.

    Raises:
        ValueError: no intrinsics were given, a line without eight numbers, time stamps that do not increase, a
            quaternion that is none, or as :func:`gather`.
    """
    lens = require_intrinsics(options, path)
    poses: list[Pose] = []
    for n, line in read_lines(path):
        where, row = f"{path}, line {n}", words(line)
        if row == [""] or line.lstrip().startswith("#"):
            continue
        if len(row) != _COLUMNS:
            raise ValueError(f"{where}: {len(row)} columns; expected 8: timestamp tx ty tz qx qy qz qw")
        time, *rest = numbers(row, where)
        if poses and time <= (poses[-1].time or 0.0):
            raise ValueError(f"{where}: the time stamp {time:.9g} is not after the one before; sort the lines by time")
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = rotation_of(rest[3:], where), rest[:3]
        c2w = camera_to_world(matrix, options.convention or "c2w", where)
        poses.append(Pose(path.stem, len(poses), c2w, lens, where, time=time))
    return gather(poses, path, options)


def matches(path: Path) -> bool:
    """Whether the first line that is no comment holds eight numbers."""
    rows = [words(line) for line in first_lines(path, 20) if not line.lstrip().startswith("#")]
    try:
        return bool(rows) and len([float(word) for word in rows[0]]) == _COLUMNS
    except ValueError:
        return False
