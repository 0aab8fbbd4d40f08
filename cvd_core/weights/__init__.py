"""Model files: reading them safely, telling what they are, and loading them so that no key goes missing unnoticed."""

from cvd_core.weights.checkpoint import Checkpoint, is_index, read_checkpoint, sha256, shard_files
from cvd_core.weights.convert import convert_checkpoint
from cvd_core.weights.exact import load_exact
from cvd_core.weights.kinds import (
    FOR_WAN,
    PLACES,
    CheckpointInfo,
    Kind,
    Place,
    describe_keys,
    identify,
    identify_tensors,
    require_kind,
    unet_layout,
    where_it_belongs,
)
from cvd_core.weights.layouts import (
    camera_tensors,
    diffusers_motion_key,
    is_syncam_key,
    motion_tensors,
    original_unet_path,
    sync_tensors,
    syncam_tensors,
    tensors_under,
)
from cvd_core.weights.lora import LORA_KINDS, LoraFile, LowRank, lora_file, plain_path, read_lora

__all__ = [
    "FOR_WAN",
    "LORA_KINDS",
    "PLACES",
    "Checkpoint",
    "CheckpointInfo",
    "Kind",
    "LoraFile",
    "LowRank",
    "Place",
    "camera_tensors",
    "convert_checkpoint",
    "describe_keys",
    "diffusers_motion_key",
    "identify",
    "identify_tensors",
    "is_index",
    "is_syncam_key",
    "load_exact",
    "lora_file",
    "motion_tensors",
    "original_unet_path",
    "plain_path",
    "read_checkpoint",
    "read_lora",
    "require_kind",
    "sha256",
    "shard_files",
    "sync_tensors",
    "syncam_tensors",
    "tensors_under",
    "unet_layout",
    "where_it_belongs",
]
