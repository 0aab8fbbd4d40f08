"""Stage "video": text and cameras to clips; trains the UNet with its motion modules and the pose encoder together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cvd_core.engine.unet import CollaborativeUNet
from cvd_core.geometry.plucker import plucker_embedding
from cvd_core.training.config import DataConfig, NoiseConfig, VideoConfig
from cvd_core.training.data.source import PairSource
from cvd_core.training.diffusion import DiffusionStage
from cvd_core.training.stage import Batch


class VideoStage(DiffusionStage):
    """Single videos. A step has either static scenes, with cameras, or moving ones, without.

    Args:
        unet: with pose encoder and merges; its sync modules are not used.
        data: sizes.
        config: shares.
    """

    def __init__(
        self,
        unet: CollaborativeUNet,
        text_encoder: nn.Module,
        source: PairSource,
        noise: NoiseConfig,
        data: DataConfig,
        config: VideoConfig,
        empty: Tensor,
        seed: int,
    ) -> None:
        super().__init__(text_encoder.requires_grad_(False), source, noise, empty, seed)
        self.unet = unet.requires_grad_(True)
        if unet.sync is not None:
            unet.sync.requires_grad_(False)
        self.data = data
        self.config = config

    def with_cameras(self, step: int) -> bool:
        """What kind of step it is."""
        return self.decide("phase", step, self.config.camera_share)

    def batch(self, step: int, positions: Sequence[int]) -> Batch:
        rng = self.rng(step, positions)
        cameras = self.with_cameras(step)
        pairs = self.source.draw(step, positions, cameras=cameras)
        rows = torch.arange(len(positions))
        view = torch.randint(2, rows.shape, generator=rng) * cameras  # a deformed copy is no video of a scene
        latents = pairs.latents[rows, view].transpose(1, 2)  # (rows, C, F, h, w)
        batch = {**self.noised(latents, rng), "tokens": self.prompts(pairs.tokens, rng)}
        if pairs.cameras is not None:
            chosen = pairs.cameras.select((2 * rows + view).tolist())
            batch["plucker"] = plucker_embedding(chosen, self.data.size, self.data.size)
        return batch

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        text = self.encode_text(batch["tokens"])
        features = self.unet.encode_cameras(batch["plucker"]) if "plucker" in batch else None
        output = self.unet(batch["noisy"], batch["timestep"], text, features).float()
        return {"loss": (output - batch["target"]).square().mean()}
