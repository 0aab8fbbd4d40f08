"""Cameras that stand around a subject, as in the released script's presets, for any number of views."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.validation import count, number, pick
from cvd_core.syncam.cameras import TRAINED_FOCAL

SUBJECT_DISTANCE = 3.0
"""Metres from the first camera to what all look at."""


@dataclass(frozen=True)
class Preset:
    """A way to place views, evenly from the first camera to the largest ``amount``.

    Attributes:
        description: for people to read.
        amount: default distance between the first and the last view.
        unit: of the amount.
        pose: an amount to a pose ``(4, 4)``, OpenCV camera-to-world in metres, the identity at 0.
    """

    description: str
    amount: float
    unit: str
    pose: Callable[[float], Tensor]


def _around(degrees: float) -> Tensor:
    pose = _turned(degrees, axis=1)
    pose[:3, 3] = torch.tensor([0, 0, SUBJECT_DISTANCE]) - SUBJECT_DISTANCE * pose[:3, 2]
    return pose


def _above(degrees: float) -> Tensor:
    pose = _turned(-degrees, axis=0)
    pose[1, 3] = -SUBJECT_DISTANCE * math.tan(math.radians(degrees))
    return pose


def _behind(metres: float) -> Tensor:
    pose = torch.eye(4, dtype=torch.float64)
    pose[2, 3] = -metres
    return pose


PRESETS = {
    "az": Preset("around the subject at one height", 30.0, "degrees of azimuth", _around),
    "el": Preset("straight up, looking down at the subject", 20.0, "degrees of elevation", _above),
    "dis": Preset("straight back from the subject", 1.0, "metres", _behind),
}
"""By the names of the released script."""


def preset_cameras(
    name: str, frames: int, views: int = 2, amount: float | None = None, *, aspect: float = 832 / 480
) -> Cameras:
    """Cameras of a preset, standing still, the first at the origin.

    Args:
        name: a key of :data:`PRESETS`.
        frames: F of the video.
        views: V, placed evenly.
        amount: of the last view, in the preset's unit; None: its default.
        aspect: width by height of the pictures; the lens is that of the training data.

    Returns:
        V x F cameras in metres.

    Raises:
        ValueError: unknown name, no views or frames, or an amount that cannot be placed.
    """
    preset = pick("preset", name, PRESETS)
    frames, views = count("frames", frames), count("views", views)
    last = preset.amount if amount is None else number("amount", amount)
    if preset is PRESETS["el"] and abs(last) >= 90:
        raise ValueError(f"amount is {last:g} degrees of elevation; expected less than 90, seen from straight above")
    amounts = [last * view / max(1, views - 1) for view in range(views)]
    poses = torch.stack([preset.pose(a) for a in amounts])
    lens = torch.tensor([TRAINED_FOCAL, TRAINED_FOCAL * aspect, 0.5, 0.5], dtype=torch.float64)
    return Cameras(poses[:, None].expand(-1, frames, -1, -1).clone(), lens.expand(views, frames, 4).clone())


def _turned(degrees: float, axis: int) -> Tensor:
    """A pose at the origin, turned about x (0: positive looks up) or y (1: positive moves the view to the right)."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    i, j = ((1, 2), (2, 0))[axis]
    pose = torch.eye(4, dtype=torch.float64)
    pose[i, i], pose[j, j], pose[i, j], pose[j, i] = c, c, -s, s
    return pose
