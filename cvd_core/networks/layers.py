"""Transformer layers that the added modules of all systems share, under their released parameter names."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import gelu


class GEGLU(nn.Module):
    """Gated linear unit with a GELU gate: C -> 4C."""

    def __init__(self, channels: int, ops: Any = nn, **factory: Any) -> None:
        super().__init__()
        self.proj = ops.Linear(channels, 8 * channels, **factory)

    def forward(self, x: Tensor) -> Tensor:
        hidden, gate = self.proj(x).chunk(2, dim=-1)
        return hidden * gelu(gate)


class FeedForward(nn.Module):
    """GEGLU, dropout (none in training), linear. ``net.1`` of the released names is the dropout's place."""

    def __init__(self, channels: int, ops: Any = nn, **factory: Any) -> None:
        super().__init__()
        self.net = nn.ModuleList(
            [GEGLU(channels, ops, **factory), nn.Identity(), ops.Linear(4 * channels, channels, **factory)]
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net[2](self.net[0](x))
