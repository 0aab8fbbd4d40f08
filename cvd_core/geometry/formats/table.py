"""The table of camera formats, and which of them a file is in."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cvd_core.geometry.formats import (
    arrays,
    camera_path,
    colmap,
    folder,
    llff,
    motionctrl,
    nerfstudio,
    realestate10k,
    recammaster,
    tum,
)
from cvd_core.geometry.formats.options import Convention, ReadOptions
from cvd_core.geometry.formats.output import Files
from cvd_core.geometry.formats.recording import Recording

FOLDER = "pose-folder"


@dataclass(frozen=True)
class CameraFormat:
    """A camera file format.

    Attributes:
        name: what users call it (``--from``, ``--to``).
        description: one line for help texts and documents.
        extensions: in lower case, with the dot; none for a folder.
        read: what the file holds, given what a person adds.
        matches: whether the content of an existing path looks like this format.
        write: ``(recording, path, width or None, height or None) -> contents by path``; None if it is only read.
        keeps: what it holds beside poses and names of views: of ``intrinsics``, ``times``, ``clips``, ``images``.
        convention: what matrices are by default in a format that leaves it open; None where it is fixed.
        fallback: whether files of its extensions are in it even if they do not look like it; its reader then says what
            is wrong with them.
    """

    name: str
    description: str
    extensions: tuple[str, ...]
    read: Callable[[Path, ReadOptions], Recording]
    matches: Callable[[Path], bool]
    write: Callable[[Recording, Path, int | None, int | None], Files] | None = None
    keeps: frozenset[str] = frozenset()
    convention: Convention | None = None
    fallback: bool = False


def _read_folder(path: Path, options: ReadOptions) -> Recording:
    def read(file: Path) -> Recording:
        known = detect_format(file)
        if options.convention is not None and known.convention is None:
            raise ValueError(f"{file}: {known.name} files say what their matrices are; leave `convention` out")
        return known.read(file, options)

    files = _pose_files(path)
    if not files:
        raise ValueError(f"{path} holds no camera files")
    return folder.read_folder(files, read, options)


_ALL = (
    CameraFormat(
        "realestate10k",
        "RealEstate10K / CameraCtrl pose file, one view per file; rows of 19 or 18 numbers",
        (".txt",),
        realestate10k.read,
        realestate10k.matches,
        realestate10k.write,
        keeps=frozenset({"intrinsics", "times", "clips"}),
        convention="w2c",
        fallback=True,
    ),
    CameraFormat(
        "nerfstudio",
        "transforms.json of nerfstudio, instant-ngp and Blender",
        (".json",),
        nerfstudio.read,
        nerfstudio.matches,
        nerfstudio.write,
        keeps=frozenset({"intrinsics", "times", "clips", "images"}),
    ),
    CameraFormat(
        "recammaster",
        "camera_extrinsics.json of ReCamMaster and SynCamMaster (no intrinsics)",
        (".json",),
        recammaster.read,
        recammaster.matches,
        recammaster.write,
    ),
    CameraFormat(
        "colmap",
        "COLMAP text model (a folder)",
        (),
        colmap.read,
        colmap.matches,
        colmap.write,
        keeps=frozenset({"intrinsics", "images"}),
    ),
    CameraFormat(
        "numpy",
        "NumPy arrays, also those of VGGT, DUSt3R and MegaSaM: .npz, or .npy without intrinsics",
        (".npz", ".npy"),
        arrays.read,
        arrays.matches,
        arrays.write,
        keeps=frozenset({"intrinsics", "times", "clips", "images"}),
        convention="c2w",
        fallback=True,
    ),
    CameraFormat("llff", "poses_bounds.npy of LLFF", (".npy",), llff.read, llff.matches),
    CameraFormat(
        "camera-path", "camera_path.json of nerfstudio's viewer", (".json",), camera_path.read, camera_path.matches
    ),
    CameraFormat(
        "motionctrl",
        "MotionCtrl camera poses: a JSON list of 12 numbers per frame (no intrinsics)",
        (".json",),
        motionctrl.read,
        motionctrl.matches,
        convention="w2c",
    ),
    CameraFormat(
        "tum",
        "TUM trajectory: timestamp tx ty tz qx qy qz qw (no intrinsics)",
        (".txt", ".tum"),
        tum.read,
        tum.matches,
        convention="c2w",
    ),
    CameraFormat(
        FOLDER,
        "a folder of pose files, one view each",
        (),
        _read_folder,
        lambda path: bool(_pose_files(path)),
        convention="w2c",
    ),
)
FORMATS: dict[str, CameraFormat] = {known.name: known for known in _ALL}
"""Every format by name. Where two share an extension, the first is the one written by default."""
WRITABLE: dict[str, CameraFormat] = {known.name: known for known in _ALL if known.write is not None}
"""The formats that are written, too."""


def _pose_files(path: Path) -> list[Path]:
    return folder.pose_files(path, tuple(ending for known in _ALL for ending in known.extensions))


def detect_format(path: str | os.PathLike[str], format: str | None = None) -> CameraFormat:
    """The format of an existing file or folder: the named one, else inferred from extension and content.

    Raises:
        ValueError: nothing at that path, or no known format (the message lists them).
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path} does not exist; check the path to the camera file")
    if format is not None:
        return format_named(format)
    by_extension = [known for known in _ALL if path.is_file() and path.suffix.lower() in known.extensions]
    candidates = sorted(by_extension or _ALL, key=lambda known: known.fallback)  # the particular ones first
    try:
        found = next((known for known in candidates if known.matches(path)), None)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error
    found = found or next((known for known in by_extension if known.fallback), None)
    if found is None:
        raise ValueError(f"{path} is in no camera format that is known here; expected one of: {_listing()}")
    return found


def format_to_write(path: Path, format: str | None) -> CameraFormat:
    """The named format, else the one that the extension chooses.

    Raises:
        ValueError: no format of that name or extension.
    """
    if format is not None:
        return format_named(format)
    suffix = path.suffix.lower()
    for known in WRITABLE.values():
        if suffix in known.extensions or (not suffix and not known.extensions):
            return known
    raise ValueError(f"cannot write {path}: no camera format ends in {suffix!r}; known are: {_listing()}")


def format_named(name: str) -> CameraFormat:
    """The format of that name.

    Raises:
        ValueError: there is none; the message lists them.
    """
    if name not in FORMATS:
        raise ValueError(f"camera format {name!r} is not known; expected one of: {_listing()}")
    return FORMATS[name]


def _listing() -> str:
    return "; ".join(f"{f.name} ({', '.join(f.extensions) or 'folder'}): {f.description}" for f in _ALL)
