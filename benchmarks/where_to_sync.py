"""Where synchronisation pays: ``python -m benchmarks.where_to_sync MODEL_FOLDER --rows runs/where.jsonl``.

The sync modules in some of the steps, on some resolutions, or on one guidance branch alone: two views of held-out
scenes with mirrored trajectories and the same noise. Ratios to all of them, paired by scene, with 95% intervals: below
1 of "first frames", "epipolar" and "resting" is better. "place" is on a scale where a copy is 0 and the truth 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from benchmarks.consistency import PAPER, Measured, Variant, arguments, mean, ratio
from benchmarks.harness import machine, print_table, write_report
from cvd_core import ModelPaths
from cvd_core.engine.sd15.pipeline import CollaborativePipeline

ALL = "everywhere"
MEASURES = ("first frames", "epipolar", "resting")


@dataclass(frozen=True)
class OnLevels:
    """Switch the sync modules of other resolutions off; 0 is the finest."""

    kept: tuple[int, ...]

    def __call__(self, pipeline: CollaborativePipeline) -> None:
        network = pipeline.unet
        assert network.sync is not None
        for site in network.sites:
            if site.level not in self.kept:
                network.sync.at(site).register_forward_hook(_as_before)


def _as_before(_module: nn.Module, inputs: tuple[Any, ...], _output: Tensor) -> Tensor:
    before: Tensor = inputs[0]
    return before


def main() -> None:
    """Run from the command line."""
    args = arguments(__doc__, PAPER.steps).parse_args()
    about = machine()
    settings = replace(PAPER, steps=args.steps)
    changes: dict[str, tuple[Any, Callable[[CollaborativePipeline], object] | None]] = {
        ALL: (settings, None),
        "nowhere": (replace(settings, sync_strength=0.0), None),
        "first half of the steps": (replace(settings, sync_end=0.5), None),
        "second half of the steps": (replace(settings, sync_start=0.5), None),
        "first quarter of the steps": (replace(settings, sync_end=0.25), None),
        "finest level": (settings, OnLevels((0,))),
        "coarser levels": (settings, OnLevels((1, 2, 3))),
        "conditional branch": (replace(settings, sync_branches="conditional"), None),
    }
    model = ModelPaths.in_folder(args.model)
    variants = [
        Variant(f"sync {name}", model, chosen, trajectories="mirrored", change=change)
        for name, (chosen, change) in changes.items()
    ]
    measured = Measured(args.rows)
    measured.make(variants, args.scenes, args.seeds, args.workers)
    rows = [["sync modules", "place", *(f"{measure}, times {ALL}" for measure in MEASURES)]]
    results: dict[str, dict[str, dict[str, float]]] = {}
    for name in changes:
        by_scene = {m: measured.by_scene(f"sync {name}", m, args.scenes, args.seeds) for m in ("place", *MEASURES)}
        full = {m: measured.by_scene(f"sync {ALL}", m, args.scenes, args.seeds) for m in MEASURES}
        found = {"place": mean(by_scene["place"])} | {m: ratio(by_scene[m], full[m]) for m in MEASURES}
        rows.append([name, *map(str, found.values())])
        results[name] = {m: vars(value) for m, value in found.items()}
    print_table(rows)
    write_report(args.json, "where_to_sync", about, results)


if __name__ == "__main__":
    main()
