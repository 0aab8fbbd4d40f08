"""CameraCtrl's pose encoder: Pluecker rays -> one feature map per level of the UNet.

Parameter names are those of the released ``pose_encoder_state_dict``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pixel_unshuffle, relu, scaled_dot_product_attention

from cvd_core.networks.layers import HEADS, FeedForward
from cvd_core.networks.layout import SD15_WIDTHS

PLUCKER_CHANNELS = 6
LATENT_STRIDE = 8
POSITIONS = 16
"""Frames in the released encoder's position table."""
LAYERS_PER_LEVEL = 2


def sinusoids(positions: int, channels: int) -> Tensor:
    """``(1, positions, channels)`` float32 table: even channels sin, odd channels cos (Vaswani et al., Sec. 3.5)."""
    position = torch.arange(positions)[:, None]
    rate = torch.exp(torch.arange(0, channels, 2) * (-math.log(10000.0) / channels))
    table = torch.zeros(1, positions, channels)
    table[0, :, 0::2] = torch.sin(position * rate)
    table[0, :, 1::2] = torch.cos(position * rate)
    return table


class _Positions(nn.Module):
    pe: Tensor

    def __init__(self, positions: int, channels: int, **factory: Any) -> None:
        super().__init__()
        self.register_buffer("pe", sinusoids(positions, channels).to(**factory))


class TemporalAttention(nn.Module):
    """Self-attention over the frames of each pixel, on tokens with their frame's position added."""

    def __init__(self, channels: int, positions: int, ops: Any = nn, **factory: Any) -> None:
        super().__init__()
        self.to_q = ops.Linear(channels, channels, bias=False, **factory)
        self.to_k = ops.Linear(channels, channels, bias=False, **factory)
        self.to_v = ops.Linear(channels, channels, bias=False, **factory)
        self.to_out = nn.ModuleList([ops.Linear(channels, channels, **factory)])
        self.pos_encoder = _Positions(positions, channels, **factory)

    def forward(self, x: Tensor) -> Tensor:
        """``(pixels, F, C)`` -> the same."""
        x = x + self.pos_encoder.pe[:, : x.shape[1]].to(x)
        q, k, v = (
            rearrange(layer(x), "n f (heads d) -> n heads f d", heads=HEADS)
            for layer in (self.to_q, self.to_k, self.to_v)
        )
        return self.to_out[0](rearrange(scaled_dot_product_attention(q, k, v), "n heads f d -> n f (heads d)"))


class TemporalBlock(nn.Module):
    """One temporal self-attention and a feed-forward layer, each on LayerNormed tokens with a residual."""

    def __init__(self, channels: int, positions: int, ops: Any = nn, **factory: Any) -> None:
        super().__init__()
        self.attention_blocks = nn.ModuleList([TemporalAttention(channels, positions, ops, **factory)])
        self.norms = nn.ModuleList([ops.LayerNorm(channels, **factory)])
        self.ff = FeedForward(channels, ops, **factory)
        self.ff_norm = ops.LayerNorm(channels, **factory)

    def forward(self, x: Tensor) -> Tensor:
        """``(pixels, F, C)`` -> the same."""
        x = x + self.attention_blocks[0](self.norms[0](x))
        return x + self.ff(self.ff_norm(x))


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
