"""The tokenizer of a base model's folder, checked before the libraries that read it stumble."""

from __future__ import annotations

from pathlib import Path

from transformers import CLIPTokenizerFast, PreTrainedTokenizerBase

from cvd_core.engine.model_folder import LARGEST_NUMBER, reason
from cvd_core.files import read_json_object


def load_tokenizer(folder: Path, vocabulary: int) -> CLIPTokenizerFast:
    """The tokenizer of a diffusers folder.

    Args:
        folder: the whole model's.
        vocabulary: tokens that the text encoder knows.

    Raises:
        ValueError: a file of it is damaged, or it makes tokens the text encoder does not know.
    """
    place = folder / "tokenizer"
    _check_vocabulary(place)
    try:
        tokenizer = CLIPTokenizerFast.from_pretrained(place, local_files_only=True)
        ids = tokenizer("a", padding="max_length", max_length=8)["input_ids"]
    except Exception as error:  # transformers and tokenizers raise of every type
        raise ValueError(f"the tokenizer in {place} cannot be read ({reason(error)}); get its files again") from error
    require_known_tokens(tokenizer, vocabulary, place)
    special = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
    if None in special or len(ids) != 8 or not set(ids[:1] + ids[-1:]) <= special:
        raise ValueError(f"the tokenizer in {place} has no tokens for start, end and padding; get its files again")
    return tokenizer


def require_known_tokens(tokenizer: PreTrainedTokenizerBase, vocabulary: int, place: Path) -> None:
    """Raise ValueError if a tokenizer, from the folder ``place``, makes tokens that the text encoder does not know."""
    tokens = max(max(tokenizer.get_vocab().values(), default=0) + 1, len(tokenizer))
    if tokens > vocabulary:
        raise ValueError(
            f"the tokenizer in {place} has {tokens} tokens, the text encoder knows {vocabulary}; use the tokenizer the "
            "model was trained with"
        )


def _check_vocabulary(place: Path) -> None:
    """Refuse files that the tokenizer's library would stumble over, or read something else from than they say."""
    for name in ("tokenizer_config.json", "special_tokens_map.json", "tokenizer.json"):
        if (place / name).is_file():
            read_json_object(place / name)
    if not ((place / "vocab.json").is_file() and (place / "merges.txt").is_file()):
        return
    vocabulary = read_json_object(place / "vocab.json")
    ids = list(vocabulary.values())
    if not ids or any(type(i) is not int or not 0 <= i <= LARGEST_NUMBER for i in ids) or len(set(ids)) < len(ids):
        raise ValueError(
            f"{place / 'vocab.json'} is damaged: expected one whole number for each token, from 0 on; get it again"
        )
    try:
        lines = (place / "merges.txt").read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{place / 'merges.txt'} is not text ({error}); get it again") from error
    for number, line in enumerate(lines, 1):
        if (number == 1 and line.startswith("#version")) or not line.strip():
            continue
        pair = line.split(" ")
        if len(pair) != 2 or not {*pair, "".join(pair)} <= vocabulary.keys():
            raise ValueError(
                f"{place / 'merges.txt'}, line {number}: expected two tokens of vocab.json that make a third; the "
                "files do not belong together or are damaged - get both again"
            )
