"""A Wan 2.1 with all parts small, as diffusers writes it and as it is released."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch import Tensor
from transformers import T5TokenizerFast, UMT5Config, UMT5EncoderModel

from cvd_core.engine.wan.lora import released_path

WIDTH, HEADS, BLOCKS, TEXT = 256, 2, 2, 32


def write_wan(folder: Path) -> None:
    """Write transformer, autoencoder, text encoder and tokenizer."""
    torch.manual_seed(0)
    WanTransformer3DModel(
        num_attention_heads=HEADS,
        attention_head_dim=WIDTH // HEADS,
        text_dim=TEXT,
        freq_dim=64,
        ffn_dim=64,
        num_layers=BLOCKS,
    ).save_pretrained(folder / "transformer")
    AutoencoderKLWan(base_dim=8, num_res_blocks=1).save_pretrained(folder / "vae")
    words = ["<pad>", "</s>", "<unk>", "\u2581a", "\u2581red", "\u2581ball", "\u2581"]
    UMT5EncoderModel(
        UMT5Config(vocab_size=len(words), d_model=TEXT, d_kv=8, d_ff=32, num_layers=1, num_heads=4)
    ).save_pretrained(folder / "text_encoder")
    T5TokenizerFast(vocab=[(word, -float(i)) for i, word in enumerate(words)], extra_ids=0).save_pretrained(
        folder / "tokenizer"
    )


def released_layout(transformer: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Diffusers' tensors of a Wan transformer under the keys of released single files."""
    tables = {"scale_shift_table": "head.modulation"}
    return {tables.get(key) or _released(*key.rsplit(".", 1)): value for key, value in transformer.items()}


def _released(path: str, leaf: str) -> str:
    if leaf == "scale_shift_table":
        return f"{path}.modulation"
    return f"{released_path(path).replace('.norm2', '.norm3')}.{leaf}"
