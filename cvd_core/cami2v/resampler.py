"""The picture's CLIP tokens to 16 tokens per frame: DynamiCrafter's query transformer."""

from __future__ import annotations

from typing import Any, cast

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from cvd_core.cami2v.network import FRAMES, PICTURE_TOKENS

HEADS = 12


class _Attention(nn.Module):
    """Queries attend to the picture's tokens and to themselves."""

    def __init__(self, channels: int, heads: int, head_width: int, ops: Any = nn) -> None:
        super().__init__()
        self.heads = heads
        inner = heads * head_width
        self.norm1, self.norm2 = ops.LayerNorm(channels), ops.LayerNorm(channels)
        self.to_q = ops.Linear(channels, inner, bias=False)
        self.to_kv = ops.Linear(channels, 2 * inner, bias=False)
        self.to_out = ops.Linear(inner, channels, bias=False)

    def forward(self, picture: Tensor, queries: Tensor) -> Tensor:
        """``(N, S, C)``, ``(N, L, C)`` -> ``(N, L, C)``."""
        picture, queries = self.norm1(picture), self.norm2(queries)
        k, v = self.to_kv(torch.cat([picture, queries], 1)).chunk(2, -1)
        q, k, v = (rearrange(t, "n l (h c) -> n h l c", h=self.heads) for t in (self.to_q(queries), k, v))
        return self.to_out(rearrange(scaled_dot_product_attention(q, k, v), "n h l c -> n l (h c)"))


class Resampler(nn.Module):
    """Under the released parameter names, ``image_proj_model``.

    Args:
        picture: channels of the CLIP tokens.
        channels: inside.
        outputs: channels of the tokens that come out.
        heads, head_width: of the attention.
        layers: number of them.
        ops: namespace of the layers; a host may bring its own.
    """

    def __init__(
        self,
        picture: int = 1280,
        channels: int = 1024,
        outputs: int = 1024,
        heads: int = HEADS,
        head_width: int = 64,
        layers: int = 4,
        ops: Any = nn,
    ) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.zeros(1, FRAMES * PICTURE_TOKENS, channels))
        self.proj_in = ops.Linear(picture, channels)
        self.proj_out = ops.Linear(channels, outputs)
        self.norm_out = ops.LayerNorm(outputs)
        self.layers = nn.ModuleList([_layer(channels, heads, head_width, ops) for _ in range(layers)])

    def forward(self, picture: Tensor) -> Tensor:
        """CLIP tokens ``(N, 257, picture)`` to ``(N, 16 * 16, outputs)``: 16 for frame 0, 16 for frame 1, ..."""
        x = self.proj_in(picture)
        queries = self.latents.to(x).expand(len(x), -1, -1)
        for layer in self.layers:
            attention, feed_forward = cast(nn.ModuleList, layer)
            queries = queries + attention(x, queries)
            queries = queries + feed_forward(queries)
        return self.norm_out(self.proj_out(queries))


def _layer(channels: int, heads: int, head_width: int, ops: Any) -> nn.ModuleList:
    feed_forward = nn.Sequential(
        ops.LayerNorm(channels),
        ops.Linear(channels, 4 * channels, bias=False),
        nn.GELU(),
        ops.Linear(4 * channels, channels, bias=False),
    )
    return nn.ModuleList([_Attention(channels, heads, head_width, ops), feed_forward])
