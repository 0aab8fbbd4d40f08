"""Pair strategies: everyone takes part, groups never overlap, matchings are fair and read as the released code does."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cvd_core.sampling.draws import SeededDraws
from cvd_core.sampling.pairs import STRATEGIES, Pairing, Round, Strategy, batches, view_weights

seeds = st.integers(0, 2**64 - 1)
groupings = st.lists(st.integers(1, 4), min_size=1, max_size=8)


class FixedOrder(SeededDraws):
    """Draws whose permutations are given; counts how many were taken."""

    def __init__(self, *orders: list[int]) -> None:
        super().__init__(0)
        self.orders = list(orders)

    def permutation(self, views: int) -> Tensor:
        order = torch.tensor(self.orders.pop(0))
        assert len(order) == views
        return order


def pairs_of(schedule: list[Round]) -> Counter[tuple[int, ...]]:
    return Counter(tuple(sorted(group)) for groups in schedule for group in groups)


@settings(deadline=None)
@given(st.sampled_from(STRATEGIES), st.integers(1, 12), st.integers(1, 4), seeds)
def test_every_view_takes_part_with_weights_that_sum_to_one(
    strategy: Strategy, views: int, partitions: int, seed: int
) -> None:
    partitions = partitions if strategy == "multi-partition" else 1
    schedule = Pairing(strategy, partitions).rounds(views, SeededDraws(seed))
    share = [0.0] * views
    weights = view_weights(schedule, views)
    for groups in schedule:
        present = [view for group in groups for view in group]
        assert len(set(present)) == len(present), "the groups of a round share no view"
        assert set(present) <= set(range(views))
        for view in present:
            share[view] += weights[view]
    assert share == pytest.approx([1.0] * views)


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(1, 4), seeds)
def test_partitions_are_matchings_and_an_odd_view_joins_a_pair(views: int, partitions: int, seed: int) -> None:
    schedule = Pairing("multi-partition", partitions).rounds(views, SeededDraws(seed))
    assert len(schedule) == partitions
    for groups in schedule:
        sizes = sorted(map(len, groups))
        assert sum(sizes) == views
        if views == 1:
            assert sizes == [1]
        else:
            assert sizes == [2] * (views // 2 - views % 2) + [3] * (views % 2)
    assert Pairing("partition").rounds(views, SeededDraws(seed)) == schedule[:1]


@pytest.mark.parametrize("views", range(2, 13))
def test_exhaustive_holds_every_pair_once(views: int) -> None:
    schedule = Pairing("exhaustive").rounds(views, SeededDraws(0))
    assert pairs_of(schedule) == Counter(dict.fromkeys(combinations(range(views), 2), 1))
    assert len(schedule) == views - 1 + (views % 2), "as few network calls as matchings allow"
    idle = Counter(v for groups in schedule for v in range(views) if not any(v in group for group in groups))
    assert idle == (Counter(range(views)) if views % 2 else Counter()), "odd: each view sits out once"


@pytest.mark.parametrize("views", range(1, 13))
def test_joint_is_one_group(views: int) -> None:
    assert Pairing("joint").rounds(views, SeededDraws(0)) == [(tuple(range(views)),)]


@pytest.mark.parametrize("views", range(2, 13))
def test_star_pairs_the_first_view_with_each_other_and_averages_it(views: int) -> None:
    schedule = Pairing("star").rounds(views, FixedOrder())
    assert schedule == [((0, view),) for view in range(1, views)]
    assert view_weights(schedule, views) == [1 / (views - 1), *[1.0] * (views - 1)]


@pytest.mark.parametrize(
    ("strategy", "views", "largest", "always"),
    [
        ("partition", 1, 1, True),
        ("partition", 2, 2, True),
        ("partition", 3, 3, True),
        ("partition", 4, 2, False),
        ("multi-partition", 5, 3, False),
        ("exhaustive", 2, 2, True),
        ("exhaustive", 3, 2, False),
        ("joint", 5, 5, True),
        ("star", 1, 1, True),
        ("star", 5, 2, True),
    ],
)
def test_how_many_views_meet_and_whether_the_first_is_among_them(
    strategy: Strategy, views: int, largest: int, always: bool
) -> None:
    assert Pairing(strategy).largest_group(views) == largest
    assert Pairing(strategy).always_with(0, views) is always


def test_a_single_view_runs_alone() -> None:
    for strategy in STRATEGIES:
        assert Pairing(strategy).rounds(1, SeededDraws(0)) == [((0,),)]


def test_a_permutation_is_read_as_the_released_code_reads_it() -> None:
    """``permutation(V).reshape(2, V / 2)``: the columns are the pairs."""
    draws = FixedOrder([4, 0, 5, 2, 1, 3], [0, 1, 2, 3, 4, 5], [6, 5, 4, 3, 2, 1, 0])
    first, second = Pairing("multi-partition", 2).rounds(6, draws)
    assert first == ((4, 2), (0, 1), (5, 3))
    assert second == ((0, 3), (1, 4), (2, 5))
    assert Pairing("partition").rounds(7, draws) == [((6, 3), (5, 2), (4, 1, 0))]


def test_up_to_three_views_draw_nothing() -> None:
    """There is one matching only; the released two-view loop takes no permutation either."""
    for views in (1, 2, 3):
        assert len(Pairing("multi-partition", 2).rounds(views, FixedOrder())) == 2
    for views in (4, 5):
        Pairing("exhaustive").rounds(views, FixedOrder())
        Pairing("joint").rounds(views, FixedOrder())


@pytest.mark.parametrize(("views", "kinds"), [(4, 3), (6, 15), (5, 10)])
def test_matchings_are_fair(views: int, kinds: int) -> None:
    """All matchings of a set of views are equally likely: within five standard deviations."""
    draws, n = SeededDraws(3), 3000
    found = Counter(
        tuple(sorted(tuple(sorted(g)) for g in Pairing("partition").rounds(views, draws)[0])) for _ in range(n)
    )
    assert len(found) == kinds
    expected = n / kinds
    assert all(abs(count - expected) < 5 * expected**0.5 for count in found.values())


@settings(deadline=None)
@given(groupings, st.none() | st.integers(1, 9))
def test_batches_keep_groups_whole_in_order_and_within_the_limit(sizes: list[int], limit: int | None) -> None:
    ids = iter(range(100))
    groups: Round = tuple(tuple(next(ids) for _ in range(size)) for size in sizes)
    parts = list(batches(groups, limit))
    assert tuple(group for part in parts for group in part) == groups
    if limit is None:
        assert parts == [groups]
        return
    for part, following in zip(parts, [*parts[1:], None], strict=True):
        size = sum(map(len, part))
        assert size <= limit or len(part) == 1, "only a group that is larger by itself may exceed the limit"
        if following is not None:
            assert size + len(following[0]) > limit, "a batch is as large as the limit allows"


@pytest.mark.parametrize(
    ("strategy", "views", "partitions", "message"),
    [
        ("pairs", 4, 1, "strategy is 'pairs'; expected one of partition, multi-partition, exhaustive, joint"),
        ("partition", 0, 1, "0 views; expected at least 1"),
        ("multi-partition", 4, 0, "partitions is 0; expected at least 1"),
        ("partition", 4, 2, "partitions is 2, but strategy 'partition' does not repeat; choose 'multi-partition'"),
        ("exhaustive", 4, 2, "strategy 'exhaustive' does not repeat"),
        ("joint", 4, 3, "strategy 'joint' does not repeat"),
    ],
)
def test_impossible_schedules_are_refused(strategy: Strategy, views: int, partitions: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pairing(strategy, partitions).rounds(views, SeededDraws(0))


def test_a_view_without_a_call_is_refused() -> None:
    with pytest.raises(ValueError, match=r"views \[2\] take part in no network call"):
        view_weights([((0, 1),), ((0, 3),)], 4)


def test_partitions_beyond_any_sense_are_refused() -> None:
    """Before a list of them is made."""
    with pytest.raises(ValueError, match="partitions is 100000000; expected at least 1 and at most 1000"):
        Pairing("multi-partition", 100_000_000)
