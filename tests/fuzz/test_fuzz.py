"""A few inputs of every fuzz target; ``python -m tests.fuzz`` runs many."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from tests import fuzz as frame
from tests.fuzz import Target, fuzz
from tests.fuzz.registry import TARGETS

COUNT = 40


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_inputs_are_read_or_refused_in_a_line(target: Target) -> None:
    count = COUNT // 4 if target.slow else COUNT
    report = fuzz(target, count)
    assert not report.failures, "\n\n".join(f"input {f.number}: {f.details or f.problem}" for f in report.failures[:3])
    assert report.read + report.refused == count
    assert report.refused > count // 10, "the damage is too gentle to say anything"


def test_the_frame_finds_tracebacks_silence_and_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "SECONDS", 1)
    seen: list[float] = []

    def attempt(rng: np.random.Generator, folder: Path) -> None:
        seen.append(rng.random())
        match len(seen) - 1:
            case 1:
                raise ValueError("refused")
            case 2:
                raise ValueError
            case 3:
                raise KeyError("key")
            case 4:
                time.sleep(20)
            case 5:
                b"\xff".decode()  # a UnicodeDecodeError is a ValueError that nobody wrote for a user

    report = fuzz(Target("frame", attempt), 6)
    assert (report.read, report.refused) == (1, 3)
    assert [failure.number for failure in report.failures] == [2, 3, 4, 5]
    first, seen[:] = list(seen), [0.0] * 10
    fuzz(Target("frame", attempt), 2, start=3)
    assert seen[10:] == first[3:5], "an input depends on its number alone"
