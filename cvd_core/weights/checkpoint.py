"""Reading checkpoint files without running anything they contain."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

_PARALLEL_PREFIXES = ("module.", "_orig_mod.")
"""What DistributedDataParallel and torch.compile put before every key."""

_TRAINING_STATE = re.compile(r"^(optimizer|lr_scheduler|scheduler|scaler|callbacks|loops)")
"""Sections of a training checkpoint that hold no network: moments, schedules, trainer state."""


@dataclass(frozen=True)
class Checkpoint:
    """What a model file holds.

    Args:
        path: the file.
        sections: tensors by wrapper. A wrapper is a nested dict such as ``state_dict`` or ``unet_trainable_dict``; its
            name is the path of dict keys to it joined by ``.``, and ``""`` for tensors at the root. Keys carry no
            ``module.`` prefix. Optimizer and trainer state is left out.
        metadata: the safetensors header's metadata, or a pickle's numbers and strings (``epoch``, ``global_step``).
    """

    path: Path
    sections: dict[str, dict[str, Tensor]]
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All tensors in one dict, wrappers removed.

        Raises:
            ValueError: two wrappers hold the same key, as with weights and their moving average side by side.
        """
        merged: dict[str, Tensor] = {}
        origin: dict[str, str] = {}
        for section, tensors in self.sections.items():
            for key, value in tensors.items():
                if key in merged:
                    raise ValueError(
                        f"{self.path.name} holds {key} twice, in {origin[key]!r} and in {section!r}; save the set you "
                        "want alone"
                    )
                merged[key] = value
                origin[key] = section
        return merged


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a safetensors file or a pickle (``.ckpt``, ``.pt``, ``.pth``, ``.bin``); the content decides which.

    Tensors are mapped from the file and take memory only when they are used, so looking at names and shapes is
    instant at any size (pickles from before PyTorch 1.6 excepted). Pickles are read with ``weights_only=True``.

    Raises:
        ValueError: no such file, a folder, an empty, truncated or corrupted file, a file of another kind, one without
            tensors, or a pickle that wants to run code.
    """
    path = Path(path)
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise ValueError(f"{path} {found}; expected a .safetensors, .ckpt, .pt, .pth or .bin file")
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise ValueError(f"{path} is empty; download it again")
    if head[5:9] == b"\0\0\0{":  # the length of a JSON header, in 8 bytes, and its first character
        sections, metadata = _read_safetensors(path)
    elif head.startswith((b"PK\x03\x04", b"\x80")):
        if path.suffix.lower() == ".safetensors":
            raise ValueError(f"{path} is a PyTorch pickle under another name; rename it to {path.stem}.ckpt")
        sections, metadata = _read_pickle(path)
    else:
        raise ValueError(f"{path} is no model file: {_describe_foreign(head)}")
    if not any(sections.values()):
        raise ValueError(f"{path} holds no tensors; expected a model file")
    return Checkpoint(path, sections, metadata)


def sha256(path: str | os.PathLike[str]) -> str:
    """Hexadecimal SHA-256 of a file, as model pages print it."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _read_safetensors(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - safe_open is no mapping
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path} is a damaged safetensors file ({error}); it was probably cut off while downloading - get it again"
        ) from error
    return {"": _without_parallel_prefix(tensors)}, metadata


def _read_pickle(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, str]]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # damaged bytes make the unpickler stumble in any way
        raise ValueError(_explain_pickle_error(path, error)) from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} holds a {type(content).__name__}; expected a dict of tensors")
    sections: dict[str, dict[str, Tensor]] = {}
    metadata: dict[str, str] = {}
    for section, key, value in _walk(content):
        if isinstance(value, Tensor):
            sections.setdefault(section, {})[key] = value
        elif isinstance(value, (str, int, float)):
            metadata[f"{section}.{key}" if section else key] = str(value)
    return {name: _without_parallel_prefix(tensors) for name, tensors in sections.items()}, metadata


def _walk(content: Mapping[Any, Any], section: str = "") -> Iterator[tuple[str, str, Any]]:
    """Leaves of nested dicts as (section, key, value), without training state."""
    for key, value in content.items():
        name = str(key)
        if isinstance(value, Mapping):
            if not _TRAINING_STATE.match(name):
                yield from _walk(value, f"{section}.{name}" if section else name)
        else:
            yield section, name, value


def _without_parallel_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    stripped: dict[str, Tensor] = {}
    for key, value in tensors.items():
        while key.startswith(_PARALLEL_PREFIXES):
            key = key.split(".", 1)[1]
        stripped[key] = value
    return stripped


def _explain_pickle_error(path: Path, error: Exception) -> str:
    text = str(error)
    if wanted := re.search(r"GLOBAL ([\w.]+)", text):
        return (
            f"{path} asks to run {wanted[1]} when it is opened, so it was not opened: a pickle that holds more than "
            "tensors can run any code; get the model as .safetensors"
        )
    if isinstance(error, pickle.UnpicklingError) and "Weights only load failed" in text:
        reason = "it holds more than plain tensors, which may run code, or it is damaged"
    else:
        reason = text.splitlines()[0] if text else type(error).__name__
    return f"{path} cannot be read as a checkpoint ({reason}); download it again, or get it as .safetensors"


def _describe_foreign(head: bytes) -> str:
    if head.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer; fetch the real file with `git lfs pull`, or download it from the model's page"
    if head.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return (
            "it is a web page, saved in place of the download; open the link in a browser and download the file itself"
        )
    return "it is neither safetensors nor a PyTorch pickle; expected a .safetensors, .ckpt, .pt, .pth or .bin file"
