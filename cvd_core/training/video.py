"""Stage "video": text and cameras to clips; trains the UNet with its motion modules and the pose encoder together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cvd_core.engine.unet import CollaborativeUNet
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.moves import DEFAULT_FOCAL
from cvd_core.geometry.plucker import plucker_embedding
from cvd_core.training.config import DataConfig, NoiseConfig, VideoConfig
from cvd_core.training.data.latents import LatentPairs
from cvd_core.training.diffusion import DiffusionStage
from cvd_core.training.stage import Batch, generator


def cameras_of(c2w: Tensor) -> Cameras:
    """Procedural cameras ``(V, F, 4, 4)``, all with the same lens."""
    lens = torch.tensor([DEFAULT_FOCAL, DEFAULT_FOCAL, 0.5, 0.5], dtype=torch.float64)
    return Cameras(c2w, lens.expand(*c2w.shape[:2], 4))


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
        pairs: LatentPairs,
        noise: NoiseConfig,
        data: DataConfig,
        config: VideoConfig,
        empty: Tensor,
        seed: int,
    ) -> None:
        super().__init__(text_encoder.requires_grad_(False), pairs, noise, empty, seed)
        self.unet = unet.requires_grad_(True)
        if unet.sync is not None:
            unet.sync.requires_grad_(False)
        self.data = data
        self.config = config

    def with_cameras(self, step: int) -> bool:
        """What kind of step it is: the same in all processes."""
        return bool(torch.rand((), generator=generator(self.seed, "phase", step)) < self.config.camera_share)

    def batch(self, step: int, positions: Sequence[int]) -> Batch:
        rng = self.rng(step, positions)
        cameras = self.with_cameras(step)
        index = self.choose(self.pairs.where(cameras), len(positions), rng)
        view = torch.randint(2, (len(index),), generator=rng) if cameras else torch.zeros(len(index), dtype=torch.long)
        latents = self.pairs.latents[index, view].float().transpose(1, 2)  # (rows, C, F, h, w)
        batch = {**self.noised(latents, rng), "tokens": self.prompts(index, rng)}
        if cameras:
            batch["plucker"] = plucker_embedding(
                cameras_of(self.pairs.c2w[index, view]), self.data.size, self.data.size
            )
        return batch

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        text = self.encode_text(batch["tokens"])
        features = self.unet.encode_cameras(batch["plucker"]) if "plucker" in batch else None
        output = self.unet(batch["noisy"], batch["timestep"], text, features).float()
        return {"loss": (output - batch["target"]).square().mean()}
