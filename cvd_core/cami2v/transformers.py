"""DynamiCrafter's transformers: over the pixels of a frame with text and picture, and over the frames of a pixel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from cvd_core.cami2v.epipolar import EpipolarAttention, EpipolarLines
from cvd_core.networks.attention import Attention, AttentionLayers
from cvd_core.networks.layers import FeedForward

GROUPS = 32
EPS = 1e-6
"""Of the transformers' group norms."""


@dataclass
class CameraFeatures:
    """What a network call is told of its cameras.

    Attributes:
        levels: of every level, finest first, ``(V, C, F, h, w)``, from the pose encoder.
        lines: None: Plücker features alone, as in the reproduction of CameraCtrl.
        strength: factor on what the camera adds; 0 is DynamiCrafter.
    """

    levels: list[Tensor]
    lines: EpipolarLines | None = None
    strength: float = 1.0

    def at(self, width: int, height: int) -> Tensor:
        """``(V, F, h * w, C)``, the features of maps of that size."""
        for level in self.levels:
            if level.shape[-2:] == (height, width):
                return rearrange(level, "v c f h w -> v f (h w) c")
        sizes = ", ".join(f"{level.shape[-1]}x{level.shape[-2]}" for level in self.levels)
        raise ValueError(
            f"no camera features for maps of {width}x{height}; there are {sizes} - encode the cameras anew"
        )


@dataclass
class NetworkCall:
    """What the layers of one evaluation share.

    Attributes:
        frames: F; batches are ``(N * F, ...)``, frames innermost.
        embedding: ``(N * F, E)`` of time and frame rate.
        text: ``(N * F, 77, C)``.
        picture: ``(N * F, 16, C)``, the tokens of the picture for each frame.
        camera: None: DynamiCrafter.
    """

    frames: int
    embedding: Tensor
    text: Tensor
    picture: Tensor
    camera: CameraFeatures | None = field(default=None)


class TextAndPictureAttention(AttentionLayers):
    """Cross-attention to text and, apart, to the picture's tokens of the frame.

    Args:
        context: channels of text and picture tokens.
        learned_scale: whether the picture's attention has a factor, ``tanh(alpha) + 1`` (the 256 model).
    """

    def __init__(self, channels: int, head_width: int, context: int, *, learned_scale: bool, ops: Any = nn) -> None:
        super().__init__(channels, head_width, context=context, ops=ops)
        self.to_k_ip = ops.Linear(context, channels, bias=False)
        self.to_v_ip = ops.Linear(context, channels, bias=False)
        self.alpha = nn.Parameter(torch.tensor(0.0)) if learned_scale else None

    def attend_both(self, x: Tensor, call: NetworkCall) -> Tensor:
        """``(N * F, L, C)`` -> the same."""
        q = self.to_q(x)
        y = self.attend(q, self.to_k(call.text), self.to_v(call.text))
        picture = self.attend(q, self.to_k_ip(call.picture), self.to_v_ip(call.picture))
        scale = 1.0 if self.alpha is None else self.alpha.to(picture).tanh() + 1
        return self.to_out[0](y + scale * picture)


class SpatialBlock(nn.Module):
    """Self-attention over a frame's pixels, cross-attention to text and picture, feed-forward."""

    def __init__(self, channels: int, head_width: int, context: int, *, learned_scale: bool, ops: Any = nn) -> None:
        super().__init__()
        self.attn1 = Attention(channels, head_width, ops=ops)
        self.ff = FeedForward(channels, ops)
        self.attn2 = TextAndPictureAttention(channels, head_width, context, learned_scale=learned_scale, ops=ops)
        self.norm1, self.norm2, self.norm3 = (ops.LayerNorm(channels) for _ in range(3))

    def forward(self, x: Tensor, call: NetworkCall) -> Tensor:
        """``(N * F, h * w, C)`` -> the same."""
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2.attend_both(self.norm2(x), call)
        return x + self.ff(self.norm3(x))


