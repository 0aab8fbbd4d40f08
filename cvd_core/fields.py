"""Dataclasses whose fields are checked on construction by what their annotations say.

An error about a field carries the field's name. Its message says it in words, ``views per pass is 0``; the command line
says ``--views-per-pass is 0`` instead. Where a message mentions another argument, it has its name in backticks,
```sync``: the command line replaces those too.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import BaseMetadata, Ge, GroupedMetadata, Gt, Le, MinLen


class FieldError(ValueError):
    """A value that cannot be used.

    Args:
        field: the argument's name in Python.
        problem: what was found, what was expected and what to do, such as ``is 0; expected at least 1``.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)  # both, so that it can be pickled
        self.field = field
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.field.replace('_', ' ')} {self.problem}"


def check_fields(value: Any) -> None:
    """Check the fields of a frozen dataclass, for its ``__post_init__``.

    Understood are int, float (finite), str, bool, Path, ``tuple[T, ...]``, Literal, ``T | None`` and other dataclasses,
    and in ``Annotated`` Ge, Gt, Le, Interval and MinLen, followed by a text that explains the limit. Values of a
    related type become the annotated one: numpy's numbers Python's, whole numbers floats, a text a path, a list a
    tuple, a single item a tuple of one.

    Raises:
        FieldError: the first field that does not fit.
    """
    for name, hint in get_type_hints(type(value), include_extras=True).items():
        object.__setattr__(value, name, _checked(name, getattr(value, name), hint))


def _checked(name: str, value: Any, hint: Any) -> Any:
    """``value`` as the type that ``hint`` names."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        value = _checked(name, value, arguments[0])
        _check_limits(name, value, arguments[1:])
        return value
    if origin in (Union, UnionType):
        (inner,) = (argument for argument in arguments if argument is not NoneType)
        return None if value is None else _checked(name, value, inner)
    if origin is Literal:
        if value not in arguments:
            raise FieldError(name, f"is {value!r}; expected one of {', '.join(arguments)}")
        return value
    if origin is tuple:
        items = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        return tuple(_checked(name, item, arguments[0]) for item in items)
    if hint is int and isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    if hint is float and isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if hint is Path and isinstance(value, str | os.PathLike) and (text := os.fspath(value)) and "\0" not in text:
        return Path(text)
    if isinstance(value, hint) and (hint in (str, bool) or is_dataclass(hint)):
        return value
    words = {int: "a whole number", float: "a finite number", str: "a text", bool: "True or False", Path: "a path"}
    raise FieldError(name, f"is {value!r}; expected {words.get(hint, f'a {hint.__name__}')}")


def _check_limits(name: str, value: Any, metadata: Sequence[Any]) -> None:
    """Check a value, or the number of its items, against the limits in an annotation."""
    if value is None:
        return
    limits = list(_limits(metadata))
    fits = all(
        (not isinstance(limit, Ge) or value >= limit.ge)
        and (not isinstance(limit, Gt) or value > limit.gt)
        and (not isinstance(limit, Le) or value <= limit.le)
        and (not isinstance(limit, MinLen) or len(value) >= limit.min_length)
        for limit in limits
    )
    if not fits:
        words = " and ".join(_in_words(limit) for limit in limits)
        notes = "".join(f" ({note})" for note in metadata if isinstance(note, str))
        raise FieldError(name, f"is {'empty' if value == () else value}; expected {words}{notes}")


def _limits(metadata: Sequence[Any]) -> Iterator[BaseMetadata]:
    for item in metadata:
        if isinstance(item, GroupedMetadata):
            yield from _limits(list(item))
        elif isinstance(item, BaseMetadata):
            yield item


def _in_words(limit: BaseMetadata) -> str:
    match limit:
        case Ge(ge=low):
            return f"at least {low}"
        case Gt(gt=low):
            return f"more than {low}"
        case Le(le=high):
            return f"at most {high}"
        case MinLen(min_length=count):
            return f"at least {count}"
    raise TypeError(f"limit {limit!r} is not understood")
