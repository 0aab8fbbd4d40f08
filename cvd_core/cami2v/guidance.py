"""Guidance of text and camera apart (CamI2V, Sec. 3.4), and the rescaling of guided predictions (Lin et al., 2024)."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor

Schedule = Literal["constant", "cosine"]

RESCALE = 0.7
"""Of the released settings."""
_LAST_TIMESTEP = 999


def camera_weight(schedule: Schedule, timestep: float) -> float:
    """How much camera guidance counts at a time from 0 to 999: always 1, or falling to 0 as the cosine does."""
    return 1.0 if schedule == "constant" else math.cos((1 - timestep / _LAST_TIMESTEP) * math.pi / 2)


def camera_term(conditioned: Tensor, without_camera: Tensor, camera_guidance: float, weight: float) -> Tensor:
    """What camera guidance adds to a prediction: the difference that the camera makes, scaled."""
    return (camera_guidance - 1) * weight * (conditioned - without_camera)


def guide_text_and_camera(
    conditioned: Tensor,
    unconditioned: Tensor,
    without_camera: Tensor | None,
    *,
    guidance: float,
    camera_guidance: float = 1.0,
    weight: float = 1.0,
    rescale: float = RESCALE,
) -> Tensor:
    """Combine the predictions of a step.

    Args:
        conditioned: ``(N, ...)``, with text, picture and camera.
        unconditioned: without text and picture tokens, with camera.
        without_camera: all but the camera; not needed where camera guidance is 1.
        guidance: classifier-free guidance scale.
        camera_guidance: 1 is none.
        weight: of the camera's part, from :func:`camera_weight`.
        rescale: 0 to 1, how far the result takes on the spread of ``conditioned``.
    """
    guided = unconditioned + guidance * (conditioned - unconditioned)
    if camera_guidance != 1 and without_camera is not None:
        guided = guided + camera_term(conditioned, without_camera, camera_guidance, weight)
    if rescale:
        dims = tuple(range(1, guided.ndim))
        spread = conditioned.std(dims, keepdim=True) / guided.std(dims, keepdim=True)
        guided = rescale * guided * spread + (1 - rescale) * guided
    return guided
