"""Collaborative sampling with denoisers simple enough to know the answer."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cvd_core.engine.branches import join_branches
from cvd_core.sampling.collaborate import NetworkCall, Progress, predict_together, sample_together
from cvd_core.sampling.draws import SeededDraws
from cvd_core.sampling.pairs import STRATEGIES, Pairing, Round, Strategy
from cvd_core.sampling.recurrence import NoiseLevel, Recurrence, renoise

limits = st.none() | st.integers(1, 9)


class CountingDraws(SeededDraws):
    """Seeded draws that count what was taken."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.counts = {"slopes": 0, "permutation": 0, "renoise": 0}

    def slopes(self, shape: tuple[int, ...]) -> Tensor:
        self.counts["slopes"] += 1
        return super().slopes(shape)

    def permutation(self, views: int) -> Tensor:
        self.counts["permutation"] += 1
        return super().permutation(views)

    def renoise(self, shape: tuple[int, ...]) -> Tensor:
        self.counts["renoise"] += 1
        return super().renoise(shape)


@dataclass
class Halving:
    """A solver with known numbers: every step halves the latents and adds the prediction; remembers how it was used."""

    steps: int = 5
    used: list[tuple[int, bool]] = field(default_factory=list)

    def level(self, step: int) -> NoiseLevel:
        return NoiseLevel(1.0, float(self.steps - step))

    def scale_input(self, step: int, latents: Tensor) -> Tensor:
        return latents + 100 * step

    def advance(self, step: int, latents: Tensor, prediction: Tensor, *, final: bool) -> Tensor:
        self.used.append((step, final))
        return latents / 2 + prediction


def partner_sum(latents: Tensor, batch: NetworkCall) -> Tensor:
    """For every view: itself + 10 times the mean of those it talks to. Linear, so that averages are exact."""
    out, start = torch.empty_like(latents), 0
    for group in batch.groups:
        own = latents[start : start + len(group)]
        others = (own.sum(0) - own) / max(len(group) - 1, 1)
        out[start : start + len(group)] = own + 10 * others
        start += len(group)
    return out


# One prediction


def test_a_prediction_is_the_average_over_a_views_calls() -> None:
    """Exhaustive pairs: every view meets each other one once, so the average holds the mean of all others."""
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    schedule = Pairing("exhaustive").rounds(5, SeededDraws(0))
    expected = x + 10 * (x.sum(0) - x) / 4
    torch.testing.assert_close(predict_together(partner_sum, x, schedule, SeededDraws(0)), expected)


def test_views_with_more_calls_weigh_each_of_them_less() -> None:
    schedule: list[Round] = [((0, 1),), ((1, 2),), ((1, 0),)]
    x = torch.tensor([[1.0], [2.0], [4.0]], dtype=torch.float64)
    found = predict_together(partner_sum, x, schedule, SeededDraws(0))
    torch.testing.assert_close(found, torch.tensor([[21.0], [2 + 10 * (1 + 4 + 1) / 3], [24.0]], dtype=torch.float64))


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(STRATEGIES), st.integers(1, 8), st.integers(0, 1000), limits)
def test_every_prediction_reaches_its_view(strategy: Strategy, views: int, seed: int, limit: int | None) -> None:
    """A denoiser that answers with the id of each view and gets the latents of the views it was told."""

    def name_views(latents: Tensor, batch: NetworkCall) -> Tensor:
        assert latents[:, 0].tolist() == [float(v) for v in batch.views], "the latents of these views, in this order"
        return latents

    x = torch.arange(views, dtype=torch.float32)[:, None].expand(-1, 3)
    schedule = Pairing(strategy).rounds(views, SeededDraws(seed))
    torch.testing.assert_close(predict_together(name_views, x, schedule, SeededDraws(0), limit), x)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(STRATEGIES), st.integers(1, 9), limits)
def test_memory_limits_do_not_change_the_result(strategy: Strategy, views: int, limit: int | None) -> None:
    """Neither the predictions nor the slopes: every batch of a round hears the slopes that one big batch would."""
    sizes = []

    def with_slopes(latents: Tensor, batch: NetworkCall) -> Tensor:
        sizes.append((len(latents), max(map(len, batch.groups))))
        slopes = [batch.slopes((1,)), batch.slopes((1,))]
        assert float(slopes[0]) != float(slopes[1])
        return partner_sum(latents, batch) + slopes[0] + 7 * slopes[1]

    partitions = 3 if strategy == "multi-partition" else 1
    schedule = Pairing(strategy, partitions).rounds(views, SeededDraws(1))
    x = torch.randn(views, 4, dtype=torch.float64)
    whole_draws, limited_draws = CountingDraws(2), CountingDraws(2)
    whole = predict_together(with_slopes, x, schedule, whole_draws)
    assert len(sizes) == len(schedule), "one network call per round"
    sizes.clear()
    torch.testing.assert_close(predict_together(with_slopes, x, schedule, limited_draws, limit), whole)
    assert all(limit is None or size <= max(limit, group) for size, group in sizes)
    assert whole_draws.counts == limited_draws.counts == {"slopes": 2 * len(schedule), "permutation": 0, "renoise": 0}


# Whole runs


