"""Keys of original single-file Stable Diffusion checkpoints, from diffusers keys: the inverse of what a loader does."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def original_layout(
    unet: Mapping[str, Tensor], vae: Mapping[str, Tensor], text: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """A base model's diffusers tensors under the keys of an original single-file checkpoint."""
    single = {f"model.diffusion_model.{_original_unet_key(key)}": value for key, value in unet.items()}
    for key, value in vae.items():
        # the original VAE's attention is made of 1x1 convolutions
        is_matrix = ".attentions." in key and value.ndim == 2
        single[f"first_stage_model.{_original_vae_key(key)}"] = value[:, :, None, None] if is_matrix else value
    single |= {f"cond_stage_model.transformer.{key}": value for key, value in text.items()}
    positions = torch.arange(77)[None]
    single["cond_stage_model.transformer.text_model.embeddings.position_ids"] = positions
    return {key: value.clone() for key, value in single.items()}


def _original_unet_key(key: str, layers: int = 2) -> str:
    """The key a diffusers UNet key has in an original checkpoint, without the prefix ``model.diffusion_model.``."""
    roots = {
        "time_embedding.linear_1.": "time_embed.0.",
        "time_embedding.linear_2.": "time_embed.2.",
        "conv_in.": "input_blocks.0.0.",
        "conv_norm_out.": "out.0.",
        "conv_out.": "out.2.",
    }
    for root, original in roots.items():
        if key.startswith(root):
            return original + key.removeprefix(root)
    side, *rest = key.split(".")
    if side == "mid_block":
        kind, index, *tail = rest
        place = f"middle_block.{1 if kind == 'attentions' else 2 * int(index)}"
    else:
        block, kind, index, *tail = rest
        number = int(block) * (layers + 1) + int(index)
        slot = {"resnets": 0, "attentions": 1}.get(kind)
        if kind == "downsamplers":
            return f"input_blocks.{(int(block) + 1) * (layers + 1)}.0.op.{tail[-1]}"
        if kind == "upsamplers":
            last = int(block) * (layers + 1) + layers
            return f"output_blocks.{last}.{1 if block == '0' else 2}.conv.{tail[-1]}"
        place = f"input_blocks.{number + 1}.{slot}" if side == "down_blocks" else f"output_blocks.{number}.{slot}"
    inside = ".".join(tail)
    if kind == "resnets":
        inside = _rename(
            inside,
            norm1="in_layers.0",
            conv1="in_layers.2",
            time_emb_proj="emb_layers.1",
            norm2="out_layers.0",
            conv2="out_layers.3",
            conv_shortcut="skip_connection",
        )
    return f"{place}.{inside}"


def _original_vae_key(key: str, blocks: int = 4) -> str:
    """The key a diffusers VAE key has in an original checkpoint, without the prefix ``first_stage_model.``."""
    half, *rest = key.split(".")
    if half not in ("encoder", "decoder"):
        return key
    if rest[0] in ("down_blocks", "up_blocks"):
        side, block, kind, index, *tail = rest
        place = f"down.{block}" if side == "down_blocks" else f"up.{blocks - 1 - int(block)}"
        inside = {"resnets": f"block.{index}", "downsamplers": "downsample", "upsamplers": "upsample"}[kind]
        return f"{half}.{place}.{inside}." + ".".join(tail).replace("conv_shortcut", "nin_shortcut")
    if rest[0] == "mid_block":
        _, kind, index, *tail = rest
        if kind == "resnets":
            return f"{half}.mid.block_{int(index) + 1}." + ".".join(tail)
        names = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out": "proj_out"}
        return f"{half}.mid.attn_1.{names[tail[0]]}.{tail[-1]}"
    return f"{half}." + ".".join(rest).replace("conv_norm_out", "norm_out")


def _rename(key: str, **names: str) -> str:
    first, _, rest = key.partition(".")
    return f"{names[first]}.{rest}"
