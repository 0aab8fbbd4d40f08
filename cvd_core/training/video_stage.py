"""Stage "video": text and cameras to clips; trains the UNet with its motion modules and the pose encoder together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cvd_core.engine.sd15.unet import CollaborativeUNet
from cvd_core.geometry.plucker import plucker_embedding
from cvd_core.training.config_parts import DataConfig
from cvd_core.training.data.source import ViewsBatch
from cvd_core.training.diffusion_stage import DiffusionStage, Material, one_view
from cvd_core.training.stage import StageBatch


def single_videos(clips: ViewsBatch, data: DataConfig, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
    """Latents ``(rows, C, F, h, w)`` of a video of each clip, and its prompt's tokens and Plücker embedding."""
    rows, view = torch.arange(len(clips.latents)), one_view(clips, rng)
    batch = {"tokens": clips.tokens}
    if clips.cameras is not None:
        chosen = clips.cameras.select((data.views * rows + view).tolist())
        batch["plucker"] = plucker_embedding(chosen, data.size, data.size)
    return clips.latents[rows, view].transpose(1, 2), batch


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

    def batch(self, step: int, positions: Sequence[int]) -> StageBatch:
        clips, rng = self.draw(step, positions)
        latents, batch = single_videos(clips, self.config.data, rng)
        noised = self.noised(latents, rng)
        return {**batch, **noised, "tokens": self.prompts(clips.tokens, rng)}

    def forward(self, batch: StageBatch) -> dict[str, Tensor]:
        text = self.encode_text(batch["tokens"])
        features = self.unet.encode_cameras(batch["plucker"]) if "plucker" in batch else None
        output = self.unet(batch["noisy"], batch["timestep"], text, features).float()
        return {"loss": (output - batch["target"]).square().mean()}
