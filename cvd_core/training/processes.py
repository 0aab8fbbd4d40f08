"""The processes that train together: one, or as many as torchrun or ``accelerate launch`` started."""

from __future__ import annotations

from datetime import timedelta

import torch
from accelerate import PartialState

LONGEST_WAIT = timedelta(days=1)
"""For the process that renders and encodes the data of all."""


def processes() -> PartialState:
    """This process among them; on a GPU each if there are any, else on the CPU."""
    return PartialState(cpu=not torch.cuda.is_available(), timeout=LONGEST_WAIT)
