"""Latents of many clip pairs on disk: rendered and encoded once, in pieces, read by all later stages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d
from tqdm import tqdm

from cvd_core.engine.patch_autoencoder import PatchAutoencoder
from cvd_core.files import atomic_path
from cvd_core.training.config import DataConfig
from cvd_core.training.data.clips import procedural_pair

PER_FILE = 250

Tokenize = Callable[[list[str]], Tensor]


@dataclass(frozen=True, eq=False)
class LatentPairs:
    """N pairs in memory.

    Attributes:
        latents: ``(N, 2, F, C, h, w)`` float16.
        tokens: ``(N, L)`` of the prompts.
        c2w: ``(N, 2, F, 4, 4)``; identities where there are no cameras.
        has_cameras: ``(N,)`` bool.
        homography: ``(N, F, 3, 3)`` on pixels of the pictures.
        valid: ``(N, F, h, w)`` share of each latent pixel of the second video that has a source in the first.
    """

    latents: Tensor
    tokens: Tensor
    c2w: Tensor
    has_cameras: Tensor
    homography: Tensor
    valid: Tensor

    def __len__(self) -> int:
        return len(self.latents)

    def where(self, has_cameras: bool) -> Tensor:
        """Indices of the pairs with, or without, cameras."""
        return (self.has_cameras == has_cameras).nonzero()[:, 0]


def latent_pairs(
    folder: Path, autoencoder: PatchAutoencoder, tokenize: Tokenize, data: DataConfig, seed: int
) -> LatentPairs:
    """The first ``data.clips`` pairs; what ``folder`` lacks of them is made.

    Args:
        folder: cache, valid for one autoencoder and configuration.
        autoencoder: in evaluation mode.
        tokenize: prompts to ``(N, L)``.
    """
    parts = []
    for start in tqdm(range(0, data.clips, PER_FILE), desc="latents", unit="file"):
        path = folder / f"{start:06d}.safetensors"
        if not path.exists():
            indices = range(start, min(start + PER_FILE, data.clips))
            part = _encode(indices, autoencoder, tokenize, data, seed)
            with atomic_path(path) as temporary:
                save_file(part, temporary)
        parts.append(load_file(path))
    return LatentPairs(**{name: torch.cat([part[name] for part in parts]) for name in parts[0]})


@torch.no_grad()
def _encode(
    indices: range, autoencoder: PatchAutoencoder, tokenize: Tokenize, data: DataConfig, seed: int
) -> dict[str, Tensor]:
    pairs = [procedural_pair(data, seed, 0, index) for index in indices]
    latents = [autoencoder.encode(pair.videos.flatten(0, 1)).unflatten(0, pair.videos.shape[:2]) for pair in pairs]
    size = latents[0].shape[-2:]
    unknown = torch.eye(4, dtype=torch.float64).expand(2, data.frames, 4, 4)
    return {
        "latents": torch.stack(latents).half(),
        "tokens": tokenize([pair.prompt for pair in pairs]),
        "c2w": torch.stack([unknown if pair.cameras is None else pair.cameras.c2w for pair in pairs]),
        "has_cameras": torch.tensor([pair.cameras is not None for pair in pairs]),
        "homography": torch.stack([pair.homography for pair in pairs]).contiguous(),
        "valid": torch.stack([adaptive_avg_pool2d(pair.valid.float(), (size[0], size[1])) for pair in pairs]).half(),
    }
