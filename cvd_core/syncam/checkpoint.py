"""Loading SynCamMaster's modules from a file of their own, or from the released one, which also holds a Wan."""

from __future__ import annotations

import os
import re
from typing import Any

import torch
from torch import nn

from cvd_core.syncam.module import HEAD_WIDTH, SynCamModules
from cvd_core.weights import load_exact, read_checkpoint, syncam_tensors


def load_syncam(
    path: str | os.PathLike[str], *, dtype: torch.dtype | None = None, ops: Any = nn, head_width: int = HEAD_WIDTH
) -> SynCamModules:
    """The modules of a checkpoint, with the width and number of blocks that its tensors have.

    Args:
        path: ``step20000.ckpt`` (read without running code; the Wan in it is left alone) or a ``.safetensors`` of the
            modules.
        dtype: of the parameters; None keeps the file's.
        ops: namespace of the layers; a host may bring its own.
        head_width: channels of an attention head, which the tensors do not tell.

    Raises:
        ValueError: the file is something else (the message says what and where it belongs), or tensors are missing,
            unexpected or of another shape (the message names them).
    """
    state = syncam_tensors(read_checkpoint(path))
    blocks = len({m[1] for key in state if (m := re.match(r"blocks\.(\d+)\.", key))})
    widths = [value.shape[-1] for key, value in state.items() if key.endswith(".modulation_mvs") and value.ndim]
    width = widths[0] if widths else head_width
    if width <= 0 or width % head_width:
        raise ValueError(f"{path} has blocks of width {width}; expected a multiple of {head_width} - get it again")
    with torch.device("meta"):
        modules = SynCamModules(blocks, width, width // head_width, ops)
    load_exact(modules, state, file=str(path), what="SynCamMaster module", dtype=dtype)
    return modules.eval().requires_grad_(False)
