"""Sync modules trained on several partners at once, against ones trained on pairs, under every strategy.

    python -m benchmarks.partners PAIRS_FOLDER PARTNERS_FOLDER --rows runs/partners.jsonl

Both models make the same held-out scenes with the same noise. Ratios are paired by scene, with 95% intervals: below 1
the second model's views agree better. Network calls are counted as in benchmarks/pareto.py: the joint strategy's one
call for all V views as V / 2.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.consistency import PAPER, Estimate, Measured, Trajectories, Variant, arguments, mean, ratio
from benchmarks.harness import machine, print_table, write_report
from benchmarks.pareto import add_bounds, every_point, within_bounds
from cvd_core import ModelPaths

MEASURES = ("first frames", "epipolar", "resting", "place")
ON_SCALE = "place"
"""A difference is more telling than a ratio there, for a copy has 0."""


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, PAPER.steps)
    parser.add_argument("other", type=Path, help="folder of the model with the other sync modules")
    add_bounds(parser, most_calls=60)
    parser.add_argument(
        "--sampling", nargs="+", metavar="WORDS", help='leave out all but these, such as "joint, R = 1"'
    )
    parser.add_argument("--trajectories", choices=("own", "same", "mirrored", "orbiting"), default="own")
    args = parser.parse_args()
    about = machine()
    trajectories: Trajectories = args.trajectories
    models = {"pairs": ModelPaths.in_folder(args.model), "partners": ModelPaths.in_folder(args.other)}
    chosen = within_bounds(every_point(args.steps), args)
    if args.sampling:
        chosen = [point for point in chosen if point.name.partition(", ")[2] in args.sampling]
    variants = {
        (trained, point): Variant(
            f"{trained}, {trajectories}, {point.name}", files, point.settings, point.views, trajectories
        )
        for point in chosen
        for trained, files in models.items()
    }
    measured = Measured(args.rows)
    measured.make(list(variants.values()), args.scenes, args.seeds, args.workers)
    table = [["sampling", "network calls", *(f"{m}, {name}" for m in MEASURES for name in (*models, "ratio"))]]
    results: dict[str, dict[str, dict[str, float]]] = {}
    for point in chosen:
        found: dict[str, Estimate] = {}
        for measure in MEASURES:
            first, second = (
                measured.by_scene(variants[trained, point].name, measure, args.scenes, args.seeds) for trained in models
            )
            found |= {f"{measure}, pairs": mean(first), f"{measure}, partners": mean(second)}
            found[f"{measure}, ratio"] = mean(second - first) if measure == ON_SCALE else ratio(second, first)
        table.append([point.name, f"{point.calls:g}", *map(str, found.values())])
        results[point.name] = {name: vars(value) for name, value in found.items()}
    print_table(table)
    write_report(args.json, "partners", about, results)


if __name__ == "__main__":
    main()
