"""Latents of many synchronised clips on disk: rendered and encoded once, in pieces, read by all later stages."""

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
from cvd_core.training.config_parts import DataConfig
from cvd_core.training.data.clips import procedural_views
from cvd_core.training.data.source import Autoencoder, Tokenize, ViewsBatch, ViewsSource, encode_views

PER_FILE = 250
FORMAT = 2
"""Of the cache's files: another number where the same scenes would be rendered or kept in another way."""


@dataclass(frozen=True, eq=False)
class LatentViews(ViewsSource):
    """N clips of V views in memory.

    Attributes:
        latents: ``(N, V, F, C, h, w)`` float16.
        tokens: ``(N, L)`` of the prompts.
        c2w: ``(N, V, F, 4, 4)``; identities where there are no cameras.
        has_cameras, static: ``(N,)`` bool; static scenes have cameras.
        homography: ``(N, V, F, 3, 3)`` on pixels of the pictures, from the first video to each.
        valid: ``(N, V, F, h, w)`` fraction of each latent pixel that has a source in the first video.
        seed: decides which clips make a batch.
    """

    latents: Tensor
    tokens: Tensor
    c2w: Tensor
    has_cameras: Tensor
    static: Tensor
    homography: Tensor
    valid: Tensor
    seed: int

    def draw(self, step: int, positions: Sequence[int], *, static: bool, views: int = 2) -> ViewsBatch:
        allowed = (self.static == static).nonzero()[:, 0]
        if not len(allowed):
            raise ValueError(f"none of the {len(self.latents)} clips {'rests' if static else 'moves'}; make more clips")
        rng = seeded_generator(self.seed, "pairs", step, positions[0])
        index = allowed[torch.randint(len(allowed), (len(positions),), generator=rng)][:, None]
        there = self.latents.shape[1]
        chosen = torch.arange(there) if views == there else torch.randperm(there, generator=rng)[:views]
        c2w = self.c2w[index, chosen].flatten(0, 1)
        return ViewsBatch(
            self.latents[index, chosen].float(),
            self.tokens[index[:, 0]],
            Cameras(c2w, lens(*c2w.shape[:2])) if bool(self.has_cameras[index].all()) else None,
            self.homography[index, chosen],
            self.valid[index, chosen].float(),
        )


def latent_views(
    folder: Path, autoencoder: Autoencoder, tokenize: Tokenize, data: DataConfig, seed: int
) -> LatentViews:
    """The first ``data.clips`` clips; what ``folder`` lacks of them is made.

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
    return LatentViews(**{name: torch.cat([part[name] for part in parts]) for name in parts[0]}, seed=seed)


def _key(autoencoder: Autoencoder, tokenize: Tokenize, data: DataConfig, seed: int) -> str:
    """Name of everything that decides what a clip's latents and tokens are."""
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
    made = [procedural_views(data, seed, 0, index) for index in indices]
    clips = [clip for clip, _ in made]
    encoded = encode_views(clips, autoencoder, tokenize)
    unknown = torch.eye(4, dtype=torch.float64).expand(data.views, data.frames, 4, 4)
    return {
        "latents": encoded.latents.half(),
        "tokens": encoded.tokens,
        "c2w": torch.stack([unknown if clip.cameras is None else clip.cameras.c2w for clip in clips]),
        "has_cameras": torch.tensor([clip.cameras is not None for clip in clips]),
        "static": torch.tensor([static for _, static in made]),
        "homography": encoded.homography.contiguous(),
        "valid": encoded.valid.half(),
    }
