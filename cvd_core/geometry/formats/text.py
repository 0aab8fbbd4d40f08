"""Text and JSON files in, with messages that say what is wrong with them; text out."""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from numbers import Real
from pathlib import Path
from typing import Any

_LARGEST = 64 * 2**20
"""Bytes of a text that is read as a whole: JSON takes about ten times as much memory."""
_LONGEST_LINE = 16 * 2**20
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(path: Path) -> str:
    """The file's text, UTF-8 or any Unicode with a byte order mark.

    Raises:
        ValueError: the file cannot be read, is empty, larger than 64 MiB, or not such text.
    """
    with _readable(path):
        if (size := path.stat().st_size) > _LARGEST:
            raise ValueError(
                f"{path} has {size / 2**20:.0f} MiB; camera files of at most {_LARGEST / 2**20:.0f} MiB are read"
            )
        text = path.read_text(encoding=_encoding(path))
    if "\0" in text:
        raise ValueError(_binary(path))
    if not text.strip():
        raise ValueError(f"{path} is empty; expected camera poses")
    return text


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of every line, without its end; the file is never in memory as a whole.

    Raises:
        ValueError: as :func:`read_text`, but for the size; a line of more than 16 MiB.
    """
    empty = True
    with _readable(path), path.open(encoding=_encoding(path)) as file:
        for n, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), ""), 1):
            if "\0" in line:
                raise ValueError(_binary(path))
            if len(line) == _LONGEST_LINE:
                raise ValueError(f"{path}, line {n} is longer than any line of camera poses; pick another file")
            empty = empty and not line.strip()
            yield n, line.rstrip("\r\n")
    if empty:
        raise ValueError(f"{path} is empty; expected camera poses")


def first_lines(path: Path, number: int = 4) -> list[str]:
    """The first lines that are not blank, of the first 8 KiB; none if they are not text. For telling formats apart."""
    if not path.is_file():
        return []
    with path.open("rb") as file:
        head = file.read(8192)
    text = head.decode(_encoding(path), errors="replace")
    return [line for line in text.splitlines() if line.strip()][:number] if "\0" not in text else []


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    if not path.is_file():
        raise ValueError(f"{path} is not a file; expected camera poses")
    try:
        yield
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not a text file (byte {error.start} is not {error.encoding.upper()}); pick another file"
        ) from error


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    return next((encoding for mark, encoding in _MARKS if start.startswith(mark)), "utf-8")


def _binary(path: Path) -> str:
    return f"{path} is not a text file (it holds NUL bytes); pick another file, or save it as UTF-8"


def words(line: str) -> list[str]:
    """The line's words; spaces, tabs, commas and semicolons separate."""
    return re.split(r"[\s,;]+", line.strip(" \t\r\n,;"))


def read_json(path: Path, kind: type = dict) -> Any:
    """The JSON object (or, for ``kind`` list, array) in the file.

    Raises:
        ValueError: as :func:`read_text`; a syntax error (with its line); a key that stands twice in one object;
            another kind of value at the top.
    """
    text = read_text(path)
    try:
        data = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path}, line {error.lineno}, column {error.colno}: not valid JSON ({error.msg}); it may be cut short"
        ) from error
    except (ValueError, RecursionError) as error:  # a key twice, a number of thousands of digits, thousands of brackets
        raise ValueError(f"{path}: not usable JSON ({error})") from error
    if not isinstance(data, kind):
        expected = "an object" if kind is dict else "an array"
        raise ValueError(f"{path} holds a JSON {type(data).__name__}; expected {expected} with camera poses")
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:40]!r} stands twice in one object; keep one of them")
    return result


def json_start(path: Path) -> str:
    """The first character that is not blank, where it may begin JSON: { or [; else nothing."""
    line = "".join(first_lines(path, 1)).lstrip(" \t\ufeff")
    return line[:1] if line[:1] in {"{", "["} else ""


def json_keys(path: Path) -> frozenset[str]:
    """Top-level keys of a JSON object; none if the file does not begin like one. Raises as :func:`read_json`."""
    return frozenset(read_json(path)) if json_start(path) == "{" else frozenset()


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
        raise ValueError(f"{where} is {shown(value)}; expected a finite number")
    return result


def numbers(values: Iterable[object], where: str) -> list[float]:
    """Every value as a finite number; raises as :func:`number`, with the column counted from 1."""
    return [number(value, f"{where}: column {column}") for column, value in enumerate(values, 1)]


def shown(value: object) -> str:
    """A value in a message: as Python writes it, cut after 60 characters."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply, or a number of thousands of digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def join(values: Iterable[float]) -> str:
    """Numbers with single spaces between, each with as many digits as reading it back exactly takes (at most 17)."""
    return " ".join(repr(float(value)) for value in values)
