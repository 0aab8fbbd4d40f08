"""Files: the order of their names, writing so that an interruption leaves no half of one, reading small JSON files."""

from __future__ import annotations

import errno
import glob
import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
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


def expand(paths: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The files that paths and patterns mean: where nothing has a name with ``*``, ``?`` or ``[``, all that match it.

    For patterns that the shell did not expand (quoted, or on Windows). Matches are in natural order.

    Raises:
        ValueError: a pattern that nothing matches.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.exists() or not glob.has_magic(str(path)):
            found.append(path)
            continue
        matches = sorted(
            map(Path, glob.glob(str(path.expanduser()), recursive=True)), key=lambda p: natural_key(str(p))
        )
        if not matches:
            raise ValueError(f"nothing matches {path}; check the folder and the pattern")
        found += matches
    return found


@contextmanager
def atomic_path(target: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside ``target`` with the same suffix; move it onto ``target`` when the block succeeds.

    On any exception, Ctrl-C included, the temporary file is removed and ``target`` is as it was before.

    Args:
        target: the file to write.
        overwrite: whether a file that is there already may be replaced. If not, it is never touched, even if it
            appears while the block runs.

    Raises:
        ValueError: the folder does not exist and cannot be made, or cannot be written to; the disk is full; without
            ``overwrite``, something is there already.
    """
    target = Path(target)
    try:
        if not overwrite and os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "it already exists")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:  # else it would seem that the target is there
            raise NotADirectoryError(errno.ENOTDIR, f"{target.parent} is not a folder") from error
        handle, name = tempfile.mkstemp(prefix=f".{target.stem[:40]}-", suffix=target.suffix, dir=target.parent)
    except OSError as error:
        raise _cannot_write(target, error) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes private files; an output should have ordinary permissions
        if overwrite:
            temporary.replace(target)
        else:
            give_name(temporary, target)
    except OSError as error:
        if error.filename in (None, name):
            raise _cannot_write(target, error) from error
        raise
    except Exception as error:
        # safetensors, PyTorch, PyAV and Matplotlib have exceptions of their own for a full disk.
        if not isinstance(error, ValueError) and (full := _full_disk(target.parent)):
            raise _cannot_write(target, full) from error
        raise
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


def give_name(source: Path, target: Path) -> None:
    """Have a finished file or folder stand at ``target`` too, or instead of at ``source``, on one file system.

    Raises:
        FileExistsError: something is there, and is not touched; an empty folder gives way to a folder.
    """
    taken = FileExistsError(errno.EEXIST, "it already exists")
    if source.is_dir() or os.name == "nt":  # where renaming refuses what is there
        try:
            source.rename(target)
        except OSError as error:
            raise (taken if error.errno in (errno.ENOTEMPTY, errno.ENOTDIR, errno.EEXIST) else error) from error
        return
    try:
        os.link(source, target)
    except FileExistsError as error:
        raise taken from error
    except OSError:  # a file system without hard links: claim the name, then replace what was claimed
        try:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError as error:
            raise taken from error
        source.replace(target)


def _cannot_write(target: Path, error: OSError) -> ValueError:
    advice = {
        errno.EEXIST: "choose another name; nothing is overwritten unasked",
        errno.ENOSPC: "free some space, or choose a folder on another disk",
        errno.EDQUOT: "free some space, or choose a folder on another disk",
    }
    hint = advice.get(error.errno or 0, "choose a folder you may write to")
    return ValueError(f"cannot write {target}: {error.strerror or error}; {hint}")


def _full_disk(folder: Path) -> OSError | None:
    """The error that writing another 64 KiB gives, if it is that the disk is full."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(1 << 16))
    except OSError as error:
        return error if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
    return None
