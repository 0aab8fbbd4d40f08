"""The epipolar attention bias between views, for any pair, frame and resolution, computed at every call.

:mod:`cvd_core.sync.masks` builds the masks of an attention from it and keeps in a :class:`.cache.BiasCache` what stays
the same for the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.epipolar import (
    EPSILON,
    HARD_BIAS,
    Band,
    PairGeometry,
    epipolar_lines,
    feature_pixels,
    hard_bias,
    nearest_key,
    pair_geometry,
    pseudo_lines,
    soft_band,
    soft_bias,
)
from cvd_core.sync.slopes import Slopes

BLOCK_BYTES = 16 << 20
"""Float32 bias made at once before it is cast: what it is made from takes more memory than it does itself."""


RELEVANT = 30.0
"""A key whose bias is this far below the best of its row has less than e^-30 of that one's weight, times what their
scores differ by: it changes nothing in float32."""


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines of one (view, partner) at one resolution, ready to be compared with key pixels.

    Attributes:
        lines: ``(F, Q, 3)`` float32 with unit normals, or zero.
        tau: ``(F,)`` half-width of a soft band in pixels.
    """

    lines: Tensor
    tau: Tensor

    def __getitem__(self, frames: slice) -> Lines:
        return Lines(self.lines[frames], self.tau[frames])

    def of(self, queries: slice | Tensor) -> Lines:
        """Those of some query pixels."""
        return Lines(self.lines[:, queries], self.tau)


