"""Who talks to whom: the pair strategies of the paper (Sec. 4.3, Algorithm 1), for any number of views.

A *round* is a set of disjoint groups of views that may run in one network call; inside a group every view attends to
all others. Groups are pairs, except: an odd view out joins a pair and makes a triple (one softmax over both
partners); ``joint`` is one group of all views; a single view is a group of its own and runs unsynchronised.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal, get_args

from torch import Tensor

from cvd_core.sampling.draws import Draws

Group = tuple[int, ...]
Round = tuple[Group, ...]
Strategy = Literal["partition", "multi-partition", "exhaustive", "joint"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


def rounds(strategy: Strategy, views: int, draws: Draws, partitions: int = 1) -> list[Round]:
    """The network calls of one denoising step.

    Args:
        strategy: ``partition``: one random matching; ``multi-partition``: ``partitions`` of them; ``exhaustive``: all
            V (V - 1) / 2 pairs, as matchings (odd V: a different view sits out of each); ``joint``: one call.
        views: V >= 1.
        draws: source of the random matchings.
        partitions: Q of multi-partition.

    Raises:
        ValueError: unknown strategy, V < 1, Q < 1, or partitions given to a strategy that has none.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"pair strategy is {strategy!r}; expected one of {', '.join(STRATEGIES)}")
    if views < 1:
        raise ValueError(f"{views} views; expected at least 1")
    if partitions < 1:
        raise ValueError(f"partitions is {partitions}; expected at least 1")
    if partitions > 1 and strategy != "multi-partition":
        raise ValueError(
            f"partitions is {partitions}, but strategy {strategy!r} does not repeat; choose 'multi-partition'"
        )
    if strategy == "joint" or (views < 4 and strategy != "exhaustive"):
        return [(tuple(range(views)),)] * partitions  # up to three views there is only one matching
    if strategy == "exhaustive":
        return list(_round_robin(views))
    return [_matching(draws.permutation(views)) for _ in range(partitions)]


def view_weights(schedule: Sequence[Round], views: int) -> list[float]:
    """Weight of each appearance of a view, 1 / appearances, so that they sum to 1 (paper, Theorem A.3)."""
    count = Counter(view for groups in schedule for group in groups for view in group)
    missing = [view for view in range(views) if not count[view]]
    if missing:
        raise ValueError(f"views {missing} take part in no network call of the step; every view must")
    return [1 / count[view] for view in range(views)]


def batches(groups: Round, views_per_pass: int | None) -> Iterator[Round]:
    """A round in pieces of at most ``views_per_pass`` views; a group is never split.

    Args:
        views_per_pass: None runs the whole round at once.
    """
    batch: list[Group] = []
    for group in groups:
        if batch and views_per_pass is not None and sum(map(len, batch)) + len(group) > views_per_pass:
            yield tuple(batch)
            batch = []
        batch.append(group)
    yield tuple(batch)


def _matching(order: Tensor) -> Round:
    """Pairs ``(order[k], order[k + V // 2])``, as the released code reads a permutation; an odd view joins the last."""
    half = len(order) // 2
    views = order.tolist()
    pairs: list[Group] = [(views[k], views[k + half]) for k in range(half)]
    if len(views) % 2:
        pairs[-1] = (*pairs[-1], views[-1])
    return tuple(pairs)


def _round_robin(views: int) -> Iterator[Round]:
    """All pairs as matchings by the circle method: V - 1 of them, or V with one view sitting out (odd V)."""
    if views < 3:
        yield (tuple(range(views)),)
        return
    seats: list[int | None] = [*range(views)]
    if views % 2:
        seats.append(None)
    half = len(seats) // 2
    for _ in range(len(seats) - 1):
        table = zip(seats[:half], reversed(seats[half:]), strict=True)
        yield tuple((a, b) for a, b in table if a is not None and b is not None)
        seats = [seats[0], seats[-1], *seats[1:-1]]
