"""Telling what family a base model is of, without loading anything."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from cvd_core.weights import CheckpointInfo, Kind, identify, read_checkpoint

WAN = (Kind.WAN, Kind.SYNCAM)
PICTURE_TO_VIDEO = (Kind.DYNAMICRAFTER, Kind.CAMI2V, Kind.CAMERACTRL_I2V, Kind.CAMI2V_PARTS)


def is_wan(base: Path) -> bool:
    """Whether a base model is Wan's: a folder with a transformer, or a file whose keys say so."""
    if base.is_dir():
        return (base / "transformer" / "config.json").is_file()
    info = look_into(base)
    return info is not None and info.kind in WAN


def is_picture_to_video(base: Path) -> bool:
    """Whether a base model is a file of DynamiCrafter or of what CamI2V's authors trained on it."""
    info = look_into(base)
    return info is not None and info.kind in PICTURE_TO_VIDEO


def look_into(base: Path) -> CheckpointInfo | None:
    """What a base model in a single file is; None for folders, and for files that cannot be read."""
    if not base.is_file():
        return None
    found = base.stat()
    return _look_into(base, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=16)
def _look_into(base: Path, changed: int, size: int) -> CheckpointInfo | None:
    """Remembered while the file is the same: a run asks several times, and a pickle of gigabytes takes its time."""
    try:
        return identify(read_checkpoint(base))
    except ValueError:  # whoever loads it says what is wrong
        return None
