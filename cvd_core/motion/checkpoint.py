"""Loading AnimateDiff's motion modules, and the motion LoRAs made for them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cvd_core.motion.module import MotionModules
from cvd_core.networks.sd15 import NORM_GROUPS
from cvd_core.weights import (
    Kind,
    describe_keys,
    identify,
    identify_tensors,
    load_exact,
    motion_tensors,
    read_checkpoint,
    require_kind,
    unet_layout,
)

_LORA_KEY = re.compile(r"^(?P<layer>.+)\.processor\.(?P<projection>to_(?:q|k|v|out))_lora\.(?P<side>down|up)\.weight$")


def load_motion_modules(
    path: str | os.PathLike[str], *, dtype: torch.dtype | None = None, ops: Any = nn, groups: int = NORM_GROUPS
) -> MotionModules:
    """The motion modules of a checkpoint, with the widths and the length of the position tables that its tensors have.

    Args:
        path: an AnimateDiff file (v1, v2, v3 or a fine-tune of one) or a diffusers MotionAdapter.
        dtype: of the parameters; None keeps the file's.
        ops: namespace of the layers; a host may bring its own.
        groups: of the norms, which shapes do not tell; all published files have 32.

    Raises:
        ValueError: the file is something else (the message says what and where it belongs), or tensors are missing,
            unexpected or of another shape (the message names them).
    """
    checkpoint = read_checkpoint(path)
    state = motion_tensors(checkpoint)
    info = identify_tensors(state)
    if info.frames is None:
        raise ValueError(
            f"{checkpoint.path.name} holds no attentions of motion modules; it is incomplete - get it again, or use "
            "v3_sd15_mm.ckpt, which CVD was trained with"
        )
    widths, layers = unet_layout(info, file=checkpoint.path.name, groups=groups)
    middle = any(key.startswith("mid_block.") for key in state)
    with torch.device("meta"):
        modules = MotionModules(widths, info.frames, ops, layers_per_block=layers, groups=groups, middle=middle)
    load_exact(modules, state, file=str(path), what="motion-module", dtype=dtype)
    return modules.eval().requires_grad_(False)


@dataclass(frozen=True)
class LowRank:
    """``weight += strength * up @ down`` for one matrix: ``up`` ``(out, rank)``, ``down`` ``(rank, in)``."""

    up: Tensor
    down: Tensor


def read_motion_lora(path: str | os.PathLike[str], modules: MotionModules) -> dict[str, LowRank]:
    """The changes that a motion LoRA (AnimateDiff's camera moves, such as ``v2_lora_ZoomIn.ckpt``) makes to a model.

    Returns:
        by the names of parameters of ``modules``.

    Raises:
        ValueError: the file is not a motion LoRA, is damaged, or was made for motion modules of another layout (the
            released ones are for v2, whose files have a middle block).
    """
    checkpoint = read_checkpoint(path)
    name = Path(path).name
    require_kind(identify(checkpoint), [Kind.MOTION_LORA], file=name, wanted=Kind.MOTION_LORA.value)
    sides: dict[str, dict[str, Tensor]] = {}
    unknown = []
    for key, value in checkpoint.tensors.items():
        match = _LORA_KEY.match(key)
        if match is None:
            unknown.append(key)
            continue
        inner = ".0" if match["projection"] == "to_out" else ""
        parameter = f"{match['layer']}.{match['projection']}{inner}.weight"
        sides.setdefault(parameter, {})[match["side"]] = value
    if unknown:
        raise ValueError(
            f"{name} holds {len(unknown)} tensors that are not motion-LoRA tensors: {describe_keys(unknown)}; use the "
            "official file"
        )
    weights = dict(modules.named_parameters())
    changes: dict[str, LowRank] = {}
    misfits = []
    for parameter, pair in sides.items():
        if len(pair) < 2:
            raise ValueError(f"{name} has only one of the two matrices of {parameter}; it is incomplete - get it again")
        up, down = pair["up"].flatten(1), pair["down"].flatten(1)
        weight = weights.get(parameter)
        if weight is None or weight.shape != (up.shape[0], down.shape[1]) or up.shape[1] != down.shape[0]:
            misfits.append(parameter)
        changes[parameter] = LowRank(up, down)
    if misfits:
        raise ValueError(
            f"{name} does not fit the motion modules: {len(misfits)} of its {len(changes)} layers are missing there or "
            f"of another shape ({describe_keys(misfits)}); motion LoRAs go with the version they were trained on - "
            "AnimateDiff's own with v2 (mm_sd_v15_v2.ckpt)"
        )
    return changes


@torch.no_grad()
def merge_motion_lora(modules: MotionModules, path: str | os.PathLike[str], strength: float = 1.0) -> int:
    """Merge a motion LoRA in place, sums taken in float32; returns the number of matrices changed.

    Raises:
        ValueError: see :func:`read_motion_lora`. The modules are then unchanged.
    """
    changes = read_motion_lora(path, modules)
    weights = dict(modules.named_parameters())
    for parameter, change in changes.items():
        weight = weights[parameter]
        up, down = (matrix.to(weight.device, torch.float32) for matrix in (change.up, change.down))
        weight.copy_(torch.addmm(weight.float(), up, down, alpha=strength))
    return len(changes)
