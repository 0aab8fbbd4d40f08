"""Which views attend to each other: the paper's pair strategies (Sec. 4.3, Algorithm 1), for any number of views.

A *round* is a set of disjoint groups of views that may run in one network call; inside a group every view attends to
all others. Groups are pairs, except: an odd view out joins a pair and makes a triple (one softmax over both
partners); ``joint`` is one group of all views; a single view is a group of its own and runs unsynchronised. ``star``
is not in the paper: it is for a first view that is given, which all others are to agree with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from annotated_types import Ge, Interval
from torch import Tensor

from cvd_core.fields import FieldError, check_fields
from cvd_core.sampling.draws import Draws, SeededDraws

Group = tuple[int, ...]
Round = tuple[Group, ...]
Strategy = Literal["partition", "multi-partition", "exhaustive", "joint", "star"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


@dataclass(frozen=True)
class Pairing:
    """How views take turns in one denoising step.

    Attributes:
        strategy: ``partition``: one random matching; ``multi-partition``: ``partitions`` of them; ``exhaustive``: all
            V (V - 1) / 2 pairs, as matchings (odd V: a different view sits out of each); ``joint``: one call; ``star``:
            the first view with each of the others, V - 1 pairs.
        partitions: Q of multi-partition; 1 for all other strategies.
        views_per_pass: most views in one network call, to save memory; None: a whole round at once. A pair is never
            split. The result stays the same up to rounding.

    Raises:
        FieldError: a field has the wrong type or is out of range, or partitions are given to a strategy that has none.
    """

    strategy: Strategy = "partition"
    partitions: Annotated[int, Interval(ge=1, le=1000)] = 1
    views_per_pass: Annotated[int | None, Ge(1)] = None

    def __post_init__(self) -> None:
        check_fields(self)
        if self.partitions > 1 and self.strategy != "multi-partition":
            raise FieldError(
                "partitions",
                f"is {self.partitions}, but strategy {self.strategy!r} does not repeat; choose 'multi-partition'",
            )

    def rounds(self, views: int, draws: Draws) -> list[Round]:
        """The rounds of one denoising step.

        Args:
            views: V >= 1.
            draws: source of the random matchings.

        Raises:
            ValueError: V < 1.
        """
        if views < 1:
            raise ValueError(f"{views} views; expected at least 1")
        if self.strategy == "star":
            return [((0, view),) for view in range(1, views)] or [((0,),)]
        if self.strategy == "joint" or (views < 4 and self.strategy != "exhaustive"):
            return [(tuple(range(views)),)] * self.partitions  # up to three views there is only one matching
        if self.strategy == "exhaustive":
            return list(_round_robin(views))
        return [_matching(draws.permutation(views)) for _ in range(self.partitions)]

    def largest_group(self, views: int) -> int:
        """Most views that attend to each other."""
        return max(len(group) for groups in self.rounds(views, SeededDraws(0)) for group in groups)

    def is_one_group(self, views: int) -> bool:
        """Whether more than a pair of views all attend to each other at once, so that no memory limit can part them."""
        return views > 2 and self.largest_group(views) == views

    def always_with(self, view: int, views: int) -> bool:
        """Whether every group of a step holds ``view``."""
        return all(view in group for groups in self.rounds(views, SeededDraws(0)) for group in groups)

    def calls(self, views: int) -> list[Round]:
        """The network calls of one denoising step: how many there are, and how many views each has."""
        rounds = self.rounds(views, SeededDraws(0))
        return [part for groups in rounds for part in batches(groups, self.views_per_pass)]


def views_of(groups: Round) -> tuple[int, ...]:
    """All views of a round, group after group."""
    return tuple(view for group in groups for view in group)


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
