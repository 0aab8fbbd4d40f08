"""The tensors of each kind of file in the layout its network takes, whatever wrapping the file has."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from cvd_core.networks.temporal import sinusoids
from cvd_core.weights.checkpoint import Checkpoint
from cvd_core.weights.kinds import Kind, describe_keys, identify, require_kind

_DIFFUSERS_MOTION_NAMES = (
    (".temporal_transformer.", "."),
    (".attention_blocks.0.pos_encoder.pe", ".pos_embed.pe"),
    (".attention_blocks.0.", ".attn1."),
    (".attention_blocks.1.", ".attn2."),
    (".norms.0.", ".norm1."),
    (".norms.1.", ".norm2."),
    (".ff_norm.", ".norm3."),
)
"""Parts of a motion module's keys: AnimateDiff's own, diffusers'."""


def tensors_under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start with ``prefix``, without it."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def camera_tensors(checkpoint: Checkpoint) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The camera encoder's tensors and the 40 ``qkv_merge`` tensors of a CameraCtrl file, nested or flat.

    Returns:
        (pose encoder, keys ``encoder_conv_in.weight`` ...; attention merge, keys
        ``down_blocks.i.motion_modules.j. ... .attention_blocks.0.processor.qkv_merge.weight`` ...).

    Raises:
        ValueError: the file is something else, one of the two parts is missing, or there are tensors of neither.
    """
    tensors = checkpoint.tensors
    require_kind(identify(checkpoint), [Kind.CAMERA], file=checkpoint.path.name, wanted=Kind.CAMERA.value)
    encoder = {key: value for key, value in tensors.items() if key.startswith("encoder_")}
    merge = {key: value for key, value in tensors.items() if ".qkv_merge." in key}
    if not encoder or not merge:
        raise ValueError(
            f"{checkpoint.path.name} holds {len(encoder)} camera-encoder and {len(merge)} qkv_merge tensors; "
            "CameraCtrl needs both - use the whole CameraCtrl.ckpt or AnimateDiff-Evolved's CameraCtrl file"
        )
    _refuse_rest(checkpoint, tensors.keys() - encoder.keys() - merge.keys(), "CameraCtrl")
    return encoder, merge


def sync_tensors(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The sync modules' tensors, keys ``down_blocks.i.epi_modules.j.epi_transformer...``: 520 in the official file.

    Raises:
        ValueError: the file is something else, or holds more than sync modules.
    """
    tensors = checkpoint.tensors
    require_kind(identify(checkpoint), [Kind.SYNC], file=checkpoint.path.name, wanted=Kind.SYNC.value)
    _refuse_rest(checkpoint, {key for key in tensors if ".epi_modules." not in key}, "sync-module")
    return tensors


