"""Self-attention over the frames of every pixel, as in AnimateDiff and CameraCtrl, with their parameter names."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from cvd_core.networks.attention import AttentionLayers
from cvd_core.networks.layers import FeedForward
from cvd_core.networks.sd15 import HEADS

Change = Callable[[Tensor], Tensor]
"""A change to the tokens ``(pixels, F, C)`` from which q, k and v are computed."""


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


class TemporalAttention(AttentionLayers):
    """Self-attention over the frames of each pixel, on tokens with their frame's position added."""

    def __init__(self, channels: int, positions: int, ops: Any = nn, **factory: Any) -> None:
        super().__init__(channels, channels // HEADS, ops=ops, **factory)
        self.pos_encoder = _Positions(positions, channels, **factory)

    def forward(self, x: Tensor, change: Change | None = None) -> Tensor:
        """``(pixels, F, C)`` -> the same; ``change`` is applied after the positions are added."""
        x = x + self.pos_encoder.pe[:, : x.shape[1]].to(x)
        if change is not None:
            x = change(x)
        return self.to_out[0](self.attend(self.to_q(x), self.to_k(x), self.to_v(x)))


class TemporalBlock(nn.Module):
    """Temporal self-attentions and a feed-forward layer, each on LayerNormed tokens with a residual."""

    def __init__(self, channels: int, positions: int, ops: Any = nn, *, attentions: int = 1, **factory: Any) -> None:
        super().__init__()
        self.attention_blocks = nn.ModuleList(
            [TemporalAttention(channels, positions, ops, **factory) for _ in range(attentions)]
        )
        self.norms = nn.ModuleList([ops.LayerNorm(channels, **factory) for _ in range(attentions)])
        self.ff = FeedForward(channels, ops, **factory)
        self.ff_norm = ops.LayerNorm(channels, **factory)

    def forward(self, x: Tensor, change: Change | None = None) -> Tensor:
        """``(pixels, F, C)`` -> the same; ``change`` is for the first attention."""
        for norm, attention in zip(self.norms, self.attention_blocks, strict=True):
            x = x + attention(norm(x), change)
            change = None
        return x + self.ff(self.ff_norm(x))
