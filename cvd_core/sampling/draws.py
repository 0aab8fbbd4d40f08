"""Every random number of a run, from one seed, with a separate stream for each use.

No global generator is read or advanced, so a run depends only on its seed. A recorded object with the same methods
replays the draws of another implementation.
"""

from __future__ import annotations

import hashlib
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

    def lines(self, shape: Shape) -> Tensor:
        """Standard normal numbers ``(V, F, F, 3)`` for the lines of CamI2V's frames that share their centre."""
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


def seeded_generator(*key: int | str) -> torch.Generator:
    """A generator on the CPU that depends only on ``key``: a seed and what it is for."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little"))


class SeededDraws:
    """Draws from a seed, identical on every device and whatever else ran before.

    Args:
        seed: any integer from 0 to 2**64 - 1.
    """

    def __init__(self, seed: int) -> None:
        if not 0 <= seed < 1 << 64:
            raise ValueError(f"seed is {seed}; expected a whole number from 0 to 2**64 - 1")
        self.seed = seed
        self._slopes = seeded_generator(seed, "slopes")
        self._permutations = seeded_generator(seed, "permutations")
        self._renoise = seeded_generator(seed, "renoise")
        self._solver = seeded_generator(seed, "solver")

    def latents(self, shape: Shape) -> Tensor:
        return self._by_view("latents", shape)

    def slopes(self, shape: Shape) -> Tensor:
        return torch.rand(shape, generator=self._slopes)

    def lines(self, shape: Shape) -> Tensor:
        return self._by_view("lines", shape)

    def permutation(self, views: int) -> Tensor:
        return torch.randperm(views, generator=self._permutations)

    def renoise(self, shape: Shape) -> Tensor:
        return torch.randn(shape, generator=self._renoise)

    def solver_noise(self) -> torch.Generator:
        return self._solver

    def _by_view(self, use: str, shape: Shape) -> Tensor:
        """Normal numbers from a stream per view: view 0 has the same ones whether two or six views are made."""
        return torch.stack(
            [torch.randn(shape[1:], generator=seeded_generator(self.seed, use, view)) for view in range(shape[0])]
        )
