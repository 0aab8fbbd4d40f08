"""The masks of one attention call: built from the epipolar bias, kept where they are the same at the next call."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from cvd_core.sync.bias import EpipolarBias, runs
from cvd_core.sync.cache import BiasCache


class AttentionCall:
    """What masks of all views of one attention call are made of, in whatever form.

    Args:
        bias: of the run.
        cache: of the run, or None to keep nothing.
        angles: ``(V, F)`` pseudo-line angles of this call, views in batch order.
        size: ``(h, w)`` of the feature map.
        device: of the attention.
    """

    def __init__(
        self, bias: EpipolarBias, cache: BiasCache | None, angles: Tensor, size: tuple[int, int], device: torch.device
    ) -> None:
        self._bias = bias
        self._cache = cache
        self._angles = angles
        self._size = size
        self._device = device


class AttentionMasks(AttentionCall):
    """Masks of all views of one attention call.

    What depends only on the cameras comes from the cache. Frames without a baseline get new slopes at every call, so
    their bias is rebuilt, but only once for all pairs with the same homography, such as the common first frames of all
    views. Which frames these are is known on the CPU, so nothing here waits for a device.

    Arguments as :class:`AttentionCall`.
    """

    def __init__(
        self,
        bias: EpipolarBias,
        cache: BiasCache | None,
        angles: Tensor,
        size: tuple[int, int],
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        super().__init__(bias, cache, angles, size, device)
        self._dtype = dtype
        self._last: tuple[object, Tensor] | None = None

    def of_view(self, position: int, view: int, partners: Sequence[int]) -> ViewMasks:
        """Masks of the view at a place in the batch towards its partners."""
        return ViewMasks(self, view, partners, self._angles[position])

    def fixed(self, view: int, partner: int) -> Tensor | None:
        """``(frames with a baseline, N, N)``, or None where they are not kept."""
        random = self._bias.degenerate(view, partner)
        if self._cache is None or all(random):
            return None
        pixels = self._size[0] * self._size[1]
        shape = random.count(False), pixels, pixels

        def build() -> Tensor:
            out, row = torch.empty(shape, dtype=self._dtype, device=self._device), 0
            for run in runs(random, slice(0, len(random))):
                if not random[run.start]:
                    there = out[row : row + run.stop - run.start]
                    self._bias.write(there, view, partner, run, slice(0, pixels), self._size, self._angles[0])
                    row += len(there)
            return out

        key = (self._bias, view, partner, self._size, self._dtype, self._device)
        return self._cache.get(key, math.prod(shape) * self._dtype.itemsize, build)

    def build(self, view: int, partner: int, frames: slice, queries: slice, angles: Tensor) -> Tensor:
        """``(frames, queries, N)``."""
        return self._bias.rows(
            view, (partner,), frames, queries, self._size, angles, dtype=self._dtype, device=self._device
        )

    def random(self, view: int, partner: int, frames: slice, queries: slice, angles: Tensor) -> Tensor:
        """``(frames, queries, N)`` of degenerate frames; once where one pair after another has the same."""
        homographies = self._bias.homographies(view, partner)[frames]
        key = (homographies.numpy().tobytes(), angles[frames].numpy().tobytes(), queries.start, queries.stop)
        if self._last is None or self._last[0] != key:
            self._last = None  # its memory is free before the next is built
            self._last = key, self.build(view, partner, frames, queries, angles)
        return self._last[1]

    def degenerate(self, view: int, partner: int) -> tuple[bool, ...]:
        return self._bias.degenerate(view, partner)


class ViewMasks:
    """Masks of one view in one attention call."""

    def __init__(self, masks: AttentionMasks, view: int, partners: Sequence[int], angles: Tensor) -> None:
        self._masks = masks
        self._view = view
        self._partners = partners
        self._angles = angles
        self._fixed = [masks.fixed(view, partner) for partner in partners]
        self._random = [masks.degenerate(view, partner) for partner in partners]

    def runs(self) -> Iterator[slice]:
        """Ranges of frames, in order; the frames of a mask must lie in one of them."""
        kinds = list(zip(*self._random, strict=True))
        yield from runs(kinds, slice(0, len(kinds)))

    def rows(self, frames: slice, queries: slice) -> Tensor:
        """``(frames, queries, P * N)``: not to be written to, it may be kept or shared."""
        parts = [self._part(i, frames, queries) for i in range(len(self._partners))]
        return torch.cat(parts, -1) if len(parts) > 1 else parts[0]

    def _part(self, i: int, frames: slice, queries: slice) -> Tensor:
        partner, fixed, random = self._partners[i], self._fixed[i], self._random[i]
        if random[frames.start]:
            return self._masks.random(self._view, partner, frames, queries, self._angles)
        if fixed is None:
            return self._masks.build(self._view, partner, frames, queries, self._angles)
        before = sum(random[: frames.start])
        return fixed[frames.start - before : frames.stop - before, queries]
