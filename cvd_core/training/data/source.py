"""Where video pairs come from: procedural ones, encoded beforehand, or folders of clips, encoded on the way."""

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
from cvd_core.training.data.clips import ClipPair
from cvd_core.training.data.folders import FolderPairs, RealEstate10KPairs, VideoPairs

ENCODED_AT_ONCE = 8
"""Pictures: an autoencoder of full size takes much memory for each."""

Autoencoder: TypeAlias = "PatchAutoencoder | AutoencoderKL"
Tokenize = Callable[[list[str]], Tensor]


@dataclass(frozen=True, eq=False)
class PairBatch:
    """P pairs of one kind.

    Attributes:
        latents: ``(P, 2, F, C, h, w)`` float32, scaled for the diffusion.
        tokens: ``(P, L)`` of the prompts.
        cameras: 2P views, pair after pair; None: nothing is known of them.
        homography: ``(P, F, 3, 3)`` from pixels of the first to pixels of the second video, where there are no cameras.
        valid: ``(P, F, h, w)`` fraction of each latent pixel of the second video that has a source in the first.
    """

    latents: Tensor
    tokens: Tensor
    cameras: Cameras | None
    homography: Tensor
    valid: Tensor


class PairSource(ABC):
    """Gives pairs of two kinds: static scenes with cameras, moving ones without."""

    @abstractmethod
    def draw(self, step: int, positions: Sequence[int], *, cameras: bool) -> PairBatch:
        """The pairs at ``positions`` of a step's batch, of the kind asked for; the same whenever they are asked for."""


class FolderSource(PairSource):
    """Clips from folders.

    Args:
        with_cameras, without: the clips of both kinds.
        autoencoder: its encoder is used, on its device.
        tokenize: prompts to ``(N, L)``.
        seed: decides which clips make a batch.
        workers: threads that decode.
    """

    def __init__(
        self,
        with_cameras: RealEstate10KPairs | None,
        without: VideoPairs | None,
        autoencoder: Autoencoder,
        tokenize: Tokenize,
        seed: int,
        workers: int = 4,
    ) -> None:
        self.folders: dict[bool, FolderPairs | None] = {True: with_cameras, False: without}
        self.autoencoder = autoencoder
        self.tokenize = tokenize
        self.seed = seed
        self.threads = ThreadPoolExecutor(workers)

    def draw(self, step: int, positions: Sequence[int], *, cameras: bool) -> PairBatch:
        folder = self.folders[cameras]
        if folder is None:
            kind = "clips with cameras (folders: realestate10k)" if cameras else "videos (folders: videos)"
            raise ValueError(f"the training asks for {kind}, but the configuration names no such folder")
        pairs = list(self.threads.map(lambda position: self._clip(folder, step, position), positions))
        return encode_pairs(pairs, self.autoencoder, self.tokenize)

    def _clip(self, folder: FolderPairs, step: int, position: int) -> ClipPair:
        index = int(torch.randint(len(folder), (), generator=seeded_generator(self.seed, "clip", step, position)))
        return folder.pair(index, step, position)


def encode_pairs(pairs: list[ClipPair], autoencoder: Autoencoder, tokenize: Tokenize) -> PairBatch:
    """Pairs as latents, with the cameras of those that have some."""
    videos = torch.stack([pair.videos for pair in pairs])
    latents = to_latents(autoencoder, videos.flatten(0, 2)).unflatten(0, videos.shape[:3])
    height, width = latents.shape[-2:]
    known = [pair.cameras for pair in pairs if pair.cameras is not None]
    return PairBatch(
        latents,
        tokenize([pair.prompt for pair in pairs]),
        Cameras.concatenate(known) if known else None,
        torch.stack([pair.homography for pair in pairs]),
        torch.stack([adaptive_avg_pool2d(pair.valid.float(), (height, width)) for pair in pairs]),
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
