"""What a list of picture names means: which of them are one view, and in which order its frames are.

One rule for all formats that list pictures (nerfstudio, instant-ngp, Blender, COLMAP). Frames are in natural order of
their names. Pictures in several folders are several views, and so are pictures whose names say ``cam0``, ``cam1`` or
``left``, ``right``; folders called ``frame_0001`` or ``t_03`` are frames, with one picture per view. Names that could
be either are a question to the user, not a guess.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import PurePosixPath

from cvd_core.files import natural_key

_CAMERA = re.compile(r"(?<![a-z])(?:camera|cam|view|vid|video)[ _-]?\d+", re.IGNORECASE)
_TIME = re.compile(r"(?<![a-z])(?:frame|frm|time|timestep|step|f|t)[ _-]?\d+", re.IGNORECASE)
_LONGEST = 1000

Place = tuple[str, int]
"""Name of a view, number of a frame."""


def views_of(names: Sequence[str], single: str, where: str, *, one_view: bool = False) -> list[Place]:
    """View and frame of every picture, in the order of ``names``.

    Args:
        names: of the pictures, folders separated by / or \\; all different.
        single: what the view is called if there is only one.
        where: the file that lists them, for messages.
        one_view: do not look for views.

    Raises:
        ValueError: two pictures of one name; names that may be several views or one; views whose frames do not
            correspond.
    """
    if too_long := next((name for name in names if len(name) > _LONGEST), None):
        raise ValueError(f"{where}: the image name {too_long[:40]!r}... has {len(too_long)} characters; shorten it")
    twice = next((name for name, same in groupby(sorted(names)) if len(list(same)) > 1), None)
    if twice is not None:
        raise ValueError(f"{where}: two images are called {twice!r}; expected one entry for each image")
    split = _one(names) if one_view else _split(names, where)
    views = sorted({view for view, _ in split}, key=natural_key)
    frames = {view: _in_order([frame for v, frame in split if v == view]) for view in views}
    if len(views) > 1:
        _check_corresponding(frames, where)
    return [(view if len(views) > 1 else single, frames[view][frame]) for view, frame in split]


def _one(names: Sequence[str]) -> list[tuple[str, str]]:
    return [("", name) for name in names]


def _split(names: Sequence[str], where: str) -> list[tuple[str, str]]:
    """Label of the view and of the frame of every picture, from folders if there are several, else from names."""
    paths = [PurePosixPath(name.replace("\\", "/")) for name in names]
    folders = [path.parent.parts for path in paths]
    if len(set(folders)) == 1:
        return _split_stems([path.stem for path in paths], where)
    if len({len(parts) for parts in folders}) == 1:  # folders that are the same everywhere say nothing
        levels = [set(level) for level in zip(*folders, strict=True)]
        folders = [tuple(p for p, level in zip(parts, levels, strict=True) if len(level) > 1) for parts in folders]
    labels = ["_".join(part for part in parts if part not in {".", ".."}) or "." for parts in folders]
    stems = [path.stem for path in paths]
    timed = all(_TIME.search(label) and not _CAMERA.search(label) for label in labels)
    if timed or (all(map(str.isdecimal, labels)) and all(map(_CAMERA.fullmatch, stems))):
        return list(zip(stems, labels, strict=True))  # a folder for each moment, a picture for each camera
    return list(zip(labels, stems, strict=True))


def _split_stems(stems: Sequence[str], where: str) -> list[tuple[str, str]]:
    """The same for pictures in one folder."""
    cameras = [_CAMERA.search(stem) for stem in stems]
    if all(cameras):
        split = [(m[0], stem[: m.start()] + stem[m.end() :]) for m, stem in zip(cameras, stems, strict=True) if m]
        if _in_parallel(split):
            return split
    split = [(re.sub(r"\d+", "", stem), "-".join(re.findall(r"\d+", stem))) for stem in stems]
    if len({view for view, _ in split}) == 1:
        _ask_about_numbers(stems, where)
    elif _in_parallel(split):
        return [(view.strip(" _-.") or view, frame) for view, frame in split]
    return _one(stems)


def _in_parallel(split: Sequence[tuple[str, str]]) -> bool:
    """Whether several views count the same frames: some frame is in two views, and a view has several frames."""
    frames: dict[str, set[str]] = {}
    for view, frame in split:
        frames.setdefault(view, set()).add(frame)
    counts = Counter(frame for labels in frames.values() for frame in labels)
    return len(frames) > 1 and max(map(len, frames.values())) > 1 and max(counts.values()) > 1


def _ask_about_numbers(stems: Sequence[str], where: str) -> None:
    """Names of one pattern are one view, unless one of two numbers starts again for each value of the other.

    Raises:
        ValueError: that is so; then either number may be the view.
    """
    columns = _changing_numbers(stems)
    if len(columns) == 2 and _in_parallel(list(zip(*columns, strict=True))):
        counts = [len(set(column)) for column in columns]
        raise ValueError(
            f"{where}: the {len(stems)} images {min(stems)!r} to {max(stems)!r} count {counts[0]} x {counts[1]}, so "
            "they may be several views or one. Put each view's images into a folder of its own (or call them cam0..., "
            'cam1...; in a transforms.json every frame may also name its "view"), or read them as one view (`one_view`)'
        )


def _in_order(labels: Sequence[str]) -> dict[str, int]:
    """Numbers from 0 for the labels in natural order."""
    return {label: i for i, label in enumerate(sorted(labels, key=natural_key))}


def _check_corresponding(numbers: dict[str, dict[str, int]], where: str) -> None:
    """Views have the same frame labels, or as many consecutive ones: cameras number their pictures as they like.

    Raises:
        ValueError: other numbers of frames, or labels with gaps that differ.
    """
    (first, frames), *others = numbers.items()
    for view, other in others:
        if len(other) != len(frames):
            raise ValueError(
                f"{where}: the images are {len(numbers)} views by their names, but {first!r} has {len(frames)} frames "
                f"and {view!r} {len(other)}; every view needs the same frames. Remove those that have no counterpart, "
                "or read all images as one view (`one_view`)"
            )
        if other.keys() != frames.keys() and not (_consecutive(frames) and _consecutive(other)):
            missing = min(frames.keys() - other.keys(), key=natural_key)
            raise ValueError(
                f"{where}: the images are {len(numbers)} views by their names, but {view!r} has no frame {missing!r} "
                f"as {first!r} has; every view needs the same frames. Remove those that have no counterpart, or "
                "read all images as one view (`one_view`)"
            )


def _consecutive(frames: dict[str, int]) -> bool:
    """Whether the labels differ in one number only, which counts up by one."""
    columns = _changing_numbers(list(frames))
    if len(columns) != 1:
        return len(frames) == 1
    numbers = [int(number) for number in columns[0]]
    return max(numbers) - min(numbers) == len(set(numbers)) - 1 == len(frames) - 1


def _changing_numbers(labels: Sequence[str]) -> list[tuple[str, ...]]:
    """One tuple for each place at which labels of one pattern differ; none for labels of several patterns."""
    rows = [re.findall(r"\d+", label) for label in labels]
    if len({(re.sub(r"\d+", "", label), len(row)) for label, row in zip(labels, rows, strict=True)}) > 1:
        return []
    return [column for column in zip(*rows, strict=True) if len(set(column)) > 1]
