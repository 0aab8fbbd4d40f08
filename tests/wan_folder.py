"""A Wan 2.1 with all parts small, as diffusers writes it."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from transformers import T5TokenizerFast, UMT5Config, UMT5EncoderModel

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
