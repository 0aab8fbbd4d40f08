"""The network: VideoCrafter's 3D UNet as DynamiCrafter conditions it, with CamI2V's camera branch (CamI2V, Sec. 3)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from einops import rearrange
from torch import Tensor, nn

from cvd_core.cami2v.blocks import Downsample, Output, ResidualBlock, TimeMLP, Upsample
from cvd_core.cami2v.ddim import Predicts
from cvd_core.cami2v.transformers import CameraFeatures, NetworkCall, SpatialTransformer, TemporalTransformer

Camera = Literal["none", "plucker", "epipolar"]
FRAMES = 16
"""Built into the picture's tokens and the pose encoder."""
SIDE = 64
"""Pixels of which sides of pictures are multiples: the latent's stride times that of the coarsest maps."""
TEXT_TOKENS = 77
PICTURE_TOKENS = 16
"""Of every frame."""
TRAINED_RATES: dict[Predicts, int] = {"noise": 3, "velocity": 10}
"""What the models were told of speed: the 256 model the stride between frames, the 512 model frames per second."""
RESIDUALS = 2
"""Residual blocks per level on the way down; one more on the way up."""
FIRST_HEADS = 8
"""Of the temporal transformer before the first level, whose width inside does not depend on its input's."""


@dataclass(frozen=True)
class Layout:
    """Sizes of a network and what it is told.

    Attributes:
        widths: channels per level, finest first; transformers stand in all but the coarsest, and in the middle.
        head_width: channels of an attention head.
        context: channels of text and picture tokens.
        learned_scale: whether the picture's part of the attention has a learned scale: the 256 model.
        camera: ``none`` DynamiCrafter, ``plucker`` the reproduction of CameraCtrl, ``epipolar`` CamI2V.
    """

    widths: tuple[int, ...] = (320, 640, 1280, 1280)
    head_width: int = 64
    context: int = 1024
    learned_scale: bool = True
    camera: Camera = "epipolar"


