"""Where synchronised clips come from: procedural ones, encoded beforehand, or folders of clips, encoded on the way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from cvd_core.engine.sd15.patch_autoencoder import PatchAutoencoder
from cvd_core.geometry.cameras import Cameras
from cvd_core.sampling.draws import seeded_generator
from cvd_core.training.data.clips import ClipViews
from cvd_core.training.data.folders import FolderViews, RealEstate10KViews, VideoViews

ENCODED_AT_ONCE = 8
"""Pictures: an autoencoder of full size takes much memory for each."""

Autoencoder: TypeAlias = "PatchAutoencoder | AutoencoderKL"
Tokenize = Callable[[list[str]], Tensor]


@dataclass(frozen=True, eq=False)
class ViewsBatch:
    """P clips of one kind, V views of each.

    Attributes:
        latents: ``(P, V, F, C, h, w)`` float32, scaled for the diffusion.
        tokens: ``(P, L)`` of the prompts.
        cameras: P * V views, clip after clip; None: nothing is known of them.
        homography: ``(P, V, F, 3, 3)`` from pixels of one video, the same for all views of a clip, to pixels of each;
            meaningful where there are no cameras.
        valid: ``(P, V, F, h, w)`` fraction of each latent pixel that has a source in that video.
    """

    latents: Tensor
    tokens: Tensor
    cameras: Cameras | None
    homography: Tensor
    valid: Tensor


class ViewsSource(ABC):
    """Gives clips of two kinds: static scenes with cameras, and moving ones."""

    @abstractmethod
    def draw(self, step: int, positions: Sequence[int], *, static: bool, views: int = 2) -> ViewsBatch:
        """The clips at ``positions`` of a step's batch, of the kind asked for; the same whenever they are asked for.

        Args:
            step: of the training.
            positions: within the step's batch.
            static: which kind.
            views: V.
        """


class FolderSource(ViewsSource):
    """Clips from folders.

    Args:
        static, moving: the clips of both kinds.
        autoencoder: its encoder is used, on its device.
        tokenize: prompts to ``(N, L)``.
        seed: decides which clips make a batch.
        workers: threads that decode.
    """

    def __init__(
        self,
        static: RealEstate10KViews | None,
        moving: VideoViews | None,
        autoencoder: Autoencoder,
        tokenize: Tokenize,
        seed: int,
        workers: int = 4,
    ) -> None:
        self.folders: dict[bool, FolderViews | None] = {True: static, False: moving}
        self.autoencoder = autoencoder
        self.tokenize = tokenize
        self.seed = seed
        self.threads = ThreadPoolExecutor(workers)

    def draw(self, step: int, positions: Sequence[int], *, static: bool, views: int = 2) -> ViewsBatch:
        folder = self.folders[static]
        if folder is None:
            kind = "clips with cameras (folders: realestate10k)" if static else "videos (folders: videos)"
            raise ValueError(f"the training asks for {kind}, but the configuration names no such folder")
        clips = list(self.threads.map(lambda position: self._clip(folder, step, position, views), positions))
        return encode_views(clips, self.autoencoder, self.tokenize)

    def _clip(self, folder: FolderViews, step: int, position: int, views: int) -> ClipViews:
        index = int(torch.randint(len(folder), (), generator=seeded_generator(self.seed, "clip", step, position)))
        return folder.views(index, step, position, views=views)


def encode_views(clips: list[ClipViews], autoencoder: Autoencoder, tokenize: Tokenize) -> ViewsBatch:
    """Clips as latents, with the cameras of those that have some."""
    videos = torch.stack([clip.videos for clip in clips])
    latents = to_latents(autoencoder, videos.flatten(0, 2)).unflatten(0, videos.shape[:3])
    height, width = latents.shape[-2:]
    known = [clip.cameras for clip in clips if clip.cameras is not None]
    return ViewsBatch(
        latents,
        tokenize([clip.prompt for clip in clips]),
        Cameras.concatenate(known) if known else None,
        torch.stack([clip.homography for clip in clips]),
        torch.stack([adaptive_avg_pool2d(clip.valid.float(), (height, width)) for clip in clips]),
    )


@torch.no_grad()
def to_latents(autoencoder: Autoencoder, pictures: Tensor) -> Tensor:
    """``(N, 3, H, W)`` in [-1, 1] -> ``(N, C, H/8, W/8)`` on the CPU, scaled for the diffusion."""
    parts = []
    for part in pictures.split(ENCODED_AT_ONCE):
        encoded = autoencoder.encode(part.to(autoencoder.device, autoencoder.dtype))
        mean = encoded if isinstance(encoded, Tensor) else encoded.latent_dist.mean
        parts.append(mean.float().cpu() * autoencoder.config["scaling_factor"])
    return torch.cat(parts)
