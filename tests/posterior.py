"""Stable Diffusion's encoder in plain functions: what the latent of a picture is, with and without diffusers."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn.functional import conv2d, group_norm, pad, scaled_dot_product_attention, silu


def posterior_mean(state: Mapping[str, Tensor], picture: Tensor) -> Tensor:
    """``(N, 3, H, W)`` in -1 ... 1 to ``(N, 4, H / 8, W / 8)``, not scaled.

    Args:
        state: of an autoencoder under the names of original checkpoints.
        picture: of sides that can be halved three times.
    """

    def conv(name: str, x: Tensor, padding: int = 0, stride: int = 1) -> Tensor:
        return conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], stride, padding)

    def norm(name: str, x: Tensor) -> Tensor:
        return group_norm(x, 32, state[f"{name}.weight"], state[f"{name}.bias"], 1e-6)

    def resnet(name: str, x: Tensor) -> Tensor:
        y = conv(f"{name}.conv1", silu(norm(f"{name}.norm1", x)), 1)
        y = conv(f"{name}.conv2", silu(norm(f"{name}.norm2", y)), 1)
        return y + (conv(f"{name}.nin_shortcut", x) if f"{name}.nin_shortcut.weight" in state else x)

    x = conv("encoder.conv_in", picture, 1)
    for level in range(4):
        place = f"encoder.down.{level}"
        for block in range(2):
            if f"{place}.block.{block}.conv1.weight" in state:
                x = resnet(f"{place}.block.{block}", x)
        if level < 3:
            x = conv(f"{place}.downsample.conv", pad(x, (0, 1, 0, 1)), stride=2)
    x = resnet("encoder.mid.block_1", x)
    y = norm("encoder.mid.attn_1.norm", x)
    q, k, v = (conv(f"encoder.mid.attn_1.{name}", y).flatten(2).mT for name in "qkv")
    x = x + conv("encoder.mid.attn_1.proj_out", scaled_dot_product_attention(q, k, v).mT.view(x.shape))
    x = resnet("encoder.mid.block_2", x)
    return conv("quant_conv", conv("encoder.conv_out", silu(norm("encoder.norm_out", x)), 1))[:, :4]
