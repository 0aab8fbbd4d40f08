"""The epipolar attention bias of a run: built once per pair and resolution, then reused by every attention and step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.epipolar import (
    Band,
    PairGeometry,
    epipolar_lines,
    feature_pixels,
    hard_bias,
    pair_geometry,
    pseudo_lines,
    soft_band,
    soft_bias,
)
from cvd_core.sync.slopes import Slopes

DEFAULT_CACHE_BYTES = 1 << 30
"""Biases beyond this are rebuilt where they are used: 4 views of 256x256 fit in float16, 512x512 does not."""


@dataclass
class _Lines:
    """Epipolar lines of one (view, partner) at one resolution, ready to be compared with key pixels."""

    lines: Tensor  # (F, Q, 3) float32
    tau: Tensor  # (F,)


class EpipolarBias:
    """Additive attention bias between synchronised views.

    Args:
        geometry: gives the :class:`PairGeometry` of ``(view, partner)``; asked once per pair.
        frames: F of every pair.
        width, height: image size in pixels, not the latents'.
        band: ``"soft"`` as the released code and weights, ``"hard"`` as the paper's Eq. 4.
        threshold: soft: half-width of the band as a share ``threshold / (height // 2)`` of the frame's largest distance
            between line and pixel; hard: half-width in pixels. Both publications use 3.
        slope_per_frame: draw one pseudo-line slope per view and frame (as training on homographies does) instead of
            one per attention call (as inference does).
        cache_bytes: memory the biases may keep; what does not fit is rebuilt at each use, and so is everything while
            gradients are recorded.
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
        cache_bytes: int = DEFAULT_CACHE_BYTES,
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
        self.cache_bytes = cache_bytes
        self.cached_bytes = 0
        self._geometry = geometry
        self._pairs: dict[tuple[int, int], PairGeometry] = {}
        self._lines: dict[tuple[object, ...], _Lines] = {}
        self._biases: dict[tuple[object, ...], Tensor] = {}

    @staticmethod
    def from_cameras(
        cameras: Cameras,
        width: int,
        height: int,
        *,
        band: Band = "soft",
        threshold: float = 3.0,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> EpipolarBias:
        """The bias between all views of a rig, for images of width x height pixels."""

        def geometry(view: int, partner: int) -> PairGeometry:
            return pair_geometry(cameras, view, partner, width, height)

        return EpipolarBias(
            geometry, cameras.frames, width, height, band=band, threshold=threshold, cache_bytes=cache_bytes
        )

    def at_frames(self, frames: Sequence[int], *, cache_bytes: int) -> EpipolarBias:
        """The bias of some frames of the clip, in that order, for a network call that sees only those.

        Args:
            frames: indices into the clip.
            cache_bytes: memory the new bias may keep besides this one's.
        """
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
            cache_bytes=cache_bytes,
        )

    def draw_slopes(self, slopes: Slopes, views: int) -> Tensor:
        """``(views, F)`` pseudo-line angles in radians for one attention call."""
        u = slopes((views * self.frames,) if self.slope_per_frame else (1,))
        return torch.pi * u.to(torch.float64).expand(views * self.frames).view(views, self.frames)

    def rows(
        self,
        view: int,
        partners: tuple[int, ...],
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
            ``(frames, queries, P * h * w)`` in ``dtype`` on ``device``; may be a view of the cache: do not write to it.
        """
        key = (view, partners, size, dtype, device)
        if torch.is_grad_enabled():  # autograd needs every mask as it was; the cache redraws slopes in place
            return self._build(view, partners, frames, queries, size, angles, device).to(dtype)
        if key not in self._biases and self._fits(len(partners), size, dtype):
            pixels = size[0] * size[1]
            bias = torch.empty(self.frames, pixels, len(partners) * pixels, dtype=dtype, device=device)
            for frame in range(self.frames):  # one at a time: what it is built from takes more memory than it
                one, every = slice(frame, frame + 1), slice(0, pixels)
                bias[one] = self._build(view, partners, one, every, size, angles, device)
            self._biases[key] = bias
            self.cached_bytes += bias.nbytes
        if key not in self._biases:
            return self._build(view, partners, frames, queries, size, angles, device).to(dtype)
        cached = self._biases[key]
        for i, partner in enumerate(partners):
            self._refresh(cached, i, view, partner, frames, size, angles)
        return cached[frames, queries]

    def _fits(self, partners: int, size: tuple[int, int], dtype: torch.dtype) -> bool:
        pixels = size[0] * size[1]
        return self.cached_bytes + self.frames * pixels * pixels * partners * dtype.itemsize <= self.cache_bytes

    def _refresh(
        self, cached: Tensor, index: int, view: int, partner: int, frames: slice, size: tuple[int, int], angles: Tensor
    ) -> None:
        """Overwrite the cached frames whose lines are pseudo lines: their slope is new at every attention call."""
        degenerate = self._pair(view, partner).degenerate
        pixels = size[0] * size[1]
        for frame in range(*frames.indices(self.frames)):
            if degenerate[frame]:
                one = slice(frame, frame + 1)
                fresh = self._build(view, (partner,), one, slice(0, pixels), size, angles, cached.device)
                cached[one, :, index * pixels : (index + 1) * pixels] = fresh

    def _build(
        self,
        view: int,
        partners: tuple[int, ...],
        frames: slice,
        queries: slice,
        size: tuple[int, int],
        angles: Tensor,
        device: torch.device,
    ) -> Tensor:
        keys = self._pixels(size).to(device, torch.float32)
        parts = []
        for partner in partners:
            known = self._pair_lines(view, partner, size, device)
            lines, tau = known.lines[frames], known.tau[frames]
            redraw = self._pair(view, partner).degenerate[frames].to(device)
            if redraw.any():
                fresh = self._pseudo(view, partner, frames, size, angles[frames]).to(device)
                lines = torch.where(redraw[:, None, None], fresh, lines)
                tau = torch.where(redraw, soft_band(fresh, keys, self.height, self.threshold), tau)
            lines = lines[:, queries]
            if self.band == "soft":
                parts.append(soft_bias(lines, keys, tau))
            else:
                parts.append(hard_bias(lines, keys, self._half_width(size)))
        return torch.cat(parts, -1) if len(parts) > 1 else parts[0]

    def _half_width(self, size: tuple[int, int]) -> float:
        """A line across a coarse map must meet a pixel: never less than half a feature pixel's diagonal."""
        sy, sx = self.height / size[0], self.width / size[1]
        return max(self.threshold, (sx**2 + sy**2) ** 0.5 / 2)

    def _pair(self, view: int, partner: int) -> PairGeometry:
        if (view, partner) not in self._pairs:
            self._pairs[view, partner] = self._geometry(view, partner)
        return self._pairs[view, partner]

    def _pixels(self, size: tuple[int, int]) -> Tensor:
        return feature_pixels(self.width, self.height, size[1], size[0])

    def _pair_lines(self, view: int, partner: int, size: tuple[int, int], device: torch.device) -> _Lines:
        """Lines of the frames with a baseline; kept, being a tiny part of the bias they make."""
        key = (view, partner, size, device)
        if key not in self._lines:
            pixels = self._pixels(size)
            lines = epipolar_lines(self._pair(view, partner).fundamental.cpu(), pixels)
            tau = soft_band(lines, pixels, self.height, self.threshold)
            self._lines[key] = _Lines(lines.to(device, torch.float32), tau.to(device, torch.float32))
        return self._lines[key]

    def _pseudo(self, view: int, partner: int, frames: slice, size: tuple[int, int], angles: Tensor) -> Tensor:
        homography = self._pair(view, partner).homography.cpu()[frames]
        return pseudo_lines(homography, self._pixels(size), angles.cpu(), self.width, self.height).float()
