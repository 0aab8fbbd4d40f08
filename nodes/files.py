"""Files by path, confined to the folders that ComfyUI itself reads and writes."""

from __future__ import annotations

import os
from pathlib import Path

import folder_paths


def find_input(name: str) -> Path:
    """The existing file or folder that a user means by ``name``.

    Args:
        name: relative to ComfyUI's input folder, with ``[output]`` or ``[temp]`` after it relative to those, or an
            absolute path inside one of ComfyUI's folders.

    Raises:
        ValueError: outside ComfyUI's folders, or nothing there.
    """
    # Not get_annotated_filepath: since 0.27 it takes no full paths, and the folders below are ours to check.
    bare, base = folder_paths.annotated_filepath(name)
    path = Path(os.path.abspath(os.path.join(base or folder_paths.get_input_directory(), bare)))
    allowed = [
        Path(os.path.abspath(folder))
        for folder in (
            folder_paths.get_input_directory(),
            folder_paths.get_output_directory(),
            folder_paths.get_temp_directory(),
            folder_paths.models_dir,
        )
    ]
    if not any(path.is_relative_to(folder) for folder in allowed):
        raise ValueError(
            f"{name!r} is outside ComfyUI's folders; put the file into the input folder ({allowed[0]}) and give its "
            "name"
        )
    if not path.exists():
        raise ValueError(f"{path} does not exist; expected a file in ComfyUI's input folder, or a path to one")
    return path


def stamp(path: Path) -> tuple[str, int, int]:
    """What changes when a file, or any file right inside a folder, does: for re-running a node."""
    files = [path, *sorted(path.iterdir())] if path.is_dir() else [path]
    states = [file.stat() for file in files]
    return str(path), max(state.st_mtime_ns for state in states), sum(state.st_size for state in states)


def save_place(prefix: str, folder: str, width: int = 0, height: int = 0) -> tuple[Path, str, str]:
    """Where to save under ComfyUI's numbering: folder, name without suffix, and subfolder for the front end.

    Raises:
        ValueError: a prefix that leads out of ``folder``, or is no name.
    """
    root = os.path.abspath(folder)
    if not Path(os.path.abspath(os.path.join(root, prefix))).is_relative_to(root):
        raise ValueError(f"filename_prefix is {prefix!r}, which leads out of {root}; use a name or subfolder/name")
    # ComfyUI looks for the last number by the part after the last slash: after "videos/" it would start over at 1.
    plain = os.path.normpath(prefix)
    if plain == os.curdir or os.path.isabs(plain):
        raise ValueError(f"filename_prefix is {prefix!r}; use a name or subfolder/name")
    full, name, counter, subfolder, _ = folder_paths.get_save_image_path(plain, root, width, height)
    return Path(full), f"{name}_{counter:05}_", subfolder
