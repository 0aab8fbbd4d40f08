"""A whole training: all stages of a configuration in order, each from where it stopped."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from cvd_core.engine.model_paths import MODEL_FILES
from cvd_core.engine.sd15.loading import BaseModel
from cvd_core.engine.sd15.patch_autoencoder import PatchAutoencoder
from cvd_core.engine.sd15.unet import CollaborativeUNet
from cvd_core.output_folder import complete_folder, one_writer
from cvd_core.training.autoencoder_stage import AutoencoderStage
from cvd_core.training.checkpoint import CHECKPOINT, load_average, load_checkpoint
from cvd_core.training.config import STAGES, StageName, TrainConfig
from cvd_core.training.data.folders import RealEstate10KPairs, VideoPairs
from cvd_core.training.data.latents import latent_pairs
from cvd_core.training.data.source import FolderSource, PairSource
from cvd_core.training.diffusion_stage import DiffusionStage, ImageStage, Material
from cvd_core.training.initial import load_networks, new_base, new_denoiser
from cvd_core.training.loop import train_stage
from cvd_core.training.metrics import check_tensorboard
from cvd_core.training.new_networks import save_denoiser, save_tensors
from cvd_core.training.phase_loras import PhaseLoras
from cvd_core.training.processes import processes
from cvd_core.training.stage import Stage
from cvd_core.training.sync_stage import SyncStage
from cvd_core.training.tokenizer import TOKENIZER, tokenize
from cvd_core.training.video_stage import VideoStage


class Trainer:
    """Trains the stages of a configuration, and writes what they learned as model files.

    Networks are made, or loaded, when they are first needed.

    Args:
        config: of the training.
        resume: continue stages from their checkpoints.
        source: clips of all stages after the autoencoder, such as those of an earlier training on the same autoencoder;
            None: what the configuration says.
    """

    def __init__(self, config: TrainConfig, *, resume: bool, source: PairSource | None = None) -> None:
        self.config = config
        self.resume = resume
        self._given = source

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

        Files of the model to start from that no stage has trained are copied as they are.

        Args:
            folder: receives ``base/``, ``motion.safetensors``, ``camera.safetensors`` and, if trained,
                ``sync.safetensors``.

        Raises:
            ValueError: there is no checkpoint of a stage with videos yet, one is damaged, or ``folder`` holds such
                files already.
        """
        trained = self._steps_done()
        start = self.config.start_from
        if start is None and "video" not in trained:
            there = f"checkpoints of {', '.join(trained)}" if trained else "no checkpoints"
            raise ValueError(f"{self.config.output} has {there}; expected one of the stage video, to export a model")
        with_sync = "sync" in trained or (start is not None and (start / MODEL_FILES.sync).exists())
        names = [MODEL_FILES.base, MODEL_FILES.motion, MODEL_FILES.camera, *[MODEL_FILES.sync] * with_sync]
        with complete_folder(folder, names) as unfinished:
            self.load()
            if start is not None and trained.keys() <= {"sync"}:
                shutil.copytree(start / MODEL_FILES.base, unfinished / MODEL_FILES.base)
                for name in (MODEL_FILES.motion, MODEL_FILES.camera):
                    shutil.copy2(start / name, unfinished / name)
            else:
                tokenizer = self.config.output if start is None else start / MODEL_FILES.base
                shutil.copytree(tokenizer / TOKENIZER, unfinished / MODEL_FILES.base / TOKENIZER)
                save_denoiser(self.denoiser, self.base, unfinished, dtype)
            if with_sync:
                assert self.denoiser.sync is not None
                save_tensors(self.denoiser.sync.state_dict(), unfinished / MODEL_FILES.sync, dtype)

    def stage(self, name: StageName) -> Stage:
        """The stage ``name`` with the networks as they are."""
        if name == "autoencoder":
            assert isinstance(self.base.vae, PatchAutoencoder)
            return AutoencoderStage(self.base.vae, self.config)
        material = Material(self.config, lambda: self.source, self.base.text_encoder, self._tokenize([""])[0])
        if name == "images":
            return ImageStage(self.base.unet, material)
        if name == "video":
            return VideoStage(self.denoiser, material)
        files = {"camera": self.config.sync.camera_lora, "video": self.config.sync.video_lora}
        loras = PhaseLoras(self.base, {phase: file for phase, file in files.items() if file is not None})
        return SyncStage(self.denoiser, material, loras)

    @property
    def base(self) -> BaseModel:
        """The base model; its UNet is trained by the stage "images" alone."""
        return self._networks[0]

    @cached_property
    def denoiser(self) -> CollaborativeUNet:
        """The base's UNet with motion, camera and sync modules; from nothing, made of the UNet as it is by then."""
        return self._networks[1] or new_denoiser(self.base, self.config)

    @cached_property
    def _networks(self) -> tuple[BaseModel, CollaborativeUNet | None]:
        if self.config.start_from is None:
            return new_base(self.config), None
        return load_networks(self.config.start_from, self.config)

    @cached_property
    def source(self) -> PairSource:
        """The clips of all stages after the autoencoder: the configured folders, or else procedural scenes."""
        return self._given or (self._procedural() if self.config.folders is None else self._from_folders())

    def _procedural(self) -> PairSource:
        vae = self.base.vae.eval().requires_grad_(False)
        with processes().main_process_first():  # the others then find the files
            return latent_pairs(self.config.output / "latents", vae, self._tokenize, self.config.data, self.config.seed)

    def _from_folders(self) -> PairSource:
        folders, data = self.config.folders, self.config.data
        assert folders is not None
        clip = (data.frames, data.size, data.size, self.config.seed)
        with_cameras = RealEstate10KPairs(folders.realestate10k, *clip) if folders.realestate10k else None
        without = VideoPairs(folders.videos, *clip) if folders.videos else None
        for pairs in (with_cameras, without):
            for prompt in () if pairs is None else pairs.prompts():
                self._tokenize([prompt])  # now, not when its clip is drawn
        vae = self.base.vae.eval().requires_grad_(False)
        return FolderSource(with_cameras, without, vae, self._tokenize, self.config.seed)

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
            if isinstance(stage, DiffusionStage):
                stage.clips()  # made now if need be: inside the loop, Ctrl-C would wait for them
                if self.config.gradient_checkpointing:
                    stage.unet.enable_gradient_checkpointing()
            train_stage(
                stage,
                config,
                checkpoint.parent,
                precision=self.config.precision,
                tensorboard=self.config.tensorboard,
                resume=self.resume,
            ).copy()
            if isinstance(stage, SyncStage):
                stage.loras.use("none")

    def _tokenize(self, prompts: list[str]) -> Tensor:
        return tokenize(self.base.tokenizer, prompts, int(self.base.text_encoder.config.max_position_embeddings))
