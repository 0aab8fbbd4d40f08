"""Cross-view attention in tiles: the epipolar lines of one attention call, and the plans made from them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from cvd_core.geometry.pencils import line_angles, pencil_basis, raster_in_tiles
from cvd_core.networks.tiles import TilePlan, plan_tiles
from cvd_core.sync.bias import EpipolarBias, Lines
from cvd_core.sync.cache import BiasCache
from cvd_core.sync.masks import AttentionCall

_ROUNDING = 1e-3
"""Pixels added to what counts as near, so that rounding never drops a key at the limit of a hard band."""
_RASTER = (8, 8)


class FrameMask:
    """The mask of one view in one frame towards its partners: a :class:`cvd_core.networks.tiles.TileMask`.

    Args:
        lines: of every partner, of this frame alone.
    """

    def __init__(self, bias: EpipolarBias, lines: Sequence[Lines], size: tuple[int, int]) -> None:
        self._bias = bias
        self._lines = lines
        self._size = size
        self._pixels = bias.key_pixels(size, lines[0].lines.device)

    def orders(self) -> list[Tensor]:
        """Along the pencil of each partner's lines; with several partners, also in squares."""
        found = [line_angles(x.lines[0], pencil_basis(x.lines[0])).argsort() for x in self._lines]
        if len(found) > 1:
            found.append(raster_in_tiles(self._size, _RASTER).to(found[0].device))
        return found

    def relevant(self, queries: Tensor) -> Tensor:
        parts = []
        for own in (x.of(queries) for x in self._lines):
            reach = self._bias.reach(own, self._size)[0, :, None] + _ROUNDING
            parts.append((own.lines[0] @ self._pixels.mT).abs_() <= reach)
        return torch.cat(parts, -1)

    def mask(self, queries: Tensor, keys: Tensor | None) -> Tensor:
        parts = []
        for i, own in enumerate(x.of(queries) for x in self._lines):
            pixels = self._pixels if keys is None else self._pixels[_of_partner(keys, i, len(self._pixels))]
            parts.append(self._bias.of_lines(own, pixels, self._size)[0])
        return torch.cat(parts, -1) if len(parts) > 1 else parts[0]


def _of_partner(keys: Tensor, i: int, pixels: int) -> Tensor:
    """Those of ascending ``keys`` that are pixels of the i-th partner, as pixels."""
    return keys[(keys >= i * pixels) & (keys < (i + 1) * pixels)] - i * pixels


class AttentionTiles(AttentionCall):
    """Masks and plans of all views of one attention call.

    What depends only on the cameras comes from the cache; frames without a baseline get new slopes at every call, and
    so new plans, one for all views whose lines are the same.

    Arguments as :class:`.masks.AttentionCall`.
    """

    def __init__(
        self, bias: EpipolarBias, cache: BiasCache | None, angles: Tensor, size: tuple[int, int], device: torch.device
    ) -> None:
        super().__init__(bias, cache, angles, size, device)
        self._random: dict[Hashable, TilePlan] = {}

    def of_view(self, position: int, view: int, partners: Sequence[int]) -> list[tuple[FrameMask, TilePlan]]:
        """Mask and plan of every frame of the view at a place in the batch towards its partners."""
        angles = self._angles[position]
        masks = [self._mask(view, partners, frame, angles) for frame in range(self._bias.frames)]
        random = [any(kinds) for kinds in zip(*(self._bias.degenerate(view, p) for p in partners), strict=True)]
        fixed = self._fixed(view, partners, masks, random)
        found = []
        for frame, mask in enumerate(masks):
            if random[frame]:
                plan = self._of_slopes(view, partners, frame, angles, mask)
            else:
                plan = fixed[frame] if fixed is not None else plan_tiles(mask)
            found.append((mask, plan))
        return found

    def _mask(self, view: int, partners: Sequence[int], frame: int, angles: Tensor) -> FrameMask:
        here = slice(frame, frame + 1)
        lines = [self._bias.lines(view, p, here, self._size, angles, self._device) for p in partners]
        return FrameMask(self._bias, lines, self._size)

    def _fixed(
        self, view: int, partners: Sequence[int], masks: Sequence[FrameMask], random: Sequence[bool]
    ) -> dict[int, TilePlan] | None:
        """Plans of the frames with a baseline, or None where they are not kept."""
        if self._cache is None:
            return None
        frames = [frame for frame, has_none in enumerate(random) if not has_none]
        pixels = self._size[0] * self._size[1]
        key = (self._bias, view, tuple(partners), self._size, self._device)
        nbytes = len(frames) * TilePlan.nbytes(pixels, len(partners) * pixels)
        return self._cache.get(key, nbytes, lambda: {frame: plan_tiles(masks[frame]) for frame in frames})

    def _of_slopes(self, view: int, partners: Sequence[int], frame: int, angles: Tensor, mask: FrameMask) -> TilePlan:
        key: Hashable = (view, frame)
        if all(self._bias.degenerate(view, p)[frame] for p in partners):
            homographies = [self._bias.homographies(view, p)[frame] for p in partners]
            key = torch.stack(homographies).numpy().tobytes(), float(angles[frame])
        if key not in self._random:
            self._random[key] = plan_tiles(mask)
        return self._random[key]
