"""RealEstate10K pose files (.txt), as CameraCtrl, CVD and AnimateDiff-Evolved read them.

One file is one view. The first line is a link to the video (anything; some files in the wild lack it), then one row per
frame: ``timestamp fx fy cx cy 0 0`` and the world-to-camera matrix, 3x4 row by row; OpenCV axes, normalised intrinsics.
Rows without the timestamp are read as well. Timestamps are microseconds (RealEstate10K's readme); rows that are merely
numbered from 0 have none.
"""

from __future__ import annotations

from pathlib import Path

from cvd_core.geometry.formats.lens import refuse_intrinsics
from cvd_core.geometry.formats.options import ReadOptions
from cvd_core.geometry.formats.output import Files, check_names
from cvd_core.geometry.formats.poses import Pose, gather, w2c_of
from cvd_core.geometry.formats.recording import Recording
from cvd_core.geometry.formats.rows import ParsedRow, parse_row
from cvd_core.geometry.formats.text import first_lines, join, read_lines, words

_NAME = "view: "
"""How the first line of our own files begins: readers skip that line, so it can carry the name of the view."""
_MICROSECONDS = 1e6


def read(path: Path, options: ReadOptions) -> Recording:
    """``(1, F)`` cameras; the view is called what the first line says (our own files) or like the file."""
    refuse_intrinsics(options.intrinsics, path)
    title, name, columns = "", path.stem, 0
    rows: list[tuple[str, ParsedRow]] = []
    for number, line in read_lines(path):
        row = words(line)
        if row == [""]:
            continue
        if not rows and not title and not _is_row(row):
            title = line.strip()
            name = title.removeprefix(_NAME) if title.startswith(_NAME) else name
            continue
        where = f"{path}, line {number}"
        columns = columns or len(row)
        if len(row) not in {18, 19} or len(row) != columns:
            expected = columns if columns in {18, 19} else 19
            raise ValueError(
                f"{where}: {len(row)} columns; expected {expected} (timestamp, fx, fy, cx, cy, 0, 0, then the "
                "world-to-camera matrix, 3x4 row by row; all rows may lack the timestamp). The line may be cut short, "
                "or the file may not be a RealEstate10K pose file"
            )
        rows.append((where, parse_row(row, where, options.convention or "w2c", options.size)))
    stamps = [row.time for _, row in rows]
    numbered = columns == 18 or stamps == list(range(len(rows)))
    clip = "" if title.startswith(_NAME) else title
    poses = [
        Pose(
            name,
            frame,
            row.c2w,
            row.intrinsics,
            where,
            row.aspect,
            time=None if numbered or row.time is None else row.time / _MICROSECONDS,
            clip=clip,
        )
        for frame, (where, row) in enumerate(rows)
    ]
    return gather(poses, path, options)


def write(recording: Recording, path: Path, width: int | None = None, height: int | None = None) -> Files:
    """One file per view: ``path`` itself for one view, ``path`` with ``_<view>`` after its stem for several.

    The first line is the clip's address where it is known, else the name of the view. The image size is not used: the
    format's intrinsics are normalised.

    Raises:
        ValueError: a view name that cannot be part of a file name, or that two views share.
    """
    cameras = recording.cameras
    check_names(cameras, path)
    clips = recording.clips or ("",) * cameras.views
    files = {}
    for v, (name, matrices) in enumerate(zip(cameras.names, w2c_of(cameras), strict=True)):
        rows = [
            f"{_stamp(recording, v, frame)} {join(K)} 0 0 {join(M[:3].reshape(-1))}\n"
            for frame, (K, M) in enumerate(zip(cameras.intrinsics[v].tolist(), matrices, strict=True))
        ]
        target = path if cameras.views == 1 else path.with_name(f"{path.stem}_{name}{path.suffix}")
        files[target] = f"{clips[v] or _NAME + name}\n{''.join(rows)}".encode()
    return files


def _stamp(recording: Recording, view: int, frame: int) -> str:
    """Whole microseconds; the frame's number where nothing is known."""
    return str(frame if recording.times is None else round(recording.times[view, frame] * _MICROSECONDS))


def matches(path: Path) -> bool:
    """Whether the first or second line is a row of 18 or 19 numbers."""
    rows = [words(line) for line in first_lines(path, 2)]
    return any(_is_row(row) and len(row) in {18, 19} for row in rows)


def _is_row(row: list[str]) -> bool:
    """Whether every word is a number; a single number is taken for a title."""
    try:
        return len([float(word) for word in row]) > 1
    except ValueError:
        return False
