"""Attention along lines as one fused kernel: PyTorch's FlexAttention, which skips blocks and makes the mask as it goes.

The counterpart on graphics cards of :mod:`cvd_core.networks.tiles`, whose tiles cost several kernels each there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

BLOCK = 128
"""Queries and keys of a block of the kernel."""
_FIRST_TORCH = (2, 6)
"""Earlier ones refuse heads of 40 channels, and maps that are no multiples of a block."""


@dataclass(frozen=True, eq=False)
class LineAttention:
    """Which keys F maps of Q queries attend to, and with which bias; K keys in P maps of N pixels.

    Attributes:
        queries: ``(F, Q)`` order in which queries with the same keys come together.
        keys: ``(F, K)`` order in which their keys do.
        lines: ``(F, P, Q, 3)`` float32 lines in the maps of the keys, queries in their own order.
        pixels: ``(N, 3)`` float32 positions of the keys of a map.
        slope, width: ``(F, P)`` float32: the bias is ``-slope * max(distance - width, 0)``, or with ``hard``
            ``-slope`` beyond the width.
        kept: ``(F, ceil(Q / BLOCK), ceil(K / BLOCK))`` booleans: blocks of the two orders that are computed.
    """

    queries: Tensor
    keys: Tensor
    lines: Tensor
    pixels: Tensor
    slope: Tensor
    width: Tensor
    kept: Tensor
    hard: bool = False

    def attend(self, q: Tensor, k: Tensor, v: Tensor, *, compiled: bool = True) -> Tensor:
        """``(F, H, Q, D)`` to ``(F, H, K, D)`` -> ``(F, H, Q, D)``.

        Args:
            compiled: without, the whole matrix is computed and what is not kept is masked: for tests.
        """
        frames = torch.arange(len(q), device=q.device)[:, None]
        lines = self.lines.transpose(1, 2)[frames, self.queries].transpose(1, 2).contiguous()
        count = len(self.pixels)
        positions, maps = self.pixels[self.keys % count], self.keys // count
        q, k, v = _take(q, self.queries), _take(k, self.keys), _take(v, self.keys)
        run = _compiled() if compiled else _attend
        positions = positions[..., :2].contiguous()
        found = run(q, k, v, lines, positions, maps, self.slope, self.width, self.hard, self.kept)
        out = torch.empty_like(found)
        return out.scatter_(2, self.queries[:, None, :, None].expand_as(found), found)


def why_no_flex(device: torch.device) -> str | None:
    """What a kernel on this device lacks; None if there is one."""
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < _FIRST_TORCH:
        needed = ".".join(map(str, _FIRST_TORCH))
        return f"torch {torch.__version__} where sparse attention on a graphics card needs {needed}"
    if device.type == "cuda" and find_spec("triton") is None:
        return "no triton, which sparse attention on a graphics card is compiled with"
    return None


def _take(x: Tensor, order: Tensor) -> Tensor:
    return x.gather(2, order[:, None, :, None].expand(-1, x.shape[1], -1, x.shape[3]))


def _attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    lines: Tensor,
    positions: Tensor,
    maps: Tensor,
    slope: Tensor,
    width: Tensor,
    hard: bool,
    kept: Tensor,
) -> Tensor:
    from torch.nn.attention.flex_attention import BlockMask, flex_attention

    def bias(score: Tensor, frame: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        of = maps[frame, key]
        across = lines[frame, of, query, 0] * positions[frame, key, 0]
        down = lines[frame, of, query, 1] * positions[frame, key, 1]
        distance = (across + down + lines[frame, of, query, 2]).abs()
        if hard:
            return torch.where(distance <= width[frame, of], score, score - slope[frame, of])
        return score - slope[frame, of] * (distance - width[frame, of]).clamp(min=0)

    def inside(frame: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return kept[frame, query // BLOCK, key // BLOCK]

    counts = kept.sum(-1, dtype=torch.int32)[:, None]
    indices = kept.to(torch.int32).argsort(dim=-1, descending=True, stable=True).to(torch.int32)[:, None]
    blocks = BlockMask.from_kv_blocks(
        counts.new_zeros(counts.shape),
        torch.zeros_like(indices),
        counts,
        indices,
        BLOCK_SIZE=BLOCK,
        mask_mod=inside,
        seq_lengths=(q.shape[2], k.shape[2]),
    )
    found: Tensor = flex_attention(q, k, v, score_mod=bias, block_mask=blocks)
    return found


@cache
def _compiled() -> Callable[..., Tensor]:
    return torch.compile(_attend, dynamic=False)
