"""Frechet and kernel distance against closed forms."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from cvd_core.evaluation.distances import frechet_distance, kernel_distance


def samples(count: int, dimensions: int, seed: int) -> torch.Tensor:
    return torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_frechet_in_one_dimension() -> None:
    """(mean difference)^2 + (difference of standard deviations)^2; here 0 and 2 against 4 and 8."""
    a, b = torch.tensor([[-1.0], [1.0]]), torch.tensor([[2.0], [6.0]])
    assert frechet_distance(a, b) == pytest.approx(4**2 + (2**0.5 - 8**0.5) ** 2)


@pytest.mark.parametrize("count", [200, 6])
def test_frechet_is_the_textbook_formula(count: int) -> None:
    a, b = samples(count, 8, 0) * torch.arange(1, 9), samples(count + 3, 8, 1) @ samples(8, 8, 2) + 1
    C, D = torch.cov(a.mT), torch.cov(b.mT)
    root = torch.from_numpy(sqrtm((C @ D).numpy()).real.copy())
    expected = (a.mean(0) - b.mean(0)).square().sum() + torch.trace(C + D - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(float(expected), rel=1e-5)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 999), st.integers(2, 12), st.floats(-5, 5))
def test_frechet_of_shifted_copies_is_the_squared_shift(seed: int, count: int, shift: float) -> None:
    a = samples(count, 4, seed)
    assert frechet_distance(a, a.flip(0) + shift) == pytest.approx(4 * shift**2, abs=1e-9)
    assert frechet_distance(a, 2 * a) == pytest.approx(frechet_distance(2 * a, a))


def test_kernel_by_hand() -> None:
    """D = 1: k(x, y) = (xy + 1)^3. Within {0, 1}: 1. Within {2, 3}: 343. Between: (1 + 1 + 27 + 64) / 4."""
    a, b = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [3.0]])
    assert kernel_distance(a, b) == pytest.approx(1 + 343 - 2 * (1 + 1 + 27 + 64) / 4)


def test_kernel_of_one_distribution_is_zero_on_average() -> None:
    values = torch.tensor([kernel_distance(samples(50, 4, 2 * i), samples(50, 4, 2 * i + 1)) for i in range(40)])
    assert values.mean().abs() < 4 * values.std() / 40**0.5
    assert kernel_distance(samples(50, 4, 0), samples(50, 4, 1) + 1) > 10 * values.abs().max()


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_bad_input(distance: object) -> None:
    assert callable(distance)
    with pytest.raises(ValueError, match="two or more"):
        distance(torch.zeros(1, 3), torch.zeros(5, 3))
    with pytest.raises(ValueError, match=r"expected \(N, D\)"):
        distance(torch.zeros(4, 3), torch.zeros(5, 2))
