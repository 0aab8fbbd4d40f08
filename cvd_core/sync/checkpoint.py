"""Loading the released ``CVD.ckpt`` and anything with its tensors."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import nn

from cvd_core.sync.module import SyncModules
from cvd_core.weights import load_exact, read_checkpoint, sync_tensors


def load_sync_modules(path: str | os.PathLike[str], *, dtype: torch.dtype | None = None, ops: Any = nn) -> SyncModules:
    """The sync modules of a checkpoint, at the widths its tensors have.

    Args:
        path: ``CVD.ckpt`` (read without running code) or a ``.safetensors`` of it.
        dtype: of the parameters; None keeps the file's.
        ops: namespace of the layers; a host may bring its own.

    Raises:
        ValueError: the file is something else (the message says what and where it belongs), or tensors are missing,
            unexpected or of another shape (the message names them).
    """
    state = sync_tensors(read_checkpoint(path))
    widths = [
        state[f"down_blocks.{block}.epi_modules.0.epi_transformer.norm.weight"].shape[0]
        for block in range(len({key.split(".")[1] for key in state if key.startswith("down_blocks.")}))
    ]
    with torch.device("meta"):
        modules = SyncModules(widths, ops)
    load_exact(modules, state, file=str(path), what="sync module", dtype=dtype)
    return modules.eval().requires_grad_(False)
