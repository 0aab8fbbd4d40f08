"""Checks of single values, for everything that takes numbers and names from a person or a file.

Each returns the value if it is usable and raises a ValueError that names the input and says what was expected.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

T = TypeVar("T")


def pick(kind: str, name: str, choices: Mapping[str, T]) -> T:
    """``choices[name]``, or a ValueError that lists the choices."""
    if name not in choices:
        raise ValueError(f"unknown {kind} {name!r}; choose one of {', '.join(choices)}")
    return choices[name]


def count(name: str, value: int) -> int:
    """``value`` if it is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} is {value!r}; expected a whole number of at least 1")
    return int(value)


def number(name: str, value: float, *, positive: bool = False) -> float:
    """``value`` if it is a finite number and, where asked for, positive."""
    expected = "a positive number" if positive else "a finite number"
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ValueError(f"{name} is {value!r}; expected {expected}")
    if not math.isfinite(value) or (positive and value <= 0):
        raise ValueError(f"{name} is {value}; expected {expected}")
    return float(value)


def finite(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """``values`` as a float64 array if none of them is NaN or infinite."""
    array = np.asarray(values, np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} hold NaN or infinity; every number must be finite")
    return array
