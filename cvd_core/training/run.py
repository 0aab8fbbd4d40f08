"""A whole training run: all stages of a configuration in order, each from where it stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from cvd_core.camera_control.injection import CameraMerges
from cvd_core.camera_control.pose_encoder import PoseEncoder
from cvd_core.engine.loading import BaseModel
from cvd_core.engine.motion import new_motion_unet
from cvd_core.engine.patch_autoencoder import PatchAutoencoder
from cvd_core.engine.unet import CollaborativeUNet
from cvd_core.sync.module import SyncModules
from cvd_core.training.autoencoder import AutoencoderStage
from cvd_core.training.config import TrainConfig
from cvd_core.training.data.latents import LatentPairs, latent_pairs
from cvd_core.training.data.scenes import vocabulary
from cvd_core.training.diffusion import ImageStage, fast_attention
from cvd_core.training.loop import load_checkpoint, train_stage
from cvd_core.training.networks import (
    load_tokenizer,
    new_text_encoder,
    new_unet,
    save_denoiser,
    tokenize,
    write_tokenizer,
)
from cvd_core.training.stage import Stage, generator
from cvd_core.training.sync import SyncStage
from cvd_core.training.video import VideoStage

STAGES = ("autoencoder", "images", "video", "sync")
"""In the order in which they build on each other."""


@dataclass
class Networks:
    """All networks of a run."""

    base: BaseModel
    denoiser: CollaborativeUNet | None = None


class Run:
    """The stages of a configuration.

    Args:
        config: of the run.
        resume: continue stages from their checkpoints.
    """

    def __init__(self, config: TrainConfig, *, resume: bool) -> None:
        unknown = sorted(config.stages.keys() - set(STAGES))
        if unknown:
            raise ValueError(f"the configuration has stages {', '.join(unknown)}; expected some of {', '.join(STAGES)}")
        self.config = config
        self.resume = resume
        self.folder = config.output
        with self._initial_weights("base"):
            self.networks = Networks(self._new_base())
        self._pairs: LatentPairs | None = None

    def train(self) -> None:
        """Run every stage that is not finished; Ctrl-C saves and stops."""
        for name in STAGES:
            if name in self.config.stages:
                self._train(name)

    def load(self) -> list[str]:
        """Give the networks the averaged weights that there are; returns the stages that have some, finished or not."""
        found = [name for name in STAGES if (self.folder / name / "checkpoint.pt").exists()]
        for name in found:
            load_average(self.stage(name), self.folder / name / "checkpoint.pt")
        return found

    def export(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write the averaged weights of all stages as model files, readable by ``cvd generate``.

        Args:
            folder: receives ``base/``, ``motion.safetensors``, ``camera.safetensors`` and, if trained,
                ``sync.safetensors``.

        Raises:
            ValueError: there is no checkpoint of a stage with videos yet.
        """
        found = self.load()
        if self.networks.denoiser is None:
            there = f"checkpoints of {', '.join(found)}" if found else "no checkpoints"
            raise ValueError(f"{self.folder} has {there}; expected one of the stage video, to export a model")
        write_tokenizer(folder / "base" / "tokenizer", vocabulary(), self.config.networks.text_length)
        save_denoiser(self.networks.denoiser, self.networks.base, folder, dtype)

    def _train(self, name: str) -> None:
        config, folder = self.config.stages[name], self.folder / name
        stage = self.stage(name)
        checkpoint = folder / "checkpoint.pt"
        if checkpoint.exists() and int(load_checkpoint(checkpoint)["step"]) >= config.steps:
            load_average(stage, checkpoint)
            return
        average = train_stage(stage, config, folder, resume=self.resume)
        average.copy()

    def stage(self, name: str) -> Stage:
        """The stage ``name`` with the run's networks as they are."""
        base, config = self.networks.base, self.config
        if name == "autoencoder":
            assert isinstance(base.vae, PatchAutoencoder)
            base.vae.requires_grad_(True)
            return AutoencoderStage(base.vae, config.data, config.seed)
        empty = self._tokenize([""])[0]
        if name == "images":
            base.unet.requires_grad_(True)
            base.text_encoder.requires_grad_(True)
            return ImageStage(base.unet, base.text_encoder, self.pairs, config.noise, empty, config.seed)
        if self.networks.denoiser is None:
            with self._initial_weights("denoiser"):
                self.networks.denoiser = self._new_denoiser()
        shared = (self.networks.denoiser, base.text_encoder, self.pairs, config.noise, config.data)
        if name == "video":
            return VideoStage(*shared, config.video, empty, config.seed)
        return SyncStage(*shared, config.sync, empty, config.seed)

    @contextmanager
    def _initial_weights(self, name: str) -> Iterator[None]:
        """Networks made inside the block have weights that depend on the seed and ``name`` alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator(self.config.seed, name).initial_seed())
            yield

    @property
    def pairs(self) -> LatentPairs:
        """The data of all stages after the autoencoder."""
        if self._pairs is None:
            vae = self.networks.base.vae
            assert isinstance(vae, PatchAutoencoder)
            vae.eval().requires_grad_(False)
            config = self.config
            self._pairs = latent_pairs(self.folder / "latents", vae, self._tokenize, config.data, config.seed)
        return self._pairs

    def _tokenize(self, prompts: list[str]) -> Tensor:
        return tokenize(self.networks.base.tokenizer, prompts, self.config.networks.text_length)

    def _new_base(self) -> BaseModel:
        config = self.config.networks
        write_tokenizer(self.folder / "tokenizer", vocabulary(), config.text_length)
        tokenizer = load_tokenizer(self.folder / "tokenizer")
        vae = PatchAutoencoder(config.latent_channels, config.autoencoder_width)
        text_encoder = new_text_encoder(config, len(tokenizer))
        unet = new_unet(config)
        fast_attention(unet)
        return BaseModel(unet, vae, text_encoder, tokenizer, self.config.noise.prediction)

    def _new_denoiser(self) -> CollaborativeUNet:
        config, frames = self.config.networks, self.config.data.frames
        unet = new_motion_unet(self.networks.base.unet, frames)
        fast_attention(unet)
        encoder = PoseEncoder(config.widths, frames)
        merges = CameraMerges(config.widths, layers_per_block=config.layers)
        sync = SyncModules(config.widths, layers_per_block=config.layers)
        sync.reset_parameters()
        return CollaborativeUNet(
            unet,
            encoder,
            merges,
            sync,
            prediction=self.networks.base.prediction,
        )


def load_average(stage: Stage, checkpoint: Path) -> None:
    """Give a stage's networks the averaged weights, and the buffers, of a checkpoint."""
    state = load_checkpoint(checkpoint)
    parameters: dict[str, nn.Parameter] = dict(stage.trained())
    with torch.no_grad():
        for name, value in state["average"].items():
            parameters[name].copy_(value)
        for name, buffer in stage.named_buffers():
            buffer.copy_(state["buffers"][name])