@pytest.mark.parametrize(
    ("views", "R", "Q", "calls"), [(4, 3, 1, 73), (6, 6, 2, 290), (2, 1, 1, 25), (4, 1, 3, 75), (5, 2, 2, 98)]
)
def test_number_of_network_calls(views: int, R: int, Q: int, calls: int) -> None:
    """(steps - 1) R Q + Q; the first two are the released settings."""
    made = 0

    def denoise(step: int, latents: Tensor, batch: NetworkCall) -> Tensor:
        nonlocal made
        made += 1
        return latents

    draws = CountingDraws(0)
    sample_together(
        denoise,
        torch.zeros(views, 1),
        Halving(25),
        draws,
        pairing=Pairing("multi-partition", Q),
        recurrence=Recurrence(R),
    )
    assert made == calls == 24 * R * Q + Q
    assert draws.counts == {
        "slopes": 0,
        "permutation": calls if views > 3 else 0,
        "renoise": 24 * (R - 1),
    }


def test_repeats_are_announced_and_only_the_last_is_final() -> None:
    solver, seen = Halving(5), []

    def watch(progress: Progress) -> None:
        seen.append((progress.step, progress.steps, progress.repeat, progress.repeats))

    sample_together(
        lambda step, x, batch: x,
        torch.zeros(2, 1),
        solver,
        SeededDraws(0),
        recurrence=Recurrence(3, 0.2, 0.6),
        on_progress=watch,
    )
    repeats = [1, 3, 3, 1, 1]
    assert seen == [(step, 5, r, n) for step, n in enumerate(repeats) for r in range(1, n + 1)]
    assert solver.used == [(step, r == n) for step, _, r, n in seen]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("views", [1, 2, 4, 5])
def test_a_run_is_algorithm_1(strategy: Strategy, views: int) -> None:
    """The loop written out, with the same draws in the same order."""
    partitions = 2 if strategy == "multi-partition" else 1
    start = torch.randn(views, 3, dtype=torch.float64)

    def denoise(step: int, latents: Tensor, batch: NetworkCall) -> Tensor:
        return partner_sum(latents, batch) * (step + 1) + batch.slopes((1,))

    found = sample_together(
        denoise,
        start,
        Halving(4),
        SeededDraws(9),
        pairing=Pairing(strategy, partitions),
        recurrence=Recurrence(2),
    )
    solver, draws, x = Halving(4), SeededDraws(9), start
    for step in range(4):
        for last in [True] if step == 3 else [False, True]:
            total, count = torch.zeros_like(x), torch.zeros(views, 1, dtype=torch.float64)
            for groups in Pairing(strategy, partitions).rounds(views, draws):
                slope = draws.slopes((1,))
                for group in groups:
                    chosen = list(group)
                    own = x[chosen] + 100 * step
                    others = (own.sum(0) - own) / max(len(group) - 1, 1)
                    total[chosen] += (own + 10 * others) * (step + 1) + slope
                    count[chosen] += 1
            x = solver.advance(step, x, total / count, final=last)
            if not last:
                noise = draws.renoise((views, 3)).double()
                x = renoise(x, NoiseLevel(1, 4.0 - step - 1), NoiseLevel(1, 4.0 - step), noise)
    torch.testing.assert_close(found, x)


def test_the_input_is_left_alone_and_the_dtype_kept() -> None:
    start = torch.randn(4, 3, dtype=torch.float64)
    kept = start.clone()
    found = sample_together(
        lambda step, x, batch: x.float(), start, Halving(3), SeededDraws(0), recurrence=Recurrence(2)
    )
    assert torch.equal(start, kept)
    assert found.dtype == torch.float64


def test_progress_may_stop_a_run() -> None:
    def stop(progress: Progress) -> None:
        if progress.step == 2:
            raise KeyboardInterrupt

    solver = Halving(5)
    with pytest.raises(KeyboardInterrupt):
        sample_together(lambda step, x, batch: x, torch.zeros(2, 1), solver, SeededDraws(0), on_progress=stop)
    assert len(solver.used) == 3


def test_a_run_depends_on_its_seed_alone() -> None:
    def states() -> list[object]:
        return [torch.get_rng_state().tolist(), repr(np.random.get_state()), random.getstate()]  # noqa: NPY002

    def run(seed: int) -> Tensor:
        draws = SeededDraws(seed)
        return sample_together(
            lambda step, x, batch: partner_sum(x, batch) / 20 + batch.slopes((1,)),
            draws.latents((6, 3)),
            Halving(6),
            draws,
            pairing=Pairing("multi-partition", 2),
            recurrence=Recurrence(3),
        )

    before = states()
    first = run(4)
    assert states() == before
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    random.seed(0)
    assert torch.equal(run(4), first)
    assert not torch.equal(run(5), first)


def test_random_matchings_average_to_all_pairs() -> None:
    """Theorem A.3: over many matchings a view hears every other one equally often."""
    x = torch.randn(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    schedule = Pairing("multi-partition", 1000).rounds(6, SeededDraws(0))
    found = predict_together(partner_sum, x, schedule, SeededDraws(0))
    expected = x + 10 * (x.sum(0) - x) / 5
    assert (found - expected).abs().max() < 5 * 10 * float(x.std()) / math.sqrt(1000)


def test_guidance_moves_from_uncond_through_cond() -> None:
    uncond, cond = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 0.0])
    for scale, expected in itertools.zip_longest((0, 1, 3), ([1.0, 2.0], [2.0, 0.0], [4.0, -4.0])):
        assert join_branches(torch.stack([uncond, cond])[None], scale)[0].tolist() == expected
