"""Synchronised videos of procedural scenes: with cameras, or copies of one video that are deformed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cvd_core.geometry.cameras import Cameras
from cvd_core.scenes.paths import camera_paths, random_amounts
from cvd_core.scenes.render import render
from cvd_core.scenes.world import random_prompt, random_scene
from cvd_core.training.config_parts import DataConfig
from cvd_core.training.data.clip_views import random_homographies, warp

HANDHELD = 0.25
"""Camera motion in the videos without cameras, relative to that of the others."""


@dataclass(frozen=True, eq=False)
class ClipViews:
    """V synchronised videos of one scene that share their first frame.

    Attributes:
        videos: ``(V, F, 3, H, W)`` in [-1, 1].
        prompt: of all.
        cameras: of all; None: nothing is known of them, and all videos but the first are deformed copies of it.
        homography: ``(V, F, 3, 3)`` pixel maps from the first video to each; identities if there are cameras.
        valid: ``(V, F, H, W)`` bool: pixels that have a source in the first video; all if there are cameras.
    """

    videos: Tensor
    prompt: str
    cameras: Cameras | None
    homography: Tensor
    valid: Tensor


def procedural_views(data: DataConfig, seed: int, epoch: int, index: int) -> tuple[ClipViews, bool]:
    """Clip ``index`` of an endless set, and whether its scene is static.

    The same numbers give the same clip on every machine and in any order.
    """
    rng = np.random.default_rng((seed, 2, epoch, index))
    moving = bool(rng.random() < data.dynamic)
    scene = random_scene(rng, moving=moving)
    prompt = random_prompt(scene, rng)
    amounts = np.stack([random_amounts(rng, data.spread) for _ in range(data.views)])
    if moving and data.moving == "deformed":
        path = camera_paths(HANDHELD * amounts[:1], data.frames)
        return deformed_views(render(scene, path, data.size, data.size)[0], data.views, prompt, rng), False
    cameras = camera_paths(amounts, data.frames)
    return views_with_cameras(render(scene, cameras, data.size, data.size), cameras, prompt), not moving


def views_with_cameras(videos: Tensor, cameras: Cameras, prompt: str) -> ClipViews:
    """Videos ``(V, F, 3, H, W)`` of V known paths."""
    views, frames, _, height, width = videos.shape
    identity = torch.eye(3, dtype=torch.float64).expand(views, frames, 3, 3)
    return ClipViews(videos, prompt, cameras, identity, torch.ones(views, frames, height, width, dtype=torch.bool))


def deformed_views(video: Tensor, views: int, prompt: str, rng: np.random.Generator) -> ClipViews:
    """A clip ``(F, 3, H, W)`` without cameras, and copies of it, each deformed by homographies of its own."""
    frames, _, height, width = video.shape
    maps = [random_homographies(rng, frames, width, height) for _ in range(views - 1)]
    copies = [warp(video, homography) for homography in maps]
    return ClipViews(
        torch.stack([video, *(copy for copy, _ in copies)]),
        prompt,
        None,
        torch.stack([torch.eye(3, dtype=torch.float64).expand(frames, 3, 3), *maps]),
        torch.stack([torch.ones(frames, height, width, dtype=torch.bool), *(valid for _, valid in copies)]),
    )