class TemporalBlock(nn.Module):
    """Two self-attentions over the frames of a pixel and a feed-forward; the camera enters beside the first."""

    def __init__(self, channels: int, head_width: int, *, plucker: bool, epipolar: bool, ops: Any = nn) -> None:
        super().__init__()
        self.attn1, self.attn2 = (Attention(channels, head_width, ops=ops) for _ in range(2))
        self.ff = FeedForward(channels, ops)
        self.norm1, self.norm2, self.norm3 = (ops.LayerNorm(channels) for _ in range(3))
        self.pluker_projection = ops.Linear(channels, channels) if plucker else None
        self.epipolar = EpipolarAttention(channels, head_width, ops) if epipolar else None

    def forward(self, x: Tensor, call: NetworkCall, size: tuple[int, int]) -> Tensor:
        """``(N * h * w, F, C)`` -> the same, ``size`` being (h, w)."""
        n = self.norm1(x)
        camera = self._camera(n, call, size)
        x = x + self.attn1(n)
        if camera is not None:
            x = x + camera
        x = x + self.attn2(self.norm2(x))
        return x + self.ff(self.norm3(x))

    def _camera(self, n: Tensor, call: NetworkCall, size: tuple[int, int]) -> Tensor | None:
        """What the camera adds (CamI2V, Fig. 2): tokens with rays, projected, and attending along epipolar lines."""
        camera = call.camera
        if camera is None or camera.strength == 0 or self.pluker_projection is None:
            return None
        tokens = rearrange(n, "(b p) f c -> b f p c", p=size[0] * size[1])
        rays = camera.at(size[1], size[0])
        tokens = tokens + rays.to(tokens).repeat(len(tokens) // len(rays), 1, 1, 1)
        added = self.pluker_projection(tokens)
        if self.epipolar is not None and camera.lines is not None:
            added = added + self.epipolar(tokens, camera.lines, size)
        return camera.strength * rearrange(added, "b f p c -> (b p) f c")


class SpatialTransformer(nn.Module):
    """Group norm, linear in, one block, linear out, residual."""

    def __init__(self, channels: int, head_width: int, context: int, *, learned_scale: bool, ops: Any = nn) -> None:
        super().__init__()
        self.norm = ops.GroupNorm(GROUPS, channels, eps=EPS)
        self.proj_in = ops.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList(
            [SpatialBlock(channels, head_width, context, learned_scale=learned_scale, ops=ops)]
        )
        self.proj_out = ops.Linear(channels, channels)

    def forward(self, x: Tensor, call: NetworkCall) -> Tensor:
        """``(N * F, C, h, w)`` -> the same."""
        height = x.shape[2]
        y = self.proj_in(rearrange(self.norm(x), "n c h w -> n (h w) c"))
        y = self.proj_out(self.transformer_blocks[0](y, call))
        return x + rearrange(y, "n (h w) c -> n c h w", h=height)


class TemporalTransformer(nn.Module):
    """Group norm over a whole video, linear in, one block, linear out, residual.

    Args:
        inner: channels inside; they differ from those outside in the network's first layer alone, whose linear layers
            are stored as convolutions of size 1.
    """

    def __init__(
        self, channels: int, head_width: int, *, inner: int | None = None, plucker: bool, epipolar: bool, ops: Any = nn
    ) -> None:
        super().__init__()
        self.norm = ops.GroupNorm(GROUPS, channels, eps=EPS)
        self.as_convolution = inner is not None
        inner = channels if inner is None else inner
        linear = (lambda a, b: ops.Conv1d(a, b, 1)) if self.as_convolution else ops.Linear
        self.proj_in = linear(channels, inner)
        self.transformer_blocks = nn.ModuleList(
            [TemporalBlock(inner, head_width, plucker=plucker, epipolar=epipolar, ops=ops)]
        )
        self.proj_out = linear(inner, channels)

    def forward(self, x: Tensor, call: NetworkCall) -> Tensor:
        """``(N * F, C, h, w)`` -> the same."""
        size = (x.shape[2], x.shape[3])
        video = self.norm(rearrange(x, "(n f) c h w -> n c f h w", f=call.frames))
        y = self._linear(self.proj_in, rearrange(video, "n c f h w -> (n h w) f c"))
        y = self._linear(self.proj_out, self.transformer_blocks[0](y, call, size))
        return x + rearrange(y, "(n h w) f c -> (n f) c h w", h=size[0], w=size[1])

    def _linear(self, layer: nn.Module, x: Tensor) -> Tensor:
        return layer(x.transpose(1, 2)).transpose(1, 2) if self.as_convolution else layer(x)
