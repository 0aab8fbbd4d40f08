"""Epipolar attention over all frames of a video: a pixel looks at those near its epipolar lines (CamI2V, Sec. 3.3)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cvd_core.geometry.cameras import Cameras
from cvd_core.networks.attention import AttentionLayers

REGISTERS = 4
"""Learned tokens that every pixel may look at (the paper says 2)."""
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
    """

    fundamental: Tensor
    height: int
    width: int
    smallest_step: int = 0

    @staticmethod
    def of(cameras: Cameras, width: int, height: int, noise: Tensor, smallest_step: int = 0) -> EpipolarLines:
        """From cameras relative to the reference frame.

        Args:
            cameras: V videos of F frames; translations in the network's units.
            width, height: of the picture, pixels.
            noise: ``(V, F, F, 3)`` standard normal numbers: where two frames share their centre - each with itself, and
                all of a standing camera - every pixel gets a random line. Other draws give other videos.
            smallest_step: see the class.
        """
        c2w, K = cameras.c2w, cameras.K(width, height)
        between = torch.linalg.solve(c2w[:, None], c2w[:, :, None])  # [v, i, j]: frame i's camera to frame j's
        R, t = between[..., :3, :3], between[..., :3, 3]
        still = (t.abs() < NO_BASELINE).all(-1, keepdim=True)
        t = torch.where(still, NO_BASELINE * noise.to(t), t)
        E = torch.linalg.cross(t[..., None].expand_as(R), R, dim=-2)
        K_inverse = torch.linalg.inv(K)[:, None]  # of frame j on both sides: the released code has one lens per video
        return EpipolarLines(K_inverse.mT @ E @ K_inverse, height, width, smallest_step)

    def masks(self, tokens: tuple[int, int], device: torch.device) -> Iterator[Tensor] | None:
        """Where the tokens of each frame may look, one frame of queries after the other: bounded memory at any size.

        Args:
            tokens: height and width of the feature maps.

        Yields:
            ``(V, h * w, F * h * w)`` booleans.

        Returns:
            None where every token may look at every other.
        """
        if self.height // tokens[0] < self.smallest_step:
            return None
        return self._masks(tokens, device)

    def _masks(self, tokens: tuple[int, int], device: torch.device) -> Iterator[Tensor]:
        step = self.height / tokens[0]
        # In float32, as the released code: along diagonals of the grid, which a zoom has, distances equal the limit and
        # rounding decides.
        points = _token_centres(tokens, self.height, self.width).to(device, torch.float32)
        F = self.fundamental.to(device, torch.float32)
        for frame in range(F.shape[1]):
            lines = torch.einsum("vjab,pb->vjpa", F[:, frame], points)
            lines = lines / lines[..., :2].norm(dim=-1, keepdim=True)
            distance = torch.einsum("vjpa,qa->vpjq", lines, points).abs()
            yield (distance < step * math.sqrt(2) / 2).flatten(2)  # a line of norm 0 is NaN and near nothing


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
        else:
            parts = []
            for part, mask in zip(q.split(pixels, 1), masks, strict=True):
                always = mask.new_ones(*mask.shape[:2], REGISTERS)
                allowed = torch.cat([always, mask], -1).repeat(rows // len(mask), 1, 1)
                parts.append(attention.attend(part, k, v, allowed))
            y = torch.cat(parts, 1)
        return attention.to_out[0](y).unflatten(1, (frames, pixels))
