"""Latents of many clip pairs on disk: rendered and encoded once, in pieces, read by all later stages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from cvd_core.files import atomic_path
from cvd_core.geometry.cameras import Cameras
from cvd_core.sampling.draws import seeded_generator
from cvd_core.scenes.paths import lens
from cvd_core.scenes.world import vocabulary
from cvd_core.training.config import DataConfig
from cvd_core.training.data.clips import procedural_pair
from cvd_core.training.data.source import Autoencoder, PairBatch, PairSource, Tokenize, encode_pairs

PER_FILE = 250
FORMAT = 1
"""Of the cache's files: another number where the same scenes would be rendered or kept in another way."""


@dataclass(frozen=True, eq=False)
class LatentPairs(PairSource):
    """N pairs in memory.

    Attributes:
        latents: ``(N, 2, F, C, h, w)`` float16.
        tokens: ``(N, L)`` of the prompts.
        c2w: ``(N, 2, F, 4, 4)``; identities where there are no cameras.
        has_cameras: ``(N,)`` bool.
        homography: ``(N, F, 3, 3)`` on pixels of the pictures.
        valid: ``(N, F, h, w)`` fraction of each latent pixel of the second video that has a source in the first.
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
        folder: cache. What other scenes, another autoencoder or another tokenizer gave lies in other sub-folders, so
            that nothing stale is ever read.
        autoencoder: in evaluation mode.
        tokenize: prompts to ``(N, L)``.

    Raises:
        ValueError: a file of the cache is damaged.
    """
    place = folder / _key(autoencoder, tokenize, data, seed)
    parts = []
    for start in tqdm(range(0, data.clips, PER_FILE), desc="latents", unit="file"):
        indices = range(start, min(start + PER_FILE, data.clips))
        path = place / f"{indices.start:06d}-{indices.stop:06d}.safetensors"
        if not path.exists():
            part = _encode(indices, autoencoder, tokenize, data, seed)
            with atomic_path(path) as temporary:
                save_file(part, temporary)
        try:
            parts.append(load_file(path))
        except SafetensorError as error:
            raise ValueError(f"{path} is damaged ({error}); remove it, and it is made again") from error
    return LatentPairs(**{name: torch.cat([part[name] for part in parts]) for name in parts[0]}, seed=seed)


def _key(autoencoder: Autoencoder, tokenize: Tokenize, data: DataConfig, seed: int) -> str:
    """Name of everything that decides what a pair's latents and tokens are."""
    scenes = {name: value for name, value in asdict(data).items() if name != "clips"}
    digest = hashlib.sha256(json.dumps([FORMAT, scenes, seed], sort_keys=True).encode())
    for name, value in sorted(autoencoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    digest.update(tokenize([" ".join(vocabulary()[i::4]) for i in range(4)]).numpy().tobytes())
    return digest.hexdigest()[:16]


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
