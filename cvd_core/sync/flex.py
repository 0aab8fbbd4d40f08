"""Cross-view attention by FlexAttention: the blocks that one attention call needs, planned from its epipolar lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import pad

from cvd_core.geometry.pencils import line_angles, pencil_basis, pixel_angles, raster_in_tiles
from cvd_core.networks.flex import BLOCK, LineAttention
from cvd_core.networks.tiles import TileMask
from cvd_core.sync.bias import Lines
from cvd_core.sync.cache import BiasCache
from cvd_core.sync.masks import AttentionCall
from cvd_core.sync.tiles import FrameMask

_RASTER = (8, BLOCK // 8)


@dataclass(frozen=True, eq=False)
class BlockPlan:
    """Orders of a frame's queries ``(Q,)`` and keys ``(K,)``, and which blocks of the two are computed."""

    queries: Tensor
    keys: Tensor
    kept: Tensor

    @staticmethod
    def under(mask: TileMask, queries: Tensor, keys: Tensor) -> BlockPlan:
        """The plan of a mask under given orders."""
        rows = [_any_of_block(mask.relevant(block).any(0)[keys]) for block in queries.split(BLOCK)]
        return BlockPlan(queries, keys, torch.stack(rows))


def plan_blocks(mask: FrameMask, lines: Sequence[Lines], pixels: Tensor, size: tuple[int, int]) -> BlockPlan:
    """The plan that computes the fewest blocks: along the pencil of one partner's lines, or in rectangles of the map.

    Pixels near an epipole lie on lines of all angles, so that with an epipole inside the picture rectangles are better.
    """
    pencils = [pencil_basis(x.lines[0]) for x in lines]
    count = len(pixels)
    by_angle = torch.cat([pixel_angles(pixels, basis).argsort() + i * count for i, basis in enumerate(pencils)])
    raster = raster_in_tiles(size, _RASTER).to(pixels.device)
    orders = [
        *((line_angles(x.lines[0], basis).argsort(), by_angle) for x, basis in zip(lines, pencils, strict=True)),
        (raster, torch.cat([raster + i * count for i in range(len(lines))])),
    ]
    plans = [BlockPlan.under(mask, *order) for order in orders]
    return plans[int(torch.stack([plan.kept.sum() for plan in plans]).argmin())]


def _any_of_block(row: Tensor) -> Tensor:
    return pad(row, (0, -len(row) % BLOCK)).view(-1, BLOCK).any(-1)


class AttentionBlocks(AttentionCall):
    """What the kernel needs to know of all views of one attention call; arguments as :class:`.masks.AttentionCall`."""

    def of_view(self, position: int, view: int, partners: Sequence[int]) -> LineAttention:
        """For the view at a place in the batch towards its partners."""
        bias, size, angles = self._bias, self._size, self._angles[position]
        cache = BiasCache(0) if self._cache is None else self._cache
        pixels = bias.key_pixels(size, self._device)
        plans, all_lines = [], []
        for frame in range(bias.frames):
            here = slice(frame, frame + 1)
            lines = [bias.lines(view, p, here, size, angles, self._device) for p in partners]
            mask = FrameMask(bias, lines, size)
            plan = None
            if not any(bias.degenerate(view, p)[frame] for p in partners):
                key = (bias, "blocks", view, tuple(partners), frame, size, self._device)
                nbytes = 8 * len(pixels) * (1 + len(partners)) + (len(pixels) // BLOCK + 1) ** 2 * len(partners)
                plan = cache.get(key, nbytes, partial(plan_blocks, mask, lines, pixels, size))
            plans.append(plan or plan_blocks(mask, lines, pixels, size))
            all_lines.append(lines)
        slope, width = bias.edges(torch.stack([torch.cat([x.tau for x in lines]) for lines in all_lines]), size)
        return LineAttention(
            queries=torch.stack([plan.queries for plan in plans]),
            keys=torch.stack([plan.keys for plan in plans]),
            lines=torch.stack([torch.cat([x.lines for x in lines]) for lines in all_lines]),
            pixels=pixels,
            slope=slope,
            width=width,
            kept=torch.stack([plan.kept for plan in plans]),
            hard=bias.band == "hard",
        )
