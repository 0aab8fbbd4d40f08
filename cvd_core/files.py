"""Files: the order of their names, writing so that an interruption leaves no half of one, reading small JSON files."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def natural_key(name: str) -> tuple[list[tuple[int, str]], str]:
    """Sorting key by which ``view10`` follows ``view9``: runs of digits count as numbers of any length.

    Names that differ in leading zeros alone are ordered as text.
    """
    parts = re.split(r"(\d+)", name)  # text and digits in turns, so that like is compared with like
    digits = [part.lstrip("0") for part in parts]
    return [(len(d), d) if i % 2 else (-1, part) for i, (part, d) in enumerate(zip(parts, digits, strict=True))], name


@contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``target`` with the same suffix; move it onto ``target`` when the block succeeds.

    On any exception, Ctrl-C included, the temporary file is removed and ``target`` is as it was before.

    Raises:
        ValueError: the folder does not exist and cannot be made, or cannot be written to.
    """
    target = Path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.stem}-", suffix=target.suffix, dir=target.parent)
    except OSError as error:
        raise ValueError(
            f"cannot write {target}: {error.strerror or error}; choose a folder you may write to"
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes private files; an output should have ordinary permissions
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


_LARGEST_JSON = 64 << 20
"""Bytes; configs have a few thousand, a vocabulary a million, the index of a sharded model some more."""


def read_json_object(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The object that a JSON file (UTF-8) holds.

    Raises:
        ValueError: the file is missing, larger than 64 MiB, not valid JSON, nested too deeply, or holds anything but
            an object.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        text = path.read_bytes() if size <= _LARGEST_JSON else b""
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error
    if size > _LARGEST_JSON:
        raise ValueError(f"{path} has {size:,} bytes; expected a small JSON file")
    try:
        content = json.loads(text.decode("utf-8-sig"))
    except RecursionError as error:
        raise ValueError(f"{path} is nested too deeply; get it again") from error
    except ValueError as error:  # besides JSON's own: other encodings, numbers of thousands of digits
        raise ValueError(f"{path} is not valid JSON ({error}); get it again") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a JSON {_JSON_NAMES.get(type(content), 'value')}; expected an object")
    return content


_JSON_NAMES = {list: "array", str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}
