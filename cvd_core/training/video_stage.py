"""Stage "video": text and cameras to clips; trains the UNet with its motion modules and the pose encoder together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cvd_core.engine.sd15.unet import CollaborativeUNet
from cvd_core.geometry.plucker import plucker_embedding
from cvd_core.training.diffusion_stage import DiffusionStage, Material, one_view
from cvd_core.training.stage import StageBatch


class VideoStage(DiffusionStage):
    """Single videos.

    Args:
        unet: with pose encoder and merges; its sync modules are not used.
        material: what it learns from.
    """

    def __init__(self, unet: CollaborativeUNet, material: Material) -> None:
        super().__init__(unet.requires_grad_(True), material)
        if unet.sync is not None:
            unet.sync.requires_grad_(False)

    @property
    def camera_share(self) -> float:
        return self.config.video.camera_share

    def batch(self, step: int, positions: Sequence[int]) -> StageBatch:
        clips, rng = self.draw(step, positions)
        rows, view = torch.arange(len(positions)), one_view(clips, rng)
        latents = clips.latents[rows, view].transpose(1, 2)  # (rows, C, F, h, w)
        batch = {**self.noised(latents, rng), "tokens": self.prompts(clips.tokens, rng)}
        if clips.cameras is not None:
            chosen = clips.cameras.select((self.config.data.views * rows + view).tolist())
            batch["plucker"] = plucker_embedding(chosen, self.config.data.size, self.config.data.size)
        return batch

    def forward(self, batch: StageBatch) -> dict[str, Tensor]:
        text = self.encode_text(batch["tokens"])
        features = self.unet.encode_cameras(batch["plucker"]) if "plucker" in batch else None
        output = self.unet(batch["noisy"], batch["timestep"], text, features).float()
        return {"loss": (output - batch["target"]).square().mean()}
