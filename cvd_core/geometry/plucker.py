"""Plücker ray embedding: what CameraCtrl's pose encoder reads (CVD paper, Sec. 3; CameraCtrl, Sec. 3.2)."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from cvd_core.geometry.cameras import Cameras


def camera_rays(cameras: Cameras, width: int, height: int) -> tuple[Tensor, Tensor]:
    """World-space ray of every pixel centre, pixel (0, 0) being centred at (0.5, 0.5).

    Returns:
        origins ``(V, F, 3)`` in world units and unit directions ``(V, F, H, W, 3)``, both float64.
    """
    fx, fy, cx, cy = cameras.intrinsics[..., None, None, :].unbind(-1)
    u = (torch.arange(width, dtype=torch.float64) + 0.5) / width
    v = (torch.arange(height, dtype=torch.float64) + 0.5) / height
    x, y = torch.broadcast_tensors((u - cx) / fx, (v[:, None] - cy) / fy)
    directions = torch.nn.functional.normalize(torch.stack([x, y, torch.ones_like(x)], -1), dim=-1)
    world = torch.einsum("vfij,vfhwj->vfhwi", cameras.c2w[..., :3, :3], directions)
    return cameras.centers, world


def plucker_embedding(cameras: Cameras, width: int, height: int) -> Tensor:
    """Moment and direction of every pixel's ray.

    Args:
        cameras: poses as the network should see them; CameraCtrl and CVD expect ``cameras.relative_to_first()``.
        width, height: image size in pixels.

    Returns:
        ``(V, F, 6, H, W)`` float32: ``o x d`` (world units), then the unit direction ``d``.
    """
    origins, directions = camera_rays(cameras, width, height)
    moments = torch.linalg.cross(origins[:, :, None, None].expand_as(directions), directions, dim=-1)
    return rearrange(torch.cat([moments, directions], -1), "v f h w c -> v f c h w").float()


WAN_SUBFRAMES = 4
"""Frames that Wan's autoencoder puts into one latent frame; the first frame stands alone."""


def wan_camera_embedding(cameras: Cameras, width: int, height: int) -> Tensor:
    """Rays as Wan 2.1 Fun-Camera takes them, ComfyUI's WAN_CAMERA_EMBEDDING.

    The rays of the four frames behind a latent frame stand beside each other: channel = ray channel * 4 + subframe. The
    first frame, which has a latent frame of its own, is taken four times. Frames are made one by one, so that little
    more than the result is in memory.

    Args:
        cameras: as the network should see them: every path relative to its first pose, with square pixels
            (:func:`~cvd_core.geometry.cameras.prepare_cameras`).
        width, height: size of the video in pixels.

    Returns:
        ``(V, 24, (F + 3) / 4, H, W)`` float32.

    Raises:
        ValueError: a number of frames other than 1, 5, 9, ...
    """
    if cameras.frames % WAN_SUBFRAMES != 1:
        raise ValueError(
            f"the cameras have {cameras.frames} frames; Wan takes 1, 5, 9, ... (one more than a multiple of 4)"
        )
    latent_frames = (cameras.frames + WAN_SUBFRAMES - 1) // WAN_SUBFRAMES
    out = torch.empty(cameras.views, 6, WAN_SUBFRAMES, latent_frames, height, width)
    for frame in range(cameras.frames):
        rays = plucker_embedding(cameras.frame(frame), width, height)[:, 0]
        if frame == 0:
            out[:, :, :, 0] = rays[:, :, None]
        else:
            out[:, :, (frame + WAN_SUBFRAMES - 1) % WAN_SUBFRAMES, (frame + WAN_SUBFRAMES - 1) // WAN_SUBFRAMES] = rays
    return out.flatten(1, 2)
