"""What a run keeps of its masks from one attention to the next, within a number of bytes."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import torch

T = TypeVar("T")

DEFAULT_BYTES = 1 << 30
PART_OF_FREE = 8
"""On a device with its own memory, a run may fill one part in this many of what its models leave free."""
_MOST_REMEMBERED = 4096


class BiasCache:
    """Keeps masks, and plans made from them, that are never written to again: it does not matter who else holds them.

    One for which there is no room replaces others only if none of those has been used since it was last asked for.
    A network call asks for its pairs in turn, attention after attention. If they do not all fit, evicting the least
    recently used would lose each of them right before its next use; under this rule the first ones stay for the whole
    call, and those of the next matching replace them at their second use.

    Args:
        limit: bytes that all may take together.
    """

    def __init__(self, limit: int = DEFAULT_BYTES) -> None:
        self.limit = limit
        self.size = 0
        """Bytes kept."""
        self._kept: dict[Hashable, tuple[int, Any]] = {}  # with their bytes, the least recently used first
        self._asked: dict[Hashable, int] = {}  # when last asked for, the longest ago first
        self._clock = 0

    @staticmethod
    def on(device: torch.device) -> BiasCache:
        """For a run whose models are loaded: a part of what is free on a GPU, and 1 GiB elsewhere."""
        return BiasCache(torch.cuda.mem_get_info(device)[0] // PART_OF_FREE if device.type == "cuda" else DEFAULT_BYTES)

    def get(self, key: Hashable, nbytes: int, build: Callable[[], T]) -> T | None:
        """What ``key`` stands for, built if there is room for it; None if there is none.

        Args:
            nbytes: its size.
        """
        self._clock += 1
        asked_before = self._asked.pop(key, -1)
        self._asked[key] = self._clock
        if len(self._asked) > _MOST_REMEMBERED:
            del self._asked[next(iter(self._asked))]
        if key in self._kept:
            self._kept[key] = self._kept.pop(key)
        elif self._make_room(nbytes, asked_before):
            self._kept[key] = nbytes, build()
            self.size += nbytes
        return self._kept[key][1] if key in self._kept else None

    def _make_room(self, nbytes: int, asked_before: int) -> bool:
        """Whether ``nbytes`` fit. Evicts as many entries as that takes, and none if it cannot be done."""
        excess, evicted = self.size + nbytes - self.limit, []
        for key, (taken, _) in self._kept.items():
            if excess <= 0 or self._asked.get(key, -1) > asked_before:
                break
            evicted.append(key)
            excess -= taken
        if excess > 0:
            return False
        for key in evicted:
            self.size -= self._kept.pop(key)[0]
        return True
