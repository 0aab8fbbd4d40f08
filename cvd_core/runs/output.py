"""The files of a run: their names, and how all of them or none appear."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_LONGEST = 100


def file_stems(names: Sequence[str], taken: Sequence[str] = ()) -> list[str]:
    """File names without ending for ``names``, different from each other and from ``taken`` on every file system.

    Letters, digits, ``.``, ``-`` and ``_`` stay, everything else becomes ``_``.
    """
    used = {name.casefold() for name in taken}
    stems = []
    for index, name in enumerate(names):
        stem = plain = re.sub(r"[^\w.-]+", "_", name)[:_LONGEST].strip("._") or f"view{index}"
        number = 2
        while stem.casefold() in used:
            stem, number = f"{plain}_{number}", number + 1
        used.add(stem.casefold())
        stems.append(stem)
    return stems


@contextmanager
def complete_folder(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Yield an empty folder to write files or folders ``names`` into; when the block succeeds, they move to ``folder``.

    On any exception, Ctrl-C included, ``folder`` is as it was before, and gone if it did not exist.

    Raises:
        ValueError: before the block: ``folder`` holds one of ``names``, or cannot be written to.
    """
    made: list[Path] = []
    try:
        taken = [name for name in names if (folder / name).exists()]
        made = [path for path in (folder, *folder.parents) if not path.exists()]
        if not taken:
            folder.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=".cvd-", dir=folder))  # beside its goal: moving is renaming
    except OSError as error:
        _remove_empty(made)
        raise ValueError(f"cannot write to {folder}: {error.strerror}; choose another `out`") from error
    if taken:
        raise ValueError(f"{folder} already holds {', '.join(taken)}; choose another `out`, nothing is overwritten")
    try:
        yield staging
        for name in names:
            (staging / name).rename(folder / name)
    except BaseException:
        for name in names:
            _remove(folder / name)
        shutil.rmtree(staging)
        _remove_empty(made)
        raise
    staging.rmdir()


def _remove(path: Path) -> None:
    """Remove a file or a folder with all that it holds, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove ``folders``, the innermost first, unless somebody else has put something there."""
    for path in folders:
        with suppress(OSError):
            path.rmdir()
