"""The training of CVD and what it stands on: autoencoder, UNet, motion modules, camera control, sync modules."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from cvd_core.engine.model_paths import MODEL_FILES
from cvd_core.engine.sd15.loading import BaseModel
from cvd_core.engine.sd15.patch_autoencoder import PatchAutoencoder
from cvd_core.engine.sd15.unet import CollaborativeUNet
from cvd_core.training.autoencoder_stage import AutoencoderStage
from cvd_core.training.config import TrainConfig
from cvd_core.training.config_parts import StageName
from cvd_core.training.consistency_stage import ConsistencyStage
from cvd_core.training.data.folders import RealEstate10KViews, VideoViews
from cvd_core.training.data.latents import latent_views
from cvd_core.training.data.source import FolderSource, ViewsSource
from cvd_core.training.diffusion_stage import ImageStage, Material
from cvd_core.training.initial import load_networks, new_base, new_denoiser
from cvd_core.training.new_networks import save_denoiser, save_tensors
from cvd_core.training.phase_loras import PhaseLoras
from cvd_core.training.processes import processes
from cvd_core.training.stage import Stage
from cvd_core.training.sync_stage import SyncStage
from cvd_core.training.tokenizer import TOKENIZER, tokenize
from cvd_core.training.trainer import Trainer
from cvd_core.training.video_stage import VideoStage

LORA = "few-steps.safetensors"
"""What the stage consistency exports."""


class Sd15Trainer(Trainer):
    """Stages of Stable Diffusion 1.5's family.

    Args:
        config, resume: see :class:`Trainer`.
        source: clips of all stages after the autoencoder, such as those of an earlier training on the same autoencoder;
            None: what the configuration says.
    """

    def __init__(self, config: TrainConfig, *, resume: bool, source: ViewsSource | None = None) -> None:
        super().__init__(config, resume=resume)
        self._given = source

    def stage(self, name: StageName) -> Stage:
        if name == "autoencoder":
            assert isinstance(self.base.vae, PatchAutoencoder)
            return AutoencoderStage(self.base.vae, self.config)
        if name == "images":
            return ImageStage(self.base.unet, self._material)
        if name == "video":
            return VideoStage(self.denoiser, self._material)
        if name == "consistency":
            return self._distillation
        files = {"camera": self.config.sync.camera_lora, "video": self.config.sync.video_lora}
        loras = PhaseLoras(self.base, {phase: file for phase, file in files.items() if file is not None})
        return SyncStage(self.denoiser, self._material, loras)

    def exported(self, trained: Collection[StageName]) -> list[str]:
        if "consistency" in self.config.stages:
            self.check_exportable(trained, "consistency")
            return [LORA]
        start = self.config.start_from
        if start is None and "video" not in trained:
            there = f"checkpoints of {', '.join(trained)}" if trained else "no checkpoints"
            raise ValueError(f"{self.config.output} has {there}; expected one of the stage video, to export a model")
        with_sync = "sync" in trained or (start is not None and (start / MODEL_FILES.sync).exists())
        return [MODEL_FILES.base, MODEL_FILES.motion, MODEL_FILES.camera, *[MODEL_FILES.sync] * with_sync]

    def write(self, folder: Path, trained: Collection[StageName], dtype: torch.dtype) -> None:
        """Write the networks; files of the model to start from that no stage has trained are copied as they are.

        Of the stage consistency its LoRA alone, for any model of the same base.
        """
        if "consistency" in trained:
            save_tensors(self._distillation.lora(), folder / LORA, dtype)
            return
        start = self.config.start_from
        if start is not None and set(trained) <= {"sync"}:
            shutil.copytree(start / MODEL_FILES.base, folder / MODEL_FILES.base)
            for name in (MODEL_FILES.motion, MODEL_FILES.camera):
                shutil.copy2(start / name, folder / name)
        else:
            tokenizer = self.config.output if start is None else start / MODEL_FILES.base
            shutil.copytree(tokenizer / TOKENIZER, folder / MODEL_FILES.base / TOKENIZER)
            save_denoiser(self.denoiser, self.base, folder, dtype)
        if MODEL_FILES.sync in self.exported(trained):
            assert self.denoiser.sync is not None
            save_tensors(self.denoiser.sync.state_dict(), folder / MODEL_FILES.sync, dtype)

    @property
    def base(self) -> BaseModel:
        """The base model; its UNet is trained by the stage "images" alone."""
        return self._networks[0]

    @cached_property
    def denoiser(self) -> CollaborativeUNet:
        """The base's UNet with motion, camera and sync modules; from nothing, made of the UNet as it is by then."""
        return self._networks[1] or new_denoiser(self.base, self.config)

    @cached_property
    def _distillation(self) -> ConsistencyStage:
        """Made once: it holds what it trains."""
        return ConsistencyStage(self.denoiser, self._material)

    @cached_property
    def _material(self) -> Material:
        return Material(self.config, lambda: self.source, self.base.text_encoder, self._tokenize([""])[0])

    @cached_property
    def _networks(self) -> tuple[BaseModel, CollaborativeUNet | None]:
        if self.config.start_from is None:
            return new_base(self.config), None
        return load_networks(self.config.start_from, self.config)

    @cached_property
    def source(self) -> ViewsSource:
        """The clips of all stages after the autoencoder: the configured folders, or else procedural scenes."""
        return self._given or (self._procedural() if self.config.folders is None else self._from_folders())

    def _procedural(self) -> ViewsSource:
        vae = self.base.vae.eval().requires_grad_(False)
        with processes().main_process_first():  # the others then find the files
            return latent_views(self.config.output / "latents", vae, self._tokenize, self.config.data, self.config.seed)

    def _from_folders(self) -> ViewsSource:
        folders, data = self.config.folders, self.config.data
        assert folders is not None
        clip = (data.frames, data.size, data.size, self.config.seed)
        static = RealEstate10KViews(folders.realestate10k, *clip) if folders.realestate10k else None
        moving = VideoViews(folders.videos, *clip) if folders.videos else None
        for clips in (static, moving):
            for prompt in () if clips is None else clips.prompts():
                self._tokenize([prompt])  # now, not when its clip is drawn
        vae = self.base.vae.eval().requires_grad_(False)
        return FolderSource(static, moving, vae, self._tokenize, self.config.seed)

    def _tokenize(self, prompts: list[str]) -> Tensor:
        return tokenize(self.base.tokenizer, prompts, int(self.base.text_encoder.config.max_position_embeddings))