class EpipolarBias:
    """Additive attention bias between synchronised views.

    A pure function of its arguments: it keeps only the lines it computes, which are tiny compared to the bias.

    Args:
        geometry: gives the :class:`PairGeometry` of ``(view, partner)``; asked once per pair.
        frames: F of every pair.
        width, height: image size in pixels, not the latents'.
        band: ``"soft"`` as the released code and weights, ``"hard"`` as the paper's Eq. 4.
        threshold: soft: half-width of the band, the fraction ``threshold / (height // 2)`` of the frame's largest
            distance between line and pixel; hard: half-width in pixels. Both publications use 3.
        slope_per_frame: draw one pseudo-line slope per view and frame (as training on homographies does) instead of
            one per attention call (as inference does).

    Raises:
        ValueError: an unknown band, or a threshold that is not positive.
    """

    def __init__(
        self,
        geometry: Callable[[int, int], PairGeometry],
        frames: int,
        width: int,
        height: int,
        *,
        band: Band = "soft",
        threshold: float = 3.0,
        slope_per_frame: bool = False,
    ) -> None:
        if band not in ("soft", "hard"):
            raise ValueError(f"epipolar band is {band!r}; expected 'soft' (released weights) or 'hard' (paper, Eq. 4)")
        if not threshold > 0:
            raise ValueError(f"epipolar threshold is {threshold}; expected a positive number (published: 3)")
        self.frames = frames
        self.width = width
        self.height = height
        self.band: Band = band
        self.threshold = threshold
        self.slope_per_frame = slope_per_frame
        self._geometry = geometry
        self._pairs: dict[tuple[int, int], PairGeometry] = {}
        self._degenerate: dict[tuple[int, int], tuple[bool, ...]] = {}
        self._lines: dict[tuple[object, ...], Lines] = {}
        self._keys: dict[tuple[object, ...], Tensor] = {}

    @staticmethod
    def from_cameras(
        cameras: Cameras, width: int, height: int, *, band: Band = "soft", threshold: float = 3.0
    ) -> EpipolarBias:
        """The bias between all views of a rig, for images of width x height pixels."""

        def geometry(view: int, partner: int) -> PairGeometry:
            return pair_geometry(cameras, view, partner, width, height)

        return EpipolarBias(geometry, cameras.frames, width, height, band=band, threshold=threshold)

    def at_frames(self, frames: Sequence[int]) -> EpipolarBias:
        """The bias of some frames of the clip, in that order, for a network call that sees only those."""
        index = torch.tensor(list(frames))

        def geometry(view: int, partner: int) -> PairGeometry:
            whole = self._pair(view, partner)
            return PairGeometry(whole.fundamental[index], whole.homography[index], whole.degenerate[index])

        return EpipolarBias(
            geometry,
            len(index),
            self.width,
            self.height,
            band=self.band,
            threshold=self.threshold,
            slope_per_frame=self.slope_per_frame,
        )

    def draw_slopes(self, slopes: Slopes, views: int) -> Tensor:
        """``(views, F)`` pseudo-line angles in radians for one attention call."""
        u = slopes((views * self.frames,) if self.slope_per_frame else (1,))
        return torch.pi * u.to(torch.float64).expand(views * self.frames).view(views, self.frames)

    def degenerate(self, view: int, partner: int) -> tuple[bool, ...]:
        """Which frames have no baseline: their bias depends on the slopes drawn, that of all others never changes."""
        if (view, partner) not in self._degenerate:
            self._degenerate[view, partner] = tuple(self._pair(view, partner).degenerate.tolist())
        return self._degenerate[view, partner]

    def homographies(self, view: int, partner: int) -> Tensor:
        """``(F, 3, 3)`` float64 on the CPU: with the angle, all that the bias of a degenerate frame depends on."""
        return self._pair(view, partner).homography.cpu()

    def rows(
        self,
        view: int,
        partners: Sequence[int],
        frames: slice,
        queries: slice,
        size: tuple[int, int],
        angles: Tensor,
        *,
        dtype: torch.dtype,
        device: torch.device,
    ) -> Tensor:
        """Bias of some frames and query pixels of ``view`` towards all pixels of its partners.

        Args:
            view, partners: view ids as the geometry knows them.
            frames, queries: ranges of frames and of query pixels (row-major).
            size: ``(h, w)`` of the feature map.
            angles: ``(F,)`` pseudo-line angles for the frames that need one.

        Returns:
            ``(frames, queries, P * h * w)`` in ``dtype`` on ``device``.
        """
        pixels = size[0] * size[1]
        shape = len(range(*frames.indices(self.frames))), len(range(*queries.indices(pixels))), len(partners) * pixels
        out = torch.empty(shape, dtype=dtype, device=device)
        for i, partner in enumerate(partners):
            self.write(out[..., i * pixels : (i + 1) * pixels], view, partner, frames, queries, size, angles)
        return out

    def write(
        self,
        out: Tensor,
        view: int,
        partner: int,
        frames: slice,
        queries: slice,
        size: tuple[int, int],
        angles: Tensor,
    ) -> None:
        """Fill ``out`` ``(frames, queries, h * w)`` with the :meth:`rows` of one partner."""
        first = frames.indices(self.frames)[0]
        step = max(1, BLOCK_BYTES // (4 * out.shape[1] * out.shape[2]))
        for run in runs(self.degenerate(view, partner), frames):
            for f in range(run.start, run.stop, step):
                block = slice(f, min(f + step, run.stop))
                there = slice(block.start - first, block.stop - first)
                out[there] = self._block(view, partner, block, queries, size, angles, out.device)

    def _block(
        self,
        view: int,
        partner: int,
        frames: slice,
        queries: slice,
        size: tuple[int, int],
        angles: Tensor,
        device: torch.device,
    ) -> Tensor:
        """Float32 bias of frames of one kind, degenerate or not."""
        lines = self.lines(view, partner, frames, size, angles, device)
        return self.of_lines(lines.of(queries), self.key_pixels(size, device), size)

    def lines(
        self, view: int, partner: int, frames: slice, size: tuple[int, int], angles: Tensor, device: torch.device
    ) -> Lines:
        """What the bias of frames of one kind, degenerate or not, is made of; arguments as :meth:`rows`."""
        if not self.degenerate(view, partner)[frames.start]:
            return self._pair_lines(view, partner, size, device)[frames]
        lines = self._pseudo(view, partner, frames, size, angles[frames]).to(device, non_blocking=True)
        return Lines(lines, soft_band(lines, self.key_pixels(size, device), self.height, self.threshold))

    def of_lines(self, lines: Lines, keys: Tensor, size: tuple[int, int]) -> Tensor:
        """``(F, Q, K)`` float32 bias of lines towards some of the :meth:`key_pixels` of a map of ``size``."""
        if self.band == "soft":
            return soft_bias(lines.lines, keys, lines.tau)
        return hard_bias(lines.lines, keys, self._half_width(size))

    def edges(self, tau: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Slope and width of the bias for half-widths ``tau``: what :meth:`of_lines` makes of them, as numbers."""
        if self.band == "soft":
            return 3 / (tau + EPSILON), tau
        return torch.full_like(tau, -HARD_BIAS), torch.full_like(tau, self._half_width(size))

    def reach(self, lines: Lines, size: tuple[int, int]) -> Tensor:
        """``(F, Q)``: keys further than this many pixels from a query's line change nothing (:data:`RELEVANT`)."""
        nearest = nearest_key(lines.lines, self.key_pixels(size, lines.lines.device), self._half_cell(size))
        if self.band == "soft":
            tau = lines.tau[:, None]
            return torch.maximum(nearest, tau) + RELEVANT / 3 * (tau + EPSILON)
        half_width = self._half_width(size)
        return torch.where(nearest <= half_width, half_width, torch.inf)  # where all are closed, all are the same

    def _half_width(self, size: tuple[int, int]) -> float:
        """A line across a coarse map must meet a pixel: never less than half a feature pixel's diagonal."""
        return max(self.threshold, self._half_cell(size))

    def _half_cell(self, size: tuple[int, int]) -> float:
        """Half a feature pixel's diagonal."""
        sy, sx = self.height / size[0], self.width / size[1]
        return float((sx**2 + sy**2) ** 0.5 / 2)

    def _pair(self, view: int, partner: int) -> PairGeometry:
        if (view, partner) not in self._pairs:
            self._pairs[view, partner] = self._geometry(view, partner)
        return self._pairs[view, partner]

    def _pixels(self, size: tuple[int, int]) -> Tensor:
        return feature_pixels(self.width, self.height, size[1], size[0])

    def key_pixels(self, size: tuple[int, int], device: torch.device) -> Tensor:
        """``(h * w, 3)`` float32."""
        if (size, device) not in self._keys:
            self._keys[size, device] = self._pixels(size).to(device, torch.float32)
        return self._keys[size, device]

    def _pair_lines(self, view: int, partner: int, size: tuple[int, int], device: torch.device) -> Lines:
        """Lines of the frames with a baseline."""
        key = (view, partner, size, device)
        if key not in self._lines:
            pixels = self._pixels(size)
            lines = epipolar_lines(self._pair(view, partner).fundamental.cpu(), pixels)
            tau = soft_band(lines, pixels, self.height, self.threshold)
            self._lines[key] = Lines(lines.to(device, torch.float32), tau.to(device, torch.float32))
        return self._lines[key]

    def _pseudo(self, view: int, partner: int, frames: slice, size: tuple[int, int], angles: Tensor) -> Tensor:
        homography = self._pair(view, partner).homography.cpu()[frames]
        return pseudo_lines(homography, self._pixels(size), angles.cpu(), self.width, self.height).float()


def runs(kinds: Sequence[object], frames: slice) -> Iterator[slice]:
    """The parts of a range of frames in which all frames are of one kind."""
    for _, run in groupby(range(*frames.indices(len(kinds))), lambda frame: kinds[frame]):
        of_run = list(run)
        yield slice(of_run[0], of_run[-1] + 1)
