"""The cross-view synchronisation module and the set of twenty that makes a CVD checkpoint.

Parameter names are those of the released ``CVD.ckpt``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from cvd_core.networks.layers import FeedForward
from cvd_core.networks.layout import PerSite, Site
from cvd_core.networks.sd15 import HEADS, NORM_GROUPS, SD15_LAYERS, SD15_WIDTHS
from cvd_core.sync.attention import cross_view_attention
from cvd_core.sync.context import SyncContext

ATTENTIONS = 2
"""Cross-view attentions per module in ``CVD.ckpt``; the paper's ablation "1 Layer" (A.2) has one."""
FEED_FORWARD_TOKENS = 4096
"""Tokens per pass of the feed-forward layer, whose hidden width is 8C: keeps its peak memory independent of V and F."""


class CrossViewAttention(nn.Module):
    """Queries from a view's own tokens, keys and values from its partners' tokens of the same frame and branch."""

    def __init__(self, channels: int, ops: Any = nn, **factory: Any) -> None:
        super().__init__()
        self.to_q = ops.Linear(channels, channels, bias=False, **factory)
        self.to_k = ops.Linear(channels, channels, bias=False, **factory)
        self.to_v = ops.Linear(channels, channels, bias=False, **factory)
        self.to_out = nn.ModuleList([ops.Linear(channels, channels, **factory)])

    def forward(self, z: Tensor, context: SyncContext, size: tuple[int, int]) -> Tensor:
        """``z``, normalised tokens ``(V, F, N, B, C)`` -> the same.

        A layer runs on all views at once: weights that a host casts or copies at each use are then moved once.
        """
        keys, values = context.reached(self.to_k(z), self.to_v(z))
        attended = cross_view_attention(lambda position: self.to_q(z[position]), keys, values, context, size, HEADS)
        return self.to_out[0](torch.stack(list(attended)))


class SyncBlock(nn.Module):
    """Cross-view attentions and a feed-forward layer, each on LayerNormed tokens with a residual."""

    def __init__(self, channels: int, ops: Any = nn, *, attentions: int = ATTENTIONS, **factory: Any) -> None:
        super().__init__()
        self.attention_blocks = nn.ModuleList([CrossViewAttention(channels, ops, **factory) for _ in range(attentions)])
        self.norms = nn.ModuleList([ops.LayerNorm(channels, **factory) for _ in range(attentions)])
        self.ff = FeedForward(channels, ops, **factory)
        self.ff_norm = ops.LayerNorm(channels, **factory)

    def forward(self, y: Tensor, context: SyncContext, size: tuple[int, int]) -> Tensor:
        """``y`` ``(V, F, N, B, C)`` -> the same shape."""
        for norm, attention in zip(self.norms, self.attention_blocks, strict=True):
            # Every view attends to what its partners were before this attention, not to what it made of them.
            y = y + attention(norm(y), context, size)
        tokens = y.flatten(0, 3).split(FEED_FORWARD_TOKENS)
        return torch.cat([t + self.ff(self.ff_norm(t)) for t in tokens]).view_as(y)


class EpipolarTransformer(nn.Module):
    """Per-frame GroupNorm, linear in, a :class:`SyncBlock`, linear out (starts at zero), residual."""

    def __init__(self, channels: int, ops: Any = nn, *, attentions: int = ATTENTIONS, **factory: Any) -> None:
        super().__init__()
        self.norm = ops.GroupNorm(NORM_GROUPS, channels, eps=1e-6, **factory)
        self.proj_in = ops.Linear(channels, channels, **factory)
        self.transformer_blocks = nn.ModuleList([SyncBlock(channels, ops, attentions=attentions, **factory)])
        self.proj_out = ops.Linear(channels, channels, **factory)

    def forward(self, x: Tensor, context: SyncContext) -> Tensor:
        """``x`` ``(V * B * F, C, h, w)`` in the context's layout -> the same."""
        size = (x.shape[-2], x.shape[-1])
        y = self.proj_in(_to_tokens(self.norm(x), context))
        for block in self.transformer_blocks:
            y = block(y, context, size)
        y = _to_maps(self.proj_out(y), context, size)
        # y first: the sum then has y's channels-last layout, and what follows runs the kernels of the released code.
        return y + x if context.strength == 1 else context.strength * y + x


