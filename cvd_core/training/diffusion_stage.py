"""What all diffusion stages share: noise, targets, and prompts that are left out at times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cvd_core.engine.prediction import signal_and_noise, velocity
from cvd_core.sampling.draws import seeded_generator
from cvd_core.training.config import NoiseConfig
from cvd_core.training.data.source import PairBatch, PairSource
from cvd_core.training.stage import Batch, Stage

TIMESTEPS = 1000


def timesteps(uniform: Tensor, shift: float) -> Tensor:
    """Whole timesteps 0 to 999 from numbers in [0, 1); a ``shift`` above 1 moves them towards the noise."""
    return (TIMESTEPS * shift * uniform / (1 + (shift - 1) * uniform)).long().clamp(max=TIMESTEPS - 1)


class DiffusionStage(Stage):
    """A stage that learns to denoise the latents of video pairs; those of one step are all of one kind.

    Args:
        unet: the network to be trained, or parts of it.
        text_encoder: to be trained or not, as its ``requires_grad`` says.
        source: of the data.
        noise: of the diffusion.
        camera_share: share of the steps on static scenes with cameras; the others are on moving ones without.
        empty: ``(L,)`` tokens of the empty prompt.
        seed: of the samples and the noise.
    """

    def __init__(
        self,
        unet: Any,
        text_encoder: nn.Module,
        source: PairSource,
        noise: NoiseConfig,
        camera_share: float,
        empty: Tensor,
        seed: int,
    ) -> None:
        super().__init__()
        self.text_encoder = text_encoder
        self.unet = unet
        self.source = source
        self.noise = noise
        self.camera_share = camera_share
        self.empty = empty
        self.seed = seed

    def with_cameras(self, step: int) -> bool:
        """Which kind of pairs a step has, the same in all processes."""
        draw = torch.rand((), generator=seeded_generator(self.seed, type(self).__name__, "with cameras", step))
        return bool(draw < self.camera_share)

    def draw(self, step: int, positions: Sequence[int]) -> tuple[PairBatch, torch.Generator]:
        """The pairs at some positions of a step's batch, and the random numbers for what is made of them."""
        rng = seeded_generator(self.seed, type(self).__name__, step, positions[0])
        return self.source.draw(step, positions, cameras=self.with_cameras(step)), rng

    def noised(self, latents: Tensor, rng: torch.Generator, groups: int | None = None) -> Batch:
        """Noise for ``latents`` ``(rows, ...)``: ``noisy``, ``timestep`` ``(rows,)`` and ``target``.

        Args:
            groups: rows are so many groups in a row that share their timestep (the paper's pairs); None: none do.
        """
        rows = len(latents)
        groups = rows if groups is None else groups
        t = timesteps(torch.rand(groups, generator=rng), self.noise.shift).repeat_interleave(rows // groups)
        noise = torch.randn(latents.shape, generator=rng)
        a, s = signal_and_noise(t, latents)
        target = noise if self.noise.prediction == "epsilon" else velocity(latents, noise, t)
        return {"noisy": a * latents + s * noise, "timestep": t, "target": target}

    def prompts(self, tokens: Tensor, rng: torch.Generator) -> Tensor:
        """``(rows, L)`` tokens, some replaced by the empty prompt's."""
        silent = torch.rand(len(tokens), generator=rng) < self.noise.empty_text
        return torch.where(silent[:, None], self.empty, tokens)

    def encode_text(self, tokens: Tensor) -> Tensor:
        """``(rows, L, C)``."""
        out: Tensor = self.text_encoder(tokens).last_hidden_state
        return out


def one_view(pairs: PairBatch, rng: torch.Generator) -> Tensor:
    """``(P,)`` index of one video of each pair; the first of moving ones: a deformed copy shows no scene."""
    return torch.randint(2, (len(pairs.latents),), generator=rng) * (pairs.cameras is not None)


class ImageStage(DiffusionStage):
    """Stage "images": text to single frames; trains the UNet and the text encoder."""

    def batch(self, step: int, positions: Sequence[int]) -> Batch:
        pairs, rng = self.draw(step, positions)
        rows, view = torch.arange(len(positions)), one_view(pairs, rng)
        frame = torch.randint(pairs.latents.shape[2], rows.shape, generator=rng)
        latents = pairs.latents[rows, view, frame]
        return {**self.noised(latents, rng), "tokens": self.prompts(pairs.tokens, rng)}

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        text = self.encode_text(batch["tokens"])
        output = self.unet(batch["noisy"], batch["timestep"], text, return_dict=False)[0].float()
        return {"loss": (output - batch["target"]).square().mean()}
