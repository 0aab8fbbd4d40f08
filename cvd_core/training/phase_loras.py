"""The paper's two backbones in one network: each phase of the hybrid training has a LoRA of its own (Sec. 4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from cvd_core.engine.sd15.loading import BaseModel
from cvd_core.engine.sd15.lora import apply_lora


class PhaseLoras:
    """Switches a base between weights with one LoRA, with another, and with none.

    Only what the LoRAs change is kept besides the base. The networks that share the base's tensors switch with it.

    Args:
        base: its UNet and text encoder.
        files: LoRA by phase; a phase without one has the plain weights.

    Raises:
        ValueError: a file is no LoRA or does not fit the base.
    """

    def __init__(self, base: BaseModel, files: Mapping[str, Path]) -> None:
        self._parameters = {
            f"{part}.{name}": parameter
            for part, network in (("unet", base.unet), ("text_encoder", base.text_encoder))
            for name, parameter in network.named_parameters()
        }
        plain = {name: parameter.detach().clone() for name, parameter in self._parameters.items()} if files else {}
        self._weights: dict[str, dict[str, Tensor]] = {}
        for phase, file in files.items():
            apply_lora(base, file)
            changed = {n: p.detach().clone() for n, p in self._parameters.items() if not torch.equal(p, plain[n])}
            self._weights[phase] = changed
            self._write({name: plain[name] for name in changed})
        touched = {name for changed in self._weights.values() for name in changed}
        self._plain = {name: plain[name] for name in touched}
        self._phase = ""

    def use(self, phase: str) -> None:
        """Give the networks the weights of ``phase``."""
        if phase != self._phase:
            self._write(self._plain | self._weights.get(phase, {}))
            self._phase = phase

    def _write(self, values: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in values.items():
                self._parameters[name].copy_(value)
