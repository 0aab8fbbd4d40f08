"""Seeded fuzzing of everything that reads users' files: each input is read, or refused in one clear line.

A :class:`Target` makes one random input and reads it. Anything but success or a ValueError with a message is a
failure: any other exception, an input that takes too long, memory that grows without bound. Each input depends on
nothing but the seed, the target's name and its number, so a failure is replayed by these three.

The suite runs a few inputs of every target (``test_fuzz.py``); ``python -m tests.fuzz --count 5000`` runs many.
"""

from __future__ import annotations

import math
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

SECONDS = 10.0
"""Longest time that one input may take."""
MEMORY = 1024.0
"""Most MiB by which the process may grow while a target runs."""


@dataclass(frozen=True)
class Target:
    """One kind of input.

    Attributes:
        name: of the target, for ``--only``.
        attempt: ``(random numbers, empty folder) -> None``: make an input, in the folder where it is a file, and read
            it. Raises ValueError if the input is refused; AssertionError if it is read but must not be so.
        slow: an input takes tenths of a second; the suite runs fewer.
    """

    name: str
    attempt: Callable[[np.random.Generator, Path], None]
    slow: bool = False


@dataclass(frozen=True)
class Failure:
    """One input that was neither read nor refused in a line.

    Attributes:
        number: of the input, from 0.
        problem: the last line of the traceback, or what took too much.
        details: the whole traceback.
    """

    number: int
    problem: str
    details: str


@dataclass
class Report:
    """What became of a target's inputs. ``slowest`` is in seconds, ``growth`` in MiB of peak memory."""

    read: int = 0
    refused: int = 0
    failures: list[Failure] = field(default_factory=list)
    slowest: float = 0.0
    growth: float = 0.0


class TooSlow(BaseException):
    """An input took longer than :data:`SECONDS`; not an Exception, so that no reader takes it for damage in a file."""


def fuzz(target: Target, count: int, seed: int = 0, start: int = 0) -> Report:
    """Run inputs number ``start`` to ``start + count - 1`` of a target."""
    report = Report()
    before = _peak_memory()
    for number in range(start, start + count):
        rng = np.random.default_rng((seed, zlib.crc32(target.name.encode()), number))
        begin = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with _time_limit(SECONDS):
                    target.attempt(rng, Path(folder))
                report.read += 1
            except ValueError as error:
                report.refused += 1
                if not str(error).strip() or type(error) is not ValueError:
                    report.failures.append(_failure(number, error))
            except (Exception, TooSlow) as error:
                report.failures.append(_failure(number, error))
        report.slowest = max(report.slowest, time.perf_counter() - begin)
    report.growth = _peak_memory() - before
    if report.growth > MEMORY:
        report.failures.append(Failure(start, f"memory grew by {report.growth:.0f} MiB over these inputs", ""))
    return report


def _failure(number: int, error: BaseException) -> Failure:
    details = "".join(traceback.format_exception(error))
    return Failure(number, f"{type(error).__name__}: {str(error)[:300]}", details)


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Interrupt the block after that long, where the system has such a signal; elsewhere the suite's timeout does."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(*_: object) -> None:
        raise TooSlow(f"more than {seconds:g} s")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(math.ceil(seconds))
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def _peak_memory() -> float:
    """MiB that the process has held at most so far; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
