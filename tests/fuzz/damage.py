"""Damage that a good input can take: to its bytes, to the text it is, to the values and tensors it holds."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

JUNK: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 1.5, 1e-320, 1e308, -1e308, 10**30, 2**63, math.nan, math.inf, -math.inf, "", "x",
    "nan", "1e999", "\0", "\ud800", "a" * 3000, [], [[]], [1], [1, 2, 3, 4], {}, {"a": 1}, [None], "../../x", "0x10",
)  # fmt: skip
"""Values that stand where others belong."""

TYPES = (
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float64,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.int8,
    torch.int64,
    torch.bool,
)
"""Of tensors."""


def pick(rng: np.random.Generator, options: tuple[Any, ...] | list[Any]) -> Any:
    """One of the options, unchanged (``Generator.choice`` would make an array of them)."""
    return options[int(rng.integers(len(options)))]


def damaged_bytes(rng: np.random.Generator, content: bytes) -> bytes:
    """A few places cut out, doubled or overwritten; sometimes the end is missing."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(len(data) + 1))
        length = int(pick(rng, [0, 1, 1, 4, 50]))
        new = pick(rng, [b"", rng.bytes(1), rng.bytes(3), bytes(data[place : place + 40]), b"\0", b"9", b"-", b"e9"])
        data[place : place + length] = new
    return bytes(data[: int(rng.integers(len(data) + 1))] if rng.random() < 0.2 else data)


def damaged_words(rng: np.random.Generator, text: str) -> str:
    """A few words replaced, dropped or doubled, or lines doubled, dropped or exchanged."""
    lines = text.splitlines() or [""]
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(len(lines)))
        words = lines[place].split(" ")
        word = int(rng.integers(len(words)))
        match int(rng.integers(6)):
            case 0:
                words[word] = str(pick(rng, JUNK))
            case 1:
                del words[word]
            case 2:
                words.insert(word, words[word])
            case 3:
                lines.insert(place, lines[place])
            case 4:
                lines[place], lines[0] = lines[0], lines[place]
            case 5:
                words[word] = f"{pick(rng, ['-', '1', '9', 'e', '.', ','])}{words[word]}"
        lines[place] = " ".join(words)
    return "\n".join(lines)


def damaged_value(rng: np.random.Generator, value: Any, times: int = 0) -> Any:
    """A copy of a JSON value (or one of YAML) with ``times`` entries replaced, dropped, renamed or added; 1 to 3 by
    default."""
    copy = json.loads(json.dumps(value))
    for _ in range(times or int(rng.integers(1, 4))):
        copy = _damage_once(rng, copy)
    return copy


def _damage_once(rng: np.random.Generator, value: Any) -> Any:
    """Walk to a random place and do one thing there."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.1:
        return pick(rng, JUNK)
    key: Any = pick(rng, list(value)) if isinstance(value, dict) else int(rng.integers(len(value)))
    match int(rng.integers(8)):
        case 0:
            del value[key]
        case 1 if isinstance(value, dict):
            value[pick(rng, ["x", "", "version", "name", f"{key} "])] = pick(rng, JUNK)
        case 1 if isinstance(value, list):
            value.append(pick(rng, JUNK))
        case 2:
            value[key] = pick(rng, JUNK)
        case 3 if isinstance(value[key], int | float):
            value[key] = value[key] * pick(rng, [-1, 1e3, 1e-3, 1e300, 0])
        case _:
            value[key] = _damage_once(rng, value[key])
    return value


def random_tensor(rng: np.random.Generator) -> Tensor:
    """Zeros of any small shape and type."""
    shape = [int(pick(rng, [0, 1, 2, 4, 32])) for _ in range(int(rng.integers(5)))]
    return torch.zeros(shape, dtype=pick(rng, list(TYPES)))


def damaged_json(rng: np.random.Generator, value: Any) -> bytes:
    """A JSON file with damage to its values or its bytes."""
    if rng.random() < 0.3:
        return damaged_bytes(rng, json.dumps(value).encode())
    return json.dumps(damaged_value(rng, value)).encode()


def damaged_state(rng: np.random.Generator, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """One to three tensors dropped, renamed, or of another shape, type or content."""
    for _ in range(int(rng.integers(1, 4))):
        key = pick(rng, sorted(state))
        match int(rng.integers(7)):
            case 0 if len(state) > 1:
                del state[key]
            case 1:
                state[f"{key}x"] = state.pop(key)
            case 2:
                state[key.replace("0", pick(rng, ["7", "999999999999", "-1", ""]), 1)] = state.pop(key)
            case 3:
                state[key] = random_tensor(rng)
            case 4:
                state[key] = state[key].to(pick(rng, list(TYPES)))
            case 5:
                state[key] = state[key].float() * pick(rng, [float("nan"), float("inf"), 1e38])
            case _:
                state[key] = state[key].flatten()[: int(rng.integers(3))].clone()
    return state


def written_state(rng: np.random.Generator, stem: Path, state: dict[str, Tensor]) -> Path:
    """Tensors in a file as programs write them - safetensors, or a pickle, bare or wrapped -, at times damaged."""
    if rng.random() < 0.4:
        file = stem.with_suffix(".safetensors")
        save_file(state, file)
    else:
        file = stem.with_suffix(".ckpt")
        wrapped = [state, {"state_dict": state, "epoch": 3}, {"module": state}, {"module": state, "state_dict": state}]
        torch.save(pick(rng, wrapped), file)
    if rng.random() < 0.1:
        file.write_bytes(damaged_bytes(rng, file.read_bytes()))
    return file
