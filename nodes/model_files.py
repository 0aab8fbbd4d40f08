"""Model files in the host's folders: registered, found, and loaded anew when another file takes a name."""

from __future__ import annotations

import os

import folder_paths


def register_folder(folder: str) -> None:
    """Have the host list ``models/<folder>``, besides folders that the user's extra_model_paths.yaml names."""
    folder_paths.add_model_folder_path(folder, os.path.join(folder_paths.models_dir, folder))
    paths, extensions = folder_paths.folder_names_and_paths[folder]
    folder_paths.folder_names_and_paths[folder] = (paths, set(extensions) | folder_paths.supported_pt_extensions)


def file_names(folder: str) -> list[str]:
    """The files that a combo offers."""
    found: list[str] = folder_paths.get_filename_list(folder)
    return found


def model_path(folder: str, name: str, example: str) -> str:
    """The path of a file that a combo offered.

    Args:
        folder: one of the host's names of model folders.
        name: of the file.
        example: what usually lies there, for the message.

    Raises:
        ValueError: it is gone.
    """
    path: str | None = folder_paths.get_full_path(folder, name)
    if path is None:
        folders = " or ".join(folder_paths.get_folder_paths(folder))
        raise ValueError(f"there is no {name} in {folders}; put {example} there and refresh (R), or pick another file")
    return path


def fingerprint(path: str) -> str:
    """What changes when another file takes a name."""
    found = os.stat(path)
    return f"{found.st_mtime_ns} {found.st_size}"
