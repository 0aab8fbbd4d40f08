"""A whole training run: all stages of a configuration in order, each from where it stopped."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from torch import Tensor, nn

from cvd_core.engine.model_paths import MODEL_FILES
from cvd_core.engine.sd15.patch_autoencoder import PatchAutoencoder
from cvd_core.engine.sd15.unet import CollaborativeUNet
from cvd_core.training.autoencoder_stage import AutoencoderStage
from cvd_core.training.config import TrainConfig
from cvd_core.training.data.folders import RealEstate10KPairs, VideoPairs
from cvd_core.training.data.latents import latent_pairs
from cvd_core.training.data.source import FolderSource, PairSource
from cvd_core.training.diffusion_stage import DiffusionStage, ImageStage
from cvd_core.training.initial import load_networks, new_base, new_denoiser
from cvd_core.training.loop import load_checkpoint, train_stage
from cvd_core.training.metrics import check_tensorboard
from cvd_core.training.new_networks import save_denoiser, save_tensors, tokenize
from cvd_core.training.phase_loras import PhaseLoras
from cvd_core.training.processes import processes
from cvd_core.training.stage import Stage
from cvd_core.training.sync_stage import SyncStage
from cvd_core.training.video_stage import VideoStage

STAGES = ("autoencoder", "images", "video", "sync")
"""In the order in which they build on each other."""


class Run:
    """The stages of a configuration.

    Args:
        config: of the run.
        resume: continue stages from their checkpoints.
        source: data of all stages after the autoencoder, such as that of a run before on the same autoencoder; None:
            what the configuration says.

    Raises:
        ValueError: a stage that does not exist, or a model to start from that does not fit.
    """

    def __init__(self, config: TrainConfig, *, resume: bool, source: PairSource | None = None) -> None:
        unknown = sorted(config.stages.keys() - set(STAGES))
        if unknown:
            raise ValueError(f"the configuration has stages {', '.join(unknown)}; expected some of {', '.join(STAGES)}")
        self.config = config
        self.resume = resume
        self.folder = config.output
        self._denoiser: CollaborativeUNet | None = None
        if config.start_from is None:
            self.base = new_base(config)
        else:
            self.base, self._denoiser = load_networks(config.start_from, config)
        self._source = source

    def train(self) -> None:
        """Run every stage that is not finished; Ctrl-C saves and stops.

        Raises:
            ValueError: something that the configuration asks for is missing on this machine.
        """
        if self.config.precision == "fp16" and not torch.cuda.is_available():
            raise ValueError("the configuration says `precision: fp16`, which takes a GPU; a CPU has bf16 and no")
        if self.config.tensorboard:
            check_tensorboard()
        for name in STAGES:
            if name in self.config.stages:
                self._train(name)

    def load(self) -> list[str]:
        """Give the networks the averaged weights that there are; returns the stages that have some, finished or not."""
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
            ValueError: there is no checkpoint of a stage with videos yet.
        """
        found = self.load()
        start = self.config.start_from
        if start is None and "video" not in found:
            there = f"checkpoints of {', '.join(found)}" if found else "no checkpoints"
            raise ValueError(f"{self.folder} has {there}; expected one of the stage video, to export a model")
        synchronised = "sync" in found or (start is not None and (start / MODEL_FILES.sync).exists())
        if start is not None and set(found) <= {"sync"}:
            shutil.copytree(start / MODEL_FILES.base, folder / MODEL_FILES.base, dirs_exist_ok=True)
            for name in (MODEL_FILES.motion, MODEL_FILES.camera):
                shutil.copy2(start / name, folder / name)
        else:
            tokenizer = self.folder / "tokenizer" if start is None else start / MODEL_FILES.base / "tokenizer"
            shutil.copytree(tokenizer, folder / MODEL_FILES.base / "tokenizer", dirs_exist_ok=True)
            save_denoiser(self.denoiser, self.base, folder, dtype)
        if synchronised and self.denoiser.sync is not None:
            save_tensors(self.denoiser.sync.state_dict(), folder / MODEL_FILES.sync, dtype)

    def stage(self, name: str) -> Stage:
        """The stage ``name`` with the run's networks as they are."""
        base, config = self.base, self.config
        if name == "autoencoder":
            assert isinstance(base.vae, PatchAutoencoder)
            base.vae.requires_grad_(True)
            return AutoencoderStage(base.vae, config.data, config.seed)
        empty = self._tokenize([""])[0]
        if name == "images":
            base.unet.requires_grad_(True)
            base.text_encoder.requires_grad_(True)
            share = config.video.camera_share
            return ImageStage(base.unet, base.text_encoder, self.source, config.noise, share, empty, config.seed)
        shared = (self.denoiser, base.text_encoder, self.source, config.noise, config.data)
        if name == "video":
            return VideoStage(*shared, config.video, empty, config.seed)
        files = {"camera": config.sync.camera_lora, "video": config.sync.video_lora}
        given = {phase: file for phase, file in files.items() if file is not None}
        if given and config.start_from is None:
            raise ValueError("sync: camera_lora and video_lora are LoRAs of a model; name it with start_from")
        loras = PhaseLoras(base, given)
        return SyncStage(*shared, config.sync, loras, empty, config.seed)

    @property
    def denoiser(self) -> CollaborativeUNet:
        """Made from the base's UNet when it is first asked for."""
        if self._denoiser is None:
            self._denoiser = new_denoiser(self.base, self.config)
        return self._denoiser

    @property
    def source(self) -> PairSource:
        """The data of all stages after the autoencoder: the configured folders, or else procedural scenes."""
        if self._source is None:
            vae, config, folders = self.base.vae.eval().requires_grad_(False), self.config, self.config.folders
            clip = (config.data.frames, config.data.size, config.data.size, config.seed)
            if folders is None:
                with processes().main_process_first():  # the others then find the files
                    self._source = latent_pairs(self.folder / "latents", vae, self._tokenize, config.data, config.seed)
            else:
                with_cameras = RealEstate10KPairs(folders.realestate10k, *clip) if folders.realestate10k else None
                without = VideoPairs(folders.videos, *clip) if folders.videos else None
                self._source = FolderSource(with_cameras, without, vae, self._tokenize, config.seed)
        return self._source

    def _checkpoint(self, name: str) -> Path:
        return self.folder / name / "checkpoint.pt"

    def _train(self, name: str) -> None:
        config, checkpoint = self.config.stages[name], self._checkpoint(name)
        stage = self.stage(name)
        if checkpoint.exists() and int(load_checkpoint(checkpoint)["step"]) >= config.steps:
            load_average(stage, checkpoint)
            return
        if self.config.gradient_checkpointing and isinstance(stage, DiffusionStage):
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


def load_average(stage: Stage, checkpoint: Path) -> None:
    """Give a stage's networks the averaged weights, and the buffers, of a checkpoint."""
    state = load_checkpoint(checkpoint)
    parameters: dict[str, nn.Parameter] = dict(stage.trained())
    with torch.no_grad():
        for name, value in state["average"].items():
            parameters[name].copy_(value)
        for name, buffer in stage.named_buffers():
            buffer.copy_(state["buffers"][name])
