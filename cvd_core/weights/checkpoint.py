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
from safetensors import safe_open
from torch import Tensor

from cvd_core.files import read_json_object

_PARALLEL_PREFIXES = ("module.", "_orig_mod.")
"""What DistributedDataParallel and torch.compile put in front of every key."""

_TRAINING_STATE = re.compile(r"^(optimizer|lr_scheduler|scheduler|scaler|callbacks|loops)")
"""Sections of a training checkpoint that hold no network: moments, schedules, trainer state."""

_DEEPEST = 32
"""Dicts within dicts; real files have one to three levels."""

_CLAIM = 4
"""Times a file's size its tensors may claim together: tied weights count once in the file and twice in the network."""

_INDEX = re.compile(r"\.index(?:\.\w+)?\.json$")
"""Ending of the index of a model that is split into several files (shards), as Hugging Face's libraries write it."""


@dataclass(frozen=True)
class Checkpoint:
    """What a model file holds.

    Args:
        path: the file.
        sections: tensors by wrapper. A wrapper is a nested dict such as ``state_dict`` or ``unet_trainable_dict``; its
            name is the path of dict keys to it, joined by ``.``, and ``""`` for tensors at the root. Keys carry no
            ``module.`` prefix. Optimizer and trainer state is left out.
        metadata: the metadata of the safetensors header, or a pickle's numbers and strings (``epoch``,
            ``global_step``).
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
    """Read a safetensors file, a pickle (``.ckpt``, ``.pt``, ``.pth``, ``.bin``) or the index of a sharded model.

    The content, not the extension, tells safetensors from pickles. Tensors are mapped from the file and take memory
    only when they are used, so looking at names and shapes is instant at any size (pickles from before PyTorch 1.6
    excepted). Pickles are read with ``weights_only=True``.

    Raises:
        ValueError: no such file, a folder, an empty, truncated or corrupted file, a file of another kind, one without
            tensors, a pickle that wants to run code, one with anything but plain dense tensors, or one whose tensors
            claim far more memory than the file holds.
    """
    path = Path(path)
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise ValueError(f"{path} {found}; expected a .safetensors, .ckpt, .pt, .pth or .bin file")
    if is_index(path):
        return _read_shards(path)
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
        raise ValueError(f"{path} is not a model file: {_describe_foreign(head)}")
    if not any(sections.values()):
        raise ValueError(f"{path} holds no tensors; expected a model file")
    return Checkpoint(path, sections, metadata)


def is_index(path: Path) -> bool:
    """Whether a file is, by its name, the index of a sharded model."""
    return _INDEX.search(path.name) is not None


_LONGEST_NAME = 200
"""Characters of a file's name; file systems take 255 bytes."""


def shard_files(index: Path) -> dict[str, list[str]]:
    """The files that the index of a sharded model names, which lie beside it, each with the keys it should hold.

    Raises:
        ValueError: the index is damaged, or names anything but files beside it.
    """
    weight_map = read_json_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ValueError(f"{index} has no weight_map; expected the index of a sharded model - get it again")
    shards: dict[str, list[str]] = {}
    for key, name in weight_map.items():
        if (
            not isinstance(name, str)
            or name in ("", ".", "..")
            or re.search(r"[/\\\0]", name)
            or len(name) > _LONGEST_NAME
        ):
            raise ValueError(
                f"{index} says that {key[:80]} is in {str(name)[:80]!r}; expected the name of a file beside it"
            )
        shards.setdefault(name, []).append(key)
    return shards


