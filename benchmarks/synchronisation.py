"""What the sync modules do: ``python -m benchmarks.synchronisation MODEL_FOLDER --rows runs/synchronisation.jsonl``.

Held-out scenes and trajectories, two views or ``--views``, the same noise with and without the sync modules; means over
the scenes with 95% intervals, for trajectories of their own, mirrored, orbiting and identical ones. The copy control
shows one synchronised view as all; renders are what a perfect model would show. "place", "size" and "order" are on a
scale where a copy is 0 and the truth 1 (cvd_core.evaluation.transfer). ``--pictures`` shows some mirrored sets of
views, synchronised above unsynchronised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.consistency import (
    COPY,
    MEASURES,
    ON_SCALE,
    SETTINGS,
    Measured,
    Task,
    Trajectories,
    Variant,
    arguments,
    mean,
    ratio,
    videos_of,
)
from benchmarks.harness import machine, print_table, write_report
from cvd_core import ModelPaths

SHOWN = 8
ENDINGS: dict[Trajectories, str] = {
    "own": "",
    "mirrored": ", mirrored",
    "orbiting": ", orbiting",
    "same": ", same",
}
"""Of the names of variants, by kind of trajectories."""
COLUMNS = ("renders", "unsynced", "synced", "copy", "unsynced / synced", "copy / synced")


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__)
    parser.add_argument("--views", type=int, default=2)
    parser.add_argument("--trajectories", choices=ENDINGS, nargs="+", default=list(ENDINGS))
    parser.add_argument("--pictures", type=Path, help="a PNG to write")
    args = parser.parse_args()
    files = ModelPaths.in_folder(args.model)
    settings = replace(SETTINGS, steps=args.steps)
    several = "" if args.views == 2 else f", {args.views} views"
    endings: dict[Trajectories, str] = {kind: ENDINGS[kind] + several for kind in args.trajectories}
    variants = [
        Variant(f"{name}{ending}", model, chosen, args.views, trajectories)
        for trajectories, ending in endings.items()
        for name, model, chosen in (
            ("renders", None, settings),
            ("synced", files, settings),
            ("unsynced", files, replace(settings, sync_strength=0.0)),
        )
    ]
    about = machine()
    measured = Measured(args.rows)
    measured.make(variants, args.scenes, args.seeds, args.workers)
    results = report(measured, endings, args.scenes, args.seeds)
    write_report(args.json, "synchronisation", about, results)
    if args.pictures:
        shown = [s for s in variants if s.model and s.trajectories == "mirrored"]
        pairs = [[videos_of(Task(s, scene, 0))[0] for s in shown] for scene in range(SHOWN)]
        rows = [torch.cat([*video[0], *video[1]], 1) for pair in pairs for video in pair]
        Image.fromarray(torch.cat(rows, 0).numpy()).save(args.pictures)


def report(
    measured: Measured, endings: Mapping[Trajectories, str], scenes: int, seeds: int
) -> dict[str, dict[str, dict[str, float]]]:
    """Print a table for each kind of trajectories; returns the numbers by kind, measure and column."""
    results: dict[str, dict[str, dict[str, float]]] = {}
    for trajectories, ending in endings.items():

        def values(name: str, measure: str, ending: str = ending) -> NDArray[np.float64]:
            return measured.by_scene(name + ending, measure, scenes, seeds)

        table = [[f"{trajectories} trajectories", *COLUMNS]]
        for measure in (*ON_SCALE, *MEASURES, "first frames", "whole videos"):
            found = {name: mean(values(name, measure)) for name in COLUMNS[:3]}
            found["copy"] = mean(values("synced", COPY + measure))
            found["unsynced / synced"] = ratio(values("unsynced", measure), values("synced", measure))
            found["copy / synced"] = ratio(values("synced", COPY + measure), values("synced", measure))
            table.append([measure, *(str(found[column]) for column in COLUMNS)])
            results[f"{trajectories}: {measure}"] = {column: vars(value) for column, value in found.items()}
        print_table(table)
        print()
    return results


if __name__ == "__main__":
    main()
