"""Stage "autoencoder": pictures to latents and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cvd_core.engine.sd15.patch_autoencoder import PatchAutoencoder
from cvd_core.networks.sd15 import LATENT_STRIDE
from cvd_core.sampling.draws import seeded_generator
from cvd_core.scenes.paths import camera_paths, random_amounts
from cvd_core.scenes.render import render
from cvd_core.scenes.world import random_scene
from cvd_core.training.config import DataConfig
from cvd_core.training.stage import Batch, Stage

LATENT_NOISE = 0.1
"""Added to the unit-variance latents in training: the decoder must forgive what a diffusion leaves over."""
PER_SCENE = 4
"""Pictures taken of each scene."""


class AutoencoderStage(Stage):
    """Learns from pictures alone: mean absolute error, and the squared one, which holds flat areas.

    Args:
        autoencoder: to be trained.
        data: what to render.
        seed: of the data and the noise.
    """

    def __init__(self, autoencoder: PatchAutoencoder, data: DataConfig, seed: int) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.data = data
        self.seed = seed

    def batch(self, step: int, positions: Sequence[int]) -> Batch:
        pictures = torch.cat([self._pictures(step, p) for p in positions[::PER_SCENE]])[: len(positions)]
        noise = seeded_generator(self.seed, "latent noise", step, positions[0])
        side = self.data.size // LATENT_STRIDE
        shape = (len(pictures), self.autoencoder.config["latent_channels"], side, side)
        return {"pictures": pictures, "noise": torch.randn(shape, generator=noise)}

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        latents = self.autoencoder.encode(batch["pictures"])
        decoded = self.autoencoder.decode(latents + LATENT_NOISE * batch["noise"]).sample.float()
        error = decoded - batch["pictures"]
        squared = error.square().mean()
        psnr = -10 * (squared.detach() / 4).log10()  # pictures span 2
        return {"loss": error.abs().mean() + squared, "psnr": psnr}

    def _pictures(self, step: int, position: int) -> Tensor:
        """``(4, 3, H, W)`` of one scene, from everywhere the camera paths go."""
        rng = np.random.default_rng((self.seed, 1, step, position))
        scene = random_scene(rng, moving=False)
        amounts = np.stack([random_amounts(rng, self.data.spread) * rng.random() for _ in range(PER_SCENE)])
        cameras = camera_paths(amounts, 2)
        last = type(cameras)(cameras.c2w[:, 1:], cameras.intrinsics[:, 1:])
        return render(scene, last, self.data.size, self.data.size)[:, 0]
