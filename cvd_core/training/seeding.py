"""Initial weights that depend on a seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from cvd_core.sampling.draws import seeded_generator


@contextmanager
def initial_weights(seed: int, name: str) -> Iterator[None]:
    """Networks made inside the block have weights that depend on ``seed`` and ``name`` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeded_generator(seed, name).initial_seed())
        yield
