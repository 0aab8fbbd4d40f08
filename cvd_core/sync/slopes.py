"""Slopes of the pseudo lines of one network call."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Slopes = Callable[[tuple[int, ...]], Tensor]
"""Draws uniform numbers in [0, 1) of a shape; a pseudo line's angle is pi times one of them."""


class SlopeTape:
    """Slopes of one network call, drawn on demand and played again when a part of the call is repeated.

    Views that share a round may run in several smaller batches to save memory, and modules may be evaluated again for
    their gradient: each must see the slopes that one big batch would have seen, or the result would depend on how much
    memory there is.
    """

    def __init__(self, draw: Slopes) -> None:
        self._draw = draw
        self._drawn: list[Tensor] = []
        self._position = 0

    def rewind(self) -> None:
        """Start again from the first slope."""
        self._position = 0

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        if self._position == len(self._drawn):
            self._drawn.append(self._draw(shape))
        self._position += 1
        return self._drawn[self._position - 1]
