"""DynamiCrafter's convolutional parts: residual blocks with a temporal convolution, down- and upsampling."""

from __future__ import annotations

from typing import Any

from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import interpolate

from cvd_core.cami2v.transformers import GROUPS, NetworkCall


class TemporalConvolution(nn.Module):
    """Four convolutions over three frames each, as a residual."""

    def __init__(self, channels: int, ops: Any = nn) -> None:
        super().__init__()
        first, *rest = (
            [ops.GroupNorm(GROUPS, channels), nn.SiLU(), ops.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0))]
            for _ in range(4)
        )
        self.conv1 = nn.Sequential(*first)
        # net.2 of the released names is dropout's place
        self.conv2, self.conv3, self.conv4 = (nn.Sequential(norm, act, nn.Identity(), conv) for norm, act, conv in rest)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """``(N * F, C, h, w)`` -> the same."""
        video = rearrange(x, "(n f) c h w -> n c f h w", f=frames)
        y = self.conv4(self.conv3(self.conv2(self.conv1(video))))
        return x + rearrange(y, "n c f h w -> (n f) c h w")


class ResidualBlock(nn.Module):
    """Stable Diffusion's residual block, then a temporal convolution."""

    def __init__(self, inputs: int, channels: int, embedding: int, ops: Any = nn) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            ops.GroupNorm(GROUPS, inputs), nn.SiLU(), ops.Conv2d(inputs, channels, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), ops.Linear(embedding, channels))
        self.out_layers = nn.Sequential(
            ops.GroupNorm(GROUPS, channels), nn.SiLU(), nn.Identity(), ops.Conv2d(channels, channels, 3, padding=1)
        )
        self.skip_connection = ops.Conv2d(inputs, channels, 1) if inputs != channels else nn.Identity()
        self.temopral_conv = TemporalConvolution(channels, ops)  # spelt so in the released files

    def forward(self, x: Tensor, call: NetworkCall) -> Tensor:
        """``(N * F, C, h, w)`` -> ``(N * F, C', h, w)``."""
        y = self.in_layers(x) + self.emb_layers(call.embedding)[:, :, None, None]
        return self.temopral_conv(self.skip_connection(x) + self.out_layers(y), call.frames)


class Downsample(nn.Module):
    """A 3x3 convolution of stride 2."""

    def __init__(self, channels: int, ops: Any = nn) -> None:
        super().__init__()
        self.op = ops.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor, call: NetworkCall) -> Tensor:
        """``(N * F, C, h, w)`` -> ``(N * F, C, h / 2, w / 2)``."""
        return self.op(x)


class Upsample(nn.Module):
    """Nearest neighbours, then a 3x3 convolution."""

    def __init__(self, channels: int, ops: Any = nn) -> None:
        super().__init__()
        self.conv = ops.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, call: NetworkCall) -> Tensor:
        """``(N * F, C, h, w)`` -> ``(N * F, C, 2h, 2w)``."""
        return self.conv(interpolate(x, scale_factor=2, mode="nearest"))


class TimeMLP(nn.Sequential):
    """Sinusoids to the embedding, as time and frame rate have one each."""

    def __init__(self, channels: int, embedding: int, ops: Any = nn) -> None:
        super().__init__(ops.Linear(channels, embedding), nn.SiLU(), ops.Linear(embedding, embedding))


class Output(nn.Sequential):
    """Norm, activation and the last convolution."""

    def __init__(self, channels: int, outputs: int, ops: Any = nn) -> None:
        super().__init__(ops.GroupNorm(GROUPS, channels), nn.SiLU(), ops.Conv2d(channels, outputs, 3, padding=1))