class SyncModule(nn.Module):
    """One cross-view synchronisation module.

    Args:
        channels: width of the features; a multiple of 32.
        ops: namespace of the layers (``Linear``, ``LayerNorm``, ``GroupNorm``); a host may bring its own.
        attentions: cross-view attentions, one after the other.
        factory: ``dtype`` and ``device`` of the parameters.
    """

    def __init__(self, channels: int, ops: Any = nn, *, attentions: int = ATTENTIONS, **factory: Any) -> None:
        super().__init__()
        self.epi_transformer = EpipolarTransformer(channels, ops, attentions=attentions, **factory)

    def forward(self, x: Tensor, context: SyncContext) -> Tensor:
        """Synchronise ``(V * B * F, C, h, w)`` features; the identity if the views have no partners.

        Raises:
            ValueError: the batch is not made of the context's views and branches.
        """
        if not context.synchronised:
            return x
        rows = len(context.views) * context.branches
        if x.shape[0] % rows or (context.bias is not None and x.shape[0] != rows * context.bias.frames):
            frames = "" if context.bias is None else f" x {context.bias.frames} frames"
            raise ValueError(
                f"the sync module got a batch of {x.shape[0]}; expected {len(context.views)} views x "
                f"{context.branches} guidance branches{frames}"
            )
        if context.synced is None or len(context.synced) == context.branches:
            return self.epi_transformer(x, context)
        by_view = context.layout == "view branch"
        shape = (len(context.views), context.branches) if by_view else (context.branches, len(context.views))
        out = x.unflatten(0, (*shape, -1)).clone()
        chosen = (slice(None), list(context.synced)) if by_view else (list(context.synced),)
        part = replace(context, branches=len(context.synced), synced=None)
        synced = self.epi_transformer(out[chosen].flatten(0, 2), part)
        out[chosen] = synced.view_as(out[chosen])
        return out.flatten(0, 2)


class SyncModules(PerSite[SyncModule]):
    """All sync modules of a UNet, under the key names of ``CVD.ckpt``.

    Args:
        widths: channels of the UNet's down blocks.
        attentions: per module. The n-th (from 0) has the keys ``...attention_blocks.n...`` and ``...norms.n...``; all
            other keys are the same for any number.

    Raises:
        ValueError: no attention at all.
    """

    def __init__(
        self,
        widths: Sequence[int] = SD15_WIDTHS,
        ops: Any = nn,
        *,
        layers_per_block: int = SD15_LAYERS,
        attentions: int = ATTENTIONS,
        **factory: Any,
    ) -> None:
        if attentions < 1:
            raise ValueError(f"{attentions} attentions per sync module; expected 1 or more (published: {ATTENTIONS})")

        def make(site: Site) -> SyncModule:
            return SyncModule(site.channels, ops, attentions=attentions, **factory)

        super().__init__("epi_modules", widths, make, layers_per_block)
        self.attentions = attentions

    def reset_parameters(self) -> None:
        """Start of training: default initialisation, ``proj_out`` at zero, so that the modules change nothing yet."""
        for module in self.modules():
            if isinstance(module, EpipolarTransformer):
                nn.init.zeros_(module.proj_out.weight)
                nn.init.zeros_(module.proj_out.bias)


def _to_tokens(x: Tensor, context: SyncContext) -> Tensor:
    """``(V * B * F, C, h, w)`` -> ``(V, F, h * w, B, C)``."""
    views, branches = len(context.views), context.branches
    if context.layout == "view branch":
        return x.view(views, branches, -1, x.shape[1], x.shape[2] * x.shape[3]).permute(0, 2, 4, 1, 3).contiguous()
    return x.view(branches, views, -1, x.shape[1], x.shape[2] * x.shape[3]).permute(1, 2, 4, 0, 3).contiguous()


def _to_maps(y: Tensor, context: SyncContext, size: tuple[int, int]) -> Tensor:
    """The inverse of :func:`_to_tokens`."""
    order = (0, 3, 1, 2, 4) if context.layout == "view branch" else (3, 0, 1, 2, 4)
    return y.permute(order).reshape(-1, *size, y.shape[-1]).permute(0, 3, 1, 2)
