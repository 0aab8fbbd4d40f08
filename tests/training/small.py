"""A training small enough for tests: two levels, 16 clips of 32x32 pixels, two steps per stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from cvd_core.training.config import TrainConfig
from cvd_core.training.config_parts import SD15_STAGES


def small_values(folder: Path) -> dict[str, Any]:
    """As a YAML file has it; every step is saved."""
    loop = {"steps": 2, "batch": 4, "learning_rate": 1e-3, "warmup": 1, "log_every": 1, "save_seconds": 0}
    return {
        "output": str(folder),
        "stages": {name: dict(loop) for name in SD15_STAGES},
        "data": {"size": 32, "frames": 3, "clips": 16, "dynamic": 0.5},
        "networks": {"widths": [32, 32], "autoencoder_width": 8, "text_width": 16, "text_layers": 1},
    }


def small_config(folder: Path) -> TrainConfig:
    """The same as a value."""
    return TypeAdapter(TrainConfig).validate_python(small_values(folder))
