"""What writers of camera files check, and the one place that writes them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from cvd_core.files import atomic_path
from cvd_core.geometry.cameras import Cameras

Files = Mapping[Path, bytes]
"""Contents by path: what a writer makes of cameras."""


def write_files(files: Files, *, overwrite: bool = False) -> list[Path]:
    """Write all files, each whole or not at all; return their paths.

    Raises:
        ValueError: one of them is there already (nothing is written then), or cannot be written.
    """
    there = [path for path in files if path.exists()]
    if there and not overwrite:
        raise ValueError(f"{there[0]} already exists; choose another name, or allow `overwrite`")
    with ExitStack() as stack:
        for path, content in files.items():
            stack.enter_context(atomic_path(path, overwrite=overwrite)).write_bytes(content)
    return list(files)


def check_names(cameras: Cameras, path: Path) -> None:
    """Refuse view names that cannot be part of a file name, or that two views share.

    Raises:
        ValueError: naming the view.
    """
    seen: set[str] = set()
    for name in cameras.names:
        if name.strip(" .") != name or not name.isprintable() or not name or set(name) & set('/\\:*?"<>|'):
            raise ValueError(f"cannot write {path}: the view name {name!r} cannot be part of a file name; rename it")
        if name.casefold() in seen:
            raise ValueError(f"cannot write {path}: two views are called {name!r}; give every view its own name")
        seen.add(name.casefold())


def check_constant_intrinsics(cameras: Cameras, path: Path, instead: str) -> None:
    """For formats without intrinsics, which are then given by hand when reading: once for all views and frames.

    Raises:
        ValueError: the intrinsics change between views or frames, so they would be lost.
    """
    if bool((cameras.intrinsics != cameras.intrinsics[0, 0]).any()):
        raise ValueError(
            f"cannot write {path}: this format holds no intrinsics, but those of the cameras change between views or "
            f"frames and would be lost; {instead}"
        )


def image_size(width: int | None, height: int | None, path: Path) -> tuple[int, int]:
    """Width and height for a format that counts in pixels.

    Raises:
        ValueError: one of them is missing or not positive.
    """
    missing = " and ".join(name for name, value in (("width", width), ("height", height)) if value is None)
    if width is None or height is None:
        raise ValueError(
            f"cannot write {path}: this format counts in pixels, but the {missing} of the images "
            f"{'are' if ' and ' in missing else 'is'} not known; give the width and height of the images"
        )
    if min(width, height) <= 0:
        raise ValueError(
            f"cannot write {path}: this format counts in pixels, but the image size is {width} x {height}; give the "
            "width and height of the images"
        )
    return width, height
