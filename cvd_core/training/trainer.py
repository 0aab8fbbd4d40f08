"""A whole training: all stages of a configuration in order, each from where it stopped."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from contextlib import nullcontext
from pathlib import Path

import torch

from cvd_core.output_folder import complete_folder, one_writer
from cvd_core.training.checkpoint import CHECKPOINT, load_average, load_checkpoint
from cvd_core.training.config import TrainConfig
from cvd_core.training.config_parts import STAGES, StageName
from cvd_core.training.loop import train_stage
from cvd_core.training.metrics import check_tensorboard
from cvd_core.training.processes import processes
from cvd_core.training.stage import Stage


class Trainer(ABC):
    """Trains the stages of a configuration, and writes what they learned as model files.

    Each family of base models has its own; :func:`.trainers.trainer_for` finds it. Networks are made, or loaded, when
    they are first needed.

    Args:
        config: of the training.
        resume: continue stages from their checkpoints.
    """

    def __init__(self, config: TrainConfig, *, resume: bool) -> None:
        self.config = config
        self.resume = resume

    @abstractmethod
    def stage(self, name: StageName) -> Stage:
        """The stage ``name`` with the networks as they are."""

    @abstractmethod
    def exported(self, trained: Collection[StageName]) -> list[str]:
        """Names of the files and folders that :meth:`write` makes after some stages.

        Raises:
            ValueError: nothing that can be used has been trained yet.
        """

    @abstractmethod
    def write(self, folder: Path, trained: Collection[StageName], dtype: torch.dtype) -> None:
        """Write the networks as model files, as they are."""

    def train(self) -> None:
        """Run every stage that is not finished; Ctrl-C saves and stops.

        Raises:
            ValueError: something that the configuration asks for is missing on this machine, a checkpoint is damaged or
                of another configuration, or another process trains into the output folder.
        """
        if self.config.precision == "fp16" and not torch.cuda.is_available():
            raise ValueError("the configuration says `precision: fp16`, which takes a GPU; a CPU has bf16 and no")
        if self.config.tensorboard:
            check_tensorboard()
        done = self._steps_done()  # of all stages, before the first of them takes its time
        for name in self._stages:
            if 0 < done.get(name, 0) < self.config.stages[name].steps and not self.resume:
                raise ValueError(
                    f"{self._checkpoint(name)} exists; continue it with `resume`, or choose another output folder"
                )
        with one_writer(self.config.output) if processes().is_main_process else nullcontext():
            self._train_stages(done)

    def load(self) -> list[StageName]:
        """Give the networks the averaged weights that there are; returns the stages that have some, finished or not.

        Raises:
            ValueError: a checkpoint is damaged or of another configuration.
        """
        found = [name for name in STAGES if self._checkpoint(name).exists()]
        for name in found:
            load_average(self.stage(name), self._checkpoint(name))
        return found

    def export(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write the averaged weights of all stages as model files, readable by ``cvd generate``.

        Args:
            folder: receives files named as in :data:`.MODEL_FILES`.
            dtype: of the weights.

        Raises:
            ValueError: nothing that can be used has been trained yet, a checkpoint is damaged, or ``folder`` holds such
                files already.
        """
        trained = self._steps_done()
        with complete_folder(folder, self.exported(trained)) as unfinished:
            self.load()
            self.write(unfinished, trained, dtype)

    def check_exportable(self, trained: Collection[StageName], stage: StageName) -> None:
        """Raise ValueError unless something has been ``trained`` by the only ``stage`` there is."""
        if not trained:
            raise ValueError(
                f"{self.config.output} has no checkpoints; expected one of the stage {stage}, to export it"
            )

    @property
    def _stages(self) -> list[StageName]:
        return [name for name in STAGES if name in self.config.stages]

    def _checkpoint(self, name: StageName) -> Path:
        return self.config.output / name / CHECKPOINT

    def _steps_done(self) -> dict[StageName, int]:
        """Steps of every stage that has a checkpoint."""
        return {name: load_checkpoint(file).step for name in STAGES if (file := self._checkpoint(name)).exists()}

    def _train_stages(self, done: dict[StageName, int]) -> None:
        for name in self._stages:
            config, stage, checkpoint = self.config.stages[name], self.stage(name), self._checkpoint(name)
            if done.get(name, -1) >= config.steps:
                load_average(stage, checkpoint)
                continue
            stage.prepare()  # inside the loop, Ctrl-C would wait for it
            if self.config.gradient_checkpointing:
                stage.enable_gradient_checkpointing()
            train_stage(
                stage,
                config,
                checkpoint.parent,
                precision=self.config.precision,
                tensorboard=self.config.tensorboard,
                resume=self.resume,
            ).copy()
            stage.finish()
