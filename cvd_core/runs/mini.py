"""The small model in the package: where it is, what it was trained with, and hints for runs that go beyond that."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from cvd_core.engine.model_paths import ModelPaths
from cvd_core.geometry.cameras import Cameras
from cvd_core.sampling.pairs import Pairing
from cvd_core.sampling.settings import Settings
from cvd_core.scenes.paths import SPREAD
from cvd_core.scenes.world import vocabulary

NAME = "mini"
"""What it is called in place of a base model."""
FOLDER = Path(__file__).resolve().parents[1] / "assets" / "mini"
MODEL = ModelPaths.in_folder(FOLDER)

WIDTHS = (64, 96, 128)
"""Channels of its UNet, finest first."""
FRAMES = 8
"""Of every training clip; its position tables end there."""
SETTINGS: dict[str, Any] = {
    "width": 64,
    "height": 64,
    "steps": 8,
    "sampler": "lcm",
    "guidance": 3.0,
    "sync_branches": "conditional",
    "pairing": Pairing("joint"),
}
"""Of a run that says nothing else: the size of the training pictures, and what suits the model (docs/results.md)."""

EXAMPLE = "a red ball and a blue cube on a gray checkered floor under a pale sky"
ABOUT = (
    f"the small model of the package makes the videos: balls and cubes on a floor, {FRAMES} frames of "
    f"{SETTINGS['width']}x{SETTINGS['height']} pixels. It is for trying things out, without downloads"
)
INSTEAD = "for anything else name a Stable Diffusion 1.5 model with `base`"

_SLACK = {"truck": 0.1, "pedestal": 0.1, "dolly": 0.1, "pan": 2.0, "tilt": 2.0, "roll": 2.0}
"""Motion beyond the spread that goes unnoticed: recorded paths are never straight."""


def hints(settings: Settings, cameras: Cameras) -> list[str]:
    """What a run asks of the model that it has not learned: words, picture sizes, camera motions; a sentence each."""
    return [text for text in (_words(settings), _size(settings), _motion(cameras)) if text]


def _words(settings: Settings) -> str:
    known = vocabulary()
    said = re.findall(r"\w+", " ".join([*settings.prompts, *settings.negative_prompts]).lower())
    unknown = [word for word in dict.fromkeys(said) if word not in known]
    if not unknown:
        return ""
    return (
        f"the small model does not know {', '.join(map(repr, unknown))}; its words are {', '.join(known)}, as in "
        f'"{EXAMPLE}"'
    )


def _size(settings: Settings) -> str:
    width, height = SETTINGS["width"], SETTINGS["height"]
    if (settings.width, settings.height) == (width, height):
        return ""
    return f"the small model has seen pictures of {width}x{height} pixels only; others come out worse"


def _motion(cameras: Cameras) -> str:
    beyond = [
        f"{axis} {amount:.3g}"
        for axis, amount in _amounts(cameras).items()
        if amount > SPREAD.get(axis, 0) + _SLACK[axis]
    ]
    if not beyond:
        return ""
    known = ", ".join(f"{axis} {amount:g}" for axis, amount in SPREAD.items())
    return (
        f"the small model has not learned such camera motion ({', '.join(beyond)}) and may not follow it; it knows "
        f"{known}, in world units and degrees"
    )


def _amounts(cameras: Cameras) -> dict[str, float]:
    """How far any view goes from its first pose along and about each axis, world units and degrees."""
    poses = cameras.relative_to_first().c2w.flatten(0, 1).numpy()
    along = np.abs(poses[:, :3, 3]).max(0)
    about = np.abs(Rotation.from_matrix(poses[:, :3, :3]).as_euler("YXZ", degrees=True)).max(0)
    return dict(zip(("truck", "pedestal", "dolly", "pan", "tilt", "roll"), (*along, *about), strict=True))
