"""Epipolar attention over all frames of a video: a pixel looks at those near its epipolar lines (CamI2V, Sec. 3.3)."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.pencils import line_angles, pencil_basis, raster_in_tiles
from cvd_core.networks.attention import AttentionLayers
from cvd_core.networks.tiles import AttentionKind, TilePlan, attend_in_tiles, passes_over_masked, plan_tiles

REGISTERS = 4
"""Learned tokens that every pixel may look at (the paper says 2)."""
_RASTER = (8, 8)
NO_BASELINE = 1e-6
"""Translations below this in all components are replaced by random ones of this size, as in the released code."""


@dataclass(frozen=True)
class EpipolarLines:
    """Two-view geometry of all pairs of frames of a video.

    Attributes:
        fundamental: ``(V, F, F, 3, 3)``, ``[:, i, j]`` takes a pixel of frame i to its line in frame j; pixels of the
            full picture, centres at whole numbers.
        height, width: of the picture, pixels.
        smallest_step: on maps with fewer picture pixels per token, every token may look at every other.
        attention: whether attention passes over tokens that are masked out; the same result within rounding.
    """

    fundamental: Tensor
    height: int
    width: int
    smallest_step: int = 0
    attention: AttentionKind = "auto"
    _planned: dict[Hashable, list[list[tuple[FrameMask, TilePlan]]]] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(
        cameras: Cameras,
        width: int,
        height: int,
        noise: Tensor,
        smallest_step: int = 0,
        attention: AttentionKind = "auto",
    ) -> EpipolarLines:
        """From cameras relative to the reference frame.

        Args:
            cameras: V videos of F frames; translations in the network's units.
            width, height: of the picture, pixels.
            noise: ``(V, F, F, 3)`` standard normal numbers: where two frames share their centre - each with itself, and
                all of a standing camera - every pixel gets a random line. Other draws give other videos.
            smallest_step, attention: see the class.
        """
        c2w, K = cameras.c2w, cameras.K(width, height)
        between = torch.linalg.solve(c2w[:, None], c2w[:, :, None])  # [v, i, j]: frame i's camera to frame j's
        R, t = between[..., :3, :3], between[..., :3, 3]
        still = (t.abs() < NO_BASELINE).all(-1, keepdim=True)
        t = torch.where(still, NO_BASELINE * noise.to(t), t)
        E = torch.linalg.cross(t[..., None].expand_as(R), R, dim=-2)
        K_inverse = torch.linalg.inv(K)[:, None]  # of frame j on both sides: the released code has one lens per video
        return EpipolarLines(K_inverse.mT @ E @ K_inverse, height, width, smallest_step, attention)

    def masks(self, tokens: tuple[int, int], device: torch.device) -> Iterator[Tensor] | None:
        """Where the tokens of each frame may look, one frame of queries after the other: bounded memory at any size.

        Args:
            tokens: height and width of the feature maps.

        Yields:
            ``(V, h * w, F * h * w)`` booleans.

        Returns:
            None where every token may look at every other.
        """
        return self._masks(tokens, device) if self.masked(tokens) else None

    def masked(self, tokens: tuple[int, int]) -> bool:
        """Whether there is a mask on maps of that height and width."""
        return self.height // tokens[0] >= self.smallest_step

    def plans(self, tokens: tuple[int, int], device: torch.device) -> list[list[tuple[FrameMask, TilePlan]]]:
        """Mask and plan of every frame of queries of every video, made at the first call for a size."""
        key = (tokens, device)
        if key not in self._planned:
            limit, points = self._limit(tokens), self._points(tokens, device)
            found: list[list[tuple[FrameMask, TilePlan]]] = [[] for _ in self.fundamental]
            for lines in self._lines(points):
                for of_video, own in zip(found, lines, strict=True):
                    mask = FrameMask(own, points, limit, tokens)
                    of_video.append((mask, plan_tiles(mask)))
            self._planned[key] = found
        return self._planned[key]

    def _masks(self, tokens: tuple[int, int], device: torch.device) -> Iterator[Tensor]:
        limit, points = self._limit(tokens), self._points(tokens, device)
        for lines in self._lines(points):
            yield (torch.einsum("vjpa,qa->vpjq", lines, points).abs() < limit).flatten(2)

    def _limit(self, tokens: tuple[int, int]) -> float:
        return self.height / tokens[0] * math.sqrt(2) / 2

    def _points(self, tokens: tuple[int, int], device: torch.device) -> Tensor:
        # In float32, as the released code: along diagonals of the grid, which a zoom has, distances equal the limit and
        # rounding decides.
        return _token_centres(tokens, self.height, self.width).to(device, torch.float32)

    def _lines(self, points: Tensor) -> Iterator[Tensor]:
        """``(V, F, h * w, 3)`` of one frame after the other, in all frames; a line of norm 0 is NaN: near nothing."""
        F = self.fundamental.to(points)
        for frame in range(F.shape[1]):
            lines = torch.einsum("vjab,pb->vjpa", F[:, frame], points)
            yield lines / lines[..., :2].norm(dim=-1, keepdim=True)


class FrameMask:
    """Where the tokens of one frame may look, the registers before all: a :class:`cvd_core.networks.tiles.TileMask`.

    Args:
        lines: ``(F, h * w, 3)``.
        points: ``(h * w, 3)``.
        limit: distance in pixels under which a token is near.
        tokens: height and width of the feature map.
    """

    def __init__(self, lines: Tensor, points: Tensor, limit: float, tokens: tuple[int, int]) -> None:
        self._lines = lines
        self._points = points
        self._limit = limit
        self._tokens = tokens

    def orders(self) -> list[Tensor]:
        """Along the pencils of the first, middle and last frame, and in squares."""
        frames = len(self._lines)
        lines = self._lines[[0, frames // 2, frames - 1]].nan_to_num(0, 0, 0)
        squares = raster_in_tiles(self._tokens, _RASTER).to(lines.device)
        return [*line_angles(lines, pencil_basis(lines)).argsort(-1), squares]

    def relevant(self, queries: Tensor) -> Tensor:
        return self.mask(queries, None)

    def mask(self, queries: Tensor, keys: Tensor | None) -> Tensor:
        pixels = len(self._points)
        if keys is None:
            near = [own[queries] @ self._points.mT for own in self._lines]
        else:
            frames, places = (keys - REGISTERS).div(pixels, rounding_mode="floor"), (keys - REGISTERS) % pixels
            counts = frames.add(1).bincount(minlength=len(self._lines) + 1).tolist()
            near = [
                own[queries] @ self._points[here].mT
                for own, here in zip(self._lines, places.split(counts)[1:], strict=True)
            ]
        always = torch.ones(len(queries), REGISTERS, dtype=torch.bool, device=queries.device)
        return torch.cat([always, torch.cat(near, -1).abs_() < self._limit], -1)


def _token_centres(tokens: tuple[int, int], height: int, width: int) -> Tensor:
    """``(h * w, 3)`` homogeneous pixel coordinates, raster order."""
    rows, columns = (
        (torch.arange(n, dtype=torch.float64) + 0.5) * (side / n) - 0.5
        for n, side in zip(tokens, (height, width), strict=True)
    )
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y, torch.ones_like(x)], -1).flatten(0, 1)


class _Registered(AttentionLayers):
    """The attention with its register tokens, under the released names."""

    def __init__(self, channels: int, head_width: int, ops: Any = nn) -> None:
        super().__init__(channels, head_width, ops=ops)
        self.register_tokens = nn.Parameter(torch.zeros(1, REGISTERS, channels))


class EpipolarAttention(nn.Module):
    """All tokens of all frames to the registers and to the tokens near their epipolar lines.

    Args:
        channels, head_width, ops: see :class:`cvd_core.networks.attention.AttentionLayers`.
    """

    def __init__(self, channels: int, head_width: int, ops: Any = nn) -> None:
        super().__init__()
        self.epipolar_attn = _Registered(channels, head_width, ops)

    def forward(self, x: Tensor, lines: EpipolarLines, tokens: tuple[int, int]) -> Tensor:
        """``(N, F, h * w, C)`` to the same; N a multiple of the V videos of ``lines``, video innermost."""
        attention = self.epipolar_attn
        rows, frames, pixels = x.shape[:3]
        flat = x.flatten(1, 2)
        registers = attention.register_tokens.to(flat).expand(rows, -1, -1)
        seen = torch.cat([registers, flat], 1)
        q, k, v = attention.to_q(flat), attention.to_k(seen), attention.to_v(seen)
        masks = lines.masks(tokens, x.device)
        if masks is None:
            y = attention.attend(q, k, v)
        elif passes_over_masked(lines.attention, pixels, k.shape[1], x.device):
            y = self._in_tiles(q, k, v, lines, tokens)
        else:
            parts = []
            for part, mask in zip(q.split(pixels, 1), masks, strict=True):
                always = mask.new_ones(*mask.shape[:2], REGISTERS)
                allowed = torch.cat([always, mask], -1).repeat(rows // len(mask), 1, 1)
                parts.append(attention.attend(part, k, v, allowed))
            y = torch.cat(parts, 1)
        return attention.to_out[0](y).unflatten(1, (frames, pixels))

    def _in_tiles(self, q: Tensor, k: Tensor, v: Tensor, lines: EpipolarLines, tokens: tuple[int, int]) -> Tensor:
        heads = q.shape[-1] // self.epipolar_attn.head_width
        plans = lines.plans(tokens, q.device)
        videos = []
        for video, frames in enumerate(plans):
            of_video, keys, values = (x[video :: len(plans)].transpose(0, 1) for x in (q, k, v))
            parts = zip(of_video.split(len(of_video) // len(frames)), frames, strict=True)
            videos.append(
                torch.cat([attend_in_tiles(part, keys, values, heads, plan, mask) for part, (mask, plan) in parts])
            )
        return torch.stack(videos, 2).flatten(1, 2).transpose(0, 1)  # (F * h * w, N / V, V, C): video innermost
