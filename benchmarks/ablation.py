"""What each part of the method is worth: ``python -m benchmarks.ablation MODEL_FOLDER OUT`` (CVD paper, Sec. A.2).

Trains new sync modules for the model once per variant, with equal data, noise and steps, and compares them on held-out
scenes: everything goes on where it stopped. ``--plot`` draws the table.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from benchmarks.consistency import SETTINGS, Estimate, Measured, Variant, arguments, mean, ratio
from benchmarks.harness import machine, print_table, write_report
from benchmarks.plots import draw_bars
from cvd_core import ModelPaths
from cvd_core.engine.model_paths import MODEL_FILES
from cvd_core.training.config import LoopConfig, SyncConfig, load_config
from cvd_core.training.data.source import ViewsSource
from cvd_core.training.sd15_trainer import Sd15Trainer

UNSYNCED = "unsynced"
FULL = "all parts"
VARIANTS = {
    FULL: SyncConfig(),
    "no epipolar lines": SyncConfig(band="none"),
    "one attention": SyncConfig(attentions=1),
    "no homographies": SyncConfig(homography=False),
    "static scenes only": SyncConfig(camera_share=1.0),
}
"""Names of the paper's Table 3: Ours, w/o Epi, 1 Layer, w/o HG, RE10K only."""
SHOWN = {
    "resting": "objects at one place, error in pixels",
    "epipolar": "distance from epipolar lines, pixels",
    "first frames": "difference of common first frames, MSE",
}


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__)
    parser.add_argument("out", type=Path, help="folder of the variants' checkpoints and latents")
    parser.add_argument("--train-steps", type=int, default=1000, help="of 4 pairs, for every variant")
    parser.add_argument("--plot", type=Path, help="a PNG to write")
    args = parser.parse_args()
    about = machine()
    settings = replace(SETTINGS, steps=args.steps)
    files = ModelPaths.in_folder(args.model)
    variants = [Variant(UNSYNCED, replace(files, sync=None), settings)]
    for name, file in train(args.model, args.out, args.train_steps).items():
        as_trained = replace(settings, band=VARIANTS[name].band)
        variants.append(Variant(name, replace(files, sync=file), as_trained))
    measured = Measured(args.rows)
    measured.make(variants, args.scenes, args.seeds, args.workers)
    results = report(measured, [s.name for s in variants], args.scenes, args.seeds)
    plain = {value: {name: vars(found) for name, found in row.items()} for value, row in results.items()}
    write_report(args.json, "ablation", about, {"train steps": args.train_steps, "means": plain})
    if args.plot:
        draw_bars(args.plot, {title: results[name] for name, title in SHOWN.items()})


def train(model: Path, out: Path, steps: int) -> dict[str, Path]:
    """Sync modules of all variants, made anew for one base, in files by variant."""
    start = out / "start"
    shutil.copytree(model, start, ignore=shutil.ignore_patterns(MODEL_FILES.sync), dirs_exist_ok=True)
    config = replace(load_config("mini-continue"), start_from=start)
    source: ViewsSource | None = None
    files = {}
    for name, sync in VARIANTS.items():
        folder = out / name.replace(" ", "-")
        loop = LoopConfig(steps, batch=4, learning_rate=1e-3, ema=0.995)
        variant = replace(config, output=folder, sync=sync, stages={"sync": loop})
        trainer = Sd15Trainer(variant, resume=True, source=source)
        source = trainer.source
        trainer.train()
        files[name] = folder / "model" / MODEL_FILES.sync
        if not files[name].exists():
            trainer.export(folder / "model")
    return files


def report(measured: Measured, names: list[str], scenes: int, seeds: int) -> dict[str, dict[str, Estimate]]:
    """Print a table, a row per variant; returns the means by measure and variant."""
    by_scene = {value: {n: measured.by_scene(n, value, scenes, seeds) for n in names} for value in SHOWN}
    found = {value: {n: mean(row[n]) for n in names} for value, row in by_scene.items()}
    worse = {n: [ratio(row[n], row[FULL]) for row in by_scene.values()] for n in names}
    print_table([["variant", *SHOWN], *[[n, *(str(found[value][n]) for value in SHOWN)] for n in names]])
    print()
    print_table([[f"times {FULL}", *SHOWN], *[[n, *map(str, worse[n])] for n in names]])
    return found


if __name__ == "__main__":
    main()
