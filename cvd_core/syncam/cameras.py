"""Cameras as SynCamMaster is given them, and how far a rig is from those it was trained with (Sec. 3.2, App. B)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from cvd_core.geometry.cameras import Cameras

UNIT_METRES = 2.0
"""The network's unit of translation."""
FRAME_STRIDE = 4
"""Video frames per latent frame after the first, which stands alone."""
SIDE = 16
"""Pixels of which sides of Wan's videos are multiples: the latent's stride times the patch size."""
TRAINED_AZIMUTH, TRAINED_ELEVATION = 30.0, 15.0
"""Largest angles between two views of the released model's training pairs, degrees."""
TRAINED_FOCAL = 840 / 832
"""Focal length of the training pictures as a fraction of the width of 832 pixels: 24 mm on a sensor of 23.76 mm."""
TRAINED_VIEWS = 2

_FOCAL_TOLERANCE = 0.1
_STILL = 1e-6
_ANGLE_TOLERANCE = 0.5


def latent_frames(frames: int) -> int:
    """Latent frames of a video of ``frames`` frames.

    Raises:
        ValueError: not 4n + 1 frames.
    """
    if frames < 1 or (frames - 1) % FRAME_STRIDE:
        lower = max(1, frames - (frames - 1) % FRAME_STRIDE)
        raise ValueError(
            f"{frames} frames; Wan makes 4n + 1 of them - the nearest numbers are {lower} and {lower + FRAME_STRIDE}"
        )
    return (frames - 1) // FRAME_STRIDE + 1


def camera_embedding(cameras: Cameras, views: Sequence[int] | None = None) -> Tensor:
    """Pose of every view relative to the first of them at the same time, at video frames 0, 4, 8 ...

    Args:
        cameras: V views of 4n + 1 frames in metres.
        views: those that run together, the first is the reference; None: all.

    Returns:
        ``(views, n + 1, 12)`` float32: the rows of ``[R | t]``, camera-to-world, t in units of 2 m.

    Raises:
        ValueError: not 4n + 1 frames.
    """
    latent_frames(cameras.frames)
    c2w = cameras.c2w[list(range(cameras.views) if views is None else views), ::FRAME_STRIDE]
    relative = torch.linalg.solve(c2w[:1].expand_as(c2w), c2w)
    relative[..., :3, 3] /= UNIT_METRES
    return relative[..., :3, :].flatten(-2).float()


def beyond_training(cameras: Cameras, together: int | None = None, *, with_first_only: bool = False) -> list[str]:
    """What a rig asks of the released weights that they were not trained for, a sentence each; [] if nothing.

    Args:
        cameras: V views of F frames in metres.
        together: views that attend to each other at once; None: all.
        with_first_only: every view attends to the first one, not to the others.
    """
    together = min(cameras.views, together or cameras.views)
    turns = cameras.c2w[:, ::FRAME_STRIDE, :3, :3]
    # Where a view looks, as another one sees it.
    x, y, z = torch.einsum("ufij,vfi->uvfj", turns[:1] if with_first_only else turns, turns[..., 2]).unbind(-1)
    azimuth = float(torch.rad2deg(torch.atan2(x, z)).abs().max())
    elevation = float(torch.rad2deg(torch.asin(y.clamp(-1, 1))).abs().max())
    found = []
    if together > TRAINED_VIEWS:
        found.append(f"{together} views attend to each other; the released weights were trained with {TRAINED_VIEWS}")
    if azimuth > TRAINED_AZIMUTH + _ANGLE_TOLERANCE:
        found.append(f"views differ by {azimuth:.0f} degrees of azimuth; trained: up to {TRAINED_AZIMUTH:.0f}")
    if elevation > TRAINED_ELEVATION + _ANGLE_TOLERANCE:
        found.append(f"views differ by {elevation:.0f} degrees of elevation; trained: up to {TRAINED_ELEVATION:.0f}")
    if float((cameras.c2w - cameras.c2w[:, :1]).abs().max()) > _STILL:
        found.append("the cameras move; trained: cameras that stand still")
    focal = cameras.intrinsics[..., 0]
    if float((focal / TRAINED_FOCAL - 1).abs().max()) > _FOCAL_TOLERANCE:
        width = math.degrees(2 * math.atan(0.5 / float(focal.flatten()[0])))
        trained = math.degrees(2 * math.atan(0.5 / TRAINED_FOCAL))
        found.append(f"the lens sees {width:.0f} degrees across; trained: {trained:.0f} (the lens is not an input)")
    return found
