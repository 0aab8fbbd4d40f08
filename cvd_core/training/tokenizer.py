"""The tokenizer of a training: made of the words of its scenes, written once, read ever after."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from cvd_core.declared import short

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import CLIPTokenizerFast

END = "</w>"
"""CLIP's mark of the end of a word."""
TOKENIZER = "tokenizer"
"""Folder of a training's tokenizer, in its output folder and in a base model."""


def write_tokenizer(folder: Path, words: list[str], length: int) -> None:
    """A CLIP tokenizer in which each of ``words`` is one token; other text falls into pieces and characters.

    The same words give the same files. Characters at the end of a word are told to the trainer one by one: it numbers
    those that it finds itself in the order of a hash table, and breaks ties between merges by these numbers.
    """
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix=END))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    characters = [chr(c) for c in range(33, 127)]
    trainer = trainers.BpeTrainer(
        vocab_size=4096,
        min_frequency=1,
        special_tokens=[*characters, *(c + END for c in characters)],
        end_of_word_suffix=END,
        show_progress=False,
    )
    tokenizer.train_from_iterator(words, trainer)
    trained = json.loads(tokenizer.to_str())["model"]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in trained["merges"]]
    tokens = [token for token, _ in sorted(trained["vocab"].items(), key=lambda item: item[1])]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": length, "pad_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def load_tokenizer(folder: Path) -> CLIPTokenizerFast:
    """Read a tokenizer's files.

    Raises:
        ValueError: they are damaged.
    """
    from transformers import CLIPTokenizerFast

    try:
        return CLIPTokenizerFast.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the library stumbles over damaged files in any way
        reason = " ".join(str(error).split())[:100]
        raise ValueError(f"the tokenizer in {folder} cannot be read ({reason}); put back a copy of it") from error


def tokenize(tokenizer: CLIPTokenizerFast, prompts: list[str], length: int) -> Tensor:
    """``(N, length)`` token ids.

    Raises:
        ValueError: a prompt is longer than that.
    """
    import torch

    found: list[list[int]] = tokenizer(prompts, padding="max_length", max_length=length)["input_ids"]
    for prompt, ids in zip(prompts, found, strict=True):
        if len(ids) > length:
            raise ValueError(
                f"the prompt {short(prompt)} has {len(ids) - 2} tokens, the text encoder takes {length - 2}; shorten it"
            )
    return torch.tensor(found)
