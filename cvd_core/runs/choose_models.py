"""The model files of a run: those that are given, those of an earlier run, or the small model's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from cvd_core.engine.model_paths import MODEL_FILES, ModelPaths
from cvd_core.runs import mini


def choose_models(asked: Mapping[str, Any], recorded: ModelPaths | None = None) -> tuple[ModelPaths, frozenset[str]]:
    """The files of a run, and the roles of those that are taken over from the earlier run.

    The small model is used when no files are given. It is taken as a whole, except for parts that are given, and no
    part of it fits another base, so a change to it or away from it keeps nothing of the earlier run.

    Args:
        asked: fields of :class:`ModelPaths`; the base may be ``mini``.
        recorded: files of the earlier run.

    Raises:
        ValueError: files without the base they belong to.
    """
    given = dict(asked)
    earlier = {} if recorded is None else {field.name: getattr(recorded, field.name) for field in fields(ModelPaths)}
    if not earlier and "base" not in given:
        if given:
            files = ", ".join(f"`{name}`" for name in given)
            raise ValueError(
                f"{files} without `base`; name the Stable Diffusion 1.5 model that goes with it. The small model of "
                "the package, which is used when no files are given, brings its own"
            )
        given = {"base": mini.NAME}
    if "loras" in given:
        given["loras"] = tuple(given["loras"])
    if "base" in given:
        given["base"] = mini.MODEL.base if given["base"] == mini.NAME else Path(given["base"])
        if is_mini(given["base"]) != is_mini(earlier.get("base")):
            earlier = {}
        if is_mini(given["base"]):
            given = {part: getattr(mini.MODEL, part) for part in asdict(MODEL_FILES)} | given
    kept = frozenset("lora" if name == "loras" else name for name in earlier.keys() - given.keys())
    return ModelPaths(**(earlier | given)), kept


def is_mini(base: Path | None) -> bool:
    """Whether this is the base of the small model."""
    return base == mini.MODEL.base
