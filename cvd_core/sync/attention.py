"""Attention from each view's pixels to its partners' pixels of the same frame (CVD paper, Eq. 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from cvd_core.fields import FieldError
from cvd_core.networks.flex import why_no_flex
from cvd_core.networks.tiles import attend_in_tiles, passes_over_masked
from cvd_core.sync.context import SyncContext
from cvd_core.sync.flex import AttentionBlocks
from cvd_core.sync.masks import AttentionMasks
from cvd_core.sync.tiles import AttentionTiles

CHUNK_BYTES = 256 << 20
"""Most bytes of mask built for one attention. Only masks that are not cached cost this much."""


def cross_view_attention(
    query: Callable[[int], Tensor],
    key: Tensor,
    value: Tensor,
    context: SyncContext,
    size: tuple[int, int],
    heads: int,
) -> Iterator[Tensor]:
    """Attend from every view to its partners; one softmax over all of a view's partners.

    The bias is the same for all heads and both guidance branches: they share one mask instead of copies of it.

    Args:
        query: gives ``(F, N, B, C)`` of the view at a batch position; called once per view, so that only one view's
            queries are in memory.
        key, value: ``(V', F, N, B, C)`` of all views within reach, at their ``context.positions``; N = h * w pixels,
            B branches.
        size: ``(h, w)``.

    Yields:
        ``(F, N, B, C)`` per view, in batch order.
    """
    attend = _attention(context, size, key)
    for position, view in enumerate(context.views):
        partners = context.partners[view]
        positions = [context.positions[p] for p in partners]
        k, v = (_gather(x, positions) for x in (key, value))
        yield attend(position, view, partners, query(position), k, v, heads)


class _Attend(Protocol):
    """Attention of one view, ``(F, N, B, C)`` queries to ``(F, P * N, B, C)`` keys and values."""

    def __call__(
        self, position: int, view: int, partners: Sequence[int], q: Tensor, k: Tensor, v: Tensor, heads: int
    ) -> Tensor: ...


def _attention(context: SyncContext, size: tuple[int, int], like: Tensor) -> _Attend:
    if context.bias is None:
        return partial(_dense, None)
    pixels, partners = size[0] * size[1], len(context.partners[context.views[0]])
    angles = context.bias.draw_slopes(context.slopes, len(context.views))
    if passes_over_masked(context.attention, pixels, pixels * partners, like.device):
        if like.device.type == "cuda":
            if why := why_no_flex(like.device):
                raise FieldError("attention", f"is sparse, but this Python has {why}; choose auto or dense")
            return partial(_in_blocks, AttentionBlocks(context.bias, context.cache, angles, size, like.device))
        return partial(_in_tiles, AttentionTiles(context.bias, context.cache, angles, size, like.device))
    return partial(_dense, AttentionMasks(context.bias, context.cache, angles, size, like.dtype, like.device))


def _in_tiles(
    tiles: AttentionTiles,
    position: int,
    view: int,
    partners: Sequence[int],
    q: Tensor,
    k: Tensor,
    v: Tensor,
    heads: int,
) -> Tensor:
    planned = tiles.of_view(position, view, partners)
    return torch.stack([attend_in_tiles(q[f], k[f], v[f], heads, plan, mask) for f, (mask, plan) in enumerate(planned)])


def _in_blocks(
    blocks: AttentionBlocks,
    position: int,
    view: int,
    partners: Sequence[int],
    q: Tensor,
    k: Tensor,
    v: Tensor,
    heads: int,
    *,
    compiled: bool = True,
) -> Tensor:
    out = torch.empty_like(q)
    planned = blocks.of_view(position, view, partners)
    _split_heads(out, heads).copy_(planned.attend(*(_split_heads(x, heads) for x in (q, k, v)), compiled=compiled))
    return out


def _dense(
    masks: AttentionMasks | None,
    position: int,
    view: int,
    partners: Sequence[int],
    q: Tensor,
    k: Tensor,
    v: Tensor,
    heads: int,
) -> Tensor:
    out = torch.empty_like(q)
    attended = _split_heads(out, heads)
    q, k, v = (_split_heads(x, heads) for x in (q, k, v))
    own = None if masks is None else masks.of_view(position, view, partners)
    for run in [slice(0, len(q))] if own is None else own.runs():
        for frames, queries in _chunks(q, k, run):
            mask = None if own is None else own.rows(frames, queries).unsqueeze(1)
            attended[frames, :, queries] = scaled_dot_product_attention(
                q[frames, :, queries], k[frames], v[frames], mask
            )
    return out


def _gather(x: Tensor, positions: list[int]) -> Tensor:
    """``(V, F, N, B, C)`` -> ``(F, P * N, B, C)``: the tokens of several views as one sequence."""
    if len(positions) == 1:
        return x[positions[0]]
    return torch.cat([x[p] for p in positions], dim=1)


def _split_heads(x: Tensor, heads: int) -> Tensor:
    """``(F, N, B, C)`` -> ``(F, B * heads, N, C / heads)`` without a copy, B and heads being adjacent."""
    return x.unflatten(-1, (heads, -1)).flatten(2, 3).transpose(1, 2)


def _chunks(q: Tensor, k: Tensor, run: slice) -> Iterator[tuple[slice, slice]]:
    """Ranges of the run's frames and of queries whose mask stays within :data:`CHUNK_BYTES`; remainders included."""
    queries = q.shape[2]
    row = k.shape[2] * q.element_size()
    step = max(1, min(queries, CHUNK_BYTES // row))
    frame_step = max(1, CHUNK_BYTES // (row * queries)) if step == queries else 1
    for f in range(run.start, run.stop, frame_step):
        for n in range(0, queries, step):
            yield slice(f, min(f + frame_step, run.stop)), slice(n, min(n + step, queries))
