"""A small autoencoder for small models: it works on patches of 4x4 pixels, so that no layer runs at full resolution."""

from __future__ import annotations

from torch import Tensor, nn

PATCH = 4


class _Residual(nn.Module):
    """Two 3x3 convolutions with a residual; no normalisation, which would hide flat colours."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        assert self.conv2.bias is not None
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(nn.functional.silu(self.conv1(nn.functional.silu(x))))


def patch_encoder(latent_channels: int, width: int) -> nn.Sequential:
    """``(N, 3, H, W)`` in [-1, 1], H and W multiples of 8 -> ``(N, latent_channels, H/8, W/8)``."""
    return nn.Sequential(
        nn.PixelUnshuffle(PATCH),
        nn.Conv2d(3 * PATCH**2, width, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
        _Residual(2 * width),
        nn.Conv2d(2 * width, latent_channels, 1),
        nn.BatchNorm2d(latent_channels, affine=False),
    )


def patch_decoder(latent_channels: int, width: int, blocks: int) -> nn.Sequential:
    """``(N, latent_channels, h, w)`` -> ``(N, 3, 8h, 8w)``."""
    return nn.Sequential(
        nn.Conv2d(latent_channels, 2 * width, 3, padding=1),
        *(_Residual(2 * width) for _ in range(blocks)),
        nn.Conv2d(2 * width, 4 * width, 1),
        nn.PixelShuffle(2),
        *(_Residual(width) for _ in range(blocks)),
        nn.SiLU(),
        nn.Conv2d(width, 3 * PATCH**2, 3, padding=1),
        nn.PixelShuffle(PATCH),
    )


class PatchAutoencoder(nn.Module):
    """RGB pictures to latents an eighth of their size and back.

    Latents have mean 0 and variance 1 per channel over the training data.

    Args:
        latent_channels: channels of the latents.
        width: channels at a quarter of the picture's size; twice as many at an eighth.
        blocks: residual blocks of the decoder at each of the two sizes.
    """

    def __init__(self, latent_channels: int, width: int, blocks: int) -> None:
        super().__init__()
        self.patch_encoder = patch_encoder(latent_channels, width)
        self.patch_decoder = patch_decoder(latent_channels, width, blocks)

    def encode(self, images: Tensor) -> Tensor:
        """``(N, 3, H, W)`` in [-1, 1] -> ``(N, C, H/8, W/8)``."""
        latents: Tensor = self.patch_encoder(images)
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """``(N, C, h, w)`` -> ``(N, 3, 8h, 8w)``."""
        images: Tensor = self.patch_decoder(latents)
        return images
