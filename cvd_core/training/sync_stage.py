"""Stage "sync": the paper's two-phase hybrid training of the sync modules (Sec. 4.2, A.3.1); all else is frozen."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cvd_core.engine.sd15.unet import CollaborativeUNet
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.epipolar import PairGeometry, pair_geometry
from cvd_core.geometry.plucker import plucker_embedding
from cvd_core.sampling.draws import seeded_generator
from cvd_core.sync.bias import EpipolarBias
from cvd_core.sync.context import SyncContext, groups_to_partners
from cvd_core.training.diffusion_stage import DiffusionStage, Material
from cvd_core.training.phase_loras import PhaseLoras
from cvd_core.training.stage import StageBatch


class SyncStage(DiffusionStage):
    """Views of one scene, each attending to all others; a step is of one of two phases.

    Camera phase (RealEstate10K in the paper): folded videos of static scenes, camera control on, true epipolar lines.
    Video phase (WebVid10M): videos and their deformed copies, camera control off, pseudo lines through H x, and no loss
    where the copy shows what the video does not hold. Moving scenes that were rendered by several cameras have true
    lines and camera control too.

    Two views are the paper's pairs. Of clips with more, every step takes two or more, their number drawn at random:
    each view then attends to all of its partners in one softmax.

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

    def finish(self) -> None:
        self.loras.use("none")

    @property
    def camera_share(self) -> float:
        return self.config.sync.camera_share

    def batch(self, step: int, positions: Sequence[int]) -> StageBatch:
        views = self.views(step)
        clips, rng = self.draw(step, positions, views)
        latents = clips.latents.transpose(2, 3)  # (P, V, C, F, h, w)
        homography, valid = clips.homography, clips.valid
        if clips.cameras is None and not self.config.sync.homography:
            latents, valid = latents[:, :1].expand_as(latents), torch.ones_like(valid)
            homography = torch.eye(3, dtype=torch.float64).expand_as(homography)
        # The paper gives both videos of a pair the same t.
        noised = self.noised(latents.flatten(0, 1), rng, len(positions) if self.config.sync.shared_timestep else None)
        batch = {
            **noised,
            "tokens": self.prompts(clips.tokens, rng).repeat_interleave(views, 0),
            "valid": valid.flatten(0, 1),
            "views": torch.tensor(views),
            "slopes": torch.randint(1 << 62, (), generator=rng),
        }
        if clips.cameras is not None:
            plucker = plucker_embedding(clips.cameras, self.config.data.size, self.config.data.size)
            return batch | {"c2w": clips.cameras.c2w, "intrinsics": clips.cameras.intrinsics, "plucker": plucker}
        return batch | {"homography": homography}

    def views(self, step: int) -> int:
        """How many views attend to each other in a step, the same in all processes: any number from 2 on."""
        rng = seeded_generator(self.config.seed, type(self).__name__, "views", step)
        return int(torch.randint(2, self.config.data.views + 1, (), generator=rng))

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
        """All views of a clip attend to each other."""
        rows, views = len(batch["noisy"]), int(batch["views"])
        groups = [range(first, first + views) for first in range(0, rows, views)]
        rng = torch.Generator().manual_seed(int(batch["slopes"]))
        return SyncContext(
            tuple(range(rows)),
            groups_to_partners(groups),
            lambda shape: torch.rand(shape, generator=rng),
            self.bias(batch),
        )

    def bias(self, batch: StageBatch) -> EpipolarBias | None:
        """True lines in the camera phase, pseudo lines in the video phase, nothing without epipolar geometry."""
        if self.config.sync.band == "none":
            return None
        size, views = self.config.data.size, int(batch["views"])
        cameras_known = "c2w" in batch

        def geometry(view: int, partner: int) -> PairGeometry:
            clip, first, second = view // views, view % views, partner % views
            if cameras_known:
                of_clip = slice(views * clip, views * (clip + 1))
                cameras = Cameras(batch["c2w"][of_clip], batch["intrinsics"][of_clip])
                return pair_geometry(cameras, first, second, size, size)
            H = batch["homography"][clip].cpu()
            return PairGeometry.from_homographies(H[second] @ torch.linalg.inv(H[first]))

        return EpipolarBias(
            geometry, self.config.data.frames, size, size, band=self.config.sync.band, slope_per_frame=not cameras_known
        )
