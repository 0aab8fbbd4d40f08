"""Files: the order of their names, and writing so that an interruption never leaves half of one."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
