"""Telling Wan's models from others, without loading anything."""

from __future__ import annotations

from pathlib import Path

from cvd_core.weights import Kind, identify, read_checkpoint


def is_wan(base: Path) -> bool:
    """Whether a base model is Wan's: a folder with a transformer, or a file whose keys say so."""
    if base.is_dir():
        return (base / "transformer" / "config.json").is_file()
    if not base.is_file():
        return False
    try:
        return identify(read_checkpoint(base)).kind in (Kind.WAN, Kind.SYNCAM)
    except ValueError:  # whoever loads it says what is wrong
        return False
