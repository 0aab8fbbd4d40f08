"""One golden file: its arrays, the tag that names its inputs, and the random draws it was recorded with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cvd_core.geometry.cameras import Cameras
from tests import formula


class Case:
    """A golden ``.npz`` file ``{kind}_{tag}.npz``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kind, _, self.tag = path.stem.partition("_")
        with np.load(path, allow_pickle=False) as arrays:
            self.arrays = {name: arrays[name] for name in arrays.files}

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def tensor(self, name: str) -> Tensor:
        return torch.from_numpy(np.array(self.arrays[name]))

    def number(self, name: str, default: float | None = None) -> float:
        if default is not None and name not in self:
            return default
        return float(self.arrays[name])

    def integer(self, name: str, default: int | None = None) -> int:
        return int(self.number(name, default))

    def noise(self, name: str, shape: tuple[int, ...]) -> Tensor:
        return formula.noise(f"{self.tag}/{name}", shape)

    def cameras(self) -> Cameras:
        """From ``c2w`` and ``K``, pixels of an S x S image."""
        size = self.integer("image_size")
        K = self.tensor("K").double()
        intrinsics = torch.stack([K[..., 0, 0], K[..., 1, 1], K[..., 0, 2], K[..., 1, 2]], -1) / size
        return Cameras(self.tensor("c2w"), intrinsics)


class RecordedDraws:
    """Draws of the reference implementation: the k-th use of each kind is a formula of its number."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.counts = {"slope": 0, "renoise": 0, "perm": 0}

    def _next(self, kind: str) -> str:
        self.counts[kind] += 1
        return f"{kind}/{self.counts[kind] - 1}"

    def latents(self, shape: tuple[int, ...]) -> Tensor:
        return self.case.noise("latents", shape)

    def slopes(self, shape: tuple[int, ...]) -> Tensor:
        return formula.uniform(f"{self.case.tag}/{self._next('slope')}", shape)

    def lines(self, shape: tuple[int, ...]) -> Tensor:
        raise AssertionError("only CamI2V draws them")

    def permutation(self, views: int) -> Tensor:
        return torch.argsort(self.case.noise(self._next("perm"), (views,)), stable=True)

    def renoise(self, shape: tuple[int, ...]) -> Tensor:
        return self.case.noise(self._next("renoise"), shape)

    def solver_noise(self) -> torch.Generator:
        raise AssertionError("the recorded runs use deterministic samplers")


@dataclass(frozen=True)
class Outcome:
    """Largest absolute deviation found in a file, what is allowed, and (networks only) the output that was found."""

    error: float
    tolerance: float
    found: Tensor = field(default_factory=lambda: torch.empty(0), repr=False)

    @property
    def ok(self) -> bool:
        return self.error <= self.tolerance  # False for NaN


def deviation(found: Tensor, expected: Tensor) -> float:
    """Largest absolute difference; NaN anywhere gives NaN."""
    if found.shape != expected.shape:
        raise ValueError(f"shape {tuple(found.shape)} where the golden has {tuple(expected.shape)}")
    return float((found.double() - expected.double()).abs().max())
