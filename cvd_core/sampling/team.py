"""Several processes that sample one run together: who evaluates what, and how they exchange it.

All of them hold the whole run - latents, draws, solver - and take every step at the same time; only network calls are
divided. A process does as much of a round as every other, the last ones some of it once more, so that all of them draw
the same numbers and meet at every exchange.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as distributed
from torch import Tensor

Item = TypeVar("Item")


@dataclass(frozen=True)
class Team:
    """This process among those of a run.

    Attributes:
        rank: from 0; process 0 leads: it alone writes files.
        count: processes; with more than one, torch.distributed's default group holds all of them.
        device: where tensors are exchanged: a GPU of this process with NCCL, the CPU with Gloo.
    """

    rank: int = 0
    count: int = 1
    device: torch.device = torch.device("cpu")  # noqa: RUF009 - immutable

    @property
    def leads(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def own(self, items: Sequence[Item]) -> tuple[Item, ...]:
        """This process' part of some items, as many as every other process has: the last ones begin again in front."""
        each = self._each(len(items))
        return tuple(items[i % len(items)] for i in range(self.rank * each, (self.rank + 1) * each))

    def firsts(self, count: int) -> int:
        """How many of :meth:`own` of ``count`` items are nobody else's task before: the first ones of them."""
        each = self._each(count)
        return min(each, max(0, count - self.rank * each))

    def gather(self, own: Tensor, count: int) -> Tensor:
        """Rows of all processes, ``(count, ...)`` in the order of the items, from the rows of :meth:`own`.

        Raises:
            ConnectionError: another process has ended.
        """
        if self.count == 1:
            return own
        sent = own.to(self.device).contiguous()
        found = sent.new_empty(self.count * len(sent), *sent.shape[1:])
        with _reaching_others():
            distributed.all_gather(list(found.chunk(self.count)), sent)
        return found[:count].to(own.device)

    def spread(self, work: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
        """``work`` of rows that do not depend on each other, a part of them in each process.

        Raises:
            ConnectionError: another process has ended.
        """
        return self.gather(work(rows[list(self.own(range(len(rows))))]), len(rows))

    def sum(self, own: Tensor) -> Tensor:
        """The sum of every process' tensor.

        Raises:
            ConnectionError: another process has ended.
        """
        if self.count == 1:
            return own
        total = own.to(self.device, copy=True)
        with _reaching_others():
            distributed.all_reduce(total)
        return total.to(own.device)

    def _each(self, count: int) -> int:
        return -(-count // self.count)


ALONE = Team()
"""A run in one process."""


@contextmanager
def _reaching_others() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise ConnectionError(
            f"another process of this run has ended, or cannot be reached ({reason}); what it printed says why. "
            "Nothing was written"
        ) from error
