"""How strong a LoRA is: one decision from every place where files state rank and alpha.

A low-rank change is ``scale * up @ down`` with ``scale = alpha / rank``, or ``alpha / sqrt(rank)`` for rank-stabilised
LoRA (Kalajdzievski 2023). The rank is what the matrices have; alpha is stated by

- a tensor ``NAME.alpha`` beside the matrices (kohya, LyCORIS),
- kohya's header: ``ss_network_alpha``, and ``conv_alpha`` in ``ss_network_args`` for convolutions,
- other trainers' headers: ``lora_alpha`` and the like as plain entries,
- a PEFT configuration: ``adapter_config.json`` beside the file, or diffusers' ``lora_adapter_metadata`` in the header,
  as it is (``save_lora_adapter``) or with the network's name in front of every entry (``save_lora_weights``),

or by nothing, which means that alpha is the rank.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

ADAPTER_METADATA = "lora_adapter_metadata"
"""Where diffusers writes the PEFT configuration into a safetensors header."""

_ALPHAS = ("ss_network_alpha", "network_alpha", "lora_alpha", "alpha")
_RANKS = ("ss_network_dim", "network_dim", "lora_rank", "lora_dim", "rank", "lora_r", "r")
_UNSTATED = ("", "none", "null", "dynamic")
"""What kohya's tools write where there is no one number: ``None``, and ``Dynamic`` after resizing."""

_CHANGES_BASE = ("pissa", "olora", "corda", "loftq")
"""Initialisations after which PEFT's matrices add to a changed base, not to the one that people have."""

_PLAIN_PATTERN = re.compile(r"\^?(?:[\w\-.]|\\\.)+\$?")
"""Patterns that name layers: a path or the end of one, with dots as they are or escaped."""


@dataclass(frozen=True)
class Statement:
    """What one place says about ranks and alphas.

    Args:
        where: the place, for messages.
        rank, alpha: None if it does not say.
        part: ``"unet"`` or ``"text_encoder"`` if it speaks of one network.
        kernels: True: of convolutions larger than 1x1 alone; False: of all other layers; None: of all.
        root: alpha is divided by the root of the rank.
        rank_pattern, alpha_pattern: exceptions by name of layer, the first that matches counts.
    """

    where: str
    rank: float | None = None
    alpha: float | None = None
    part: str | None = None
    kernels: bool | None = None
    root: bool = False
    rank_pattern: Mapping[str, float] = field(default_factory=dict)
    alpha_pattern: Mapping[str, float] = field(default_factory=dict)


def layer_scale(
    layer: str, rank: int, alpha: float | None, statements: Iterable[Statement], *, file: str, notes: set[str]
) -> float:
    """The factor of ``up @ down`` in one layer.

    Args:
        layer: its path in the network, for patterns and messages.
        rank: of its matrices.
        alpha: of the tensor beside them, None if there is none.
        statements: those that speak of this layer, see :func:`speaking_of`.
        file: the file's name, for messages.
        notes: contradictions that do not hinder, because a tensor decides as in every program, are added to it.

    Raises:
        ValueError: two places contradict each other, or alpha is 0.
    """
    stated: dict[float, str] = {}
    other_ranks: list[str] = []
    root = False
    for statement in statements:
        said_rank = _first_match(statement.rank_pattern, layer, statement.rank)
        said_alpha = _first_match(statement.alpha_pattern, layer, statement.alpha)
        root |= statement.root
        if said_rank is not None and said_rank != rank:
            other_ranks.append(f"{statement.where} says rank {said_rank:g}, the matrices of {layer} have rank {rank}")
        if said_alpha is not None:
            stated.setdefault(said_alpha, statement.where)
    if other_ranks and stated and alpha is None:
        raise ValueError(f"{file} contradicts itself: {other_ranks[0]}; the strength cannot be told - get it again")
    notes.update(f"{text}; the matrices count" for text in other_ranks)
    if alpha is not None:
        notes.update(
            f"{where} says alpha {said:g}, the tensor {layer}.alpha {alpha:g}; the tensor counts"
            for said, where in stated.items()
            if said != alpha
        )
    elif len(stated) > 1:
        found = " and ".join(f"{said:g} ({where})" for said, where in stated.items())
        raise ValueError(f"{file} contradicts itself: alpha of {layer} is {found}; keep the one it was trained with")
    else:
        alpha = next(iter(stated), float(rank))
    if alpha == 0:
        raise ValueError(f"{file} has alpha 0 in {layer}, with which it changes nothing; it is damaged - get it again")
    return alpha / (math.sqrt(rank) if root else rank)


def speaking_of(statements: Iterable[Statement], part: str, has_kernel: bool) -> list[Statement]:
    """The statements that speak of a layer of the network ``part``."""
    return [s for s in statements if s.part in (None, part) and s.kernels in (None, has_kernel)]


def header_statements(header: Mapping[str, str], *, file: str) -> list[Statement]:
    """What a safetensors header says about ranks and alphas.

    Raises:
        ValueError: an entry that should state them is damaged, or is a configuration of something that cannot be
            merged as a plain LoRA (see :func:`peft_statements`).
    """
    statements: list[Statement] = []
    arguments = _kohya_arguments(header, file)
    by_kernel = "conv_dim" in arguments or "conv_alpha" in arguments
    plain = False if by_kernel else None
    root = any(_is_true(source.get(name)) for source in (arguments, header) for name in ("rs_lora", "use_rslora"))
    for name in _ALPHAS:
        if (alpha := _header_number(header, name, file)) is not None:
            statements.append(Statement(f"{name} in the header", alpha=alpha, kernels=plain, root=root))
    for name in _RANKS:
        if (rank := _header_number(header, name, file)) is not None:
            statements.append(Statement(f"{name} in the header", rank=rank, kernels=plain, root=root))
    if by_kernel:
        conv_rank, conv_alpha = (_header_number(arguments, name, file) for name in ("conv_dim", "conv_alpha"))
        statements.append(Statement("ss_network_args in the header", conv_rank, conv_alpha, kernels=True, root=root))
    for name, text in header.items():
        if name == ADAPTER_METADATA or (text.lstrip().startswith("{") and 'lora_alpha"' in text):
            statements += peft_statements(_json_object(text, name, file), where=f"{name} in the header", file=file)
    return statements


