"""Plain values out of files - JSON, YAML - as the dataclasses that declare them, checked entry by entry."""

from __future__ import annotations

import reprlib
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")

MOST_TOLD = 3
"""Mistakes named in one message."""

_repr = reprlib.Repr()
_repr.maxlevel = 2
_repr.maxlong = _repr.maxstring = _repr.maxother = 40


def read_declared(kind: TypeAdapter[T], values: object) -> T:
    """``values`` as what ``kind`` declares; nothing is converted that the declaration does not allow.

    Raises:
        ValueError: naming the entries that are missing, unknown, of another type or out of range; a single line,
            however large the values are.
    """
    try:
        return kind.validate_python(values)
    except ValidationError as error:
        raise ValueError(explain(error)) from None


def explain(error: ValidationError) -> str:
    """What is wrong, where, and what was expected; the first few mistakes, in a line."""
    found = error.errors(include_url=False)
    told = [_explain_one(details) for details in found[:MOST_TOLD]]
    rest = len(found) - len(told)
    return "; ".join(told) + (f"; and {rest} more" if rest else "")


def short(value: object) -> str:
    """``repr``, cut to a few words at any size and depth."""
    return _repr.repr(value)


_EXPECTED = {
    **dict.fromkeys(("dataclass_type", "model_type", "dict_type"), "names and values"),
    **dict.fromkeys(("tuple_type", "list_type"), "a list"),
    **dict.fromkeys(("int_type", "int_from_float", "int_parsing"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("string_type", "string_unicode"), "a text"),
    **dict.fromkeys(("path_type", "path_parsing"), "a path"),
    "bool_type": "true or false",
    "finite_number": "a finite number",
    "literal_error": "{expected}",
    "string_pattern_mismatch": "{pattern}",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
    "multiple_of": "a multiple of {multiple_of:g}",
    "too_short": "{min_length} or more entries",
    "too_long": "{max_length} entries or fewer",
}
"""What a kind of mistake, by pydantic's name for it, is told to be expected instead."""


def _explain_one(details: Any) -> str:
    *parents, name = [str(part) for part in details["loc"] if part != "[key]"] or ["it"]
    place, within = ".".join([*parents, name]), f"{'.'.join(parents)} " if parents else ""
    kind, context = details["type"], details.get("ctx", {})
    if kind == "missing":
        return f"{within}lacks {name}"
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{within}has an unknown entry {short(name)}"
    if kind == "value_error":
        return str(context["error"]) if place == "it" else f"{place}: {context['error']}"
    expected = _EXPECTED[kind].format(**context) if kind in _EXPECTED else f"something else ({details['msg']})"
    if details["loc"] and details["loc"][-1] == "[key]":
        return f"{within}has an unknown entry {short(name)}; expected {expected}"
    return f"{place} is {short(details['input'])}; expected {expected}"
