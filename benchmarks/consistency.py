"""What the benchmarks of synchronised views share: held-out scenes, their videos' measures, and intervals.

A *variant* is a way of making videos; every variant makes the same scenes with the same noise. Rows of measures are
kept in a file as they are made, so that a stopped benchmark goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import bootstrap
from torch import Tensor
from tqdm import tqdm

from benchmarks.harness import add_json
from cvd_core import Cameras, ModelPaths, Pairing, Settings, load_pipeline
from cvd_core.engine.sd15.pipeline import CollaborativePipeline
from cvd_core.evaluation.cross_view import Agreement, agreement, copy_control
from cvd_core.evaluation.equal_cameras import mse_between
from cvd_core.evaluation.objects import track_objects
from cvd_core.evaluation.transfer import transfer
from cvd_core.evaluation.truck_test import TYPICAL_DEPTH
from cvd_core.runs import mini
from cvd_core.runs.make import Pipeline
from cvd_core.scenes.paths import AXES, SPREAD, camera_paths, random_amounts
from cvd_core.scenes.render import film
from cvd_core.scenes.world import OBJECT_COLOURS, Scene, random_scene

HELD_OUT = 8
"""Stream of scenes and trajectories that no stage of training draws from."""
SETTINGS = Settings(("",), **mini.SETTINGS)
PAPER = replace(SETTINGS, steps=10, sampler="ddim", sync_branches="both", pairing=Pairing())
"""As in the paper, but for the number of steps."""
COPY = "copy of "
"""Before a measure's name: of the first view shown as all of them."""
PIPELINES = 8
"""Kept in memory by each process: variants take turns on every scene."""
CONFIDENCE = 0.95
MEASURES = ("resting", "epipolar", "reprojection", "apart", "colour", "compared")
"""Of :class:`cvd_core.evaluation.cross_view.Agreement`; resting is the cross-view error: objects of these scenes rest,
so all pictures of all views must show them at one place."""
ON_SCALE = ("place", "size", "order")
"""Of :class:`cvd_core.evaluation.transfer.Transfer`: a copy has 0 by construction, and renders say how near
to 1 one can get."""
ORBIT = 1.0
"""World units to either side of an orbit, at which its cameras turn by the 20 degrees that the models have learned."""

SECONDS = "seconds"
"""Of one core, for making the videos: what other processes do at the time hardly counts."""

Row = dict[str, float]
Trajectories = Literal["own", "same", "mirrored", "orbiting"]


@dataclass(frozen=True)
class Variant:
    """A way of making videos.

    Attributes:
        name: of its rows.
        model: files; None renders the scenes instead, what a perfect model would show.
        settings: of the run; the prompt and the seed are the scene's.
        views: V.
        trajectories: each view has its own; or all have the first view's; or odd views do the opposite of it, so that
            no view can pass for another; or they go around the scene to opposite sides and look at its middle.
        change: made to the networks when they are loaded; a function of a module.
    """

    name: str
    model: ModelPaths | None
    settings: Settings
    views: int = 2
    trajectories: Trajectories = "own"
    change: Callable[[CollaborativePipeline], object] | None = None


@dataclass(frozen=True)
class Task:
    """Scene ``scene`` with noise ``seed``."""

    variant: Variant
    scene: int
    seed: int

    @property
    def key(self) -> tuple[str, int, int]:
        return self.variant.name, self.scene, self.seed


def held_out(index: int, views: int) -> tuple[Scene, NDArray[np.float64]]:
    """Static scene ``index`` and amounts ``(views, 5)`` of its camera paths; the first ones are the same for any V."""
    rng = np.random.default_rng((0, HELD_OUT, index))
    scene = random_scene(rng, moving=False)
    return scene, np.stack([random_amounts(rng, SPREAD) for _ in range(views)])


def videos_of(task: Task) -> tuple[Tensor, Cameras, Scene]:
    """``(V, F, H, W, 3)`` uint8, their cameras and the scene that the prompt describes."""
    variant = task.variant
    scene, amounts = held_out(task.scene, variant.views)
    if variant.trajectories != "own":
        amounts = amounts[:1].repeat(variant.views, 0)
    if variant.trajectories == "orbiting":
        amounts = np.zeros_like(amounts)
        amounts[:, AXES.index("truck")] = ORBIT
        amounts[:, AXES.index("pan")] = -math.degrees(math.atan2(ORBIT, TYPICAL_DEPTH))
    if variant.trajectories in ("mirrored", "orbiting"):
        amounts[1::2] *= -1
    cameras = camera_paths(amounts, mini.FRAMES)
    settings = replace(variant.settings, prompts=(scene.prompt(),), seed=1000 * task.seed + task.scene)
    if variant.model is None:
        return film(scene, cameras, settings.width), cameras, scene
    return _pipeline(variant.model, variant.change)(cameras, settings, progress=False).frames, cameras, scene


