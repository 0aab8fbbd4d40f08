"""Camera files of other programs: every axis flip, inverse, centimetre and pixel of the project happens in here.

:func:`read_cameras` and :func:`write_cameras` cover files (:func:`read_recording` keeps what a file says beside the
cameras); :func:`cameras_to_rows` and :func:`rows_to_cameras` cover the rows that ComfyUI camera nodes pass to each
other. :data:`FORMATS` is the table of all formats, from which help texts and documents are made. Each format's module
says what it keeps and what it cannot hold.
"""

from __future__ import annotations

import os
from pathlib import Path

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats.options import CONVENTIONS, Convention, Intrinsics, ReadOptions
from cvd_core.geometry.formats.output import write_files
from cvd_core.geometry.formats.recording import Recording
from cvd_core.geometry.formats.rows import cameras_to_rows, rows_to_cameras
from cvd_core.geometry.formats.table import FORMATS, WRITABLE, CameraFormat, detect_format, format_to_write

__all__ = [
    "CONVENTIONS",
    "FORMATS",
    "WRITABLE",
    "CameraFormat",
    "Convention",
    "Recording",
    "cameras_to_rows",
    "detect_format",
    "read_cameras",
    "read_recording",
    "rows_to_cameras",
    "write_cameras",
]


def read_cameras(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    intrinsics: Intrinsics | None = None,
    width: float | None = None,
    height: float | None = None,
    convention: Convention | None = None,
    pinhole_only: bool = False,
    one_view: bool = False,
) -> Cameras:
    """Cameras from a file or folder.

    Args:
        path: what to read: a file, a COLMAP model's folder, or a folder of pose files with one view each.
        format: a name in :data:`FORMATS`; by default inferred from extension and content.
        intrinsics: normalised fx, fy, cx, cy for files that hold none (ReCamMaster, TUM, MotionCtrl, .npy): required
            for these, refused for all others.
        width, height: size of the images in pixels, for files that count in pixels but do not state it; a stated size
            stands.
        convention: what the matrices map and the camera's axes, for formats that leave it open (see
            :attr:`CameraFormat.convention`); by default what is usual there.
        pinhole_only: refuse lens distortion instead of leaving it out with a warning.
        one_view: take all pictures that a file lists as one path, whatever their names and folders look like.

    Warns:
        UserWarning: something was left out or assumed; the message says what.

    Raises:
        ValueError: the path does not exist, is in no known format, or its content is broken, implausible or contradicts
            itself; the message names the place.
    """
    return read_recording(
        path,
        format=format,
        intrinsics=intrinsics,
        width=width,
        height=height,
        convention=convention,
        pinhole_only=pinhole_only,
        one_view=one_view,
    ).cameras


def read_recording(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    intrinsics: Intrinsics | None = None,
    width: float | None = None,
    height: float | None = None,
    convention: Convention | None = None,
    pinhole_only: bool = False,
    one_view: bool = False,
) -> Recording:
    """Cameras from a file with the time stamps, clip addresses and picture names it holds; see :func:`read_cameras`."""
    path = Path(path)
    known = detect_format(path, format)
    if (width is None) != (height is None):
        raise ValueError(f"the image size is given in part: width {width}, height {height}; give both or none")
    if convention is not None and convention not in CONVENTIONS:
        raise ValueError(f"convention is {convention!r}; expected one of {', '.join(CONVENTIONS)}")
    if convention is not None and known.convention is None:
        raise ValueError(f"{path}: {known.name} files say what their matrices are; leave `convention` out")
    size = None if width is None or height is None else (width, height)
    return known.read(path, ReadOptions(intrinsics, size, convention, pinhole_only, one_view))


def write_cameras(
    cameras: Cameras | Recording,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    width: int | None = None,
    height: int | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write cameras to a file (a folder for COLMAP); return every file written, folders made as needed.

    Args:
        cameras: V views of F frames, with or without what a :class:`Recording` adds.
        path: where to; RealEstate10K makes one file per view from it.
        format: a name in :data:`WRITABLE`; by default inferred from the extension: .txt, .json (nerfstudio), .npz,
            .npy, none (COLMAP).
        width, height: image size in pixels, needed by nerfstudio and COLMAP. The field of view is kept: at another
            aspect than the cameras were made for, pixels are no longer square (:meth:`Cameras.crop_to` crops instead).
        overwrite: replace files that are already there; by default they are never touched.

    Raises:
        ValueError: no known format, cameras that this format cannot hold, or files that are already there.
    """
    path = Path(path)
    known = format_to_write(path, format)
    recording = Recording(cameras) if isinstance(cameras, Cameras) else cameras
    if known.write is None:
        raise ValueError(f"cannot write {path}: {known.name} is only read; write one of {', '.join(WRITABLE)}")
    return write_files(known.write(recording, path, width, height), overwrite=overwrite)
