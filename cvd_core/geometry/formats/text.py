"""Text and JSON files in, with messages that say what is wrong with them; text files out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from numbers import Real
from pathlib import Path
from typing import Any

from cvd_core.files import atomic_path


def read_text(path: Path) -> str:
    """The file's text.

    Raises:
        ValueError: the file cannot be read, is empty or is not UTF-8 text.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file (byte {error.start} is not UTF-8); pick another file") from error
    if "\0" in text:
        raise ValueError(f"{path} is not a text file (it holds NUL bytes); pick another file")
    if not text.strip():
        raise ValueError(f"{path} is empty; expected camera poses")
    return text


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in the file.

    Raises:
        ValueError: as :func:`read_text`; a syntax error (with its line); anything but an object at the top.
    """
    text = read_text(path)
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path}, line {error.lineno}, column {error.colno}: not valid JSON ({error.msg}); it may be cut short"
        ) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
        raise ValueError(f"{path}: not usable JSON ({error})") from error
    if not isinstance(data, dict):
        raise ValueError(f"{path} holds a JSON {type(data).__name__}; expected an object with camera poses")
    return data


def json_keys(path: Path) -> frozenset[str]:
    """Top-level keys of a JSON object; none if the file does not begin like one. Raises as :func:`read_json`."""
    with path.open("rb") as file:
        start = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    return frozenset(read_json(path)) if start.startswith(b"{") else frozenset()


def number(value: object, where: str) -> float:
    """``value`` as a finite number.

    Raises:
        ValueError: naming the place and what was found there.
    """
    try:
        if isinstance(value, bool) or not isinstance(value, (Real, str)):
            raise TypeError
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        result = math.nan
    if not math.isfinite(result):
        raise ValueError(f"{where} is {value!r}; expected a finite number")
    return result


def numbers(values: Iterable[object], where: str) -> list[float]:
    """Every value as a finite number; raises as :func:`number`, with the column counted from 1."""
    return [number(value, f"{where}: column {column}") for column, value in enumerate(values, 1)]


def join(values: Iterable[float]) -> str:
    """Numbers with single spaces between, each with as many digits as reading it back exactly takes (at most 17)."""
    return " ".join(repr(float(value)) for value in values)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with Unix line ends, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
