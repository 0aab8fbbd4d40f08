"""The branches of classifier-free guidance: embedding the prompts of all views, and combining the predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cvd_core.cami2v.guidance import guide_text_and_camera
from cvd_core.sampling.settings import Settings


def encode_branches(
    encode: Callable[[Sequence[str]], Tensor], settings: Settings, views: int, unconditional: bool | None = None
) -> Tensor:
    """Embed the prompts of all views.

    Args:
        encode: N texts to embeddings ``(N, L, C)``.
        settings: its prompts, and whether there is guidance.
        views: V.
        unconditional: whether there is a branch uncond; None: where there is guidance.

    Returns:
        ``(V, B, L, C)``: branches uncond and cond, cond alone without guidance.

    Raises:
        ValueError: prompts that do not match the views.
    """
    prompts, negative = settings.per_view(views)
    guided = settings.guidance > 1 if unconditional is None else unconditional
    return torch.stack([encode(texts) for texts in ([negative] if guided else []) + [prompts]], 1)


def join_branches(
    predictions: Tensor,
    guidance: float,
    without_camera: Tensor | None = None,
    *,
    camera_guidance: float = 1.0,
    camera_weight: float = 1.0,
) -> Tensor:
    """Combine the predictions of all branches (Ho & Salimans, 2022; the camera's: CamI2V, Sec. 3.4).

    Args:
        predictions: ``(rows, B, ...)``, branches uncond and cond, or cond alone.
        guidance: classifier-free guidance scale.
        without_camera: ``(rows, ...)``, cond without camera; not needed where camera guidance is 1.
        camera_guidance, camera_weight: see :func:`cvd_core.cami2v.guidance.guide_text_and_camera`.

    Returns:
        ``(rows, ...)``.
    """
    branches = predictions.unbind(1)
    if len(branches) == 1 and without_camera is None:
        return branches[0]
    return guide_text_and_camera(
        branches[-1],
        branches[0],
        without_camera,
        guidance=guidance,
        camera_guidance=camera_guidance,
        weight=camera_weight,
        rescale=0,  # CameraCtrl's networks have no need of it
    )
