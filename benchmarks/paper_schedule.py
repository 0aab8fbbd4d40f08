"""The paper's schedule for six views against one network call per step, in which every view sees all others.

    python -m benchmarks.paper_schedule PAIRS_FOLDER MODEL_FOLDER --rows runs/schedule.jsonl

The first model's sync modules were trained on pairs and sample as in the paper: two partitions, each step six times
(CVD paper, Sec. 4.3), sync modules on both branches. The second's were trained on several partners. Same held-out
scenes, same noise; ratios are paired by scene, with 95% intervals: below 1 views agree better than with the schedule.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.consistency import PAPER, SECONDS, SETTINGS, Estimate, Measured, Variant, arguments, mean, ratio
from benchmarks.harness import machine, print_table, write_report
from cvd_core import ModelPaths, Pairing, Recurrence, Settings

VIEWS = 6
STEPS = 25
SCHEDULE = "pairs, the paper's schedule"
RATIOS = ("first frames", "epipolar", "resting")
BESIDE = ("place", "compared")
"""Of these, means alone: the first is on a scale where a copy is 0 and the truth 1."""


def network_calls(settings: Settings) -> int:
    """Of a run; disjoint pairs of a partition go through the network in one."""
    return settings.passes * len(settings.pairing.calls(VIEWS))


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, STEPS)
    parser.add_argument("joint", type=Path, help="folder of the model with sync modules trained on several partners")
    args = parser.parse_args()
    about = machine()
    pairs, joint = ModelPaths.in_folder(args.model), ModelPaths.in_folder(args.joint)
    paper = replace(PAPER, steps=args.steps)
    chosen = {
        SCHEDULE: (pairs, replace(paper, pairing=Pairing("multi-partition", 2), recurrence=Recurrence(6))),
        "pairs, one partition": (pairs, paper),
        "joint": (joint, replace(paper, pairing=Pairing("joint"))),
        "joint, conditional branch": (joint, replace(SETTINGS, sampler="ddim", steps=args.steps)),
        f"joint, lcm, {args.steps} steps": (joint, replace(SETTINGS, steps=args.steps)),
        f"joint, lcm, {SETTINGS.steps} steps": (joint, SETTINGS),
    }
    measured = Measured(args.rows)
    variants = [Variant(name, model, settings, VIEWS) for name, (model, settings) in chosen.items()]
    measured.make(variants, args.scenes, args.seeds, args.workers)
    table = [["sampling", "network calls", SECONDS, *BESIDE, *(f"{m}{of}" for m in RATIOS for of in ("", ", ratio"))]]
    results: dict[str, dict[str, dict[str, float]]] = {}
    of_schedule = {m: measured.by_scene(SCHEDULE, m, args.scenes, args.seeds) for m in RATIOS}
    for name, (_, settings) in chosen.items():
        of = {m: measured.by_scene(name, m, args.scenes, args.seeds) for m in (SECONDS, *BESIDE, *RATIOS)}
        found: dict[str, Estimate] = {m: mean(of[m]) for m in (SECONDS, *BESIDE)}
        for m in RATIOS:
            found[m] = mean(of[m])
            found[f"{m}, ratio"] = ratio(of[m], of_schedule[m])
        table.append([name, str(network_calls(settings)), *map(str, found.values())])
        results[name] = {m: vars(value) for m, value in found.items()}
    print_table(table)
    write_report(args.json, "paper_schedule", about, results)


if __name__ == "__main__":
    main()
