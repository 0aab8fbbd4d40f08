"""Types of numbers by accelerate's words for them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

COMPUTED_IN = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""The type in which autocast multiplies matrices."""


def keep_as_computed(parameters: Iterable[nn.Parameter], dtype: torch.dtype) -> None:
    """Give matrices that are not trained the type that autocast would cast them to at each use: the same numbers, half
    the memory."""
    for parameter in parameters:
        if parameter.ndim > 1:
            parameter.data = parameter.data.to(dtype)