class DynamiCrafterUNet(nn.Module):
    """Noise or velocity of a video from one picture, under the released parameter names.

    Args:
        layout: sizes.
        ops: namespace of the layers; a host may bring its own.
    """

    INPUTS, OUTPUTS = 8, 4
    """Latent channels: the noisy video's and the picture's; the prediction's."""

    def __init__(self, layout: Layout | None = None, ops: Any = nn) -> None:
        super().__init__()
        layout = layout or Layout()
        self.layout = layout
        widths, width = layout.widths, layout.widths[0]
        embedding = 4 * width
        self.time_embed = TimeMLP(width, embedding, ops)
        self.fps_embedding = TimeMLP(width, embedding, ops)
        self.init_attn = nn.ModuleList(
            [
                TemporalTransformer(
                    width,
                    layout.head_width,
                    inner=FIRST_HEADS * layout.head_width,
                    plucker=False,
                    epipolar=False,
                    ops=ops,
                )
            ]
        )
        self.input_blocks = nn.ModuleList([nn.ModuleList([ops.Conv2d(self.INPUTS, width, 3, padding=1)])])
        skips, channels = [width], width
        for level, level_width in enumerate(widths):
            for _ in range(RESIDUALS):
                self.input_blocks.append(self._layer(channels, level_width, level, ops))
                channels = level_width
                skips.append(channels)
            if level < len(widths) - 1:
                self.input_blocks.append(nn.ModuleList([Downsample(channels, ops)]))
                skips.append(channels)
        middle = [ResidualBlock(channels, channels, embedding, ops) for _ in range(2)]
        self.middle_block = nn.ModuleList([middle[0], *self._transformers(channels, ops), middle[1]])
        self.output_blocks = nn.ModuleList()
        for level in reversed(range(len(widths))):
            for index in range(RESIDUALS + 1):
                block = self._layer(channels + skips.pop(), widths[level], level, ops)
                channels = widths[level]
                if index == RESIDUALS and level:
                    block.append(Upsample(channels, ops))
                self.output_blocks.append(block)
        self.out = Output(width, self.OUTPUTS, ops)

    def _layer(self, inputs: int, channels: int, level: int, ops: Any) -> nn.ModuleList:
        block = nn.ModuleList([ResidualBlock(inputs, channels, 4 * self.layout.widths[0], ops)])
        if level < len(self.layout.widths) - 1:
            block.extend(self._transformers(channels, ops))
        return block

    def _transformers(self, channels: int, ops: Any) -> Iterator[nn.Module]:
        layout = self.layout
        yield SpatialTransformer(
            channels, layout.head_width, layout.context, learned_scale=layout.learned_scale, ops=ops
        )
        yield TemporalTransformer(
            channels,
            layout.head_width,
            plucker=layout.camera != "none",
            epipolar=layout.camera == "epipolar",
            ops=ops,
        )

    def forward(
        self, x: Tensor, timestep: Tensor, context: Tensor, frame_rate: Tensor, camera: CameraFeatures | None = None
    ) -> Tensor:
        """One evaluation.

        Args:
            x: ``(N, 8, F, h, w)``, noisy latents and the picture's; sides are multiples of 8.
            timestep: ``(N,)``, 0 to 999.
            context: ``(N, 77 + F * 16, C)``, text tokens, then the picture's tokens of every frame.
            frame_rate: ``(N,)``; frame stride (256 model) or frames per second (512 model).
            camera: of V videos, N a multiple of V with the video innermost; None: DynamiCrafter.

        Returns:
            ``(N, 4, F, h, w)``, noise or velocity, as the model was trained.

        Raises:
            ValueError: a context that does not belong to F frames, sides that cannot be halved, or a camera for a
                network that takes none.
        """
        frames = x.shape[2]
        self._check(x, context, camera)
        dtype = x.dtype
        width = self.layout.widths[0]
        embedding = self.time_embed(_sinusoids(timestep, width).to(dtype))
        embedding = embedding + self.fps_embedding(_sinusoids(frame_rate, width).to(dtype))
        call = NetworkCall(
            frames,
            embedding.repeat_interleave(frames, 0),
            context[:, :TEXT_TOKENS].repeat_interleave(frames, 0),
            rearrange(context[:, TEXT_TOKENS:], "n (f t) c -> (n f) t c", f=frames),
            camera,
        )
        h = rearrange(x, "n c f h w -> (n f) c h w")
        (first,) = cast(nn.ModuleList, self.input_blocks[0])
        h = self.init_attn[0](first(h), call)
        skips = [h]
        for block in list(self.input_blocks)[1:]:
            h = _run(block, h, call)
            skips.append(h)
        h = _run(self.middle_block, h, call)
        for block in self.output_blocks:
            h = _run(block, torch.cat([h, skips.pop()], 1), call)
        return rearrange(self.out(h), "(n f) c h w -> n c f h w", f=frames)

    def _check(self, x: Tensor, context: Tensor, camera: CameraFeatures | None) -> None:
        frames, height, width = x.shape[2:]
        expected = TEXT_TOKENS + frames * PICTURE_TOKENS
        if context.shape[1] != expected:
            raise ValueError(
                f"the context holds {context.shape[1]} tokens; expected {expected} for {frames} frames: {TEXT_TOKENS} "
                f"of the text and {PICTURE_TOKENS} of the picture per frame (released models make {FRAMES} frames)"
            )
        step = 2 ** (len(self.layout.widths) - 1)
        if height % step or width % step:
            raise ValueError(
                f"the latents are {width}x{height}; expected multiples of {step}, that is pictures whose sides are "
                f"multiples of {8 * step}"
            )
        if camera is not None and self.layout.camera == "none":
            raise ValueError("the model is DynamiCrafter without camera; load CamI2V's file, or leave the cameras out")


def _run(block: nn.Module, h: Tensor, call: NetworkCall) -> Tensor:
    for layer in cast(nn.ModuleList, block):
        h = layer(h, call)
    return h


def _sinusoids(values: Tensor, channels: int) -> Tensor:
    """``(N,)`` numbers to ``(N, channels)`` float32, cosines first."""
    half = channels // 2
    rates = torch.exp(torch.arange(half, device=values.device) * (-math.log(10000) / half))
    angles = values.float()[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], -1)
