"""Which files a run's networks come from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class ModelFiles:
    """Names in the folder of a whole model, as ``cvd train --export`` writes it."""

    base: str = "base"
    motion: str = "motion.safetensors"
    camera: str = "camera.safetensors"
    sync: str = "sync.safetensors"


MODEL_FILES = ModelFiles()
NOISE_SCHEDULE_FILE = "scheduler/scheduler_config.json"
"""In a diffusers folder; says what its network predicts."""


@dataclass(frozen=True)
class ModelPaths:
    """The files of a run.

    Attributes:
        base: SD1.5 model, a diffusers folder or a single file; Wan 2.1; or the whole file of CamI2V or DynamiCrafter.
        motion: AnimateDiff v3 motion module.
        camera: CameraCtrl, or what CamI2V trained on DynamiCrafter; None: the videos do not follow their cameras.
        sync: CVD's sync modules; None: the videos are independent of each other, the baseline.
        loras: files and strengths, merged into the base in this order.
        config: folder with configs and tokenizer for a single-file base.
    """

    base: Path
    motion: Path | None = None
    camera: Path | None = None
    sync: Path | None = None
    loras: tuple[tuple[Path, float], ...] = ()
    config: Path | None = None

    @staticmethod
    def in_folder(folder: Path) -> ModelPaths:
        """All parts of a whole model, named as in :data:`MODEL_FILES`."""
        return ModelPaths(**{part: folder / name for part, name in asdict(MODEL_FILES).items()})
