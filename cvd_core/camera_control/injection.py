"""How camera features enter the motion modules (CameraCtrl, Sec. 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cvd_core.networks.layout import PerSite
from cvd_core.networks.sd15 import SD15_LAYERS, SD15_WIDTHS


class CameraMerge(nn.Module):
    """Adds a camera feature to the tokens from which one temporal attention computes q, k and v.

    Args:
        channels: width of the motion module.
    """

    def __init__(self, channels: int, ops: Any = nn, **factory: Any) -> None:
        super().__init__()
        self.qkv_merge = ops.Linear(channels, channels, **factory)

    def forward(self, tokens: Tensor, feature: Tensor, scale: float = 1.0) -> Tensor:
        """``m = qkv_merge(z + pose) * scale + z``.

        Args:
            tokens: ``(rows * h * w, F, C)`` normalised tokens z with their positions added.
            feature: camera feature in the same arrangement.
            scale: strength of the camera.
        """
        return self.qkv_merge(tokens + feature) * scale + tokens


@dataclass(frozen=True)
class CameraAtPixels:
    """A merge with the camera features of a network call, for some of its pixels at a time.

    Attributes:
        merge: of one motion module.
        feature: ``(V * h * w, F, C)``; the pixels of a call with guidance are those of one branch after the other.
        scale: strength of the camera.
    """

    merge: CameraMerge
    feature: Tensor
    scale: float = 1.0

    def __call__(self, tokens: Tensor, first: int) -> Tensor:
        """``tokens`` ``(pixels, F, C)`` of the call's pixels from ``first`` on -> the same with the camera merged."""
        pixels = torch.arange(first, first + len(tokens), device=self.feature.device) % len(self.feature)
        merged: Tensor = self.merge(tokens, self.feature[pixels].to(tokens), self.scale)
        return merged


class CameraMerges(PerSite[CameraMerge]):
    """One :class:`CameraMerge` per motion module, for its first attention.

    Keys are those of the released ``attention_processor_state_dict`` without the path inside the motion module:
    ``down_blocks.0.motion_modules.0.qkv_merge.weight``.
    """

    def __init__(
        self, widths: Sequence[int] = SD15_WIDTHS, ops: Any = nn, *, layers_per_block: int = SD15_LAYERS, **factory: Any
    ) -> None:
        super().__init__(
            "motion_modules", widths, lambda site: CameraMerge(site.channels, ops, **factory), layers_per_block
        )
