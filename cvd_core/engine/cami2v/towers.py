"""DynamiCrafter's text and picture encoders, OpenCLIP's ViT-H towers, as transformers' networks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from accelerate import init_empty_weights
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModel

from cvd_core.engine.model_folder import reason
from cvd_core.weights import load_exact

TEXT_HEAD, PICTURE_HEAD = 64, 80
"""Channels of an attention head, which the tensors do not tell."""

_BLOCK = re.compile(r"transformer\.resblocks\.(\d{1,3})\.(.+)")
_LAYERS = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_TEXT = {
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}
_PICTURE = {
    "class_embedding": "embeddings.class_embedding",
    "conv1.weight": "embeddings.patch_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_pre.weight": "pre_layrnorm.weight",  # spelt so in transformers
    "ln_pre.bias": "pre_layrnorm.bias",
    "ln_post.weight": "post_layernorm.weight",
    "ln_post.bias": "post_layernorm.bias",
}
_UNUSED = {"text_projection", "logit_scale", "attn_mask", "proj"}
"""Of the comparison of texts and pictures."""


def text_tower(state: Mapping[str, Tensor], *, file: str, dtype: torch.dtype | None = None) -> CLIPTextModel:
    """The text encoder without its last layer: DynamiCrafter takes the last but one's features, through the last norm.

    Args:
        state: tensors under OpenCLIP's names.
        file: its name, for messages.
        dtype: of the parameters; None keeps the file's.

    Raises:
        ValueError: tensors are missing, unexpected or of another shape.
    """
    vocabulary, width = _shape(state, "token_embedding.weight", 2, file, "text encoder")
    positions, _ = _shape(state, "positional_embedding", 2, file, "text encoder")
    layers = _layers(state) - 1
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=_shape(state, "transformer.resblocks.0.mlp.c_fc.weight", 2, file, "text encoder")[0],
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // TEXT_HEAD),
        max_position_embeddings=positions,
        hidden_act="gelu",
    )
    return _filled(CLIPTextModel, config, _renamed(state, _TEXT, layers), "text encoder", file, dtype)


def picture_tower(state: Mapping[str, Tensor], *, file: str, dtype: torch.dtype | None = None) -> CLIPVisionModel:
    """The picture encoder; DynamiCrafter takes its tokens as they leave the last layer, before the norm behind it.

    Args:
        state, file, dtype: as of :func:`text_tower`.

    Raises:
        ValueError: tensors are missing, unexpected or of another shape.
    """
    width, _, patch, _ = _shape(state, "conv1.weight", 4, file, "picture encoder")
    tokens, _ = _shape(state, "positional_embedding", 2, file, "picture encoder")
    layers = _layers(state)
    config = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=_shape(state, "transformer.resblocks.0.mlp.c_fc.weight", 2, file, "picture encoder")[0],
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // PICTURE_HEAD),
        image_size=round((tokens - 1) ** 0.5) * patch,
        patch_size=patch,
        hidden_act="gelu",
    )
    return _filled(CLIPVisionModel, config, _renamed(state, _PICTURE, layers), "picture encoder", file, dtype)


def _shape(state: Mapping[str, Tensor], key: str, axes: int, file: str, what: str) -> tuple[int, ...]:
    found = state.get(key)
    if found is None or found.ndim != axes:
        raise ValueError(f"the {what} in {file} lacks {key}; the file is incomplete, get it again")
    return tuple(found.shape)


def _layers(state: Mapping[str, Tensor]) -> int:
    return len({match[1] for key in state if (match := _BLOCK.fullmatch(key))})


def _renamed(state: Mapping[str, Tensor], roots: Mapping[str, str], layers: int) -> dict[str, Tensor]:
    """Transformers' names; what has none keeps its own, so that loading tells of it."""
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        match = _BLOCK.fullmatch(key)
        if match is None:
            if key not in _UNUSED:
                renamed[roots.get(key, key)] = value
            continue
        layer, inside = int(match[1]), match[2]
        if layer >= layers:
            continue
        place = f"encoder.layers.{layer}."
        if inside.startswith("attn.in_proj_"):  # queries, keys and values in one
            for name, part in zip("qkv", value.chunk(3), strict=False):
                renamed[f"{place}self_attn.{name}_proj.{inside.removeprefix('attn.in_proj_')}"] = part
        else:
            module, _, parameter = inside.rpartition(".")
            renamed[f"{place}{_LAYERS.get(module, module)}.{parameter}"] = value
    return renamed


def _filled(
    kind: Any, config: Any, state: Mapping[str, Tensor], what: str, file: str, dtype: torch.dtype | None
) -> Any:
    try:
        with init_empty_weights():
            network = kind(config)
    except ValueError as error:  # sizes that no such network has
        raise ValueError(f"the {what} in {file} has impossible sizes ({reason(error)}); get the file again") from error
    # transformers moved the networks out of `text_model.` and `vision_model.` in 5.6
    first = next(iter(network.state_dict()))
    prefix = next((p for p in ("text_model.", "vision_model.") if first.startswith(p)), "")
    load_exact(network, {prefix + key: value for key, value in state.items()}, file=file, what=what, dtype=dtype)
    return network.eval().requires_grad_(False)
