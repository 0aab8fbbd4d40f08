"""What each of two processes trains in :mod:`tests.training.test_processes`; started with torchrun.

python -m torch.distributed.run --nproc-per-node 2 -m tests.training.two_processes FOLDER
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from cvd_core.sampling.draws import seeded_generator
from cvd_core.training.config_parts import LoopConfig
from cvd_core.training.loop import train_stage
from cvd_core.training.processes import processes
from cvd_core.training.sd15_trainer import Sd15Trainer
from cvd_core.training.stage import Stage, StageBatch
from tests.training.small import small_config

LOOP = LoopConfig(steps=6, batch=3, learning_rate=0.1, warmup=1, ema=0.5, clip=0.5, log_every=1)


class Plane(Stage):
    """Fits a plane to points that depend on their position in the batch alone.

    Args:
        interrupt_at: step in which this process is told to stop.
    """

    def __init__(self, interrupt_at: int | None = None) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)
        self.interrupt_at = interrupt_at

    def batch(self, step: int, positions: Sequence[int]) -> StageBatch:
        if step == self.interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)
        return {"x": torch.stack([torch.randn(4, generator=seeded_generator("plane", step, p)) for p in positions])}

    def forward(self, batch: StageBatch) -> dict[str, Tensor]:
        x = batch["x"]
        return {"loss": (self.layer(x)[:, 0] - x.sum(1) - 1).square().mean()}


def main(folder: Path) -> None:
    """Train a plane, a plane with an interruption of the second process alone, and a whole small run."""
    rank = processes().process_index
    plane = Plane()
    average = train_stage(plane, LOOP, folder / "plane")
    tensors = {f"plane.{name}": value for name, value in plane.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in zip(average.names, average.values, strict=True)}
    interrupted = Plane(interrupt_at=3 if rank == 1 else None)
    try:
        train_stage(interrupted, LOOP, folder / "interrupted")
    except KeyboardInterrupt:
        tensors |= {f"interrupted.{name}": value for name, value in interrupted.state_dict().items()}
    trainer = Sd15Trainer(replace(small_config(folder / "run"), gradient_checkpointing=True), resume=False)
    trainer.train()
    trained = {"denoiser": trainer.denoiser, "text_encoder": trainer.base.text_encoder, "vae": trainer.base.vae}
    for part, network in trained.items():
        tensors |= {f"{part}.{name}": value.clone() for name, value in network.named_parameters()}
    save_file({name: value.detach().clone() for name, value in tensors.items()}, folder / f"{rank}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
