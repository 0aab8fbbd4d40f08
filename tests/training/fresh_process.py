"""A training whose memory is measured in a process of its own, which can import this module by its name."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import torch

from cvd_core.training.config import load_config
from cvd_core.training.sd15_trainer import Sd15Trainer


def training(config: Path, out: Path) -> Callable[[], list[str]]:
    """Trains and exports; gives the names of the parameters that have changed."""

    def checksums(trainer: Sd15Trainer) -> dict[str, int]:
        networks = {"denoiser": trainer.denoiser, "text_encoder": trainer.base.text_encoder, "vae": trainer.base.vae}
        return {
            f"{part}.{name}": zlib.crc32(parameter.detach().contiguous().view(torch.uint8).numpy())
            for part, network in networks.items()
            for name, parameter in network.named_parameters()
        }

    def train() -> list[str]:
        trainer = Sd15Trainer(load_config(config), resume=False)
        before = checksums(trainer)
        trainer.train()
        after = checksums(trainer)
        trainer.export(out)
        return [name for name, value in after.items() if value != before[name]]

    return train
