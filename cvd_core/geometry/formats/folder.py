"""A folder of pose files, one view each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cvd_core.files import natural_key
from cvd_core.geometry.formats.options import ReadOptions
from cvd_core.geometry.formats.poses import named
from cvd_core.geometry.formats.recording import Recording


def pose_files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """Files with these endings right inside the folder, in natural order of their names; hidden ones are left out."""
    if not folder.is_dir():
        return []
    files = (file for file in folder.iterdir() if file.suffix.lower() in endings and not file.name.startswith("."))
    return sorted(files, key=lambda file: natural_key(file.name))


def read_folder(files: list[Path], read: Callable[[Path], Recording], options: ReadOptions) -> Recording:
    """All views of the files; a file with one view gives it its own name.

    Raises:
        ValueError: as ``read``; files of different lengths.
    """
    parts = [(file, read(file)) for file in files]
    lengths = {part.cameras.frames for _, part in parts}
    if len(lengths) > 1:
        found = ", ".join(f"{file.name}: {part.cameras.frames}" for file, part in parts[:8])
        raise ValueError(
            f"{files[0].parent}: the files have different numbers of frames ({found}); name the files one by one to "
            "resample them to one length"
        )
    return Recording.concatenate([named(part, [f.stem]) if part.cameras.views == 1 else part for f, part in parts])