def syncam_tensors(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """SynCamMaster's modules, keys ``blocks.i.mvs_attn...``: 450 in the official file, which also holds a whole Wan.

    Raises:
        ValueError: the file is something else.
    """
    require_kind(identify(checkpoint), [Kind.SYNCAM], file=checkpoint.path.name, wanted=Kind.SYNCAM.value)
    return {key: value for key, value in checkpoint.tensors.items() if is_syncam_key(key)}


def is_syncam_key(key: str) -> bool:
    """Whether a tensor of a SynCamMaster checkpoint is the modules', not Wan's."""
    return re.search(r"^blocks\.\d+\.(?:modulation_mvs$|cam_encoder\.|projector\.|mvs_attn\.)", key) is not None


COMPUTED_POSITIONS = 64
"""Length of the position tables of AnimateLCM's motion modules. Its files leave them out: they are the sinusoids that
AnimateDiff starts from and never trains."""


def motion_tensors(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """A motion module's tensors under AnimateDiff's own keys, from its own files or a diffusers MotionAdapter.

    Position tables that a file leaves out are computed, with :data:`COMPUTED_POSITIONS`.

    Raises:
        ValueError: the file is something else, is for SDXL, or holds more than motion modules.
    """
    tensors = checkpoint.tensors
    info = identify(checkpoint)
    kinds = [Kind.MOTION, Kind.ANIMATELCM]
    require_kind(info, kinds, file=checkpoint.path.name, wanted=Kind.MOTION.value)
    if info.variant == "for SDXL":
        raise ValueError(f"{checkpoint.path.name} is a motion module for SDXL; CVD runs on SD1.5 - use v3_sd15_mm.ckpt")
    _refuse_rest(checkpoint, {key for key in tensors if ".motion_modules." not in key}, "motion-module")
    original: dict[str, Tensor] = {}
    for key, value in tensors.items():
        name = _name_of(key)
        original[name] = value
        if name != key and name.endswith(".pe"):  # diffusers keeps one table per block, AnimateDiff one per attention
            original[name.replace(".attention_blocks.0.", ".attention_blocks.1.")] = value
    if info.kind is Kind.ANIMATELCM:
        for name, value in list(original.items()):
            attention, found, _ = name.rpartition(".to_q.weight")
            if found:
                original[f"{attention}.pos_encoder.pe"] = sinusoids(COMPUTED_POSITIONS, value.shape[-1])
    return original


def _name_of(key: str) -> str:
    """AnimateDiff's own name of a motion module's tensor."""
    return key if ".temporal_transformer." in key else _original_motion_key(key)


def diffusers_motion_key(key: str) -> str:
    """The key in diffusers' UNetMotionModel of an original motion-module ``key``.

    ``.temporal_transformer`` goes, norms.0/1 become norm1/2, ff_norm norm3, attention_blocks.0/1 attn1/2. diffusers has
    one position table per block, ``pos_embed.pe``, where the original has the same one in both attentions; the first
    attention's maps to it.
    """
    for original, ours in _DIFFUSERS_MOTION_NAMES:
        key = key.replace(original, ours)
    return key


_ORIGINAL_ROOTS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
}
_ORIGINAL_RESNET = {
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
"""Layers with matrices of diffusers' UNet and of its resnets, by their original names."""


def original_unet_path(path: str, layers_per_block: int) -> str:
    """The original name (CompVis, as in single files and in LoRAs made from them) of a layer of diffusers' UNet.

    Args:
        path: of a linear layer or a convolution, e.g. ``down_blocks.1.resnets.0.conv1``.
        layers_per_block: resnets per down block, 2 in SD1.5.

    Returns:
        e.g. ``input_blocks.4.0.in_layers.2``; ``path`` itself if the original has no such layer.
    """
    if path in _ORIGINAL_ROOTS:
        return _ORIGINAL_ROOTS[path]
    match = re.match(r"(?:(down|up)_blocks\.(\d+)|mid_block)\.([a-z]+)\.(\d+)(?:\.(.+))?$", path)
    if match is None:
        return path
    side, block, kind, index, inside = match[1], int(match[2] or 0), match[3], int(match[4]), match[5] or ""
    first = block * (layers_per_block + 1)
    if kind == "downsamplers":
        return f"input_blocks.{first + layers_per_block + 1}.0.op"
    if kind == "upsamplers":  # behind the block's last attention, which the deepest block does not have
        return f"output_blocks.{first + layers_per_block}.{1 if block == 0 else 2}.conv"
    if kind == "resnets":
        inside = _ORIGINAL_RESNET.get(inside, inside)
    slot = int(kind == "attentions")
    if side is None:
        return f"middle_block.{1 if slot else 2 * index}.{inside}"
    number = first + index
    return f"input_blocks.{number + 1}.{slot}.{inside}" if side == "down" else f"output_blocks.{number}.{slot}.{inside}"


def _original_motion_key(key: str) -> str:
    for original, ours in _DIFFUSERS_MOTION_NAMES[1:]:
        key = key.replace(ours, original)
    return re.sub(r"(\.motion_modules\.\d+\.)", r"\1temporal_transformer.", key)


def _refuse_rest(checkpoint: Checkpoint, rest: set[str], what: str) -> None:
    if rest:
        raise ValueError(
            f"{checkpoint.path.name} holds {len(rest)} tensors that are not {what} tensors ({describe_keys(rest)}); "
            "use the official file"
        )
