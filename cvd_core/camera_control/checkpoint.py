"""Loading CameraCtrl, from the nested original or from the flat file that AnimateDiff-Evolved uses."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import nn

from cvd_core.camera_control.injection import CameraMerges
from cvd_core.camera_control.pose_encoder import POSITIONS, PoseEncoder
from cvd_core.weights import camera_tensors, identify, load_exact, read_checkpoint, unet_layout

_INSIDE_MOTION_MODULE = ".temporal_transformer.transformer_blocks.0.attention_blocks.0.processor"


def merge_key(key: str) -> str:
    """The key in :class:`CameraMerges` of a key of ``attention_processor_state_dict``."""
    return key.replace(_INSIDE_MOTION_MODULE, "")


def merge_checkpoint_key(key: str) -> str:
    """The inverse of :func:`merge_key`."""
    return key.replace(".qkv_merge.", f"{_INSIDE_MOTION_MODULE}.qkv_merge.")


def load_camera_control(
    path: str | os.PathLike[str], *, dtype: torch.dtype | None = None, ops: Any = nn
) -> tuple[PoseEncoder, CameraMerges]:
    """The pose encoder and the merges of a CameraCtrl checkpoint, at the widths its tensors have.

    Args:
        path: ``CameraCtrl.ckpt`` (read without running code) or a flat ``.safetensors`` converted from it.
        dtype: of the parameters; None keeps the file's.
        ops: namespace of the layers; a host may bring its own.

    Raises:
        ValueError: the file is something else (the message says what and where it belongs), or tensors are missing,
            unexpected or of another shape (the message names them).
    """
    checkpoint = read_checkpoint(path)
    encoder_state, merge_state = camera_tensors(checkpoint)
    info = identify(checkpoint)
    widths, layers = unet_layout(info, file=checkpoint.path.name)
    with torch.device("meta"):
        encoder = PoseEncoder(widths, info.frames or POSITIONS, ops)
        merges = CameraMerges(widths, ops, layers_per_block=layers)
    load_exact(encoder, encoder_state, file=str(path), what="pose-encoder", dtype=dtype)
    short = {merge_key(key): value for key, value in merge_state.items()}
    load_exact(merges, short, file=str(path), what="camera-merge", dtype=dtype)
    return encoder.eval().requires_grad_(False), merges.eval().requires_grad_(False)
