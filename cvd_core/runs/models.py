"""The model files of a run of ``cvd generate``: those that are given, those of an earlier run, or the small model's."""

from __future__ import annotations

import argparse
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from cvd_core.engine.sd15.assemble import MODEL_FILES, ModelPaths
from cvd_core.runs import mini
from cvd_core.runs.record import RunRecord

MINI = ModelPaths.in_folder(mini.FOLDER)


def choose_models(args: argparse.Namespace, earlier: RunRecord | None) -> tuple[ModelPaths, frozenset[str]]:
    """The files of a run, and the roles of those that are taken over from the earlier run.

    The small model is taken as a whole, with parts that are given in their places: it is used where nothing is said,
    and no part of it fits another base. So a change to it or away from it takes over nothing.

    Raises:
        ValueError: files without the base they belong to, or a base without motion module.
    """
    given = _given(args)
    recorded = {} if earlier is None else _named(earlier.paths)
    if not recorded and "base" not in given:
        if given:
            options = ", ".join("--lora" if name == "loras" else f"--{name}" for name in given)
            raise ValueError(
                f"{options} without --base; name the Stable Diffusion 1.5 model that goes with it. The small model of "
                "the package, which is used when no files are given, brings its own"
            )
        given = {"base": MINI.base}
    if "base" in given and is_mini(given["base"]) != is_mini(recorded.get("base")):
        recorded = {}
    if is_mini(given.get("base")):
        given = {part: getattr(MINI, part) for part in asdict(MODEL_FILES)} | given
    values = recorded | given
    if "motion" not in values:
        raise ValueError(
            "--motion is missing; give the AnimateDiff motion module v3_sd15_mm.ckpt, or leave out all files for the "
            "small model of the package"
        )
    kept = frozenset("lora" if name == "loras" else name for name in recorded.keys() - given.keys())
    return ModelPaths(**values), kept


def is_mini(base: Path | None) -> bool:
    """Whether this is the base of the small model."""
    return base == MINI.base


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """Fields of ModelPaths that were given on the command line."""
    names = [known.name for known in fields(ModelPaths)]
    given = {name: value for name in names if (value := getattr(args, name)) is not None}
    if "base" in given:
        given["base"] = MINI.base if given["base"] == mini.NAME else Path(given["base"])
    if "loras" in given:
        given["loras"] = tuple(given["loras"])
    return given


def _named(paths: ModelPaths) -> dict[str, Any]:
    return {known.name: getattr(paths, known.name) for known in fields(ModelPaths)}
