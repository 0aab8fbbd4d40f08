"""What all diffusion stages share: noise, targets, and prompts that are left out at times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from cvd_core.engine.prediction import signal_and_noise, velocity
from cvd_core.sampling.draws import seeded_generator
from cvd_core.training.config import TrainConfig
from cvd_core.training.data.source import ViewsBatch, ViewsSource
from cvd_core.training.noise import timesteps
from cvd_core.training.stage import Stage, StageBatch


@dataclass(frozen=True, eq=False)
class Material:
    """What every diffusion stage of a training works with.

    Attributes:
        config: of the training.
        clips: gives their source; the first call may take long.
        text_encoder: trained by the stage "images" alone.
        empty: ``(L,)`` tokens of the empty prompt.
    """

    config: TrainConfig
    clips: Callable[[], ViewsSource]
    text_encoder: nn.Module
    empty: Tensor


class DiffusionStage(Stage):
    """A stage that learns to denoise the latents of synchronised clips; those of one step are all of one kind.

    Args:
        unet: the network to be trained, or parts of it.
        material: what it learns from.
        train_text: train the text encoder too.
    """

    def __init__(self, unet: Any, material: Material, *, train_text: bool = False) -> None:
        super().__init__()
        self.text_encoder = material.text_encoder.requires_grad_(train_text)
        self.unet = unet
        self.config = material.config
        self.clips = material.clips
        self.empty = material.empty

    def prepare(self) -> None:
        self.clips()

    def enable_gradient_checkpointing(self) -> None:
        self.unet.enable_gradient_checkpointing()

    @property
    def camera_share(self) -> float:
        """Fraction of the steps on static scenes with cameras; the others are on moving ones."""
        return self.config.video.camera_share

    def on_static(self, step: int) -> bool:
        """Whether a step is on static scenes, the same in all processes."""
        rng = seeded_generator(self.config.seed, type(self).__name__, "with cameras", step)
        return bool(torch.rand((), generator=rng) < self.camera_share)

    def draw(self, step: int, positions: Sequence[int], views: int | None = None) -> tuple[ViewsBatch, torch.Generator]:
        """The clips at some positions of a step's batch, and the random numbers for what is made of them.

        Args:
            views: of each clip; None: all.
        """
        views = self.config.data.views if views is None else views
        rng = seeded_generator(self.config.seed, type(self).__name__, step, positions[0])
        return self.clips().draw(step, positions, static=self.on_static(step), views=views), rng

    def noised(self, latents: Tensor, rng: torch.Generator, groups: int | None = None) -> StageBatch:
        """Noise for ``latents`` ``(rows, ...)``: ``noisy``, ``timestep`` ``(rows,)`` and ``target``.

        Args:
            groups: rows are so many groups in a row that share their timestep (the views of a clip); None: none do.
        """
        rows = len(latents)
        groups = rows if groups is None else groups
        t = timesteps(torch.rand(groups, generator=rng), self.config.noise.shift).repeat_interleave(rows // groups)
        noise = torch.randn(latents.shape, generator=rng)
        a, s = signal_and_noise(t, latents)
        target = noise if self.config.noise.prediction == "epsilon" else velocity(latents, noise, t)
        return {"noisy": a * latents + s * noise, "timestep": t, "target": target}

    def prompts(self, tokens: Tensor, rng: torch.Generator) -> Tensor:
        """``(rows, L)`` tokens, some replaced by the empty prompt's."""
        silent = torch.rand(len(tokens), generator=rng) < self.config.noise.empty_text
        return torch.where(silent[:, None], self.empty, tokens)

    def encode_text(self, tokens: Tensor) -> Tensor:
        """``(rows, L, C)``."""
        return self.text_encoder(tokens).last_hidden_state


def one_view(clips: ViewsBatch, rng: torch.Generator) -> Tensor:
    """``(P,)`` index of a video of each clip; the first where there are no cameras: a deformed copy shows no scene."""
    count, views = clips.latents.shape[:2]
    return torch.randint(views, (count,), generator=rng) * (clips.cameras is not None)


class ImageStage(DiffusionStage):
    """Stage "images": text to single frames; trains the UNet and the text encoder."""

    def __init__(self, unet: UNet2DConditionModel, material: Material) -> None:
        super().__init__(unet.requires_grad_(True), material, train_text=True)

    def batch(self, step: int, positions: Sequence[int]) -> StageBatch:
        clips, rng = self.draw(step, positions)
        rows, view = torch.arange(len(positions)), one_view(clips, rng)
        frame = torch.randint(clips.latents.shape[2], rows.shape, generator=rng)
        latents = clips.latents[rows, view, frame]
        return {**self.noised(latents, rng), "tokens": self.prompts(clips.tokens, rng)}

    def forward(self, batch: StageBatch) -> dict[str, Tensor]:
        text = self.encode_text(batch["tokens"])
        output = self.unet(batch["noisy"], batch["timestep"], text, return_dict=False)[0].float()
        return {"loss": (output - batch["target"]).square().mean()}
