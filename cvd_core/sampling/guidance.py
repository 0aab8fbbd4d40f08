"""Classifier-free guidance of the text and, apart from it, of the camera."""

from __future__ import annotations

from torch import Tensor

from cvd_core.cami2v.guidance import guide_text_and_camera


def guide(
    uncond: Tensor,
    cond: Tensor,
    scale: float,
    without_camera: Tensor | None = None,
    *,
    camera_scale: float = 1.0,
    camera_weight: float = 1.0,
) -> Tensor:
    """Combine noise predictions of one shape: ``uncond + scale * (cond - uncond)`` (Ho & Salimans, 2022).

    With a prediction that has the text but not the camera, ``(camera_scale - 1) * camera_weight * (cond -
    without_camera)`` comes on top (CamI2V, Sec. 3.4). CameraCtrl's networks have no need of CamI2V's rescaling.
    """
    return guide_text_and_camera(
        cond,
        uncond,
        without_camera,
        guidance=scale,
        camera_guidance=camera_scale,
        weight=camera_weight,
        rescale=0,
    )
