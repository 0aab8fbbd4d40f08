"""Stage "sync": the paper's two-phase hybrid training of the sync modules (Sec. 4.2, A.3.1); all else is frozen."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cvd_core.engine.sd15.unet import CollaborativeUNet
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.epipolar import PairGeometry, pair_geometry
from cvd_core.geometry.plucker import plucker_embedding
from cvd_core.sync.bias import EpipolarBias
from cvd_core.sync.context import SyncContext, groups_to_partners
from cvd_core.training.diffusion_stage import DiffusionStage, Material
from cvd_core.training.phase_loras import PhaseLoras
from cvd_core.training.stage import StageBatch


class SyncStage(DiffusionStage):
    """Pairs of videos; a step is of one of two phases.

    Camera phase (RealEstate10K in the paper): folded videos of static scenes, camera control on, true epipolar lines.
    Video phase (WebVid10M): videos and their deformed copies, camera control off, pseudo lines through H x, and no loss
    where the copy shows what the video does not hold.

    Args:
        unet: with sync modules, the only parameters that are trained.
        material: what it learns from.
        loras: of the phases "camera" and "video".
    """

    def __init__(self, unet: CollaborativeUNet, material: Material, loras: PhaseLoras) -> None:
        super().__init__(unet.requires_grad_(False), material)
        if unet.sync is None:
            raise ValueError("the network has no sync modules to train")
        unet.sync.requires_grad_(True)
        self.loras = loras

    @property
    def camera_share(self) -> float:
        return self.config.sync.camera_share

    def batch(self, step: int, positions: Sequence[int]) -> StageBatch:
        pairs, rng = self.draw(step, positions)
        latents = pairs.latents.transpose(2, 3)  # (P, 2, C, F, h, w)
        homography, valid = pairs.homography, pairs.valid
        if pairs.cameras is None and not self.config.sync.homography:
            latents, valid = latents[:, :1].expand_as(latents), torch.ones_like(valid)
            homography = torch.eye(3, dtype=torch.float64).expand_as(homography)
        # The paper gives both videos of a pair the same t.
        noised = self.noised(latents.flatten(0, 1), rng, len(positions) if self.config.sync.shared_timestep else None)
        batch = {
            **noised,
            "tokens": self.prompts(pairs.tokens, rng).repeat_interleave(2, 0),
            "valid": torch.stack([torch.ones_like(valid), valid], 1).flatten(0, 1),
            "slopes": torch.randint(1 << 62, (), generator=rng),
        }
        if pairs.cameras is not None:
            plucker = plucker_embedding(pairs.cameras, self.config.data.size, self.config.data.size)
            return batch | {"c2w": pairs.cameras.c2w, "intrinsics": pairs.cameras.intrinsics, "plucker": plucker}
        return batch | {"homography": homography}

    def forward(self, batch: StageBatch) -> dict[str, Tensor]:
        self.loras.use("camera" if "c2w" in batch else "video")
        with torch.no_grad():
            text = self.encode_text(batch["tokens"])
            features = self.unet.encode_cameras(batch["plucker"]) if "plucker" in batch else None
        context = self.context(batch)
        output = self.unet(batch["noisy"], batch["timestep"], text, features, context).float()
        valid = batch["valid"][:, None]  # (rows, 1, F, h, w)
        loss = ((output - batch["target"]).square() * valid).sum() / (valid.sum() * output.shape[1])
        return {"loss": loss}

    def context(self, batch: StageBatch) -> SyncContext:
        """Views 2i and 2i + 1 attend to each other."""
        views = len(batch["noisy"])
        groups = [(i, i + 1) for i in range(0, views, 2)]
        rng = torch.Generator().manual_seed(int(batch["slopes"]))
        return SyncContext(
            tuple(range(views)),
            groups_to_partners(groups),
            lambda shape: torch.rand(shape, generator=rng),
            self.bias(batch),
        )

    def bias(self, batch: StageBatch) -> EpipolarBias | None:
        """True lines in the camera phase, pseudo lines in the video phase, nothing without epipolar geometry."""
        if self.config.sync.band == "none":
            return None
        size = self.config.data.size
        cameras_known = "c2w" in batch

        def geometry(view: int, partner: int) -> PairGeometry:
            pair, first = view // 2, view % 2
            if cameras_known:
                two = slice(2 * pair, 2 * pair + 2)
                cameras = Cameras(batch["c2w"][two], batch["intrinsics"][two])
                return pair_geometry(cameras, first, 1 - first, size, size)
            H = batch["homography"][pair].cpu()
            return PairGeometry.from_homographies(torch.linalg.inv(H) if first else H)

        return EpipolarBias(
            geometry, self.config.data.frames, size, size, band=self.config.sync.band, slope_per_frame=not cameras_known
        )
