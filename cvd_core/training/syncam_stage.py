"""Stage "syncam": SynCamMaster's modules on a frozen Wan, by flow matching (SynCamMaster, Sec. 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor
from transformers import UMT5EncoderModel

from cvd_core.engine.wan.latents import encode_videos
from cvd_core.engine.wan.network import SynCamTransformer
from cvd_core.engine.wan.texts import embed
from cvd_core.networks.sd15 import LATENT_STRIDE
from cvd_core.sampling.draws import seeded_generator
from cvd_core.sampling.flow import FlowEuler
from cvd_core.syncam.cameras import camera_embedding, latent_frames
from cvd_core.training.config import TrainConfig
from cvd_core.training.data.scenes import SceneSource
from cvd_core.training.noise import shifted
from cvd_core.training.stage import FrozenBaseStage, StageBatch


@dataclass(frozen=True, eq=False)
class WanMaterial:
    """What the stage works with.

    Attributes:
        config: of the training.
        source: of the samples.
        vae, text_encoder: of the base.
        tokens: ``(1, L)`` of every prompt; that of "" is among them.
    """

    config: TrainConfig
    source: SceneSource
    vae: AutoencoderKLWan
    text_encoder: UMT5EncoderModel
    tokens: dict[str, Tensor]


class SynCamStage(FrozenBaseStage):
    """Views of one scene at one noise level; the modules alone learn.

    With a given view (Sec. 3.5), the first view of a sample stays clean at any noise level of the others, and only
    these count in the loss.

    Args:
        network: with modules.
        material: what it learns from.
    """

    def __init__(self, network: SynCamTransformer, material: WanMaterial) -> None:
        super().__init__()
        if network.sync is None:
            raise ValueError("the network has no SynCamMaster modules to train")
        self.network = network.requires_grad_(False)
        network.sync.requires_grad_(True)
        self.vae = material.vae.requires_grad_(False)
        self.text_encoder = material.text_encoder.requires_grad_(False)
        self.config = material.config
        self.source = material.source
        self.tokens = material.tokens

    def prepare(self) -> None:
        self.source.check()

    def enable_gradient_checkpointing(self) -> None:
        self.network.enable_gradient_checkpointing()

    def batch(self, step: int, positions: Sequence[int]) -> StageBatch:
        config = self.config.syncam
        rng = seeded_generator(self.config.seed, type(self).__name__, step, positions[0])
        samples = self.source.draw(step, positions)
        videos = torch.cat([sample.videos for sample in samples]).transpose(1, 2)  # (rows, 3, F, H, W)
        rows, _, frames, height, width = videos.shape
        count, views = len(samples), config.views
        level = shifted(torch.rand(count, generator=rng), self.config.noise.shift)
        channels = self.network.transformer.config.in_channels
        size = (latent_frames(frames), height // LATENT_STRIDE, width // LATENT_STRIDE)
        condition = torch.rand(count, generator=rng)
        given, neither = condition < config.reference, condition >= 1 - config.neither
        silent = (torch.rand(count, generator=rng) < self.config.noise.empty_text) | neither
        prompts = ["" if quiet else sample.prompt for sample, quiet in zip(samples, silent.tolist(), strict=True)]
        return {
            "videos": videos,
            "noise": torch.randn((rows, channels, *size), generator=rng),
            "level": level.repeat_interleave(views),
            "given": (given[:, None] & (torch.arange(views) == 0)).flatten(),
            "tokens": torch.cat([self.tokens[prompt] for prompt in prompts]),
            "cameras": torch.cat([camera_embedding(sample.cameras) for sample in samples]),
        }

    def forward(self, batch: StageBatch) -> dict[str, Tensor]:
        views = self.config.syncam.views
        with torch.no_grad():
            clean = encode_videos(self.vae, batch["videos"])
            text = embed(self.text_encoder, batch["tokens"]).repeat_interleave(views, 0)
        output = self.network(
            self.noised(clean, batch), FlowEuler.TIMESTEPS * batch["level"], text, batch["cameras"], views
        )
        error = (output.float() - (batch["noise"] - clean)).square().flatten(1).mean(1)
        counts = ~batch["given"]
        return {"loss": (error * counts).sum() / counts.sum()}

    def noised(self, clean: Tensor, batch: StageBatch) -> Tensor:
        """Latents on the straight path to the noise (Eq. 1), those of a given view as they are."""
        level = torch.where(batch["given"], 0, batch["level"]).view(-1, 1, 1, 1, 1)
        return (1 - level) * clean + level * batch["noise"]
