"""CameraCtrl's pose encoder: Plücker rays -> one feature map per level of the UNet.

Parameter names are those of the released ``pose_encoder_state_dict``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pixel_unshuffle, relu

from cvd_core.networks.sd15 import LATENT_STRIDE, SD15_WIDTHS
from cvd_core.networks.temporal import TemporalBlock

PLUCKER_CHANNELS = 6
POSITIONS = 16
"""Frames in the released encoder's position table."""
LAYERS_PER_LEVEL = 2


class ResidualBlock(nn.Module):
    """Optional halving, optional 1x1 to a new width, then 3x3, ReLU, 1x1 with a residual."""

    def __init__(self, inputs: int, channels: int, halve: bool, ops: Any = nn, **factory: Any) -> None:
        super().__init__()
        self.halve = halve
        self.in_conv = ops.Conv2d(inputs, channels, 1, **factory) if inputs != channels else None
        self.block1 = ops.Conv2d(channels, channels, 3, padding=1, **factory)
        self.block2 = ops.Conv2d(channels, channels, 1, **factory)

    def forward(self, x: Tensor) -> Tensor:
        if self.halve:
            # Round up as the UNet's strided convolutions do; for even sizes this is the released plain average.
            x = avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)
        if self.in_conv is not None:
            x = self.in_conv(x)
        return x + self.block2(relu(self.block1(x)))


class PoseEncoder(nn.Module):
    """Camera features for every level of the UNet.

    Args:
        widths: channels of the UNet's down blocks.
        positions: length of the frame position table.
        ops: namespace of the layers; a host may bring its own.
        factory: ``dtype`` and ``device`` of the parameters.
    """

    def __init__(
        self, widths: Sequence[int] = SD15_WIDTHS, positions: int = POSITIONS, ops: Any = nn, **factory: Any
    ) -> None:
        super().__init__()
        self.positions = positions
        inputs = [widths[0], *widths[:-1]]
        self.encoder_conv_in = ops.Conv2d(PLUCKER_CHANNELS * LATENT_STRIDE**2, widths[0], 3, padding=1, **factory)
        self.encoder_down_conv_blocks = nn.ModuleList(
            nn.ModuleList(
                ResidualBlock(inputs[i] if j == 0 else width, width, i > 0 and j == 0, ops, **factory)
                for j in range(LAYERS_PER_LEVEL)
            )
            for i, width in enumerate(widths)
        )
        self.encoder_down_attention_blocks = nn.ModuleList(
            nn.ModuleList(TemporalBlock(width, positions, ops, **factory) for _ in range(LAYERS_PER_LEVEL))
            for width in widths
        )

    def forward(self, plucker: Tensor) -> list[Tensor]:
        """Encode rays.

        Args:
            plucker: ``(V, F, 6, H, W)``, H and W multiples of 8.

        Returns:
            per level ``(V, C, F, h, w)``: h = H / 8, then halved (rounding up) from level to level.

        Raises:
            ValueError: more frames than the position table holds.
        """
        views, frames = plucker.shape[:2]
        if frames > self.positions:
            raise ValueError(
                f"the CameraCtrl pose encoder holds positions for {self.positions} frames, the cameras have {frames}; "
                f"resample them to at most {self.positions} frames"
            )
        x = self.encoder_conv_in(pixel_unshuffle(plucker.flatten(0, 1), LATENT_STRIDE))
        features = []
        for convs, blocks in zip(self.encoder_down_conv_blocks, self.encoder_down_attention_blocks, strict=True):
            for conv, block in zip(convs, blocks, strict=True):  # type: ignore[call-overload]
                x = conv(x)
                h, w = x.shape[-2:]
                x = block(rearrange(x, "(v f) c h w -> (v h w) f c", f=frames))
                x = rearrange(x, "(v h w) f c -> (v f) c h w", v=views, h=h, w=w)
            features.append(rearrange(x, "(v f) c h w -> v c f h w", v=views))
        return features
