"""Stage "autoencoder": pictures to latents and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cvd_core.engine.sd15.patch_autoencoder import PatchAutoencoder
from cvd_core.geometry.cameras import Cameras
from cvd_core.networks.sd15 import LATENT_STRIDE
from cvd_core.sampling.draws import seeded_generator
from cvd_core.scenes.paths import camera_paths, random_amounts
from cvd_core.scenes.render import render
from cvd_core.scenes.world import random_scene
from cvd_core.training.config import TrainConfig
from cvd_core.training.stage import Stage, StageBatch

LATENT_NOISE = 0.1
"""Added to the unit-variance latents in training: the decoder must forgive what a diffusion leaves over."""
PER_SCENE = 4
"""Pictures taken of each scene."""


class AutoencoderStage(Stage):
    """Learns from pictures alone: mean absolute error, and the squared one, which holds flat areas.

    Args:
        autoencoder: to be trained.
        config: what to render, and its seed.
    """

    def __init__(self, autoencoder: PatchAutoencoder, config: TrainConfig) -> None:
        super().__init__()
        self.autoencoder = autoencoder.requires_grad_(True)
        self.config = config

    def batch(self, step: int, positions: Sequence[int]) -> StageBatch:
        pictures = torch.cat([self._pictures(step, p) for p in positions[::PER_SCENE]])[: len(positions)]
        noise = seeded_generator(self.config.seed, "latent noise", step, positions[0])
        side = self.config.data.size // LATENT_STRIDE
        shape = (len(pictures), self.autoencoder.config["latent_channels"], side, side)
        return {"pictures": pictures, "noise": torch.randn(shape, generator=noise)}

    def forward(self, batch: StageBatch) -> dict[str, Tensor]:
        latents = self.autoencoder.encode(batch["pictures"])
        decoded = self.autoencoder.decode(latents + LATENT_NOISE * batch["noise"]).sample.float()
        error = decoded - batch["pictures"]
        squared = error.square().mean()
        psnr = -10 * (squared.detach() / 4).log10()  # pictures span 2
        return {"loss": error.abs().mean() + squared, "psnr": psnr}

    def _pictures(self, step: int, position: int) -> Tensor:
        """``(4, 3, H, W)`` of one scene, from everywhere the camera paths go."""
        data = self.config.data
        rng = np.random.default_rng((self.config.seed, 1, step, position))
        scene = random_scene(rng, moving=False)
        amounts = np.stack([random_amounts(rng, data.spread) * rng.random() for _ in range(PER_SCENE)])
        cameras = camera_paths(amounts, 2)
        last = Cameras(cameras.c2w[:, 1:], cameras.intrinsics[:, 1:])
        return render(scene, last, data.size, data.size)[:, 0]
