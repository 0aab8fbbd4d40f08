"""Pairs of procedural clips: static scenes with cameras, folded; moving ones without, with a deformed copy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cvd_core.geometry.cameras import Cameras
from cvd_core.scenes.paths import camera_paths, random_amounts
from cvd_core.scenes.render import render
from cvd_core.scenes.world import random_prompt, random_scene
from cvd_core.training.config import DataConfig
from cvd_core.training.data.clip_pairs import fold, random_homographies, unfold, warp

HANDHELD = 0.25
"""Camera motion in the videos without cameras, relative to that of the others."""


@dataclass(frozen=True, eq=False)
class ClipPair:
    """Two synchronised videos.

    Attributes:
        videos: ``(2, F, 3, H, W)`` in [-1, 1].
        prompt: of both.
        cameras: of both; None: nothing is known of them, and the second video is a deformed copy of the first.
        homography: ``(F, 3, 3)`` pixel map from the first to the second video; identities if there are cameras.
        valid: ``(F, H, W)`` bool: pixels of the second video that have a source in the first.
    """

    videos: Tensor
    prompt: str
    cameras: Cameras | None
    homography: Tensor
    valid: Tensor


def procedural_pair(data: DataConfig, seed: int, epoch: int, index: int) -> ClipPair:
    """Pair ``index`` of an endless set; the same numbers give the same pair on every machine and in any order."""
    rng = np.random.default_rng((seed, 2, epoch, index))
    dynamic = bool(rng.random() < data.dynamic)
    scene = random_scene(rng, moving=dynamic)
    prompt = random_prompt(scene, rng)
    amounts = np.stack([random_amounts(rng, data.spread) for _ in range(2)])
    if dynamic:
        path = camera_paths(HANDHELD * amounts[:1], data.frames)
        return deformed_pair(render(scene, path, data.size, data.size)[0], prompt, rng)
    path = unfold(camera_paths(amounts, data.frames))
    return folded_pair(render(scene, path, data.size, data.size)[0], path, prompt)


def folded_pair(video: Tensor, cameras: Cameras, prompt: str) -> ClipPair:
    """A static clip ``(2F - 1, 3, H, W)`` and its one view of cameras, folded at the middle."""
    videos, pair = fold(video, cameras, (len(video) + 1) // 2)
    frames, _, height, width = videos.shape[1:]
    identity = torch.eye(3, dtype=torch.float64).expand(frames, 3, 3)
    return ClipPair(videos, prompt, pair, identity, torch.ones(frames, height, width, dtype=torch.bool))


def deformed_pair(video: Tensor, prompt: str, rng: np.random.Generator) -> ClipPair:
    """A clip ``(F, 3, H, W)`` without cameras, and its copy deformed by a random homography."""
    frames, _, height, width = video.shape
    homography = random_homographies(rng, frames, width, height)
    copy, valid = warp(video, homography)
    return ClipPair(torch.stack([video, copy]), prompt, None, homography, valid)
