"""The small autoencoder as one of diffusers' models."""

from __future__ import annotations

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput
from torch import Tensor

from cvd_core.networks.patch_autoencoder import patch_decoder, patch_encoder


class PatchAutoencoder(ModelMixin, ConfigMixin):
    """:class:`cvd_core.networks.patch_autoencoder.PatchAutoencoder` in the place of AutoencoderKL, where only encoding
    and decoding are asked for.

    Args:
        latent_channels, width, blocks: see there.
        scaling_factor: what latents are multiplied with for the diffusion, as in AutoencoderKL.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, latent_channels: int = 8, width: int = 64, blocks: int = 2, scaling_factor: float = 1.0) -> None:
        super().__init__()
        self.patch_encoder = patch_encoder(latent_channels, width)
        self.patch_decoder = patch_decoder(latent_channels, width, blocks)

    def encode(self, images: Tensor) -> Tensor:
        """``(N, 3, H, W)`` in [-1, 1], H and W multiples of 8 -> ``(N, C, H/8, W/8)``."""
        latents: Tensor = self.patch_encoder(images)
        return latents

    def decode(self, latents: Tensor) -> DecoderOutput:
        """``(N, C, h, w)`` -> ``.sample`` ``(N, 3, 8h, 8w)``."""
        return DecoderOutput(sample=self.patch_decoder(latents))
