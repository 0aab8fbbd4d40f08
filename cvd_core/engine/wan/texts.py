"""Prompts as Wan is given them: 512 states of its text encoder, zeros behind each text's end."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import T5TokenizerFast, UMT5EncoderModel

TEXT_TOKENS = 512
"""Wan's texts are padded to so many."""
_PADDING = 0


def tokenize(tokenizer: T5TokenizerFast, prompts: Sequence[str]) -> Tensor:
    """``(N, 512)`` token ids, zeros behind each text's end.

    Raises:
        ValueError: a prompt has more tokens than that.
    """
    found = torch.full((len(prompts), TEXT_TOKENS), _PADDING)
    tokens = tokenizer([" ".join(prompt.split()) for prompt in prompts], verbose=False)["input_ids"]
    for row, (prompt, ids) in enumerate(zip(prompts, tokens, strict=True)):
        if len(ids) > TEXT_TOKENS:
            raise ValueError(
                f"the prompt has {len(ids)} tokens, Wan takes {TEXT_TOKENS}; shorten it: {prompt[:60]!r} ..."
            )
        found[row, : len(ids)] = torch.tensor(ids)
    return found


def embed(text_encoder: UMT5EncoderModel, tokens: Tensor) -> Tensor:
    """``(N, 512)`` token ids -> ``(N, 512, C)`` float32 on the encoder's device, one text at a time."""
    device = text_encoder.device
    tokens = tokens.to(device)
    embedded = torch.zeros(*tokens.shape, text_encoder.config.d_model, device=device)
    for row, ids in enumerate(tokens.split(1)):
        length = int((ids != _PADDING).sum())
        mask = (torch.arange(TEXT_TOKENS, device=device) < length)[None].long()
        embedded[row, :length] = text_encoder(ids, mask).last_hidden_state[0, :length].float()
    return embedded
