"""Any known checkpoint as a safetensors file in the flat layout other programs read."""

from __future__ import annotations

import os
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from cvd_core.files import atomic_path
from cvd_core.weights.checkpoint import Checkpoint, read_checkpoint, sha256
from cvd_core.weights.kinds import CheckpointInfo, Kind, identify
from cvd_core.weights.layouts import camera_tensors, motion_tensors, sync_tensors, syncam_tensors


def convert_checkpoint(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> CheckpointInfo:
    """Write ``source`` as safetensors: wrappers removed, keys and numbers as they are, optimizer state left out.

    A nested CameraCtrl checkpoint becomes the flat file AnimateDiff-Evolved reads. The header keeps what the source
    recorded about itself, plus ``kind``, ``source`` (its file name) and ``source_sha256``.

    Returns:
        What was converted.

    Raises:
        ValueError: ``source`` cannot be read or is of no known kind, ``target`` is ``source``, has another extension
            than ``.safetensors`` or cannot be written (a full disk).
    """
    source, target = Path(source), Path(target)
    if target.suffix.lower() != ".safetensors":
        raise ValueError(f"cannot convert to {target}; name the output something.safetensors")
    checkpoint = read_checkpoint(source)
    if target.exists() and target.samefile(source):
        raise ValueError(f"{source} cannot be converted onto itself; choose another output name")
    tensors = checkpoint.tensors
    info = identify(checkpoint)
    if info.kind is Kind.UNKNOWN:
        raise ValueError(
            f"{source} is {info.label}, so it was not converted; its keys start with {next(iter(tensors))}"
        )
    metadata = checkpoint.metadata | {
        "format": "pt",
        "kind": info.kind.name.lower(),
        "source": source.name,
        "source_sha256": sha256(source),
    }
    with atomic_path(target) as temporary:
        try:
            save_file(_own_storage(_flat(checkpoint, info.kind)), temporary, metadata=metadata)
        except SafetensorError as error:  # among them the file system's own
            raise ValueError(f"cannot write {target}: {error}; choose a place with room for it") from error
    return info


def _flat(checkpoint: Checkpoint, kind: Kind) -> dict[str, Tensor]:
    if kind is Kind.CAMERA:
        encoder, merge = camera_tensors(checkpoint)
        return encoder | merge
    if kind is Kind.SYNC:
        return sync_tensors(checkpoint)
    if kind is Kind.SYNCAM:
        return syncam_tensors(checkpoint)
    if kind is Kind.MOTION:
        return motion_tensors(checkpoint)
    return checkpoint.tensors


def _own_storage(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors that share no memory: safetensors stores each one whole."""
    seen: set[int] = set()
    separate: dict[str, Tensor] = {}
    for key, value in tensors.items():
        storage = value.untyped_storage().data_ptr()
        shared = storage in seen or value.untyped_storage().nbytes() != value.numel() * value.element_size()
        seen.add(storage)
        separate[key] = value.contiguous().clone() if shared else value.contiguous()
    return separate
