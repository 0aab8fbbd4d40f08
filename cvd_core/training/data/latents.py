"""Latents of many clip pairs on disk: rendered and encoded once, in pieces, read by all later stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from cvd_core.files import atomic_path
from cvd_core.geometry.cameras import Cameras
from cvd_core.sampling.draws import seeded_generator
from cvd_core.scenes.paths import lens
from cvd_core.training.config import DataConfig
from cvd_core.training.data.clips import procedural_pair
from cvd_core.training.data.source import Autoencoder, PairBatch, PairSource, Tokenize, encode_pairs

PER_FILE = 250


@dataclass(frozen=True, eq=False)
class LatentPairs(PairSource):
    """N pairs in memory.

    Attributes:
        latents: ``(N, 2, F, C, h, w)`` float16.
        tokens: ``(N, L)`` of the prompts.
        c2w: ``(N, 2, F, 4, 4)``; identities where there are no cameras.
        has_cameras: ``(N,)`` bool.
        homography: ``(N, F, 3, 3)`` on pixels of the pictures.
        valid: ``(N, F, h, w)`` share of each latent pixel of the second video that has a source in the first.
        seed: decides which pairs make a batch.
    """

    latents: Tensor
    tokens: Tensor
    c2w: Tensor
    has_cameras: Tensor
    homography: Tensor
    valid: Tensor
    seed: int

    def draw(self, step: int, positions: Sequence[int], *, cameras: bool) -> PairBatch:
        allowed = (self.has_cameras == cameras).nonzero()[:, 0]
        if not len(allowed):
            raise ValueError(
                f"none of the {len(self.latents)} clips {'rests' if cameras else 'moves'}; make more clips"
            )
        rng = seeded_generator(self.seed, "pairs", step, positions[0])
        index = allowed[torch.randint(len(allowed), (len(positions),), generator=rng)]
        c2w = self.c2w[index].flatten(0, 1)
        return PairBatch(
            self.latents[index].float(),
            self.tokens[index],
            Cameras(c2w, lens(*c2w.shape[:2])) if cameras else None,
            self.homography[index],
            self.valid[index].float(),
        )


def latent_pairs(
    folder: Path, autoencoder: Autoencoder, tokenize: Tokenize, data: DataConfig, seed: int
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
    return LatentPairs(**{name: torch.cat([part[name] for part in parts]) for name in parts[0]}, seed=seed)


def _encode(
    indices: range, autoencoder: Autoencoder, tokenize: Tokenize, data: DataConfig, seed: int
) -> dict[str, Tensor]:
    pairs = [procedural_pair(data, seed, 0, index) for index in indices]
    encoded = encode_pairs(pairs, autoencoder, tokenize)
    unknown = torch.eye(4, dtype=torch.float64).expand(2, data.frames, 4, 4)
    return {
        "latents": encoded.latents.half(),
        "tokens": encoded.tokens,
        "c2w": torch.stack([unknown if pair.cameras is None else pair.cameras.c2w for pair in pairs]),
        "has_cameras": torch.tensor([pair.cameras is not None for pair in pairs]),
        "homography": encoded.homography.contiguous(),
        "valid": encoded.valid.half(),
    }
