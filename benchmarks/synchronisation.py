"""What the sync modules do: ``python -m benchmarks.synchronisation MODEL_FOLDER --rows runs/synchronisation.jsonl``.

Held-out scenes and trajectories, two views, the same noise with and without the sync modules; means over the scenes
with 95% intervals. The copy control shows one synchronised view as both; renders are what a perfect model would show.
``--pictures`` shows some pairs, synchronised above unsynchronised.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path

import torch
from PIL import Image

from benchmarks import consistency
from benchmarks.consistency import COPY, MEASURES, Estimate, Measured, Sampling, Task, mean, ratio
from benchmarks.measure import machine, print_table, write_report
from cvd_core import mini
from cvd_core.engine.assemble import ModelPaths
from cvd_core.engine.settings import Settings

SHOWN = 8
SETTINGS = replace(Settings(("",), **mini.SETTINGS), steps=10)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="folder with base/, motion, camera and sync .safetensors")
    add_options(parser)
    parser.add_argument("--pictures", type=Path, help="a PNG to write")
    args = parser.parse_args()
    files = ModelPaths.in_folder(args.model)
    settings = replace(SETTINGS, steps=args.steps)
    apart = replace(settings, sync_strength=0.0)
    samplings = [
        Sampling("renders", None, settings),
        Sampling("synced", files, settings),
        Sampling("unsynced", files, apart),
        Sampling("synced, same trajectories", files, settings, trajectories="same"),
        Sampling("unsynced, same trajectories", files, apart, trajectories="same"),
    ]
    about = machine()
    measured = Measured(args.rows)
    measured.make(samplings, args.scenes, args.seeds, args.workers)
    results = report(measured, args.scenes, args.seeds)
    write_report(args.json, "synchronisation", about, results)
    if args.pictures:
        pairs = [[consistency.videos_of(Task(s, scene, 0))[0] for s in samplings[1:3]] for scene in range(SHOWN)]
        rows = [torch.cat([*video[0], *video[1]], 1) for pair in pairs for video in pair]
        Image.fromarray(torch.cat(rows, 0).numpy()).save(args.pictures)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What all benchmarks of consistency have."""
    parser.add_argument("--rows", type=Path, required=True, help="file that keeps the measures; goes on from it")
    parser.add_argument("--scenes", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3, help="noises per scene")
    parser.add_argument("--steps", type=int, default=SETTINGS.steps)
    parser.add_argument("--workers", type=int, default=2, help="processes, of one thread each")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the numbers to this file")


def report(measured: Measured, scenes: int, seeds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Print a table; returns its numbers."""

    def values(sampling: str, name: str) -> Estimate:
        return mean(measured.by_scene(sampling, name, scenes, seeds))

    def times_lower(name: str, above: str, below: str, below_name: str = "") -> Estimate:
        sides = ((above, name), (below, below_name or name))
        return ratio(*(measured.by_scene(sampling, value, scenes, seeds) for sampling, value in sides))

    own = ("renders", "unsynced", "synced")
    same = ("unsynced, same trajectories", "synced, same trajectories")
    rows: dict[str, dict[str, Estimate]] = {}
    for name in MEASURES:
        rows[name] = {sampling: values(sampling, name) for sampling in own}
        rows[name] |= {"copy": values("synced", COPY + name), "unsynced / synced": times_lower(name, *own[1:])}
    rows["first frames"] = {sampling: values(sampling, "first frames") for sampling in own}
    rows["first frames"]["unsynced / synced"] = times_lower("first frames", *own[1:])
    rows["same trajectories"] = {own[i + 1]: values(sampling, "whole videos") for i, sampling in enumerate(same)}
    rows["same trajectories"]["unsynced / synced"] = times_lower("whole videos", *same)
    columns = [*own, "copy", "unsynced / synced"]
    table = [[name, *(str(row[c]) if c in row else "" for c in columns)] for name, row in rows.items()]
    print_table([["measure", *columns], *table])
    return {name: {column: asdict(value) for column, value in row.items()} for name, row in rows.items()}


if __name__ == "__main__":
    main()
