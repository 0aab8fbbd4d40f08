"""A base model's folder as diffusers writes it: which files it has, and reading its configs safely."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cvd_core.files import read_json_object
from cvd_core.weights import is_index, shard_files

DIFFUSERS_FOLDER = "a diffusers folder with unet/, vae/, text_encoder/ and tokenizer/"

COMPONENTS = {
    "unet": ("diffusion_pytorch_model", "diffusion_pytorch_model"),
    "vae": ("diffusion_pytorch_model", "diffusion_pytorch_model"),
    "text_encoder": ("model", "pytorch_model"),
}
"""The networks, with the names of their weights: as safetensors, as pickle."""

_INDEX = ".index"
LARGEST_NUMBER = 1_000_000
"""In a config: the vocabulary has 49,408 tokens, everything else is smaller."""
_MOST_LAYERS = 64
"""Of anything that is counted in a config, and entries of its lists: SD1.5 has at most 12 of a kind."""
_COUNTS = ("layers_per_block", "transformer_layers_per_block", "num_hidden_layers", "blocks")


def check_folder(folder: Path, *, with_weights: bool) -> None:
    """Raise a ValueError with everything that is missing in a diffusers folder."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; expected {DIFFUSERS_FOLDER}")
    missing = [f"{c}/config.json" for c in COMPONENTS if not (folder / c / "config.json").is_file()]
    tokenizer = folder / "tokenizer"
    has_vocabulary = (tokenizer / "vocab.json").is_file() and (tokenizer / "merges.txt").is_file()
    if not has_vocabulary and not (tokenizer / "tokenizer.json").is_file():
        missing.append("tokenizer/vocab.json with tokenizer/merges.txt")
    if with_weights:
        missing += [f"the weights of {c}/" for c in COMPONENTS if not _weights_candidates(folder, c)]
    if missing:
        hint = "; it is a component, give the folder above it" if (folder / "config.json").is_file() else ""
        raise ValueError(f"{folder} lacks {', '.join(missing)}; expected {DIFFUSERS_FOLDER} of an SD1.5 model{hint}")


def weights_file(folder: Path, component: str) -> Path:
    """The file with the weights of a component of a complete diffusers folder, safetensors first; or their index."""
    return _weights_candidates(folder, component)[0]


def weights_files(folder: Path, component: str) -> list[Path]:
    """All files with the weights of a component: one, or an index and the files it names; none if it has no weights.

    Raises:
        ValueError: the index is damaged.
    """
    if not _weights_candidates(folder, component):
        return []
    file = weights_file(folder, component)
    return [file, *(file.with_name(name) for name in sorted(shard_files(file)))] if is_index(file) else [file]


def _weights_candidates(folder: Path, component: str) -> list[Path]:
    """Existing weight files of a component, best first."""
    safe, pickled = COMPONENTS[component]
    names = []
    for name, ending in ((safe, "safetensors"), (pickled, "bin")):
        for variant in ("", ".fp16"):
            names += [f"{name}{variant}.{ending}", f"{name}.{ending}{_INDEX}{variant}.json"]
    return [file for name in names if (file := folder / component / name).is_file()]


def read_config(file: Path) -> dict[str, Any]:
    """A component's config, once it is sure that building from it takes no more than such networks do.

    Raises:
        ValueError: it is not a JSON object, or holds numbers that no such network can have.
    """
    config = read_json_object(file)
    for name, value in _entries(config):
        if isinstance(value, list) and len(value) > _MOST_LAYERS:
            raise ValueError(f"{file}: {name} has {len(value)} entries; expected at most {_MOST_LAYERS}")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            most = _MOST_LAYERS if name in _COUNTS else LARGEST_NUMBER
            if not (math.isfinite(value) if isinstance(value, float) else abs(value) <= most):
                number = "a number of too many digits" if isinstance(value, int) and value > 1 << 64 else value
                raise ValueError(f"{file}: {name} is {number}; expected at most {most:,} - it is damaged, get it again")
    return config


def read_configs(folder: Path) -> dict[str, dict[str, Any]]:
    """The configs of all components, see :func:`read_config`."""
    return {component: read_config(folder / component / "config.json") for component in COMPONENTS}


def _entries(config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """All values in nested JSON, each with the nearest name above it."""
    found: list[tuple[str, Any]] = [("", config)]
    while found:
        name, value = found.pop()
        yield name, value
        if isinstance(value, dict):
            found += value.items()
        elif isinstance(value, list):
            found += ((name, inner) for inner in value)


def reason(error: BaseException) -> str:
    """The first line of the error that a library raised on a damaged file."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:200]}" if text else type(error).__name__
