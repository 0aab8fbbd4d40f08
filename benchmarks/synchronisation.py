"""What the sync modules do: ``python -m benchmarks.synchronisation MODEL_FOLDER``.

Held-out prompts and trajectories, two views, the same noise with and without the sync modules. Prints as JSON, as means
over the scenes with 95% intervals (bootstrap): distance of objects from the epipolar lines of their partners, the same
with one view shown as both (the copy control), difference of the first frames, which show one picture, and difference
of the videos under identical trajectories. ``--pictures`` shows some pairs, synchronised above unsynchronised.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cvd_core.engine.assemble import ModelPaths, load_pipeline
from cvd_core.engine.pipeline import CollaborativePipeline
from cvd_core.engine.settings import Settings
from cvd_core.evaluation.cross_view import agreement, copy_control
from cvd_core.evaluation.objects import track_objects
from cvd_core.geometry.cameras import Cameras
from cvd_core.training.data.paths import camera_paths, random_amounts
from cvd_core.training.data.scenes import OBJECT_COLOURS, Scene, random_scene

HELD_OUT = 8
"""Stream of scenes and trajectories that no stage of training draws from."""
SPREAD = {"truck": 1.5, "dolly": 1.0, "pan": 20.0}
SHOWN = 6


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="folder with base/, motion, camera and sync .safetensors")
    parser.add_argument("--scenes", type=int, default=64)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=Path, help="a PNG to write")
    args = parser.parse_args()
    files = [args.model / f"{name}.safetensors" for name in ("motion", "camera", "sync")]
    pipeline = load_pipeline(ModelPaths(args.model / "base", *files))
    found: dict[str, list[float]] = defaultdict(list)
    rows = []
    for index in range(args.scenes):
        rng = np.random.default_rng((args.seed, HELD_OUT, index))
        scene = random_scene(rng, moving=False)
        amounts = np.stack([random_amounts(rng, SPREAD) for _ in range(2)])
        settings = Settings(
            (scene.prompt(),),
            width=args.size,
            height=args.size,
            steps=args.steps,
            guidance=args.guidance,
            seed=1000 * args.seed + index,
        )
        videos = _measure(pipeline, settings, scene, camera_paths(amounts, args.frames), found)
        same = camera_paths(amounts[[0, 0]], args.frames)
        for name, strength in (("synced", 1.0), ("unsynced", 0.0)):
            twins = pipeline.generate(same, replace(settings, sync_strength=strength))
            found[f"identical trajectories, {name}"].append(_difference(twins[0], twins[1]))
        rows.append(torch.cat([torch.cat([*video[0], *video[1]], 1) for video in videos], 0))
    for name, values in sorted(found.items()):
        print(json.dumps({"measure": name} | _summary(values, args.seed)), flush=True)
    if args.pictures:
        Image.fromarray(torch.cat(rows[:SHOWN], 0).numpy()).save(args.pictures)


def _measure(
    pipeline: CollaborativePipeline, settings: Settings, scene: Scene, cameras: Cameras, found: dict[str, list[float]]
) -> list[Tensor]:
    """Enter the measures of one scene; returns its synchronised and unsynchronised videos ``(2, F, H, W, 3)``."""
    colours = {colour: OBJECT_COLOURS[colour] for colour in scene.colours}
    both = []
    for name, strength in (("synced", 1.0), ("unsynced", 0.0)):
        videos = pipeline.generate(cameras, replace(settings, sync_strength=strength))
        tracks = track_objects(videos, colours)
        measured = agreement(tracks, cameras)
        found[f"epipolar px, {name}"].append(measured.epipolar)
        found[f"reprojection of resting points px, {name}"].append(measured.resting)
        found[f"first frames, {name}"].append(_difference(videos[0, 0], videos[1, 0]))
        if strength:
            control = copy_control(tracks, cameras)
            found["epipolar px, copy control"].append(control.epipolar)
            found["reprojection of resting points px, copy control"].append(control.resting)
        both.append(videos)
    return both


def _difference(a: Tensor, b: Tensor) -> float:
    """Mean squared difference of pictures in [0, 1]."""
    return float(((a.double() - b.double()) / 255).square().mean())


def _summary(values: list[float], seed: int) -> dict[str, float]:
    known: NDArray[np.float64] = np.array([value for value in values if not math.isnan(value)])
    if not len(known):
        return {"mean": math.nan, "low": math.nan, "high": math.nan, "scenes": 0}
    drawn = np.random.default_rng(seed).choice(known, (2000, len(known))).mean(1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {"mean": float(known.mean()), "low": float(low), "high": float(high), "scenes": len(known)}


if __name__ == "__main__":
    main()
