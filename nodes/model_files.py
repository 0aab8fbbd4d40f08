"""Model files in the host's folders: registering the folders, finding files, nodes that offer and load them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, ClassVar

import folder_paths
from comfy_api.latest import io

from .inputs import verdict


def register_folder(folder: str) -> None:
    """Have the host list ``models/<folder>``, in addition to the folders in the user's extra_model_paths.yaml."""
    folder_paths.add_model_folder_path(folder, os.path.join(folder_paths.models_dir, folder))
    paths, extensions = folder_paths.folder_names_and_paths[folder]
    folder_paths.folder_names_and_paths[folder] = (paths, set(extensions) | folder_paths.supported_pt_extensions)


def file_names(folder: str) -> list[str]:
    """The files that a combo offers."""
    found: list[str] = folder_paths.get_filename_list(folder)
    return found


@dataclass(frozen=True)
class ModelFile:
    """A model file that a node lets people pick.

    Args:
        input: the node's input with the file's name.
        folder: the host's name of a model folder.
        example: a file that is usually there, for messages.
    """

    input: str
    folder: str
    example: str

    def combo(self, tooltip: str) -> io.Combo.Input:
        """The input."""
        return io.Combo.Input(self.input, options=file_names(self.folder), tooltip=tooltip)

    def path(self, name: str) -> str:
        """The path of a file that the combo offered.

        Raises:
            ValueError: the file is gone.
        """
        path: str | None = folder_paths.get_full_path(self.folder, name)
        if path is None:
            folders = " or ".join(folder_paths.get_folder_paths(self.folder))
            raise ValueError(
                f"there is no {name} in {folders}; put {self.example} there and refresh (R), or pick another file"
            )
        return path

    def fingerprint(self, name: str) -> str:
        """A text that changes when another file takes the name."""
        found = os.stat(self.path(name))
        return f"{found.st_mtime_ns} {found.st_size}"


class ModelFileNode(io.ComfyNode):
    """A node that loads a file, which :attr:`FILE` describes: picked, still there, read again when it is replaced."""

    FILE: ClassVar[ModelFile]

    @classmethod
    def load(cls, *path: Any, **others: Any) -> Any:
        """What the node puts out, from the file's path and the node's other inputs by name."""
        raise NotImplementedError

    @classmethod
    def validate_inputs(cls, **inputs: Any) -> bool | str:
        """Refuse a file that is gone; a linked name is not known yet."""
        name = inputs.get(cls.FILE.input)
        return True if name is None else verdict(cls.FILE.path, name)

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> str:
        """Load again when another file takes the name."""
        return cls.FILE.fingerprint(inputs[cls.FILE.input])

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:
        return io.NodeOutput(cls.load(cls.FILE.path(inputs.pop(cls.FILE.input)), **inputs))
