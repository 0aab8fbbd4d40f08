"""Folders that SynCamMaster's stage learns from, with rendered scenes: 64x48 pictures, 9 frames, four cameras."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats import write_cameras
from cvd_core.scenes.paths import camera_paths
from cvd_core.scenes.render import render
from cvd_core.scenes.world import random_scene
from cvd_core.syncam.presets import preset_cameras
from cvd_core.training.config_parts import FoldersConfig
from cvd_core.video.files import write_video

WIDTH, HEIGHT, FRAMES, VIEWS, AROUND = 64, 48, 9, 4, 60
PROMPT = "a red ball"


def cameras_around() -> Cameras:
    """Views 0, 20, 40 and 60 degrees around the subject."""
    return preset_cameras("az", FRAMES, VIEWS, AROUND, aspect=WIDTH / HEIGHT)


def filmed(cameras: Cameras, seed: int, *, moving: bool) -> Tensor:
    """``(V, F, H, W, 3)`` uint8."""
    scene = random_scene(np.random.default_rng(seed), moving=moving)
    return ((render(scene, cameras, WIDTH, HEIGHT) + 1) * 127.5).round().byte().movedim(2, -1)


def write_scene(folder: Path, seed: int) -> None:
    """One moving scene as SynCamVideo-Dataset has it."""
    cameras = cameras_around()
    (folder / "cameras").mkdir(parents=True)
    (folder / "videos").mkdir()
    write_cameras(cameras, folder / "cameras" / "camera_extrinsics.json", format="recammaster")
    for view, video in enumerate(filmed(cameras, seed, moving=True)):
        write_video(video, folder / "videos" / f"cam{view + 1:02d}.mp4", 8)


def write_scene_folders(folder: Path) -> FoldersConfig:
    """Two scenes, one clip of a static one, one video of a camera that stands still."""
    for seed in (1, 2):
        write_scene(folder / "around" / f"scene{seed}", seed)
    (folder / "around" / "captions.json").write_text(json.dumps({"scene1": PROMPT, "scene2": PROMPT}))
    path = camera_paths(np.array([[1.0, 0, 0.3, 0, 5]]), FRAMES)
    path = Cameras(path.c2w, path.intrinsics * torch.tensor([1, WIDTH / HEIGHT, 1, 1]))
    (folder / "estates").mkdir()
    write_cameras(path, folder / "estates" / "clip.txt")
    write_video(filmed(path, 3, moving=False)[0], folder / "estates" / "clip.mp4", 8)
    (folder / "videos").mkdir()
    write_video(filmed(cameras_around().select([0]), 4, moving=True)[0], folder / "videos" / "clip.mp4", 8)
    return FoldersConfig(folder / "estates", folder / "videos", folder / "around")
