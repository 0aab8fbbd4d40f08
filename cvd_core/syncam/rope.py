"""Rotary positions of the attention between views: the view index in place of time, then height and width."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

_THETA = 10000.0


@dataclass(frozen=True)
class ViewGrid:
    """How the tokens of one network call are laid out: ``(groups * views, frames * height * width, d)``.

    Attributes:
        views: V views of one scene, next to each other in the batch.
        frames: latent frames f.
        height, width: tokens per frame, a side of the latent divided by the patch size 2.
    """

    views: int
    frames: int
    height: int
    width: int
    _tables: dict[tuple[int, torch.device], Tensor] = field(default_factory=dict, repr=False, compare=False)

    @property
    def tokens(self) -> int:
        """Of one view."""
        return self.frames * self.height * self.width

    def rotations(self, head_width: int, device: torch.device) -> Tensor:
        """Rotations of all tokens of one latent frame in all views, kept for the blocks that follow.

        Returns:
            ``(V * h * w, head_width / 2, 2)`` float32, the cosine and sine of every pair of channels.
        """
        key = (head_width, device)
        if key not in self._tables:
            self._tables[key] = _rotations((self.views, self.height, self.width), head_width).to(device)
        return self._tables[key]


def rotate(x: Tensor, rotations: Tensor) -> Tensor:
    """Turn every pair of neighbouring channels of ``x`` ``(..., L, C)`` by its angle; computed in float32.

    Args:
        rotations: ``(L, C / 2, 2)``, see :meth:`ViewGrid.rotations`.
    """
    a, b = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = rotations.unbind(-1)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2).to(x.dtype)


def _rotations(shape: tuple[int, int, int], head_width: int) -> Tensor:
    """Wan's three-axis table: a third of the channel pairs for height and for width each, the rest for views."""
    spatial = 2 * (head_width // 6)
    angles = []
    for axis, (length, channels) in enumerate(zip(shape, (head_width - 2 * spatial, spatial, spatial), strict=True)):
        rates = _THETA ** -(torch.arange(0, channels, 2, dtype=torch.float64) / channels)
        along = torch.outer(torch.arange(length, dtype=torch.float64), rates)
        places = [1, 1, 1, len(rates)]
        places[axis] = length
        angles.append(along.view(places).expand(*shape, -1))
    table = torch.cat(angles, -1).flatten(0, 2)
    return torch.stack([table.cos(), table.sin()], -1).float()
