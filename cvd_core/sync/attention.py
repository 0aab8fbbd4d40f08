"""Attention from each view's pixels to its partners' pixels of the same frame (CVD paper, Eq. 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from cvd_core.sync.context import SyncContext

CHUNK_BYTES = 256 << 20
"""Bias given to one attention call at most. Only a bias that is not cached costs this much."""


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
        key, value: ``(V, F, N, B, C)`` in batch order, N = h * w pixels, B branches.
        size: ``(h, w)``.

    Yields:
        ``(F, N, B, C)`` per view, in batch order.
    """
    bias = context.bias
    angles = None if bias is None else bias.draw_slopes(context.slopes, len(context.views))
    for position, view in enumerate(context.views):
        partners = context.partners[view]
        positions = [context.positions[p] for p in partners]
        q = query(position)
        out = torch.empty_like(q)
        q, attended = _split_heads(q, heads), _split_heads(out, heads)
        k, v = (_split_heads(_gather(x, positions), heads) for x in (key, value))
        for frames, queries in _chunks(q, k):
            mask = None
            if bias is not None and angles is not None:
                mask = bias.rows(
                    view, partners, frames, queries, size, angles[position], dtype=q.dtype, device=q.device
                ).unsqueeze(1)
            attended[frames, :, queries] = scaled_dot_product_attention(
                q[frames, :, queries], k[frames], v[frames], mask
            )
        yield out


def _gather(x: Tensor, positions: list[int]) -> Tensor:
    """``(V, F, N, B, C)`` -> ``(F, P * N, B, C)``: the tokens of several views as one sequence."""
    if len(positions) == 1:
        return x[positions[0]]
    return torch.cat([x[p] for p in positions], dim=1)


def _split_heads(x: Tensor, heads: int) -> Tensor:
    """``(F, N, B, C)`` -> ``(F, B * heads, N, C / heads)`` without a copy, B and heads being adjacent."""
    return x.unflatten(-1, (heads, -1)).flatten(2, 3).transpose(1, 2)


def _chunks(q: Tensor, k: Tensor) -> Iterator[tuple[slice, slice]]:
    """Ranges of frames and queries whose bias stays within :data:`CHUNK_BYTES`; remainders included."""
    frames, _, queries, _ = q.shape
    row = k.shape[2] * q.element_size()
    step = max(1, min(queries, CHUNK_BYTES // row))
    frame_step = max(1, CHUNK_BYTES // (row * queries)) if step == queries else 1
    for f in range(0, frames, frame_step):
        for n in range(0, queries, step):
            yield slice(f, min(f + frame_step, frames)), slice(n, min(n + step, queries))
