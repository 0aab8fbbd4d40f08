"""Model files in the host's folders: registering the folders, finding files, noticing that a file was replaced."""

from __future__ import annotations

import os

import folder_paths


def register_folder(folder: str) -> None:
    """Have the host list ``models/<folder>``, in addition to the folders in the user's extra_model_paths.yaml."""
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
        folder: the host's name of a model folder.
        name: of the file.
        example: a file that is usually there, for the message.

    Raises:
        ValueError: the file is gone.
    """
    path: str | None = folder_paths.get_full_path(folder, name)
    if path is None:
        folders = " or ".join(folder_paths.get_folder_paths(folder))
        raise ValueError(f"there is no {name} in {folders}; put {example} there and refresh (R), or pick another file")
    return path


def fingerprint(path: str) -> str:
    """A text that changes when another file takes the name."""
    found = os.stat(path)
    return f"{found.st_mtime_ns} {found.st_size}"
