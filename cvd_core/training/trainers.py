"""Which training goes with a configuration."""

from __future__ import annotations

from cvd_core.training.config import TrainConfig
from cvd_core.training.trainer import Trainer


def trainer_for(config: TrainConfig, *, resume: bool) -> Trainer:
    """The training of the configuration's stages, see :class:`Trainer`."""
    # Imported when it is known which: diffusers' classes take seconds.
    if "syncam" in config.stages:
        from cvd_core.training.syncam_trainer import SynCamTrainer

        return SynCamTrainer(config, resume=resume)
    if "cami2v" in config.stages:
        from cvd_core.training.cami2v_trainer import CamI2VTrainer

        return CamI2VTrainer(config, resume=resume)
    from cvd_core.training.sd15_trainer import Sd15Trainer

    return Sd15Trainer(config, resume=resume)
