"""Prompts to text embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cvd_core.engine.sd15.loading import BaseModel


@torch.no_grad()
def encode_prompts(base: BaseModel, prompts: Sequence[str]) -> Tensor:
    """Embed prompts as Stable Diffusion 1.5 does: the last layer's normed features, padded to the full length.

    Args:
        base: its tokenizer and text encoder are used.
        prompts: N texts; "" is the unconditional one.

    Returns:
        ``(N, 77, C)`` in the text encoder's dtype and on its device.

    Raises:
        ValueError: no prompts, or a prompt has more tokens than the text encoder takes (77 with start and end); the
            message quotes the part that does not fit.
    """
    if not prompts:
        raise ValueError("no prompts given; give at least one, which may be empty")
    length = int(base.text_encoder.config.max_position_embeddings)
    tokens = base.tokenizer(list(prompts), return_offsets_mapping=True, verbose=False)
    for prompt, ids, offsets in zip(prompts, tokens["input_ids"], tokens["offset_mapping"], strict=True):
        if len(ids) > length:
            first_word = prompt.rfind(" ", 0, offsets[length - 1][0] + 1) + 1
            raise ValueError(
                f"the prompt has {len(ids) - 2} tokens, the text encoder takes {length - 2}; shorten it - this part "
                f"does not fit: {prompt[first_word:]!r}"
            )
    padded = base.tokenizer(list(prompts), padding="max_length", max_length=length, return_tensors="pt")
    embeddings: Tensor = base.text_encoder(padded["input_ids"].to(base.text_encoder.device)).last_hidden_state
    return embeddings
