"""Camera files of other programs: every axis flip, inverse, centimetre and pixel of the project happens in here.

:func:`read_cameras` and :func:`write_cameras` cover files; :func:`cameras_to_rows` and :func:`rows_to_cameras` cover
the rows that ComfyUI camera nodes pass to each other. Each format's module says what it keeps and what it cannot hold.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats import arrays, colmap, nerfstudio, realestate10k, recammaster
from cvd_core.geometry.formats.poses import Intrinsics
from cvd_core.geometry.formats.rows import cameras_to_rows, rows_to_cameras

__all__ = [
    "FORMATS",
    "CameraFormat",
    "cameras_to_rows",
    "detect_format",
    "read_cameras",
    "rows_to_cameras",
    "write_cameras",
]


@dataclass(frozen=True)
class CameraFormat:
    """A camera file format.

    Attributes:
        name: what users call it (``--from``, ``--to``).
        description: one line for help texts.
        extensions: in lower case, with the dot; none for a folder.
        read: ``(path, intrinsics or None) -> Cameras``.
        write: ``(cameras, path, width or None, height or None) -> files written``.
        matches: whether the content of an existing path looks like this format.
    """

    name: str
    description: str
    extensions: tuple[str, ...]
    read: Callable[[Path, Intrinsics | None], Cameras]
    write: Callable[[Cameras, Path, int | None, int | None], list[Path]]
    matches: Callable[[Path], bool]


_ALL = (
    CameraFormat(
        "realestate10k",
        "RealEstate10K / CameraCtrl pose file, one view per file",
        (".txt",),
        realestate10k.read,
        realestate10k.write,
        realestate10k.matches,
    ),
    CameraFormat(
        "nerfstudio",
        "nerfstudio / Blender transforms.json",
        (".json",),
        nerfstudio.read,
        nerfstudio.write,
        nerfstudio.matches,
    ),
    CameraFormat(
        "recammaster",
        "ReCamMaster / SynCamMaster camera_extrinsics.json (no intrinsics)",
        (".json",),
        recammaster.read,
        recammaster.write,
        recammaster.matches,
    ),
    CameraFormat("colmap", "COLMAP text model (a folder)", (), colmap.read, colmap.write, colmap.matches),
    CameraFormat(
        "numpy",
        "NumPy arrays: .npz, or .npy without intrinsics",
        (".npz", ".npy"),
        arrays.read,
        arrays.write,
        arrays.matches,
    ),
)
FORMATS: dict[str, CameraFormat] = {known.name: known for known in _ALL}
"""Every format by name. Where two share an extension, the first is the one written by default."""


def read_cameras(
    path: str | os.PathLike[str], *, format: str | None = None, intrinsics: Intrinsics | None = None
) -> Cameras:
    """Cameras from a file (a folder for COLMAP).

    Args:
        path: what to read.
        format: a name in :data:`FORMATS`; by default told by extension and content.
        intrinsics: normalised fx, fy, cx, cy for files that hold none (ReCamMaster, .npy): required for these, refused
            for all others.

    Raises:
        ValueError: the path does not exist, is in no known format, or its content is broken; the message names the
            place.
    """
    path = Path(path)
    return detect_format(path, format).read(path, intrinsics)


def detect_format(path: str | os.PathLike[str], format: str | None = None) -> CameraFormat:
    """The format of an existing file or folder: the named one, else told by extension and content.

    Raises:
        ValueError: nothing at that path, or no known format (the message lists them).
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path} does not exist; check the path to the camera file")
    if format is not None:
        return _named(format)
    by_extension = [known for known in _ALL if path.is_file() and path.suffix.lower() in known.extensions]
    if len(by_extension) == 1:
        return by_extension[0]
    try:
        found = next((known for known in by_extension or _ALL if known.matches(path)), None)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error
    if found is None:
        raise ValueError(f"{path} is in no camera format that is known here; expected one of: {_listing()}")
    return found


def write_cameras(
    cameras: Cameras,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    width: int | None = None,
    height: int | None = None,
) -> list[Path]:
    """Write cameras to a file (a folder for COLMAP); return every file written, folders made as needed.

    Args:
        cameras: V views of F frames.
        path: where to; RealEstate10K makes one file per view from it.
        format: a name in :data:`FORMATS`; by default told by the extension: .txt, .json (nerfstudio), .npz, .npy, none
            (COLMAP).
        width, height: image size in pixels, needed by nerfstudio and COLMAP. The field of view is kept: at another
            aspect than the cameras were made for, pixels are no longer square (:meth:`Cameras.crop_to` crops instead).

    Raises:
        ValueError: no known format, or cameras that this format cannot hold.
    """
    path = Path(path)
    if format is not None:
        return _named(format).write(cameras, path, width, height)
    suffix = path.suffix.lower()
    for known in _ALL:
        if suffix in known.extensions or (not suffix and not known.extensions):
            return known.write(cameras, path, width, height)
    raise ValueError(f"cannot write {path}: no camera format ends in {suffix!r}; known are: {_listing()}")


def _named(name: str) -> CameraFormat:
    if name not in FORMATS:
        raise ValueError(f"camera format {name!r} is not known; expected one of: {_listing()}")
    return FORMATS[name]


def _listing() -> str:
    return "; ".join(f"{f.name} ({', '.join(f.extensions) or 'folder'}): {f.description}" for f in _ALL)