@lru_cache(maxsize=PIPELINES)
def _pipeline(model: ModelPaths, change: Callable[[CollaborativePipeline], object] | None) -> Pipeline:
    pipeline = load_pipeline(model, device="cpu")
    if change is not None:
        change(cast(CollaborativePipeline, pipeline.networks))
    return pipeline


def measure(videos: Tensor, cameras: Cameras, scene: Scene) -> Row:
    """All measures of one scene's videos, and those of the copy control; NaN where there is nothing to measure."""
    tracks = track_objects(videos, {colour: OBJECT_COLOURS[colour] for colour in scene.colours})
    views = range(1, len(videos))
    row = _named(agreement(tracks, cameras), "")
    row |= _named(copy_control(tracks, cameras), COPY)
    copied = tracks.select([0] * len(videos))
    for prefix, shown in (("", tracks), (COPY, copied)):
        found = transfer(shown, cameras)
        row |= {prefix + name: getattr(found, name) for name in ON_SCALE}
    row["first frames"] = float(np.mean([mse_between(videos, 0, view)[0] for view in views]))
    row["whole videos"] = float(np.mean([mse_between(videos, 0, view).mean() for view in views]))
    return row


def _named(measured: Agreement, prefix: str) -> Row:
    return {prefix + name: getattr(measured, name) for name in MEASURES}


def arguments(description: str | None, steps: int = SETTINGS.steps) -> argparse.ArgumentParser:
    """A parser with what all benchmarks of consistency have.

    Args:
        steps: of a run, by default.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("model", type=Path, help="folder with base/, motion, camera and sync .safetensors")
    parser.add_argument("--rows", type=Path, required=True, help="file that keeps the measures; goes on from it")
    parser.add_argument("--scenes", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3, help="noises per scene")
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--workers", type=int, default=2, help="processes, of one thread each")
    add_json(parser)
    return parser


class Measured:
    """Rows of measures in a file of JSON lines.

    Args:
        path: kept between runs; rows of other scenes or variants in it do no harm.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[tuple[str, int, int], Row] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                row = json.loads(line)
                self.rows[row.pop("name"), row.pop("scene"), row.pop("seed")] = row

    def make(self, variants: Sequence[Variant], scenes: int, seeds: int, workers: int) -> None:
        """Measure what is missing: every variant on ``scenes`` scenes with ``seeds`` noises each."""
        wanted = [
            Task(variant, scene, seed)
            for seed in range(seeds)
            for scene in range(scenes)
            for variant in variants
            if variant.model or seed == 0  # renders have no noise
        ]
        missing = [task for task in wanted if task.key not in self.rows]
        if not missing:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, torch.set_num_threads, (1,)) as pool:
            for task, row in tqdm(zip(missing, pool.map(_run, missing), strict=True), total=len(missing), unit="scene"):
                self.rows[task.key] = row
                named = dict(zip(("name", "scene", "seed"), task.key, strict=True))
                with self.path.open("a") as file:
                    file.write(json.dumps(named | row) + "\n")

    def by_scene(self, name: str, value: str, scenes: int, seeds: int) -> NDArray[np.float64]:
        """``(scenes,)`` means of a measure over the seeds; NaN where it is undefined for all of them."""
        out = np.full(scenes, math.nan)
        for scene in range(scenes):
            found = [self.rows.get((name, scene, seed), {}).get(value, math.nan) for seed in range(seeds)]
            known = [v for v in found if not math.isnan(v)]
            out[scene] = np.mean(known) if known else math.nan
        return out


def _run(task: Task) -> Row:
    if task.variant.model:
        _pipeline(task.variant.model, task.variant.change)  # loading it is no part of the time
    start = time.process_time()
    made = videos_of(task)
    return {SECONDS: time.process_time() - start} | measure(*made)


@dataclass(frozen=True)
class Estimate:
    """A mean over scenes, or a ratio of two, with its 95% interval (bootstrap over the scenes)."""

    value: float
    low: float
    high: float
    scenes: int

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "-"
        return f"{self.value:.3g} ({self.low:.3g} to {self.high:.3g})"


def mean(values: NDArray[np.float64]) -> Estimate:
    """Of the scenes where the measure is defined."""
    return _estimate(values[~np.isnan(values)])


def ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> Estimate:
    """Mean of one variant over that of another, on the scenes where both are defined."""
    known = ~np.isnan(above) & ~np.isnan(below)
    return _estimate(above[known], below[known])


def _estimate(*samples: NDArray[np.float64]) -> Estimate:
    """Of the first sample's mean, or of its ratio to the second's."""

    def statistic(*drawn: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
        means = [x.mean(axis) for x in drawn]
        out: NDArray[np.float64] = means[0] if len(means) == 1 else means[0] / means[1]
        return out

    count = len(samples[0])
    if count < 2:
        return Estimate(float(statistic(*samples)) if count else math.nan, math.nan, math.nan, count)
    found = bootstrap(
        samples, statistic, paired=True, vectorized=True, confidence_level=CONFIDENCE, method="percentile", rng=0
    ).confidence_interval
    return Estimate(float(statistic(*samples)), float(found.low), float(found.high), count)
