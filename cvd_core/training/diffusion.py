"""What all diffusion stages share: noise, targets, and prompts that are left out at times."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn

from cvd_core.engine.prediction import signal_and_noise, velocity
from cvd_core.training.config import NoiseConfig
from cvd_core.training.data.latents import LatentPairs
from cvd_core.training.stage import Batch, Stage, generator

TIMESTEPS = 1000


def timesteps(uniform: Tensor, shift: float) -> Tensor:
    """Whole timesteps 0 to 999 from numbers in [0, 1); a ``shift`` above 1 moves them towards the noise."""
    return (TIMESTEPS * shift * uniform / (1 + (shift - 1) * uniform)).long().clamp(max=TIMESTEPS - 1)


def fast_attention(unet: nn.Module) -> None:
    """On a CPU, compute attention as two matrix products: for short sequences their gradient is faster than the fused
    kernel's. To be called before CameraCtrl's merges are hooked into the attention.
    """
    if not torch.cuda.is_available():
        unet.set_attn_processor(AttnProcessor())  # type: ignore[operator]


class DiffusionStage(Stage):
    """A stage that learns to denoise latents of procedural pairs.

    Args:
        text_encoder: to be trained or not, as its ``requires_grad`` says.
        pairs: the data.
        noise: of the diffusion.
        empty: ``(L,)`` tokens of the empty prompt.
        seed: of the samples and the noise.
    """

    def __init__(
        self, text_encoder: nn.Module, pairs: LatentPairs, noise: NoiseConfig, empty: Tensor, seed: int
    ) -> None:
        super().__init__()
        self.text_encoder = text_encoder
        self.pairs = pairs
        self.noise = noise
        self.empty = empty
        self.seed = seed

    def rng(self, step: int, positions: Sequence[int]) -> torch.Generator:
        """The random numbers of this process in this step."""
        return generator(self.seed, type(self).__name__, step, positions[0])

    def choose(self, allowed: Tensor, count: int, rng: torch.Generator) -> Tensor:
        """``(count,)`` of the indices ``allowed``."""
        return allowed[torch.randint(len(allowed), (count,), generator=rng)]

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

    def prompts(self, indices: Tensor, rng: torch.Generator) -> Tensor:
        """``(rows, L)`` tokens, some empty."""
        tokens = self.pairs.tokens[indices]
        silent = torch.rand(len(indices), generator=rng) < self.noise.empty_text
        return torch.where(silent[:, None], self.empty, tokens)

    def encode_text(self, tokens: Tensor) -> Tensor:
        """``(rows, L, C)``."""
        out: Tensor = self.text_encoder(tokens).last_hidden_state
        return out


class ImageStage(DiffusionStage):
    """Stage "images": text to single frames; trains the UNet and the text encoder."""

    def __init__(
        self,
        unet: nn.Module,
        text_encoder: nn.Module,
        pairs: LatentPairs,
        noise: NoiseConfig,
        empty: Tensor,
        seed: int,
    ) -> None:
        super().__init__(text_encoder, pairs, noise, empty, seed)
        self.unet = unet

    def batch(self, step: int, positions: Sequence[int]) -> Batch:
        rng = self.rng(step, positions)
        count = len(positions)
        index = self.choose(torch.arange(len(self.pairs)), count, rng)
        frames = self.pairs.latents.shape[2]
        view = torch.where(self.pairs.has_cameras[index], torch.randint(2, (count,), generator=rng), 0)
        frame = torch.randint(frames, (count,), generator=rng)
        latents = self.pairs.latents[index, view, frame].float()
        return {**self.noised(latents, rng), "tokens": self.prompts(index, rng)}

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        text = self.encode_text(batch["tokens"])
        output = self.unet(batch["noisy"], batch["timestep"], text, return_dict=False)[0].float()
        return {"loss": (output - batch["target"]).square().mean()}
