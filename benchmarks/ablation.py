"""What each part of the method is worth: ``python -m benchmarks.ablation MODEL_FOLDER OUT`` (CVD paper, Sec. A.2).

Trains new sync modules for the model once per variant, with equal data, noise and steps, and compares them on held-out
scenes: everything goes on where it stopped. ``--plot`` draws the table. Modules trained on two, up to three and up to
four views at once are compared on four views, sampled in pairs and jointly.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.consistency import SETTINGS, Estimate, Measured, Variant, arguments, mean, ratio
from benchmarks.harness import machine, print_table, write_report
from benchmarks.plots import draw_bars
from cvd_core import ModelPaths, Pairing
from cvd_core.engine.model_paths import MODEL_FILES
from cvd_core.training.config import load_config
from cvd_core.training.config_parts import LoopConfig, SyncConfig
from cvd_core.training.sd15_trainer import Sd15Trainer


@dataclass(frozen=True)
class Training:
    """What is changed in a training of sync modules.

    Attributes:
        sync: of the configuration.
        views: most views that attend to each other in a step.
        batch: clips of a step; about eight videos in all.
    """

    sync: SyncConfig = field(default_factory=SyncConfig)
    views: int = 2
    batch: int = 4


UNSYNCED = "unsynced"
FULL = "all parts"
PARTS = {
    FULL: Training(),
    "no epipolar lines": Training(SyncConfig(band="none")),
    "one attention": Training(SyncConfig(attentions=1)),
    "no homographies": Training(SyncConfig(homography=False)),
    "static scenes only": Training(SyncConfig(camera_share=1.0)),
}
"""Names of the paper's Table 3: Ours, w/o Epi, 1 Layer, w/o HG, RE10K only."""
PARTNERS = {
    FULL: Training(),
    "up to 2 partners": Training(views=3, batch=3),
    "up to 3 partners": Training(views=4, batch=3),
}
"""Trained on one partner, as in the paper, or more."""
SAMPLED = {"partition": Pairing(), "joint": Pairing("joint")}
VIEWS = 4
"""For the comparison of :data:`PARTNERS`, under each of :data:`SAMPLED`."""
SHOWN = {
    "resting": "objects at one place, error in pixels",
    "epipolar": "distance from epipolar lines, pixels",
    "first frames": "difference of common first frames, MSE",
}


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__)
    parser.add_argument("out", type=Path, help="folder of the variants' checkpoints and latents")
    parser.add_argument("--train-steps", type=int, default=1000, help="of about 8 videos, for every variant")
    parser.add_argument("--plot", type=Path, help="a PNG to write")
    args = parser.parse_args()
    about = machine()
    settings = replace(SETTINGS, steps=args.steps)
    files = ModelPaths.in_folder(args.model)
    trained = train(args.model, args.out, args.train_steps)
    parts = [Variant(UNSYNCED, replace(files, sync=None), settings)]
    for name, training in PARTS.items():
        as_trained = replace(settings, band=training.sync.band)
        parts.append(Variant(name, replace(files, sync=trained[name]), as_trained))
    partners = {
        pairing: [
            Variant(f"{name}, {pairing}", replace(files, sync=trained[name]), replace(settings, pairing=chosen), VIEWS)
            for name in PARTNERS
        ]
        for pairing, chosen in SAMPLED.items()
    }
    measured = Measured(args.rows)
    every = [*parts, *(variant for variants in partners.values() for variant in variants)]
    measured.make(every, args.scenes, args.seeds, args.workers)
    results = report(measured, [s.name for s in parts], FULL, args.scenes, args.seeds)
    tables = {"parts": results}
    for pairing, variants in partners.items():
        names = [s.name for s in variants]
        tables[f"partners, {pairing}"] = report(measured, names, names[0], args.scenes, args.seeds)
    plain = {
        title: {value: {name: vars(found) for name, found in row.items()} for value, row in table.items()}
        for title, table in tables.items()
    }
    write_report(args.json, "ablation", about, {"train steps": args.train_steps} | plain)
    if args.plot:
        draw_bars(args.plot, {title: results[name] for name, title in SHOWN.items()})


def train(model: Path, out: Path, steps: int) -> dict[str, Path]:
    """Sync modules of all variants, made anew for one base, in files by variant."""
    start = out / "start"
    shutil.copytree(model, start, ignore=shutil.ignore_patterns(MODEL_FILES.sync), dirs_exist_ok=True)
    config = replace(load_config("mini-continue"), start_from=start, output=out)
    config = replace(config, data=replace(config.data, views=max(training.views for training in PARTNERS.values())))
    source = Sd15Trainer(config, resume=True).source
    files = {}
    for name, training in (PARTS | PARTNERS).items():
        folder = out / name.replace(" ", "-")
        loop = LoopConfig(steps, batch=training.batch, learning_rate=1e-3, ema=0.995)
        data = replace(config.data, views=training.views)
        variant = replace(config, output=folder, sync=training.sync, data=data, stages={"sync": loop})
        trainer = Sd15Trainer(variant, resume=True, source=source)
        trainer.train()
        files[name] = folder / "model" / MODEL_FILES.sync
        if not files[name].exists():
            trainer.export(folder / "model")
    return files


def report(
    measured: Measured, names: list[str], reference: str, scenes: int, seeds: int
) -> dict[str, dict[str, Estimate]]:
    """Print a table, a row per variant; returns the means by measure and variant."""
    by_scene = {value: {n: measured.by_scene(n, value, scenes, seeds) for n in names} for value in SHOWN}
    found = {value: {n: mean(row[n]) for n in names} for value, row in by_scene.items()}
    worse = {n: [ratio(row[n], row[reference]) for row in by_scene.values()] for n in names}
    print_table([["variant", *SHOWN], *[[n, *(str(found[value][n]) for value in SHOWN)] for n in names]])
    print()
    print_table([[f"times {reference}", *SHOWN], *[[n, *map(str, worse[n])] for n in names]])
    return found


if __name__ == "__main__":
    main()
