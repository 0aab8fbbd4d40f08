"""Clips of the procedural renderer and hand-made tracks for the tests of evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cvd_core.evaluation.objects import ObjectTracks
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats import write_cameras
from cvd_core.runs.record import RunRecord
from cvd_core.sampling.settings import Settings
from cvd_core.scenes.paths import camera_paths
from cvd_core.scenes.render import project
from cvd_core.scenes.world import Scene, random_scene
from cvd_core.video.files import write_video
from cvd_core.video.run_folder import CAMERAS, GRID, RECORD
from cvd_core.video.side_by_side import grid


def paths(amounts: Sequence[Sequence[float]], frames: int = 8) -> Cameras:
    """One view per row of truck, pedestal, dolly (world units), tilt, pan (degrees), from the identity."""
    return camera_paths(np.asarray(amounts, dtype=np.float64), frames)


def resting_scene(seed: int) -> Scene:
    return random_scene(np.random.default_rng(seed), moving=False)


def tracks_of_points(cameras: Cameras, points: Sequence[Sequence[float]], size: int = 64) -> ObjectTracks:
    """Perfect tracks of points that rest in the world."""
    centers = project(cameras, np.asarray(points, dtype=np.float64), size, size) + 0.5
    shape = centers.shape[:-1]
    return ObjectTracks(
        tuple(f"object{i}" for i in range(shape[-1])),
        centers,
        torch.full(shape, 50.0, dtype=torch.float64),
        torch.ones(shape, dtype=torch.float64),
        torch.full((*shape, 3), 0.5, dtype=torch.float64),
        torch.ones(shape, dtype=torch.bool),
        size,
        size,
    )


def cluttered_scene(seed: int, count: int = 60) -> Scene:
    """Many small resting cubes of all colours: corners for structure from motion, which the usual scenes lack."""
    rng = np.random.default_rng(seed)
    scene = resting_scene(seed)
    depth = rng.uniform(2, 7, count)
    radii = rng.uniform(0.06, 0.25, count) * depth / 4
    height = np.minimum(rng.uniform(-0.45, 0.3, count) * depth, scene.height - radii)
    return replace(
        scene,
        shapes=("cube",) * count,
        colours=("red",) * count,
        centers=np.stack([rng.uniform(-0.5, 0.5, count) * depth, height, depth], -1),
        velocities=np.zeros((count, 3)),
        radii=radii,
        yaw=rng.uniform(0, np.pi / 2, count),
        object_rgb=rng.uniform(0, 1, (count, 3)),
        light=np.array([0.36, -0.77, -0.53]),
    )


def write_run(folder: Path, videos: Tensor, cameras: Cameras, *prompts: str) -> Path:
    """Videos in the layout of ``cvd generate``."""
    for name, video in zip(cameras.names, videos, strict=True):
        write_video(video, folder / f"{name}.mp4")
    write_video(grid(videos), folder / GRID)
    height, width = videos.shape[2:4]
    write_cameras(cameras, folder / CAMERAS, width=width, height=height)
    settings = Settings(prompts=prompts, width=width, height=height)
    RunRecord(settings, cameras, {}, (), fps=8, dtype="float32", device="cpu").save(folder / RECORD)
    return folder
