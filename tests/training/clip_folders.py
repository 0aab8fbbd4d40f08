"""Folders of clips as RealEstate10K and WebVid10M come, with rendered scenes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cvd_core.geometry.formats import write_cameras
from cvd_core.scenes.paths import camera_paths
from cvd_core.scenes.render import render
from cvd_core.scenes.world import random_scene
from cvd_core.training.config_parts import FoldersConfig
from cvd_core.video.files import write_video


def write_clip_folders(folder: Path, size: int, frames: int) -> FoldersConfig:
    """One clip each: ``estates`` has a resting scene and the camera's poses, ``videos`` a moving one."""
    path = camera_paths(np.array([[1.0, 0, 0.3, 0, 5]]), frames)
    for name in ("estates", "videos"):
        scene = random_scene(np.random.default_rng(1), moving=name == "videos")
        pictures = ((render(scene, path, size, size)[0] / 2 + 0.5) * 255).byte().movedim(1, -1)
        write_video(pictures, folder / name / "clip.mp4", 8)
    write_cameras(path, folder / "estates" / "clip.txt")
    return FoldersConfig(folder / "estates", folder / "videos")
