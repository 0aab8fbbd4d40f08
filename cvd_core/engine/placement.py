"""Where networks compute, and in what type."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn

from cvd_core.fields import FieldError
from cvd_core.sampling.team import ALONE, Team

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
"""The types networks can compute in, by the names used on the command line and in run records."""


@dataclass(frozen=True)
class Placement:
    """Where the networks of a pipeline compute.

    Attributes:
        device: of their work.
        dtype: of all their weights.
        offload: keep every network in main memory and move it to ``device`` only while it works.
        team: the processes that make one run together, each with all networks.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    dtype: torch.dtype = torch.float32
    offload: bool = False
    team: Team = ALONE

    @staticmethod
    def choose(
        device: str | torch.device = "auto", dtype: str | torch.dtype = "auto", offload: bool = False
    ) -> Placement:
        """A placement by names; see :func:`choose_device` and :func:`choose_dtype`."""
        chosen = choose_device(str(device))
        return Placement(chosen, choose_dtype(str(dtype).removeprefix("torch."), chosen), offload)

    @property
    def dtype_name(self) -> str:
        """A key of :data:`DTYPES`."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def device_name(self) -> str:
        """As :func:`choose_device` takes it; of a GPU among those of a team without its number."""
        return str(self.device) if self.team.count == 1 else self.device.type

    def settle(self, *networks: nn.Module) -> None:
        """Move networks to the device, unless they go there only for their work."""
        if not self.offload:
            for network in networks:
                network.to(self.device)

    @contextmanager
    def working(self, network: nn.Module) -> Iterator[None]:
        """Have a network on the device inside the block."""
        if self.offload:
            network.to(self.device)
        try:
            yield
        finally:
            if self.offload:
                network.to("cpu")


def choose_device(name: str = "auto") -> torch.device:
    """The device called ``name``, e.g. ``cpu`` or ``cuda:1``; ``auto`` takes a GPU if there is one.

    Raises:
        FieldError: there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise FieldError(
            "device", f"{name!r} cannot be used here ({reason}); expected auto, cpu, cuda or mps"
        ) from error
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The type called ``name``, a key of :data:`DTYPES`; ``auto``: float16 on a GPU, float32 on the CPU.

    Raises:
        FieldError: another name.
    """
    if name == "auto":
        return torch.float32 if device.type == "cpu" else torch.float16
    if name not in DTYPES:
        raise FieldError("dtype", f"is {name!r}; expected auto, {', '.join(DTYPES)}")
    return DTYPES[name]