def sha256(path: str | os.PathLike[str]) -> str:
    """Hexadecimal SHA-256 of a file, as model pages print it."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _read_shards(index: Path) -> Checkpoint:
    """All tensors of a sharded model, each from the file its index names."""
    tensors: dict[str, Tensor] = {}
    for name, keys in shard_files(index).items():
        shard = index.with_name(name)
        if not shard.is_file() or is_index(shard):
            raise ValueError(f"{index.name} names {name}, which is not in {index.parent}; get all files of the model")
        held = read_checkpoint(shard).tensors
        lacking = [key for key in keys if key not in held]
        if lacking or len(held) != len(keys):
            raise ValueError(
                f"{shard} holds {len(held)} tensors, {len(keys) - len(lacking)} of the {len(keys)} that {index.name} "
                "says are in it; the files are from different versions or damaged - get all of them again"
            )
        tensors |= held
    return Checkpoint(index, {"": tensors})


def _read_safetensors(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - safe_open is no mapping
    except Exception as error:  # a damaged header makes the library stumble in several ways
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{path} is a damaged safetensors file ({reason}); it was probably cut off while downloading - get it again"
        ) from error
    return {"": _without_parallel_prefix(tensors, path)}, metadata


def _read_pickle(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, str]]:
    try:
        zipped = zipfile.is_zipfile(path)
        if zipped:
            _refuse_compressed(path)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # damaged bytes make the unpickler stumble in any way
        raise ValueError(_explain_pickle_error(path, error)) from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} holds a {type(content).__name__}; expected a dict of tensors")
    sections: dict[str, dict[str, Tensor]] = {}
    metadata: dict[str, str] = {}
    claimed = 0
    for section, key, value in _leaves(content, path):
        name = f"{section}.{key}" if section else key
        if isinstance(value, Tensor):
            tensor = _plain(value, name, path)
            claimed += tensor.numel() * tensor.element_size()
            sections.setdefault(section, {})[key] = tensor
        elif isinstance(value, (str, float)) or (isinstance(value, int) and value.bit_length() <= 64):
            metadata[name] = str(value)
    if claimed > _CLAIM * path.stat().st_size + (1 << 20):
        raise ValueError(
            f"{path} has {path.stat().st_size:,} bytes, and its tensors claim {claimed:,}: it holds expanded tensors "
            "or is damaged; save it again with contiguous tensors, or get it as .safetensors"
        )
    return {name: _without_parallel_prefix(tensors, path) for name, tensors in sections.items()}, metadata


def _refuse_compressed(path: Path) -> None:
    """PyTorch stores its records uncompressed; anything else could unfold to any size."""
    with zipfile.ZipFile(path) as archive:
        for record in archive.infolist():
            if record.compress_type != zipfile.ZIP_STORED or record.file_size != record.compress_size:
                raise ValueError(f"its record {record.filename} is compressed, which PyTorch never does")


def _leaves(content: Mapping[Any, Any], path: Path) -> Iterator[tuple[str, str, Any]]:
    """Leaves of nested dicts as (section, key, value), without training state; a dict met again is passed over."""
    seen: set[int] = set()

    def walk(level: Mapping[Any, Any], section: str, depth: int) -> Iterator[tuple[str, str, Any]]:
        if depth > _DEEPEST:
            raise ValueError(f"{path} holds dicts nested more than {_DEEPEST} deep; expected a dict of tensors")
        if id(level) in seen:
            return
        seen.add(id(level))
        for key, value in level.items():
            if not isinstance(key, (str, int)):
                raise ValueError(f"{path} has a {type(key).__name__} as a key; expected a dict of tensors by name")
            name = str(key) if isinstance(key, str) or key.bit_length() <= 64 else "a large number"
            if not isinstance(value, Mapping):
                yield section, name, value
            elif not _TRAINING_STATE.match(name):
                yield from walk(value, f"{section}.{name}" if section else name, depth + 1)

    return walk(content, "", 0)


def _plain(tensor: Tensor, name: str, path: Path) -> Tensor:
    """The tensor without gradient, once it is sure that it is an ordinary array of numbers."""
    if tensor.is_nested or tensor.layout is not torch.strided:
        kind = "nested" if tensor.is_nested else f"{tensor.layout}".removeprefix("torch.")
    elif tensor.is_quantized:
        kind = f"quantised ({tensor.dtype})"
    elif tensor.is_meta:
        kind = "meta (without data)"
    else:
        return tensor.detach()
    raise ValueError(f"{path} holds {name} as a {kind} tensor; expected plain dense tensors")


def _without_parallel_prefix(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    stripped: dict[str, Tensor] = {}
    for key, value in tensors.items():
        name = key
        while name.startswith(_PARALLEL_PREFIXES):
            name = name.split(".", 1)[1]
        if name in stripped:
            raise ValueError(f"{path} holds {name} twice, once behind a prefix such as module.; save one of them")
        stripped[name] = value
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
