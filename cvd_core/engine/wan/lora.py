"""LoRAs for Wan 2.1: the transformer's layers by diffusers' names and by the released ones."""

from __future__ import annotations

import os
import re

from diffusers import WanTransformer3DModel
from torch import nn

from cvd_core.engine.lora import Layers, LoraReport, merge_lora
from cvd_core.weights import plain_path, read_lora

FAMILY = "Wan 2.1 T2V 1.3B"
SIZES = {"num_layers": 30, "num_attention_heads": 12, "attention_head_dim": 128, "ffn_dim": 8960}
"""Of its transformer, where they are not diffusers' defaults."""
_RELEASED = (
    (r"\.attn1\.", ".self_attn."),
    (r"\.attn2\.", ".cross_attn."),
    (r"\.to_([qkv])$", r".\1"),
    (r"\.to_out\.0$", ".o"),
    (r"\.ffn\.net\.0\.proj$", ".ffn.0"),
    (r"\.ffn\.net\.2$", ".ffn.2"),
    (r"^proj_out$", "head.head"),
    (r"^condition_embedder\.(time|text)_embedder\.linear_1$", r"\1_embedding.0"),
    (r"^condition_embedder\.(time|text)_embedder\.linear_2$", r"\1_embedding.2"),
    (r"^condition_embedder\.time_proj$", "time_projection.1"),
)
"""What the released code calls the linear layers: the inverse of the converter in diffusers."""


def apply_lora(transformer: WanTransformer3DModel, file: str | os.PathLike[str], scale: float = 1.0) -> LoraReport:
    """Merge a LoRA into the transformer in place, see :func:`cvd_core.engine.lora.merge_lora`.

    Args:
        transformer: changed unless an error is raised.
        file: anything :func:`cvd_core.weights.read_lora` reads.
        scale: strength; 1 as trained.

    Raises:
        ValueError: the file is not a LoRA for this transformer or damaged, or of a kind that is not a plain low-rank
            product.
    """
    return merge_lora(wan_layers(transformer), read_lora(file), scale, family=FAMILY)


def wan_layers(transformer: WanTransformer3DModel) -> Layers:
    """Everything that a LoRA may change."""
    return {
        ("unet", plain_path(name)): module
        for path, module in transformer.named_modules()
        if isinstance(module, nn.Linear)
        for name in (path, released_path(path))
    }


def released_path(path: str) -> str:
    """A linear layer's path in the released code from that in diffusers."""
    for pattern, name in _RELEASED:
        path = re.sub(pattern, name, path)
    return path
