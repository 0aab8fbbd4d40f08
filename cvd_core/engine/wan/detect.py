"""Telling Wan's models from others, without loading anything."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from cvd_core.weights import Kind, identify, read_checkpoint


def is_wan(base: Path) -> bool:
    """Whether a base model is Wan's: a folder with a transformer, or a file whose keys say so."""
    if base.is_dir():
        return (base / "transformer" / "config.json").is_file()
    if not base.is_file():
        return False
    found = base.stat()
    return _holds_wan(base, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=16)
def _holds_wan(base: Path, changed: int, size: int) -> bool:
    """Remembered while the file is the same: a run asks several times, and a pickle of gigabytes takes its time."""
    try:
        return identify(read_checkpoint(base)).kind in (Kind.WAN, Kind.SYNCAM)
    except ValueError:  # whoever loads it says what is wrong
        return False