def peft_statements(config: Mapping[str, Any], *, where: str, file: str) -> list[Statement]:
    """What a PEFT LoRA configuration says, plain or with the networks' names in front of its entries.

    Raises:
        ValueError: an entry is of another type or missing, a pattern is more than the name of layers, or the adapter is
            not a plain LoRA: DoRA, another method of PEFT's, or one that adds to a changed base.
    """
    by_part: dict[str | None, dict[str, Any]] = {}
    for name, value in config.items():
        part, dot, entry = name.partition(".")
        if dot and part in ("unet", "text_encoder"):
            by_part.setdefault(part, {})[entry] = value
        elif not dot:
            by_part.setdefault(None, {})[name] = value
    return [_peft_statement(entries, part, where, file) for part, entries in by_part.items()]


def _peft_statement(entries: Mapping[str, Any], part: str | None, where: str, file: str) -> Statement:
    if (method := entries.get("peft_type", "LORA")) not in ("LORA", None):
        raise ValueError(f"{file} is a {_short(method)} adapter ({where}); {ONLY_PLAIN}")
    if entries.get("use_dora"):
        raise ValueError(f"{file} is a DoRA file ({where}); {ONLY_PLAIN}")
    start = entries.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_CHANGES_BASE):
        raise ValueError(
            f"{file} was trained on a base that PEFT had changed before ({where}: init_lora_weights is "
            f"{_short(start)}); convert it to a plain LoRA with PEFT's path_initial_model_for_weight_conversion first"
        )
    if entries.get("lora_alpha") is None:
        raise ValueError(f"{file}: {where} does not state lora_alpha; the strength cannot be told - get it again")
    rank = entries.get("r")
    return Statement(
        where,
        rank=None if rank is None else _number(rank, f"r in {where}", file),
        alpha=_number(entries["lora_alpha"], f"lora_alpha in {where}", file),
        part=part,
        root=_is_true(entries.get("use_rslora")),
        rank_pattern=_pattern(entries.get("rank_pattern"), f"rank_pattern in {where}", file),
        alpha_pattern=_pattern(entries.get("alpha_pattern"), f"alpha_pattern in {where}", file),
    )


ONLY_PLAIN = "only plain LoRA can be merged - merge it in its own tool first"


def _pattern(value: Any, where: str, file: str) -> dict[str, float]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{file}: {where} is {_short(value)}; expected an object of layers and numbers")
    for pattern in value:
        if not _PLAIN_PATTERN.fullmatch(pattern):
            raise ValueError(
                f"{file}: {where} has the regular expression {_short(pattern)}; only names of layers are understood - "
                "write out the layers it stands for"
            )
    return {pattern: _number(number, f"{where} ({_short(pattern)})", file) for pattern, number in value.items()}


def _first_match(patterns: Mapping[str, float], layer: str, otherwise: float | None) -> float | None:
    """PEFT's rule: the first pattern that is the layer's path or the end of it from a dot on."""
    return next((number for pattern, number in patterns.items() if _names(pattern, layer)), otherwise)


def _names(pattern: str, layer: str) -> bool:
    """What PEFT asks with ``re.match(rf"(.*\\.)?({pattern})$", layer)``, for plain patterns and without their cost."""
    whole = pattern.startswith("^")
    bare = pattern.removeprefix("^").removesuffix("$").replace("\\.", "\0")
    end = layer[len(layer) - len(bare) :] if len(bare) <= len(layer) else ""
    fits = len(end) == len(bare) and all(p in (".", c) or (p, c) == ("\0", ".") for p, c in zip(bare, end, strict=True))
    rest = layer[: len(layer) - len(bare)]
    return fits and (rest == "" or (rest.endswith(".") and not whole))


def _kohya_arguments(header: Mapping[str, str], file: str) -> dict[str, Any]:
    text = header.get("ss_network_args", "")
    return {} if text.strip().lower() in _UNSTATED else _json_object(text, "ss_network_args", file)


def _json_object(text: str, name: str, file: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file}: {name} in the header is not valid JSON; the file is damaged") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file}: {name} in the header is {_short(content)}; expected a JSON object")
    return content


def _header_number(entries: Mapping[str, Any], name: str, file: str) -> float | None:
    value = entries.get(name)
    if value is None or (isinstance(value, str) and value.strip().lower() in _UNSTATED):
        return None
    return _number(value, f"{name} in the header", file)


def _number(value: Any, where: str, file: str) -> float:
    """A finite number, from JSON or from text."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{file}: {where} is {_short(value)}; expected a number")
    return number


def _is_true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.strip().lower() in ("true", "1"))


def _short(value: Any, limit: int = 40) -> str:
    """A value in a message: never the whole of a large one."""
    if isinstance(value, (dict, list)):
        return f"{'an object' if isinstance(value, dict) else 'an array'} of {len(value)}"
    if isinstance(value, int) and value.bit_length() > 64:
        return "a number of too many digits"
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}..."
