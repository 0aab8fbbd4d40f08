"""Folders for the files of one piece of work: one writer at a time, all files or none, nothing of others touched."""

from __future__ import annotations

import os
import secrets
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from cvd_core.files import give_name

LOCK = ".cvd.lock"
"""Held by whoever writes into a folder; the system lets go of it when the process ends, however that ends."""
UNFINISHED = ".cvd-"
"""What the name of a folder begins with whose files are not complete."""


class FolderInUseError(ValueError):
    """Another process writes into a folder."""


@contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Keep others that ask for it out of ``folder``, which is made if need be, and removed if it is left empty.

    Raises:
        FolderInUseError: before the block: another process writes into ``folder``.
        ValueError: before the block: this process may not.
    """
    made = [path for path in (folder, *folder.parents) if not os.path.exists(path)]
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise FolderInUseError(
                f"another run is writing to {folder}; wait for it, or choose another folder"
            ) from None
        except OSError as error:
            raise ValueError(f"cannot write to {folder}: {error.strerror}; choose another folder") from error
        yield
    finally:
        if lock.is_locked:
            with suppress(OSError):
                Path(lock.lock_file).unlink()  # while it is held: nobody else's is removed
            lock.release()
        for path in made:  # the innermost first
            with suppress(OSError):  # it holds something
                path.rmdir()


@contextmanager
def complete_folder(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """:func:`one_writer` for work that ends with files or folders ``names`` in ``folder``, see :func:`all_or_none`.

    Raises:
        FolderInUseError: before the block: somebody else is writing to ``folder``.
        ValueError: before the block: ``folder`` holds one of ``names``, or cannot be written to; after it: one of
            ``names`` has appeared meanwhile.
    """
    with one_writer(folder), all_or_none(folder, names) as unfinished:
        yield unfinished


@contextmanager
def all_or_none(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Yield an empty folder to write files or folders ``names`` into; when the block succeeds, they move to ``folder``.

    Each appears complete, or not at all. On any exception, Ctrl-C included, what was made here is removed, and nothing
    else.

    Raises:
        ValueError: before the block or after it: ``folder`` holds one of ``names``.
    """
    _refuse_taken(folder, names)
    if left := sorted(path.name for path in folder.glob(f"{UNFINISHED}*")):
        warnings.warn(f"{folder} holds what a killed run has left, {', '.join(left)}; remove it", stacklevel=5)
    ours: dict[str, tuple[int, int]] = {}
    unfinished = folder / f"{UNFINISHED}{secrets.token_hex(4)}"  # beside its goal: moving is renaming
    try:
        unfinished.mkdir()
        yield unfinished
        ours = {name: _identity(unfinished / name) for name in names}
        for name in names:
            try:
                give_name(unfinished / name, folder / name)
            except FileExistsError:
                _refuse_taken(folder, [name])
                raise
    except BaseException:
        for name, identity in ours.items():
            with suppress(FileNotFoundError):
                if _identity(folder / name) == identity:
                    _remove(folder / name)
        raise
    finally:
        if unfinished.exists():
            shutil.rmtree(unfinished)


def _refuse_taken(folder: Path, names: Sequence[str]) -> None:
    if taken := [name for name in names if os.path.lexists(folder / name)]:
        raise ValueError(f"{folder} already holds {', '.join(taken)}; choose another folder, nothing is overwritten")


def _identity(path: Path) -> tuple[int, int]:
    """What stays with a file or a folder when it is moved."""
    found = path.lstat()
    return found.st_dev, found.st_ino


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
