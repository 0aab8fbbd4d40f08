"""Clips of the procedural renderer and hand-made tracks for the tests of evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cvd_core.evaluation.objects import ObjectTracks
from cvd_core.geometry.cameras import Cameras
from cvd_core.training.data.paths import camera_paths
from cvd_core.training.data.render import project, render
from cvd_core.training.data.scenes import Scene, random_scene


def paths(amounts: Sequence[Sequence[float]], frames: int = 8) -> Cameras:
    """One view per row of truck, pedestal, dolly (world units), tilt, pan (degrees), from the identity."""
    return camera_paths(np.asarray(amounts, dtype=np.float64), frames)


def resting_scene(seed: int) -> Scene:
    return random_scene(np.random.default_rng(seed), moving=False)


def film(scene: Scene, cameras: Cameras, size: int) -> Tensor:
    """``(V, F, size, size, 3)`` uint8."""
    pictures = (render(scene, cameras, size, size) / 2 + 0.5) * 255
    return pictures.round().to(torch.uint8).movedim(2, -1)


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
