"""Being told to stop: what SIGTERM asks for is cleaned up after like Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM has come: ``kill``, a batch system at the end of its time, a container that stops."""


@contextmanager
def termination_raises() -> Iterator[None]:
    """SIGTERM inside the block raises :class:`Terminated`, unless somebody else handles it already."""
    alone = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if alone:
        signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        if alone:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def deferred() -> Iterator[list[int]]:
    """Collect Ctrl-C and SIGTERM inside the block instead of raising in the middle of something; a second one raises.

    In another thread than the main one, which alone hears of signals, the list stays empty.
    """
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if received:
            raise interruption(received)
        received.append(number)

    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interruption(received: list[int]) -> KeyboardInterrupt:
    """What to raise for the signals that were received."""
    return Terminated() if signal.SIGTERM in received else KeyboardInterrupt()


def _raise(number: int, frame: FrameType | None) -> None:
    raise Terminated
