"""Attention under a mask that closes most keys, computed on the keys that matter alone.

Queries are taken in tiles of neighbours whose open keys are nearly the same. A tile attends to the keys that are open
to one of its queries, gathered from all, and its part of the mask is made on the spot: nothing of the size of the
attention matrix is ever stored. Which keys a tile needs is planned once per mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

AttentionKind = Literal["auto", "dense", "sparse"]
"""How masked attention is computed: sparse passes over keys that are masked out, auto where that is known to pay."""
SMALLEST_MATRIX = 1 << 20
"""Queries times keys below which tiles do not save what they cost (measured: benchmarks/sync_module.py)."""
_TILES, _SMALLEST, _LARGEST = 16, 64, 256
"""Tiles of a map, and queries of one: larger ones need more keys, smaller ones compute them less efficiently."""
_SAMPLED = 4
"""One in this many tiles is looked at to compare orders."""


class TileMask(Protocol):
    """A mask of Q queries over K keys, given by rule."""

    def orders(self) -> Sequence[Tensor]:
        """Orders ``(Q,)`` of the queries that may bring those with the same keys together."""
        ...

    def relevant(self, queries: Tensor) -> Tensor:
        """``(T, K)`` booleans: which keys can change what these queries get."""
        ...

    def mask(self, queries: Tensor, keys: Tensor | None) -> Tensor:
        """``(T, k)`` booleans or float32 bias of queries over some keys, or over all."""
        ...


@dataclass(frozen=True, eq=False)
class TilePlan:
    """Which keys every tile attends to.

    Attributes:
        order: ``(Q,)``, the queries of all tiles, one tile after the other.
        kept: ``(tiles, K)`` booleans.
    """

    order: Tensor
    kept: Tensor

    @staticmethod
    def nbytes(queries: int, keys: int) -> int:
        """Memory of a plan."""
        return 8 * queries + -(-queries // tile_length(queries)) * keys


def passes_over_masked(kind: AttentionKind, queries: int, keys: int, device: torch.device) -> bool:
    """Whether attention of queries to keys under a mask is computed in tiles.

    The automatic choice is the measured one: tiles on a CPU where there is much to save, and the whole matrix on other
    devices, where every tile costs several kernels.
    """
    return kind == "sparse" or (kind == "auto" and device.type == "cpu" and queries * keys >= SMALLEST_MATRIX)


def tile_length(queries: int) -> int:
    """Queries of a tile."""
    return min(_LARGEST, max(_SMALLEST, queries // _TILES))


def plan_tiles(mask: TileMask) -> TilePlan:
    """The plan under the order that leaves the fewest keys."""
    orders = mask.orders()
    tiles = [order.split(tile_length(len(order))) for order in orders]
    if len(orders) > 1:
        counts = [sum(int(mask.relevant(t).any(0).sum()) * len(t) for t in split[::_SAMPLED]) for split in tiles]
        best = counts.index(min(counts))
    else:
        best = 0
    return TilePlan(orders[best], torch.stack([mask.relevant(tile).any(0) for tile in tiles[best]]))


def attend_in_tiles(q: Tensor, k: Tensor, v: Tensor, heads: int, plan: TilePlan, mask: TileMask) -> Tensor:
    """Attention of ``(Q, B, C)`` queries to ``(K, B, C)`` keys and values, the mask being the same for all B and heads.

    Equal to attention under the whole mask as far as ``mask.relevant`` is right about what changes nothing.
    """
    out = torch.empty_like(q)
    for queries, kept in zip(plan.order.split(tile_length(len(q))), plan.kept, strict=True):
        keys = None if bool(kept.all()) else kept.nonzero()[:, 0]
        near_k, near_v = (x if keys is None else x.index_select(0, keys) for x in (k, v))
        part = mask.mask(queries, keys)
        y = scaled_dot_product_attention(
            _split_heads(q.index_select(0, queries), heads),
            _split_heads(near_k, heads),
            _split_heads(near_v, heads),
            part if part.dtype == torch.bool else part.to(q.dtype),
        )
        out[queries] = y.squeeze(0).transpose(0, 1).reshape(len(queries), *q.shape[1:])
    return out


def _split_heads(x: Tensor, heads: int) -> Tensor:
    """``(N, B, C)`` -> ``(1, B * heads, N, C / heads)``."""
    return x.unflatten(-1, (heads, -1)).flatten(1, 2).transpose(0, 1).unsqueeze(0)
