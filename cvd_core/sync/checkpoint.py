"""Loading the released ``CVD.ckpt`` and anything with its tensors, or with those of one attention per module."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from cvd_core.sync.module import ATTENTIONS, SyncModules
from cvd_core.weights import identify, load_exact, read_checkpoint, sync_tensors, unet_layout


def load_sync_modules(path: str | os.PathLike[str], *, dtype: torch.dtype | None = None, ops: Any = nn) -> SyncModules:
    """The sync modules of a checkpoint, with the widths and the attentions per module that its tensors have.

    Args:
        path: ``CVD.ckpt`` (read without running code) or a ``.safetensors`` converted from it.
        dtype: of the parameters; None keeps the file's.
        ops: namespace of the layers; a host may bring its own.

    Raises:
        ValueError: the file is something else (the message says what and where it belongs), or tensors are missing,
            unexpected or of another shape (the message names them).
    """
    checkpoint = read_checkpoint(path)
    state = sync_tensors(checkpoint)
    widths, layers = unet_layout(identify(checkpoint), file=checkpoint.path.name)
    with torch.device("meta"):
        modules = SyncModules(widths, ops, layers_per_block=layers, attentions=_attentions(state))
    load_exact(modules, state, file=str(path), what="sync module", dtype=dtype)
    return modules.eval().requires_grad_(False)


def _attentions(keys: Iterable[str]) -> int:
    """Attentions per module; those of the released file if too much is missing to tell."""
    return len({m[1] for key in keys if (m := re.search(r"\.attention_blocks\.(\d+)\.", key))}) or ATTENTIONS
