"""Distances between two sets of features, the mathematics of FID, FVD and KID."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """``|m - m'|^2 + tr(C + C' - 2 (C C')^(1/2))`` of two Gaussians fitted to the features (Heusel et al. 2017, Eq. 6).

    Covariances are the unbiased ones. The trace of the root is the sum of the singular values of ``X Y^T`` for centred,
    scaled features, which needs no matrix root and stays exact for fewer samples than dimensions.

    Args:
        a: ``(N, D)`` features, N at least 2.
        b: ``(M, D)``.

    Raises:
        ValueError: other shapes, or fewer than two samples.
    """
    a, b = _check(a, b)
    x = (a - a.mean(0)) / (len(a) - 1) ** 0.5
    y = (b - b.mean(0)) / (len(b) - 1) ** 0.5
    root = torch.linalg.svdvals(x @ y.mT).sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + x.square().sum() + y.square().sum() - 2 * root)


def frechet_across(sets: Tensor) -> float:
    """Mean of :func:`frechet_distance` over all pairs of S sets of features ``(S, N, D)``."""
    distances = [frechet_distance(sets[a], sets[b]) for a, b in combinations(range(len(sets)), 2)]
    return sum(distances) / len(distances)


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """Unbiased squared maximum mean discrepancy under ``(x.y / D + 1)^3`` (Binkowski et al. 2018, Sec. 4).

    Of all samples at once: the same expectation as the usual mean over random subsets, and no draw. It can be slightly
    negative for equal distributions.

    Args:
        a: ``(N, D)`` features, N at least 2.
        b: ``(M, D)``.

    Raises:
        ValueError: other shapes, or fewer than two samples.
    """
    a, b = _check(a, b)
    within = (_kernel(a, a).fill_diagonal_(0).sum() / (len(a) * (len(a) - 1))) + (
        _kernel(b, b).fill_diagonal_(0).sum() / (len(b) * (len(b) - 1))
    )
    return float(within - 2 * _kernel(a, b).mean())


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.mT / a.shape[1] + 1) ** 3


def _check(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"features have shapes {tuple(a.shape)} and {tuple(b.shape)}; expected (N, D) and (M, D)")
    if min(len(a), len(b)) < 2:
        raise ValueError(f"{len(a)} and {len(b)} samples; a distance between sets needs two or more in each")
    return a.double(), b.double()
