"""RealEstate10K pose files (.txt), as CameraCtrl, CVD and AnimateDiff-Evolved read them.

One file is one view. The first line is a link to the video (anything; some files in the wild lack it), then one row per
frame: ``timestamp fx fy cx cy 0 0`` and the world-to-camera matrix, 3x4 row by row; OpenCV axes, normalised intrinsics.
Timestamps are not kept (CameraCtrl does not use them): the writer numbers the frames.
"""

from __future__ import annotations

from pathlib import Path

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats.poses import Intrinsics, Pose, check_names, gather, refuse_intrinsics, w2c_of
from cvd_core.geometry.formats.rows import parse_row
from cvd_core.geometry.formats.text import join, read_text, write_text

_NAME = "view: "
"""How the first line of our own files begins: readers skip that line, so it can carry the name of the view."""


def read(path: Path, intrinsics: Intrinsics | None = None) -> Cameras:
    """``(1, F)`` cameras; the view is called what the first line says (our own files) or like the file."""
    refuse_intrinsics(intrinsics, path)
    lines = [(n, line.strip()) for n, line in enumerate(read_text(path).splitlines(), 1) if line.strip()]
    name = path.stem
    if not _is_row(lines[0][1]):
        header = lines.pop(0)[1]
        name = header.removeprefix(_NAME) if header.startswith(_NAME) else name
    poses = []
    for frame, (line_number, line) in enumerate(lines):
        where = f"{path}, line {line_number}"
        row = line.split()
        if len(row) != 19:
            raise ValueError(
                f"{where}: {len(row)} columns; expected 19 (timestamp, fx, fy, cx, cy, 0, 0, then the world-to-camera "
                "matrix, 3x4 row by row). The line may be cut short, or the file may not be a RealEstate10K pose file"
            )
        c2w, stated = parse_row(row, where)
        poses.append(Pose(name, frame, c2w, stated, where))
    return gather(poses, path)


def write(cameras: Cameras, path: Path, width: int | None = None, height: int | None = None) -> list[Path]:
    """One file per view: ``path`` itself for one view, ``path`` with ``_<view>`` after its stem for several.

    The image size is not used: the format's intrinsics are normalised.

    Raises:
        ValueError: a view name that cannot be part of a file name, or that two views share.
    """
    check_names(cameras, path)
    written = []
    for name, matrices, intrinsics in zip(cameras.names, w2c_of(cameras), cameras.intrinsics.tolist(), strict=True):
        rows = [
            f"{frame} {join(K)} 0 0 {join(M[:3].reshape(-1))}\n"
            for frame, (K, M) in enumerate(zip(intrinsics, matrices, strict=True))
        ]
        target = path if cameras.views == 1 else path.with_name(f"{path.stem}_{name}{path.suffix}")
        write_text(target, f"{_NAME}{name}\n{''.join(rows)}")
        written.append(target)
    return written


def matches(path: Path) -> bool:
    """Whether the first or second line is a row of 19 numbers."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(8192).decode("utf-8", errors="replace").splitlines()
    return any(_is_row(line) and len(line.split()) == 19 for line in head[:2])


def _is_row(line: str) -> bool:
    """Whether every word is a number; a single number is taken for a title."""
    words = line.split()
    try:
        return len([float(word) for word in words]) > 1
    except ValueError:
        return False
