"""A small autoencoder for small models: it works on patches of 4x4 pixels, so that no layer runs at full resolution."""

from __future__ import annotations

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput
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


class PatchAutoencoder(ModelMixin, ConfigMixin):
    """RGB pictures to latents an eighth of their size and back; stands in for AutoencoderKL where only that is asked.

    Latents have mean 0 and variance 1 per channel over the training data.

    Args:
        latent_channels: channels of the latents.
        width: channels at a quarter of the picture's size; twice as many at an eighth.
        blocks: residual blocks of the decoder at each of the two sizes.
        scaling_factor: what latents are multiplied with for the diffusion, as in AutoencoderKL.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, latent_channels: int = 8, width: int = 64, blocks: int = 2, scaling_factor: float = 1.0) -> None:
        super().__init__()
        self.patch_encoder = nn.Sequential(
            nn.PixelUnshuffle(PATCH),
            nn.Conv2d(3 * PATCH**2, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            _Residual(2 * width),
            nn.Conv2d(2 * width, latent_channels, 1),
            nn.BatchNorm2d(latent_channels, affine=False),
        )
        self.patch_decoder = nn.Sequential(
            nn.Conv2d(latent_channels, 2 * width, 3, padding=1),
            *(_Residual(2 * width) for _ in range(blocks)),
            nn.Conv2d(2 * width, 4 * width, 1),
            nn.PixelShuffle(2),
            *(_Residual(width) for _ in range(blocks)),
            nn.SiLU(),
            nn.Conv2d(width, 3 * PATCH**2, 3, padding=1),
            nn.PixelShuffle(PATCH),
        )

    def encode(self, images: Tensor) -> Tensor:
        """``(N, 3, H, W)`` in [-1, 1], H and W multiples of 8 -> ``(N, C, H/8, W/8)``."""
        latents: Tensor = self.patch_encoder(images)
        return latents

    def decode(self, latents: Tensor) -> DecoderOutput:
        """``(N, C, h, w)`` -> ``.sample`` ``(N, 3, 8h, 8w)``."""
        return DecoderOutput(sample=self.patch_decoder(latents))
