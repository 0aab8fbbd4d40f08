"""A base model's folder as diffusers writes it: which files it has, and reading its configs and tokenizer safely."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers import CLIPTokenizerFast

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
_LARGEST_NUMBER = 1_000_000
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
    """All files with the weights of a component: one, or an index and the files it names.

    Raises:
        ValueError: the index is damaged.
    """
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
        ValueError: it is no JSON object, or holds numbers no such network can have.
    """
    config = read_json_object(file)
    for name, value in _entries(config):
        if isinstance(value, list) and len(value) > _MOST_LAYERS:
            raise ValueError(f"{file}: {name} has {len(value)} entries; expected at most {_MOST_LAYERS}")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            most = _MOST_LAYERS if name in _COUNTS else _LARGEST_NUMBER
            if not (math.isfinite(value) if isinstance(value, float) else abs(value) <= most):
                number = "a number of too many digits" if isinstance(value, int) and value > 1 << 64 else value
                raise ValueError(f"{file}: {name} is {number}; expected at most {most:,} - it is damaged, get it again")
    return config


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
    """The first line of an error of a library that stumbled over a damaged file."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:200]}" if text else type(error).__name__


def load_tokenizer(folder: Path, vocabulary: int) -> CLIPTokenizerFast:
    """The tokenizer of a diffusers folder.

    Args:
        folder: the whole model's.
        vocabulary: tokens that the text encoder knows.

    Raises:
        ValueError: a file of it is damaged, or it makes tokens the text encoder does not know.
    """
    place = folder / "tokenizer"
    _check_vocabulary(place)
    try:
        tokenizer = CLIPTokenizerFast.from_pretrained(place, local_files_only=True)
        ids = tokenizer("a", padding="max_length", max_length=8)["input_ids"]
        largest = max(tokenizer.get_vocab().values(), default=0)
    except Exception as error:  # transformers and tokenizers raise of every type
        raise ValueError(f"the tokenizer in {place} cannot be read ({reason(error)}); get its files again") from error
    if max(largest + 1, len(tokenizer)) > vocabulary:
        raise ValueError(
            f"the tokenizer in {place} has {max(largest + 1, len(tokenizer))} tokens, the text encoder knows "
            f"{vocabulary}; use the tokenizer the model was trained with"
        )
    special = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
    if None in special or len(ids) != 8 or not set(ids[:1] + ids[-1:]) <= special:
        raise ValueError(f"the tokenizer in {place} has no tokens for start, end and padding; get its files again")
    return tokenizer


def _check_vocabulary(place: Path) -> None:
    """Refuse files that the tokenizer's library would stumble over, or read something else from than they say."""
    for name in ("tokenizer_config.json", "special_tokens_map.json", "tokenizer.json"):
        if (place / name).is_file():
            read_json_object(place / name)
    if not ((place / "vocab.json").is_file() and (place / "merges.txt").is_file()):
        return
    vocabulary = read_json_object(place / "vocab.json")
    ids = list(vocabulary.values())
    if not ids or any(type(i) is not int or not 0 <= i <= _LARGEST_NUMBER for i in ids) or len(set(ids)) < len(ids):
        raise ValueError(
            f"{place / 'vocab.json'} is damaged: expected one whole number for each token, from 0 on; get it again"
        )
    try:
        lines = (place / "merges.txt").read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{place / 'merges.txt'} is not text ({error}); get it again") from error
    for number, line in enumerate(lines, 1):
        if (number == 1 and line.startswith("#version")) or not line.strip():
            continue
        pair = line.split(" ")
        if len(pair) != 2 or not {*pair, "".join(pair)} <= vocabulary.keys():
            raise ValueError(
                f"{place / 'merges.txt'}, line {number}: expected two tokens of vocab.json that make a third; the "
                "files do not belong together or are damaged - get both again"
            )
