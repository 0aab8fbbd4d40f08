"""From a camera path to what the network is told of it (CamI2V, Sec. 3.2 and 3.3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from cvd_core.camera_control.pose_encoder import PoseEncoder
from cvd_core.cami2v.ddim import Predicts
from cvd_core.cami2v.epipolar import EpipolarLines
from cvd_core.cami2v.network import FRAMES
from cvd_core.cami2v.transformers import CameraFeatures
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.plucker import plucker_embedding
from cvd_core.networks.tiles import AttentionKind

SMALLEST_STEPS: dict[Predicts, int] = {"noise": 0, "velocity": 16}
"""The 512 model was trained without mask on its finest maps, of 8 picture pixels per token."""


def relative_path(cameras: Cameras, reference: int = 0, scale: float = 1.0) -> Cameras:
    """Every view's poses seen from the camera of the frame that shows the given picture.

    Args:
        cameras: V paths of 16 frames.
        reference: that frame, 0 to 15.
        scale: factor on all translations (the released ``trace_scale_factor``).

    Raises:
        ValueError: another number of frames, or no such frame.
    """
    if cameras.frames != FRAMES:
        raise ValueError(
            f"the camera path has {cameras.frames} frames; CamI2V makes exactly {FRAMES} - resample the path"
        )
    if not 0 <= reference < cameras.frames:
        raise ValueError(f"reference frame is {reference}; expected 0 to {cameras.frames - 1}")
    relative = cameras.w2c[:, reference, None] @ cameras.c2w
    relative[:, reference] = torch.eye(4, dtype=torch.float64)  # exactly, so rounding never makes a baseline
    relative[..., :3, 3] *= scale
    return replace(cameras, c2w=relative)


class CameraBranch(nn.Module):
    """The pose encoder, and what turns a path into the features of a run.

    Args:
        widths: channels of the network's levels.
        ops: namespace of the layers; a host may bring its own.
    """

    def __init__(self, widths: tuple[int, ...], ops: Any = nn) -> None:
        super().__init__()
        self.pose_encoder = PoseEncoder(widths, ops=ops)

    def forward(
        self,
        cameras: Cameras,
        width: int,
        height: int,
        noise: Tensor | None,
        *,
        smallest_step: int = 0,
        attention: AttentionKind = "auto",
        strength: float = 1.0,
        like: Tensor | None = None,
    ) -> CameraFeatures:
        """Encode paths once per run.

        Args:
            cameras: V paths from :func:`relative_path`, pixels square at ``width`` x ``height``.
            width, height: of the pictures, multiples of 64.
            noise: see :meth:`EpipolarLines.of`; None: Plücker features alone.
            smallest_step, attention: see :class:`EpipolarLines`.
            strength: factor on what the camera adds.
            like: whose device and dtype the rays take; None: those of the encoder's weights, which a host may keep
                elsewhere until they are used.
        """
        rays = plucker_embedding(cameras, width, height)
        rays = rays.to(self.pose_encoder.encoder_conv_in.weight if like is None else like)
        lines = None if noise is None else EpipolarLines.of(cameras, width, height, noise, smallest_step, attention)
        return CameraFeatures(self.pose_encoder(rays), lines, strength)
