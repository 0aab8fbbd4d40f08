"""The base UNet with AnimateDiff's motion modules, numerically as AnimateDiff v3 and CVD run them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import UNet2DConditionModel, UNetMotionModel
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from torch import Tensor, nn

from cvd_core.engine.model_folder import reason
from cvd_core.networks.sd15 import HEADS
from cvd_core.weights import diffusers_motion_key, identify_tensors, load_exact


class PerFrameGroupNorm(nn.GroupNorm):
    """GroupNorm of a clip ``(B, C, F, H, W)`` with each frame's own statistics.

    AnimateDiff normalises frames one by one; diffusers' AnimateDiffTransformer3D hands the whole clip to its norm,
    which would share statistics over the frames: same weights, other numbers.
    """

    def forward(self, input: Tensor) -> Tensor:
        batch, channels, frames, height, width = input.shape
        frame_major = input.transpose(1, 2).reshape(batch * frames, channels, height, width)
        normed = super().forward(frame_major)
        return normed.view(batch, frames, channels, height, width).transpose(1, 2)


def build_motion_unet(
    base_unet: UNet2DConditionModel, motion_state: Mapping[str, Tensor], *, file: str
) -> UNetMotionModel:
    """The base UNet with motion modules in it, in evaluation mode, without gradients.

    Nothing is copied: the result shares the base's tensors, and the motion module's where their dtype fits. Fuse LoRAs
    into the base before.

    Args:
        base_unet: an SD1.5 UNet of any widths; its dtype and device are the result's.
        motion_state: tensors under AnimateDiff's own keys, as :func:`cvd_core.weights.motion_tensors` returns them. A
            middle-block motion module (v2) is used if they have one.
        file: the motion module's file name, for messages.

    Returns:
        A UNetMotionModel whose parameter names are diffusers' own, with per-frame norms in the motion modules.

    Raises:
        ValueError: the motion module does not fit the base (other widths), is incomplete, or has position tables that
            differ between its attentions.
    """
    info = identify_tensors(motion_state)
    widths = tuple(base_unet.config["block_out_channels"])
    if info.widths != widths:
        raise ValueError(
            f"{file} has motion modules for a network of widths {info.widths}, the base model has {widths}; use a "
            "motion module and a base of one family - v3_sd15_mm.ckpt goes with SD1.5 models"
        )
    if info.frames is None:
        raise ValueError(f"{file} has no position tables (pos_encoder.pe); use the official motion module")
    has_middle = any(key.startswith("mid_block.") for key in motion_state)
    try:
        with init_empty_weights(include_buffers=True):
            unet = _motion_unet(base_unet.config, info.frames, has_middle)
    except Exception as error:  # diffusers takes it that the config is one of SD1.5's topology
        raise ValueError(
            f"the base model's UNet cannot take the motion modules of {file} ({reason(error)}); use an SD1.5 model"
        ) from error
    motion = _diffusers_motion_state(motion_state, file=file, device=base_unet.device)
    load_exact(unet, base_unet.state_dict() | motion, file=file, what="UNet and motion-module", dtype=base_unet.dtype)
    return unet.eval().requires_grad_(False)


def new_motion_unet(base_unet: UNet2DConditionModel, frames: int) -> UNetMotionModel:
    """The base UNet with fresh motion modules that change nothing yet: where training one starts (AnimateDiff, Sec. 4).

    Args:
        base_unet: its weights are copied.
        frames: length of the position tables.
    """
    unet = _motion_unet(base_unet.config, frames, has_middle=False)
    unet.load_state_dict(base_unet.state_dict(), strict=False)
    for module in unet.modules():
        if isinstance(module, AnimateDiffTransformer3D):
            nn.init.zeros_(module.proj_out.weight)
            nn.init.zeros_(module.proj_out.bias)
    return unet


def _motion_unet(base: Mapping[str, Any], frames: int, has_middle: bool) -> UNetMotionModel:
    unet = UNetMotionModel(**_motion_unet_config(base, frames, has_middle))
    for module in unet.modules():
        if isinstance(module, AnimateDiffTransformer3D):
            norm = module.norm
            device = norm.weight.device
            module.norm = PerFrameGroupNorm(norm.num_groups, norm.num_channels, norm.eps, device=device)
    return unet


def _motion_unet_config(base: Mapping[str, Any], frames: int, has_middle: bool) -> dict[str, Any]:
    """Arguments of UNetMotionModel for a base UNet's config and a position table of ``frames``."""
    known = inspect.signature(UNetMotionModel.__init__).parameters
    config = {key: value for key, value in base.items() if key in known}
    for side in ("down_block_types", "up_block_types"):
        config[side] = tuple(name.replace("2D", "Motion") for name in base[side])
    return config | {
        "num_attention_heads": base["num_attention_heads"] or base["attention_head_dim"],
        "motion_num_attention_heads": HEADS,
        "motion_max_seq_length": frames,
        "use_motion_mid_block": has_middle,
    }


def _diffusers_motion_state(
    motion_state: Mapping[str, Tensor], *, file: str, device: torch.device
) -> dict[str, Tensor]:
    """The motion tensors under diffusers' keys, where the two position tables of a block become one."""
    first, second = (f".attention_blocks.{i}.pos_encoder.pe" for i in (0, 1))
    for key, table in motion_state.items():
        other = motion_state.get(key.replace(second, first), table)
        if key.endswith(second) and not torch.equal(table.float(), other.float()):  # float8 cannot be compared
            raise ValueError(
                f"{file} has different position tables in the two attentions of a block ({key}); only modules with one "
                "table, as AnimateDiff publishes them, can be used"
            )
    return {
        diffusers_motion_key(key): value.to(device) for key, value in motion_state.items() if not key.endswith(second)
    }
