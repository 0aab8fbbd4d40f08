"""A training run small enough for tests: two levels, 16 clips of 32x32 pixels."""

from __future__ import annotations

from pathlib import Path

from cvd_core.training.config import DataConfig, LoopConfig, NetworkConfig, TrainConfig
from cvd_core.training.trainer import STAGES


def small_config(folder: Path) -> TrainConfig:
    """Two steps per stage."""
    loop = LoopConfig(steps=2, batch=4, learning_rate=1e-3, warmup=1, log_every=1)
    return TrainConfig(
        output=folder,
        stages=dict.fromkeys(STAGES, loop),
        data=DataConfig(size=32, frames=3, clips=16, dynamic=0.5),
        networks=NetworkConfig(widths=(32, 32), autoencoder_width=8, text_width=16, text_layers=1),
    )
