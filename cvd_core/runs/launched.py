"""Runs under torchrun or ``accelerate launch``: which process this is, and which GPU is its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from cvd_core.engine.placement import Placement
from cvd_core.fields import FieldError
from cvd_core.sampling.team import ALONE, Team


def processes_launched() -> int:
    """How many processes a launcher started, 1 without one: all of them say so in their environment."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def launched_team() -> Iterator[Team]:
    """This process among those that were launched, connected with each other inside the block."""
    if processes_launched() == 1:
        yield ALONE
        return
    from cvd_core.training.processes import processes

    state = processes()
    yield Team(state.process_index, state.num_processes, state.device)
    state.destroy_process_group()  # not after an error: others may be waiting, and would be waited for


def placed(placement: Placement, team: Team = ALONE) -> Placement:
    """A placement on the GPU of this process among those that were launched on this machine, with its team.

    Raises:
        FieldError: the placement names one GPU for all of them.
    """
    device = placement.device
    placement = replace(placement, team=team)
    if processes_launched() == 1 or device.type != "cuda":
        return placement
    if device.index is not None:
        raise FieldError(
            "device",
            f"is {device} for {processes_launched()} processes; leave out the number, each takes a GPU of its own",
        )
    own = int(os.environ.get("LOCAL_RANK", "0"))
    if own >= torch.cuda.device_count():
        raise FieldError("device", f"is cuda: process {own} of this machine finds {torch.cuda.device_count()} GPUs")
    return replace(placement, device=torch.device("cuda", own))
