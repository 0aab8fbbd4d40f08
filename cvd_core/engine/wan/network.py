"""Wan's transformer, as diffusers has it, with SynCamMaster's modules."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from diffusers import WanTransformer3DModel
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cvd_core.syncam.attach import BlockParts, ViewCall, synchronised
from cvd_core.syncam.module import SynCamModules
from cvd_core.syncam.rope import ViewGrid

PARTS = BlockParts("norm2", "attn2", lambda inputs, _: inputs[2])
"""Diffusers swaps the names of the released code's norm2 and norm3."""


class SynCamTransformer(nn.Module):
    """A Wan 2.1 text-to-video transformer that denoises several views of one scene.

    Args:
        transformer: diffusers' network.
        modules: one per block; None: the videos are independent of each other.

    Raises:
        ValueError: the modules were made for another network.
    """

    def __init__(self, transformer: WanTransformer3DModel, modules: SynCamModules | None = None) -> None:
        super().__init__()
        self.transformer = transformer
        self.sync = modules
        self._running: ViewCall | None = None
        config = transformer.config
        expected = (config.num_layers, config.num_attention_heads * config.attention_head_dim)
        if modules is not None and (found := (len(modules.blocks), modules.width)) != expected:
            raise ValueError(
                f"the SynCamMaster modules were made for {found[0]} blocks of {found[1]} channels; this Wan model has "
                f"{expected[0]} of {expected[1]} - the released ones go with Wan2.1-T2V-1.3B"
            )

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
        grid = ViewGrid(views, frames, height // patch_height, width // patch_width)
        self._running = ViewCall(cameras, grid, strength)
        with self.synchronising(self._running):
            return self.transformer(latents, timestep, text, return_dict=False)[0]

    def enable_gradient_checkpointing(self) -> None:
        """Keep only the inputs of the blocks; gradients compute the rest again, modules included."""

        def recomputed(block: nn.Module, *inputs: Tensor) -> Tensor:
            call = self._running
            assert call is not None
            # After the evaluation the modules are detached: they come back for as long as a block runs again.
            contexts = lambda: (nullcontext(), self.synchronising(call))  # noqa: E731
            return checkpoint(block, *inputs, use_reentrant=False, context_fn=contexts)

        self.transformer.enable_gradient_checkpointing(recomputed)

    def synchronising(self, call: ViewCall) -> AbstractContextManager[object]:
        """While this lasts, the transformer's blocks let the views attend to each other."""
        if self.sync is None or call.strength == 0:
            return nullcontext()
        dtype = self.transformer.patch_embedding.weight.dtype
        return synchronised(list(self.transformer.blocks), self.sync, call, PARTS, dtype)
