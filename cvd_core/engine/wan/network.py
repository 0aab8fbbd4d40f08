"""Wan's transformer with SynCamMaster's modules hooked in between self-attention and cross-attention."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from cvd_core.syncam.module import MultiViewSync, SynCamModules
from cvd_core.syncam.rope import ViewGrid


@dataclass
class _Call:
    """What the modules need to know of the network call in progress."""

    cameras: Tensor
    grid: ViewGrid
    strength: float
    modulation: Tensor | None = None
    addend: Tensor | None = None


class SynCamTransformer(nn.Module):
    """A Wan 2.1 text-to-video transformer that denoises several views of one scene.

    Args:
        transformer: diffusers' network.
        modules: one per block; None: every view is a video of its own.

    Raises:
        ValueError: the modules were made for another network.
    """

    def __init__(self, transformer: WanTransformer3DModel, modules: SynCamModules | None = None) -> None:
        super().__init__()
        self.transformer = transformer
        self.sync = modules
        self._call: _Call | None = None
        if modules is None:
            return
        config = transformer.config
        expected = (config.num_layers, config.num_attention_heads * config.attention_head_dim)
        found = (len(modules.blocks), modules.width)
        if found != expected:
            raise ValueError(
                f"the SynCamMaster modules were made for {found[0]} blocks of {found[1]} channels; this Wan model has "
                f"{expected[0]} of {expected[1]} - the released ones go with Wan2.1-T2V-1.3B"
            )
        for block, module in zip(transformer.blocks, modules.blocks, strict=True):
            self._hook(block, cast(MultiViewSync, module))

    def forward(
        self, latents: Tensor, timestep: Tensor, text: Tensor, cameras: Tensor, views: int, strength: float = 1.0
    ) -> Tensor:
        """One evaluation.

        Args:
            latents: ``(N, 16, f, H/8, W/8)``, N a multiple of ``views``; views of a scene are neighbours.
            timestep: ``(N,)``, 0 to 1000.
            text: ``(N, L, C)``.
            cameras: ``(N, f, 12)``, from :func:`cvd_core.syncam.cameras.camera_embedding`.
            views: V that attend to each other.
            strength: factor on what the modules add; 0 disconnects the views.

        Returns:
            ``(N, 16, f, H/8, W/8)``, the velocity from data to noise.
        """
        _, patch_height, patch_width = self.transformer.config.patch_size
        frames, height, width = latents.shape[2:]
        with self.synchronising(
            cameras, ViewGrid(views, frames, height // patch_height, width // patch_width), strength
        ):
            return self.transformer(latents, timestep, text, return_dict=False)[0]

    @contextmanager
    def synchronising(self, cameras: Tensor, grid: ViewGrid, strength: float = 1.0) -> Iterator[None]:
        """While this lasts, the transformer's blocks let the views attend to each other; see :meth:`forward`."""
        if self.sync is not None and strength != 0:
            self._call = _Call(cameras, grid, strength)
        try:
            yield
        finally:
            self._call = None

    def _hook(self, block: nn.Module, module: MultiViewSync) -> None:
        def keep_modulation(_: nn.Module, inputs: tuple[Any, ...]) -> None:
            if self._call is not None:
                self._call.modulation = inputs[2]

        def before_cross_attention(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Tensor] | None:
            call = self._call
            if call is None or call.modulation is None:
                return None
            x = inputs[0]
            call.addend = call.strength * module(x.to(self._dtype), call.modulation, call.cameras, call.grid)
            return (x + call.addend,)

        def after_cross_attention(_: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
            return None if self._call is None or self._call.addend is None else output + self._call.addend

        # diffusers calls norm2 what the released code calls norm3: the one before cross-attention.
        block.register_forward_pre_hook(keep_modulation)
        block.get_submodule("norm2").register_forward_pre_hook(before_cross_attention)
        block.get_submodule("attn2").register_forward_hook(after_cross_attention)

    @property
    def _dtype(self) -> torch.dtype:
        return self.transformer.patch_embedding.weight.dtype
