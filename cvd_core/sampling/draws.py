"""Every random number of a run, from one seed, each use from a stream of its own.

No global generator is read or moved: a run depends on its seed alone. A recorded object with the same methods replays
the draws of another implementation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

Shape = tuple[int, ...]


class Draws(Protocol):
    """What a run draws. All tensors are float32 (permutations int64) on the CPU."""

    def latents(self, shape: Shape) -> Tensor:
        """Initial noise ``(V, C, F, h, w)``."""
        ...

    def slopes(self, shape: Shape) -> Tensor:
        """Uniform numbers in [0, 1) for pseudo-line slopes."""
        ...

    def permutation(self, views: int) -> Tensor:
        """A random order ``(V,)`` of the views."""
        ...

    def renoise(self, shape: Shape) -> Tensor:
        """Noise ``(V, C, F, h, w)`` of a recurrence."""
        ...

    def solver_noise(self) -> torch.Generator:
        """Generator for samplers that add noise themselves (ancestral, SDE)."""
        ...


class SeededDraws:
    """Draws from a seed, identical on every device and whatever else ran before.

    Args:
        seed: any integer from 0 to 2**64 - 1.
    """

    def __init__(self, seed: int) -> None:
        if not 0 <= seed < 1 << 64:
            raise ValueError(f"seed is {seed}; expected a whole number from 0 to 2**64 - 1")
        self.seed = seed
        self._slopes = self._stream("slopes")
        self._permutations = self._stream("permutations")
        self._renoise = self._stream("renoise")
        self._solver = self._stream("solver")

    def _stream(self, name: str) -> torch.Generator:
        digest = hashlib.sha256(f"{self.seed}/{name}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little"))

    def latents(self, shape: Shape) -> Tensor:
        # A stream per view: view 0 starts from the same noise whether two or six views are made.
        return torch.stack(
            [torch.randn(shape[1:], generator=self._stream(f"latents/{view}")) for view in range(shape[0])]
        )

    def slopes(self, shape: Shape) -> Tensor:
        return torch.rand(shape, generator=self._slopes)

    def permutation(self, views: int) -> Tensor:
        return torch.randperm(views, generator=self._permutations)

    def renoise(self, shape: Shape) -> Tensor:
        return torch.randn(shape, generator=self._renoise)

    def solver_noise(self) -> torch.Generator:
        return self._solver


class SlopeTape:
    """Slopes of one network call, drawn on demand and played again when the call is repeated for other views.

    Views that share a round may run in several smaller batches to save memory; each batch must see the slopes that one
    big batch would have seen, or the result would depend on how much memory there is.
    """

    def __init__(self, draw: Callable[[Shape], Tensor]) -> None:
        self._draw = draw
        self._drawn: list[Tensor] = []
        self._position = 0

    def rewind(self) -> None:
        """Start the next batch of the same network call."""
        self._position = 0

    def __call__(self, shape: Shape) -> Tensor:
        if self._position == len(self._drawn):
            self._drawn.append(self._draw(shape))
        self._position += 1
        return self._drawn[self._position - 1]
