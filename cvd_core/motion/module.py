"""The motion module and the set of twenty (v2: twenty-one) that makes an AnimateDiff file.

Parameter names are those of the released ``mm_sd_v15_v2.ckpt`` and ``v3_sd15_mm.ckpt``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from cvd_core.networks.layout import PerSite, Site
from cvd_core.networks.sd15 import NORM_GROUPS, SD15_LAYERS, SD15_WIDTHS
from cvd_core.networks.temporal import TemporalBlock

ATTENTIONS = 2
"""Temporal attentions per module."""
PIXELS = 1024
"""Pixels per pass through a module's layers, whose hidden width is 8C: keeps their peak memory independent of the
number of views, and the attention's batch within what GPU kernels take (65535 with the heads)."""

AtPixels = Callable[[Tensor, int], Tensor]
"""What CameraCtrl does to tokens ``(pixels, F, C)`` before the first attention, given the number of the first pixel."""


class TemporalTransformer(nn.Module):
    """Per-frame GroupNorm, linear in, a temporal block, linear out (starts at zero), residual."""

    def __init__(
        self, channels: int, positions: int, ops: Any = nn, *, groups: int = NORM_GROUPS, **factory: Any
    ) -> None:
        super().__init__()
        self.norm = ops.GroupNorm(groups, channels, eps=1e-6, **factory)
        self.proj_in = ops.Linear(channels, channels, **factory)
        self.transformer_blocks = nn.ModuleList(
            [TemporalBlock(channels, positions, ops, attentions=ATTENTIONS, **factory)]
        )
        self.proj_out = ops.Linear(channels, channels, **factory)

    def forward(self, x: Tensor, frames: int, camera: AtPixels | None = None) -> Tensor:
        """``x`` ``(rows * F, C, h, w)`` -> the same."""
        h, w = x.shape[-2:]
        tokens = rearrange(self.norm(x), "(r f) c h w -> (r h w) f c", f=frames)
        parts = [
            self._attend(part, camera, first)
            for first, part in zip(range(0, len(tokens), PIXELS), tokens.split(PIXELS), strict=True)
        ]
        return x + rearrange(torch.cat(parts), "(r h w) f c -> (r f) c h w", h=h, w=w)

    def _attend(self, tokens: Tensor, camera: AtPixels | None, first: int) -> Tensor:
        y = self.proj_in(tokens)
        for block in self.transformer_blocks:
            y = block(y, None if camera is None else lambda z: camera(z, first))
        out: Tensor = self.proj_out(y)
        return out


class MotionModule(nn.Module):
    """One motion module.

    Args:
        channels: width of the features.
        positions: length of the frame position table.
        ops: namespace of the layers (``Linear``, ``LayerNorm``, ``GroupNorm``); a host may bring its own.
        groups: of the norm; not told by a file's shapes.
        site: where the module belongs; None is the middle of the UNet.
        factory: ``dtype`` and ``device`` of the parameters.
    """

    def __init__(
        self,
        channels: int,
        positions: int,
        ops: Any = nn,
        *,
        groups: int = NORM_GROUPS,
        site: Site | None = None,
        **factory: Any,
    ) -> None:
        super().__init__()
        self.site = site
        self.temporal_transformer = TemporalTransformer(channels, positions, ops, groups=groups, **factory)

    def forward(self, x: Tensor, frames: int, camera: AtPixels | None = None) -> Tensor:
        """Let every pixel's frames attend to each other.

        Args:
            x: ``(rows * F, C, h, w)``, frames innermost; rows are views times branches in any order.
            frames: F.
            camera: merges the camera into the tokens of the first attention.

        Raises:
            ValueError: the batch is not made of clips of F frames.
        """
        if x.shape[0] % frames:
            raise ValueError(f"the motion module got a batch of {x.shape[0]}; expected a multiple of {frames} frames")
        out: Tensor = self.temporal_transformer(x, frames, camera)
        return out


class MotionModules(PerSite[MotionModule]):
    """All motion modules of a UNet, under the keys of the released files.

    Args:
        widths: channels of the UNet's down blocks.
        positions: length of the frame position tables, so the most frames.
        groups: of the norms.
        middle: a module in the middle of the UNet too, as v2 has.
    """

    def __init__(
        self,
        widths: Sequence[int] = SD15_WIDTHS,
        positions: int = 32,
        ops: Any = nn,
        *,
        layers_per_block: int = SD15_LAYERS,
        groups: int = NORM_GROUPS,
        middle: bool = False,
        **factory: Any,
    ) -> None:
        def make(channels: int, site: Site | None) -> MotionModule:
            return MotionModule(channels, positions, ops, groups=groups, site=site, **factory)

        super().__init__("motion_modules", widths, lambda site: make(site.channels, site), layers_per_block)
        self.positions = positions
        if middle:
            self.mid_block = nn.ModuleDict({"motion_modules": nn.ModuleList([make(widths[-1], None)])})

    @property
    def middle(self) -> MotionModule | None:
        """The module in the middle of the UNet, if there is one."""
        block: Any = getattr(self, "mid_block", None)
        return None if block is None else block["motion_modules"][0]
