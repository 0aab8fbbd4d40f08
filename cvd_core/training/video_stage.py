"""Stage "video": text and cameras to clips; trains the UNet with its motion modules and the pose encoder together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cvd_core.engine.sd15.unet import CollaborativeUNet
from cvd_core.geometry.plucker import plucker_embedding
from cvd_core.training.config import DataConfig, NoiseConfig, VideoConfig
from cvd_core.training.data.source import PairSource
from cvd_core.training.diffusion_stage import DiffusionStage, one_view
from cvd_core.training.stage import Batch


class VideoStage(DiffusionStage):
    """Single videos.

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
        frozen = text_encoder.requires_grad_(False)
        super().__init__(unet.requires_grad_(True), frozen, source, noise, config.camera_share, empty, seed)
        if unet.sync is not None:
            unet.sync.requires_grad_(False)
        self.data = data

    def batch(self, step: int, positions: Sequence[int]) -> Batch:
        pairs, rng = self.draw(step, positions)
        rows, view = torch.arange(len(positions)), one_view(pairs, rng)
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
