"""Model files: reading them safely, telling what they are, and loading them so that no key goes missing unnoticed."""

from cvd_core.weights.checkpoint import Checkpoint, read_checkpoint, sha256
from cvd_core.weights.convert import convert_checkpoint
from cvd_core.weights.exact import load_exact
from cvd_core.weights.kinds import (
    PLACES,
    CheckpointInfo,
    Kind,
    Place,
    describe_keys,
    identify,
    identify_tensors,
    require_kind,
    unet_layout,
)
from cvd_core.weights.layouts import (
    camera_tensors,
    diffusers_motion_key,
    is_syncam_key,
    motion_tensors,
    sync_tensors,
    syncam_tensors,
)

__all__ = [
    "PLACES",
    "Checkpoint",
    "CheckpointInfo",
    "Kind",
    "Place",
    "camera_tensors",
    "convert_checkpoint",
    "describe_keys",
    "diffusers_motion_key",
    "identify",
    "identify_tensors",
    "is_syncam_key",
    "load_exact",
    "motion_tensors",
    "read_checkpoint",
    "require_kind",
    "sha256",
    "sync_tensors",
    "syncam_tensors",
    "unet_layout",
]
