"""Prompts to text embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizerFast


class TextModel(Protocol):
    """CLIP's text encoder with its tokenizer; what pads a text is the tokenizer's choice."""

    tokenizer: CLIPTokenizerFast
    text_encoder: CLIPTextModel


@torch.no_grad()
def encode_prompts(model: TextModel, prompts: Sequence[str]) -> Tensor:
    """Embed prompts as Stable Diffusion does: the last layer's normed features, padded to the full length.

    Args:
        model: text encoder and tokenizer.
        prompts: N texts; "" is the unconditional one.

    Returns:
        ``(N, 77, C)`` in the text encoder's dtype and on its device.

    Raises:
        ValueError: see :func:`tokenize_prompts`.
    """
    tokens = tokenize_prompts(model, prompts).to(model.text_encoder.device)
    embeddings: Tensor = model.text_encoder(tokens).last_hidden_state
    return embeddings


def tokenize_prompts(model: TextModel, prompts: Sequence[str]) -> Tensor:
    """``(N, 77)`` token ids, padded to the full length.

    Raises:
        ValueError: no prompts, or a prompt has more tokens than the text encoder takes (77 with start and end); the
            message quotes the part that does not fit.
    """
    if not prompts:
        raise ValueError("no prompts given; give at least one, which may be empty")
    length = int(model.text_encoder.config.max_position_embeddings)
    tokens = model.tokenizer(list(prompts), return_offsets_mapping=True, verbose=False)
    for prompt, ids, offsets in zip(prompts, tokens["input_ids"], tokens["offset_mapping"], strict=True):
        if len(ids) > length:
            first_word = prompt.rfind(" ", 0, offsets[length - 1][0] + 1) + 1
            raise ValueError(
                f"the prompt has {len(ids) - 2} tokens, the text encoder takes {length - 2}; shorten it - this part "
                f"does not fit: {prompt[first_word:]!r}"
            )
    padded: Tensor = model.tokenizer(list(prompts), padding="max_length", max_length=length, return_tensors="pt")[
        "input_ids"
    ]
    return padded
