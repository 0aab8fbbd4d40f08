"""Consistency against time: ``python -m benchmarks.pareto MODEL_FOLDER --rows runs/pareto.jsonl``.

Every pair strategy with recurrence 1 to 6, also over the first half of the steps alone, for 2, 4 and 6 views of
held-out scenes (CVD paper, Sec. 4.3), sampled as in the paper; and the small model's own way, all views in one call
with the sampler lcm and sync modules on the conditional branch, in few steps. A network call is the denoising of one
pair of views in one pass of one step: the joint strategy's one call for all V views counts as V / 2. ``--plot`` draws
curves over the seconds of one core.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.consistency import PAPER, SECONDS, SETTINGS, Estimate, Measured, Variant, arguments, mean
from benchmarks.harness import machine, print_table, write_report
from benchmarks.plots import Curve, draw_curves
from cvd_core import ModelPaths, Pairing, Recurrence, Settings

VIEWS = (2, 4, 6)
REPEATS = (1, 2, 3, 4, 6)
HALF = 0.5
JOINT_LCM = "joint, lcm"
STEPS = (4, 8)
MEASURE = "first frames"
"""Of all views: they show one picture. The measure that spreads least from scene to scene."""
BESIDE = ("epipolar", "resting", "place", "compared")
"""In the table alone. Few objects compared make the others easy: who shows none is never wrong."""


@dataclass(frozen=True)
class Point:
    """One way of sampling: a line's name, and its place on that line."""

    line: str
    settings: Settings
    views: int

    @property
    def name(self) -> str:
        """Of its rows."""
        s = self.settings
        amount = f"{s.steps} steps" if s.sampler == "lcm" else f"R = {s.recurrence.times}"
        return f"{self.views} views, {self.line}, {amount}"

    @property
    def calls(self) -> float:
        """Pairs of views denoised in a run."""
        s = self.settings
        return s.passes * sum(len(group) for call in s.pairing.calls(self.views) for group in call) / 2


def points(settings: Settings) -> Iterator[Point]:
    """All of them; with two views all strategies are the same."""
    pairings = {
        "partition": Pairing(),
        "two partitions": Pairing("multi-partition", 2),
        "exhaustive": Pairing("exhaustive"),
        "joint": Pairing("joint"),
    }
    for views in VIEWS:
        for line, pairing in list(pairings.items())[: 1 if views == 2 else None]:
            chosen = replace(settings, pairing=pairing)
            for times in REPEATS:
                yield Point(line, replace(chosen, recurrence=Recurrence(times)), views)
        for times in REPEATS[1:]:
            yield Point("partition, first half", replace(settings, recurrence=Recurrence(times, 0, HALF)), views)


def points_of_few_steps(settings: Settings, line: str = JOINT_LCM) -> Iterator[Point]:
    """Those of the sampler lcm, which adds new noise in every step; all views in one call."""
    for views in VIEWS:
        for steps in STEPS:
            yield Point(line, replace(settings, steps=steps), views)


def every_point(steps: int) -> list[Point]:
    """Of the paper's sampling in so many steps, and of the model's own in few."""
    return [*points(replace(PAPER, steps=steps)), *points_of_few_steps(SETTINGS)]


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, PAPER.steps)
    parser.add_argument("--views", type=int, nargs="+", default=VIEWS)
    parser.add_argument("--most-calls", type=float, default=400, help="leave out what needs more network calls")
    parser.add_argument("--few-steps", type=Path, metavar="LORA", help="a LoRA for the sampler lcm, compared too")
    parser.add_argument("--plot", type=Path, help="a PNG to write")
    args = parser.parse_args()
    about = machine()
    files = ModelPaths.in_folder(args.model)
    made_by = dict.fromkeys(every_point(args.steps), files)
    if args.few_steps:
        distilled = replace(files, loras=((args.few_steps, 1.0),))
        made_by |= dict.fromkeys(points_of_few_steps(replace(SETTINGS, guidance=1.0), f"{JOINT_LCM}, LoRA"), distilled)
    chosen = [point for point in made_by if point.views in args.views and point.calls <= args.most_calls]
    measured = Measured(args.rows)
    variants = [Variant(p.name, made_by[p], p.settings, p.views) for p in chosen]
    measured.make(variants, args.scenes, args.seeds, args.workers)
    of = {
        name: {p: mean(measured.by_scene(p.name, name, args.scenes, args.seeds)) for p in chosen}
        for name in (SECONDS, MEASURE, *BESIDE)
    }
    found, seconds = of[MEASURE], of[SECONDS]
    table = [[p.name, f"{p.calls:g}", *(str(row[p]) for row in of.values())] for p in chosen]
    print_table([["sampling", "network calls", *of], *table])
    costs = {p.name: {"calls": p.calls, SECONDS: seconds[p].value} | vars(found[p]) for p in chosen}
    write_report(args.json, "pareto", about, costs)
    if args.plot:
        draw_curves(args.plot, curves(found, seconds), "seconds of one core", "difference of first frames, MSE")


def curves(found: dict[Point, Estimate], seconds: dict[Point, Estimate]) -> dict[str, dict[str, Curve]]:
    """Lines by number of views and name."""
    out: dict[str, dict[str, Curve]] = {}
    for point, estimate in found.items():
        out.setdefault(f"{point.views} views", {}).setdefault(point.line, []).append((seconds[point].value, estimate))
    return out


if __name__ == "__main__":
    main()
