"""The denoising network: AnimateDiff's UNet with CameraCtrl's merges and CVD's sync modules hooked in.

Every layer runs resnet -> spatial attention -> motion module -> sync module; the skip connection is stored after the
sync module. The networks keep their own parameters and names; nothing is copied or renamed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from diffusers import UNetMotionModel
from einops import rearrange, repeat
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cvd_core.camera_control.injection import CameraMerge, CameraMerges
from cvd_core.camera_control.pose_encoder import PoseEncoder
from cvd_core.engine.prediction import Prediction
from cvd_core.networks.layout import Site, sites
from cvd_core.sync.context import SyncContext
from cvd_core.sync.module import SyncModule, SyncModules


@dataclass(frozen=True)
class _Call:
    """One call of the network."""

    camera: list[Tensor] | None = None  # per level (rows * h * w, F, C)
    camera_scale: float = 1.0
    sync: SyncContext | None = None


@dataclass
class _Running:
    """What the hooks share: the running call, and whether activations are computed again for gradients."""

    call: _Call = _Call()
    recompute: bool = False

    @contextmanager
    def during(self, call: _Call) -> Iterator[None]:
        before, self.call = self.call, call
        try:
            yield
        finally:
            self.call = before


class _CameraAttention:
    """Attention processor of a motion module's first attention: merge the camera feature, then attend as before."""

    def __init__(self, inner: Any, merge: CameraMerge, level: int, running: _Running) -> None:
        self.inner = inner
        self.merge = merge
        self.level = level
        self.running = running

    def __call__(self, attn: Any, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        call = self.running.call
        if call.camera is not None:
            hidden_states = self.merge(hidden_states, call.camera[self.level], call.camera_scale)
        return self.inner(attn, hidden_states, *args, **kwargs)


class _Synchronise:
    """Forward hook of a motion module: pass its output through the sync module behind it.

    An object rather than a closure, so that a deep copy of the network hooks the copied modules.
    """

    def __init__(self, module: SyncModule, running: _Running) -> None:
        self.module = module
        self.running = running

    @torch.compiler.disable  # type: ignore[untyped-decorator] # compiled for one call's partners it never fits again
    def __call__(self, _motion: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        context = self.running.call.sync
        if context is None:
            return output
        if not (self.running.recompute and torch.is_grad_enabled()):
            return cast(Tensor, self.module(output, context))
        repeatable = context.repeatable()
        return cast(Tensor, checkpoint(lambda x: self.module(x, repeatable()), output, use_reentrant=False))


class _Recomputed:
    """Forward of a motion module that keeps its input for the gradient, not its activations.

    They are computed again after the network call has ended, so with the camera of that call.
    """

    def __init__(self, forward: Callable[..., Tensor], running: _Running) -> None:
        self.forward = forward
        self.running = running

    def __call__(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not torch.is_grad_enabled():
            return self.forward(hidden_states, *args, **kwargs)
        call = self.running.call

        def run(x: Tensor) -> Tensor:
            with self.running.during(call):
                return self.forward(x, *args, **kwargs)

        return cast(Tensor, checkpoint(run, hidden_states, use_reentrant=False))


class CollaborativeUNet(nn.Module):
    """Predicts noise, or the velocity of the diffusion, for several views at once.

    Args:
        unet: Stable Diffusion's UNet with motion modules.
        pose_encoder, merges: CameraCtrl, or None for videos without camera control.
        sync: CVD's modules, or None for views that do not talk to each other.
        prediction: what the network was trained to predict.
    """

    def __init__(
        self,
        unet: UNetMotionModel,
        pose_encoder: PoseEncoder | None = None,
        merges: CameraMerges | None = None,
        sync: SyncModules | None = None,
        prediction: Prediction = "epsilon",
    ) -> None:
        super().__init__()
        self.prediction = prediction
        self.unet = unet
        self.pose_encoder = pose_encoder
        self.merges = merges
        self.sync = sync
        self.widths: tuple[int, ...] = tuple(unet.config.block_out_channels)
        self._running = _Running()
        self.sites = sites(self.widths, int(unet.config.layers_per_block))
        for name, modules in (("sync modules", sync), ("CameraCtrl merges", merges)):
            if modules is not None and modules.widths != self.widths:
                raise ValueError(f"the {name} have widths {modules.widths}, the UNet {self.widths}; they do not fit")
            if modules is not None and modules.sites != self.sites:
                raise ValueError(
                    f"the {name} have {len(modules.sites)} sites, the UNet {len(self.sites)}; they do not fit"
                )
        for site in self.sites:
            self._attach(site)

    def _attach(self, site: Site) -> None:
        motion = self.motion_module(site)
        if self.merges is not None:
            attention = cast(Any, motion).transformer_blocks[0].attn1
            merged = _CameraAttention(attention.processor, self.merges.at(site), site.level, self._running)
            attention.set_processor(merged)
        if self.sync is not None:
            motion.register_forward_hook(_Synchronise(self.sync.at(site), self._running))

    def motion_module(self, site: Site) -> nn.Module:
        """The motion module at ``site``; what it returns has been through the sync module."""
        blocks = self.unet.down_blocks if site.direction == "down" else self.unet.up_blocks
        return cast(nn.Module, cast(Any, blocks)[site.block].motion_modules[site.layer])

    def enable_gradient_checkpointing(self) -> None:
        """Keep only the inputs of resnets, attentions, motion and sync modules; gradients compute the rest again."""
        if self._running.recompute:
            return
        self._running.recompute = True
        self.unet.enable_gradient_checkpointing()  # of resnets and spatial attention
        for site in self.sites:
            motion = self.motion_module(site)
            motion.forward = _Recomputed(motion.forward, self._running)  # type: ignore[method-assign]

    @property
    def dtype(self) -> torch.dtype:
        return cast(torch.dtype, self.unet.dtype)

    @property
    def device(self) -> torch.device:
        return cast(torch.device, self.unet.device)

    @property
    def motion_frames(self) -> int:
        """Frames in the motion modules' position table."""
        return int(self.unet.config.motion_max_seq_length)

    def check_frames(self, frames: int) -> None:
        """Raise ValueError if a position table is too short, naming the network that limits it."""
        limits = [("motion module", self.motion_frames)]
        if self.pose_encoder is not None:
            limits.append(("CameraCtrl pose encoder", self.pose_encoder.positions))
        for network, limit in limits:
            if frames > limit:
                raise ValueError(
                    f"{frames} frames: the {network} holds positions for {limit}; resample the trajectories to at most "
                    f"{min(limit for _, limit in limits)} frames"
                )

    def encode_cameras(self, plucker: Tensor) -> list[Tensor]:
        """Camera features, once per run.

        Args:
            plucker: ``(V, F, 6, H, W)``.

        Returns:
            per level ``(V, h * w, F, C)``: tokens as the motion modules arrange them.
        """
        if self.pose_encoder is None:
            raise ValueError("this network was built without CameraCtrl; load a CameraCtrl checkpoint to use cameras")
        weight = self.pose_encoder.encoder_conv_in.weight
        features = self.pose_encoder(plucker.to(weight))
        return [rearrange(f, "v c f h w -> v (h w) f c") for f in features]

    def forward(
        self,
        latents: Tensor,
        timestep: int | float | Tensor,
        text: Tensor,
        camera: Sequence[Tensor] | None = None,
        sync: SyncContext | None = None,
        camera_scale: float = 1.0,
    ) -> Tensor:
        """One network call.

        Args:
            latents: ``(rows, C, F, h, w)``, C = 4 in SD1.5; rows are views, or views x branches
                ``[v0u v0c v1u v1c ...]``.
            timestep: of all rows, or ``(rows,)``.
            text: ``(rows, 77, C)``.
            camera: per level ``(V, h * w, F, C)`` of the views in this call; all branches of a view get it.
            sync: who attends to whom, layout "view branch"; None runs the views separately.
            camera_scale: strength of the camera, 1 as trained.

        Returns:
            ``(rows, C, F, h, w)`` what the network predicts; :func:`.prediction.to_noise` makes noise of it.
        """
        rows = latents.shape[0]
        tokens = None
        if camera is not None:
            tokens = [repeat(f, "v n f c -> (v b n) f c", b=rows // f.shape[0]) for f in camera]
        text = text.to(self.dtype).repeat_interleave(latents.shape[2], dim=0)  # spatial attention sees frames as rows
        with self._running.during(_Call(tokens, camera_scale, sync)):
            out = self.unet(latents.to(self.dtype), timestep, text, return_dict=False)[0]
        return cast(Tensor, out)
