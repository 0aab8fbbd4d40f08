"""Random draws: one seed, independent streams, and no touch of anyone else's generators."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from cvd_core.sampling.draws import SeededDraws
from cvd_core.sync.slopes import SlopeTape

SHAPE = (3, 4, 2, 5, 6)

KINDS: dict[str, Callable[[SeededDraws], Tensor]] = {
    "latents": lambda draws: draws.latents(SHAPE),
    "slopes": lambda draws: draws.slopes((1000,)),
    "lines": lambda draws: draws.lines((2, 16, 16, 3)),
    "permutation": lambda draws: draws.permutation(9),
    "renoise": lambda draws: draws.renoise(SHAPE),
    "solver_noise": lambda draws: torch.randn(1000, generator=draws.solver_noise()),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1, 2**63, 2**64 - 1])
def test_a_seed_decides_every_draw(kind: str, seed: int) -> None:
    draw = KINDS[kind]
    assert torch.equal(draw(SeededDraws(seed)), draw(SeededDraws(seed)))
    assert not torch.equal(draw(SeededDraws(seed)), draw(SeededDraws(seed ^ 1)))


@pytest.mark.parametrize("kind", KINDS)
def test_draws_of_one_kind_do_not_depend_on_the_others(kind: str) -> None:
    alone, busy = SeededDraws(5), SeededDraws(5)
    for other in KINDS.keys() - {kind}:
        for _ in range(3):
            KINDS[other](busy)
    for _ in range(3):
        assert torch.equal(KINDS[kind](alone), KINDS[kind](busy))


def test_streams_are_uncorrelated() -> None:
    n = 20_000
    draws = SeededDraws(0)
    noise = torch.stack(
        [
            draws.latents((1, n))[0],
            draws.latents((2, n))[1],
            *draws.lines((2, n)),
            draws.renoise((1, n))[0],
            draws.renoise((1, n))[0],
            torch.randn(n, generator=draws.solver_noise()),
            torch.special.ndtri(draws.slopes((n,)).double().clamp(1e-9, 1 - 1e-9)).float(),
            SeededDraws(1).latents((1, n))[0],
        ]
    )
    torch.testing.assert_close(torch.corrcoef(noise), torch.eye(len(noise)), rtol=0, atol=5 / n**0.5)
    torch.testing.assert_close(noise.mean(-1), torch.zeros(len(noise)), rtol=0, atol=5 / n**0.5)
    torch.testing.assert_close(noise.std(-1), torch.ones(len(noise)), rtol=0, atol=5 / n**0.5)


def test_successive_draws_differ_except_those_of_a_whole_run() -> None:
    draws = SeededDraws(0)
    for kind in KINDS.keys() - {"latents", "lines"}:
        assert not torch.equal(KINDS[kind](draws), KINDS[kind](draws)), kind
    assert torch.equal(draws.latents(SHAPE), draws.latents(SHAPE))
    assert torch.equal(draws.lines(SHAPE), draws.lines(SHAPE))


def test_a_view_starts_from_the_same_noise_however_many_there_are() -> None:
    two, six = SeededDraws(3).latents((2, 4, 8, 5, 6)), SeededDraws(3).latents((6, 4, 8, 5, 6))
    assert two.shape == (2, 4, 8, 5, 6)
    assert torch.equal(two, six[:2])
    assert len({float(view.sum()) for view in six}) == 6, "views differ from each other"


def test_types_and_ranges() -> None:
    draws = SeededDraws(0)
    assert draws.latents(SHAPE).dtype == draws.slopes((3,)).dtype == draws.renoise(SHAPE).dtype == torch.float32
    assert draws.latents(SHAPE).shape == draws.renoise(SHAPE).shape == SHAPE
    slopes = draws.slopes((10_000,))
    assert 0 <= slopes.min() < 0.01
    assert 0.99 < slopes.max() < 1
    assert sorted(draws.permutation(7).tolist()) == list(range(7))


def test_global_generators_are_neither_read_nor_moved() -> None:
    def states() -> list[object]:
        return [torch.get_rng_state().tolist(), repr(np.random.get_state()), random.getstate()]  # noqa: NPY002

    before = states()
    first = [draw(SeededDraws(1)) for draw in KINDS.values()]
    assert states() == before
    torch.manual_seed(12345)
    np.random.seed(12345)  # noqa: NPY002
    random.seed(12345)
    assert all(torch.equal(a, draw(SeededDraws(1))) for a, draw in zip(first, KINDS.values(), strict=True))


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_impossible_seeds_are_refused(seed: int) -> None:
    with pytest.raises(ValueError, match=f"seed is {seed}; expected a whole number"):
        SeededDraws(seed)


def test_a_tape_plays_again_what_it_drew() -> None:
    tape = SlopeTape(SeededDraws(0).slopes)
    first = [tape((1,)), tape((1,))]
    tape.rewind()
    again = [tape((1,)), tape((1,)), tape((1,))]
    assert [float(x) for x in again[:2]] == [float(x) for x in first]
    fresh = SeededDraws(0)
    expected = [float(fresh.slopes((1,))) for _ in range(3)]
    assert [float(x) for x in again] == expected, "and goes on where it stopped"
