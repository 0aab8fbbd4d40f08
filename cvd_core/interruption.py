"""Being told to stop: after SIGTERM everything is cleaned up as after Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_USUAL: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
"""What Python does with a signal unasked."""


class Terminated(KeyboardInterrupt):
    """SIGTERM has come: ``kill``, a batch system at the end of its time, a container that stops."""


@contextmanager
def signals_raise() -> Iterator[None]:
    """Have Ctrl-C raise KeyboardInterrupt and SIGTERM :class:`Terminated`, unless somebody else handles them.

    An exception that comes after the signal is the signal's too: libraries in C, PyTorch among them, answer a
    KeyboardInterrupt in the middle of their work with an error of their own.
    """
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise interruption(received)

    main = threading.current_thread() is threading.main_thread()
    mine = [number for number, usual in _USUAL.items() if main and signal.getsignal(number) == usual]
    for number in mine:
        signal.signal(number, note)
    try:
        yield
    except Exception as error:
        if received:
            raise interruption(received) from error
        raise
    finally:
        for number in mine:
            signal.signal(number, _USUAL[number])


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
