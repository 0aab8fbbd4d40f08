"""Recurrent denoising: which steps repeat, and that renoising is the forward process."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cvd_core.fields import FieldError
from cvd_core.sampling.recurrence import NoiseLevel, Recurrence, renoise

alphas = st.floats(1e-3, 1).map(lambda a: round(a, 6))


def preserving(alpha_bar: float) -> NoiseLevel:
    """A level of the variance-preserving diffusion (DDPM, DDIM)."""
    return NoiseLevel(math.sqrt(alpha_bar), math.sqrt(1 - alpha_bar))


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 8))
def test_every_step_but_the_last_is_repeated(steps: int, times: int) -> None:
    assert [Recurrence(times).at(i, steps) for i in range(steps)] == [times] * (steps - 1) + [1]


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(2, 5), st.floats(0, 1), st.floats(0, 1))
def test_only_steps_in_the_range_are_repeated(steps: int, times: int, one: float, other: float) -> None:
    start, end = sorted((one, other))
    for step in range(steps):
        repeated = start <= step / steps < end and step < steps - 1
        assert Recurrence(times, start, end).at(step, steps) == (times if repeated else 1)


def test_neighbouring_ranges_share_no_step() -> None:
    early, late = Recurrence(3, 0, 0.4), Recurrence(3, 0.4, 1)
    repeated = [[r.at(step, 25) == 3 for step in range(25)] for r in (early, late)]
    assert repeated[0] == [step < 10 for step in range(25)]
    assert repeated[1] == [10 <= step < 24 for step in range(25)]


@settings(deadline=None)
@given(alphas, alphas, st.integers(0, 2**32 - 1))
def test_renoising_is_algorithm_1(one: float, other: float, seed: int) -> None:
    """``sqrt(a) x + sqrt(1 - a) noise`` with a = alpha_bar_t / alpha_bar_prev."""
    back_to, reached = sorted((one, other))
    x, noise = torch.randn(2, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    a = back_to / reached
    expected = math.sqrt(a) * x + math.sqrt(1 - a) * noise
    torch.testing.assert_close(renoise(x, preserving(reached), preserving(back_to), noise), expected, rtol=0, atol=1e-7)


@settings(deadline=None)
@given(st.floats(0, 10), st.floats(0, 10))
def test_renoising_with_sigmas_adds_their_difference(one: float, other: float) -> None:
    low, high = sorted((one, other))
    x, noise = torch.tensor([2.0, -1]).double(), torch.tensor([1.0, 3]).double()
    found = renoise(x, NoiseLevel(1, low), NoiseLevel(1, high), noise)
    torch.testing.assert_close(found, x + math.sqrt(high**2 - low**2) * noise, rtol=0, atol=1e-7)


def test_no_step_back_changes_nothing() -> None:
    x, level = torch.randn(5, dtype=torch.float64), preserving(0.37)
    torch.testing.assert_close(renoise(x, level, level, torch.ones(5)), x, rtol=0, atol=1e-7)


@pytest.mark.parametrize("levels", [(preserving(0.8), preserving(0.3)), (NoiseLevel(1, 0.5), NoiseLevel(1, 4.0))])
def test_renoising_keeps_the_marginal(levels: tuple[NoiseLevel, NoiseLevel]) -> None:
    """Samples of the diffusion of N(0.7, 0.4^2) at one level become samples of it at the other."""
    reached, back_to = levels
    x0, epsilon, noise = torch.randn(3, 400_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = reached.signal * (0.7 + 0.4 * x0) + reached.noise * epsilon
    found = renoise(x, reached, back_to, noise)
    std = math.hypot(back_to.signal * 0.4, back_to.noise)
    assert float(found.mean()) == pytest.approx(back_to.signal * 0.7, abs=5 * std / math.sqrt(len(x)))
    assert float(found.std()) == pytest.approx(std, rel=5 / math.sqrt(2 * len(x)))


@pytest.mark.parametrize("times", [0, -1])
def test_impossible_repeats_are_refused(times: int) -> None:
    with pytest.raises(ValueError, match=f"recurrence is {times}; expected at least 1"):
        Recurrence(times)


@pytest.mark.parametrize(("start", "end"), [(-0.1, 1), (0, 1.1), (0.6, 0.4)])
def test_impossible_ranges_are_refused(start: float, end: float) -> None:
    with pytest.raises(ValueError, match=f"recurrence range is {start} to {end}"):
        Recurrence(2, start, end)


@pytest.mark.parametrize("field", ["start", "end"])
@pytest.mark.parametrize("value", [math.nan, "0.5", None, True])
def test_ranges_are_numbers(field: str, value: Any) -> None:
    with pytest.raises(FieldError, match=r"recurrence range is .*; expected a finite number") as error:
        Recurrence(2, **{field: value})
    assert error.value.field == "recurrence_range"
