"""Stage "cami2v": CamI2V's camera branch on a frozen DynamiCrafter (CamI2V, Sec. 3 and 5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cvd_core.cami2v.blocks import ResidualBlock
from cvd_core.cami2v.camera import SMALLEST_STEPS, relative_path
from cvd_core.cami2v.ddim import NoiseSchedule
from cvd_core.cami2v.network import DynamiCrafterUNet
from cvd_core.cami2v.picture import clip_pixels
from cvd_core.cami2v.transformers import CameraFeatures, SpatialTransformer, TemporalTransformer
from cvd_core.engine.cami2v.loading import PictureModel
from cvd_core.engine.prompts import tokenize_prompts
from cvd_core.geometry.cameras import Cameras
from cvd_core.networks.sd15 import LATENT_STRIDE
from cvd_core.sampling.draws import seeded_generator
from cvd_core.training.config import TrainConfig
from cvd_core.training.data.guided_clips import GuidedClip, GuidedClips
from cvd_core.training.data.source import ENCODED_AT_ONCE
from cvd_core.training.noise import timesteps
from cvd_core.training.stage import FrozenBaseStage, StageBatch

SOURCE_RATE = 29.97
"""Frames per second of the clips, for the 512 model."""
_TRAINED = ("pluker_projection", "epipolar")
"""Parts of the temporal transformers."""
_WORKERS = 4
"""Threads that decode."""


class CamI2VStage(FrozenBaseStage):
    """Videos of static scenes, from one of their frames, a text and their camera path.

    Text and picture tokens are left out together at times, for the branch without them. The branch without camera is
    the base, which has nothing to learn.

    Args:
        model: CamI2V, or DynamiCrafter with a camera branch that is new.
        config: of the training.
        clips: what it learns from.
    """

    def __init__(self, model: PictureModel, config: TrainConfig, clips: GuidedClips) -> None:
        super().__init__()
        networks = model.networks
        if networks.camera is None or networks.unet.layout.camera != "epipolar":
            raise ValueError("the network has no camera branch with epipolar attention to train")
        self.unet = networks.unet.requires_grad_(False)
        for _, parameter in camera_parameters(networks.unet):
            parameter.requires_grad_(True)
        self.camera = networks.camera.requires_grad_(True)
        self.resampler = networks.resampler.requires_grad_(False)
        self.text_encoder = model.text_encoder.requires_grad_(False)
        self.picture_encoder = model.picture_encoder.requires_grad_(False)
        self.vae = model.vae.requires_grad_(False)
        self.config, self.clips = config, clips
        self.schedule = NoiseSchedule.of(networks.predicts)
        self.tokens = {prompt: tokenize_prompts(model, [prompt]) for prompt in sorted({"", *clips.prompts()})}
        self._threads = ThreadPoolExecutor(_WORKERS)

    def enable_gradient_checkpointing(self) -> None:
        for layer in self.unet.modules():
            if isinstance(layer, (ResidualBlock, SpatialTransformer, TemporalTransformer)):
                layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)  # type: ignore[method-assign]

    def batch(self, step: int, positions: Sequence[int]) -> StageBatch:
        rng = seeded_generator(self.config.seed, type(self).__name__, step, positions[0])
        clips = list(self._threads.map(lambda position: self._clip(step, position), positions))
        rows, frames = len(clips), self.config.data.frames
        videos = torch.stack([clip.video for clip in clips])  # (rows, F, 3, H, W)
        size = (videos.shape[-2] // LATENT_STRIDE, videos.shape[-1] // LATENT_STRIDE)
        latent = (rows, DynamiCrafterUNet.OUTPUTS, frames, *size)
        silent = torch.rand(rows, generator=rng) < self.config.noise.empty_text
        prompts = ["" if quiet else clip.prompt for clip, quiet in zip(clips, silent.tolist(), strict=True)]
        paths = Cameras.concatenate([relative_path(clip.cameras, clip.reference) for clip in clips])
        strides = torch.tensor([clip.stride for clip in clips])
        return {
            "videos": videos,
            "reference": torch.tensor([clip.reference for clip in clips]),
            "silent": silent,
            "tokens": torch.cat([self.tokens[prompt] for prompt in prompts]),
            "rate": strides if self.schedule.predicts == "noise" else (SOURCE_RATE / strides).floor().long(),
            "timestep": timesteps(torch.rand(rows, generator=rng), self.config.noise.shift),
            "noise": torch.randn(latent, generator=rng),
            "posterior": torch.randn(latent, generator=rng),
            "lines": torch.randn((rows, frames, frames, 3), generator=rng),
            "c2w": paths.c2w,
            "intrinsics": paths.intrinsics,
        }

    def forward(self, batch: StageBatch) -> dict[str, Tensor]:
        with torch.no_grad():
            latents, context = self.latents(batch), self.context(batch)
        noisy, target = self.noised(latents, batch)
        rows = torch.arange(len(latents), device=latents.device)
        picture = latents[rows, :, batch["reference"]][:, :, None].expand_as(latents)
        inputs = torch.cat([noisy, picture], 1)
        output = self.unet(inputs, batch["timestep"], context, batch["rate"], self.features(batch)).float()
        return {"loss": (output - target).square().mean()}

    def latents(self, batch: StageBatch) -> Tensor:
        """``(rows, 4, F, h, w)`` samples of what the autoencoder makes of the videos."""
        pictures = batch["videos"].flatten(0, 1).to(self.vae.dtype)
        found = [self.vae.encode(part).latent_dist for part in pictures.split(ENCODED_AT_ONCE)]
        mean, spread = (
            torch.cat(values).float().unflatten(0, batch["videos"].shape[:2]).transpose(1, 2)
            for values in ([part.mean for part in found], [part.std for part in found])
        )
        return (mean + spread * batch["posterior"]) * self.vae.config["scaling_factor"]

    def context(self, batch: StageBatch) -> Tensor:
        """``(rows, 77 + F * 16, C)`` tokens of text and picture; those of a gray picture where it is left out."""
        text = self.text_encoder(batch["tokens"]).last_hidden_state
        rows = torch.arange(len(text), device=text.device)
        shown = batch["videos"][rows, batch["reference"]] * ~batch["silent"].view(-1, 1, 1, 1)
        pixels = clip_pixels(shown).to(self.picture_encoder.dtype)
        picture = self.resampler(self.picture_encoder(pixel_values=pixels).last_hidden_state)
        return torch.cat([text, picture.to(text)], 1)

    def noised(self, latents: Tensor, batch: StageBatch) -> tuple[Tensor, Tensor]:
        """Noisy latents and what is to be predicted of them, both like ``latents`` ``(rows, ...)``."""
        alpha_bar, scale = (
            values.to(latents)[batch["timestep"]].view(-1, 1, 1, 1, 1)
            for values in (self.schedule.alpha_bars, self.schedule.scales)
        )
        clean, noise = scale * latents, batch["noise"]
        signal, spread = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
        target = noise if self.schedule.predicts == "noise" else signal * noise - spread * clean
        return signal * clean + spread * noise, target

    def features(self, batch: StageBatch) -> CameraFeatures:
        """What the network is told of the paths."""
        height, width = batch["videos"].shape[-2:]
        return self.camera(
            Cameras(batch["c2w"], batch["intrinsics"]),
            width,
            height,
            batch["lines"].cpu(),
            smallest_step=SMALLEST_STEPS[self.schedule.predicts],
        )

    def _clip(self, step: int, position: int) -> GuidedClip:
        rng = seeded_generator(self.config.seed, "guided clip", step, position)
        return self.clips.sample(int(torch.randint(len(self.clips), (), generator=rng)), step, position)


def camera_parameters(unet: DynamiCrafterUNet) -> list[tuple[str, nn.Parameter]]:
    """What the camera branch adds to the network, by name."""
    return [(name, p) for name, p in unet.named_parameters() if any(part in name.split(".") for part in _TRAINED)]
