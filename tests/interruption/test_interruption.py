"""A few attempts at interrupting; ``python -m tests.interruption`` makes many."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")
@pytest.mark.parametrize(
    "options",
    [
        ["--count", "1", "--only", "generate"],
        pytest.param(["--count", "30"], marks=[pytest.mark.slow, pytest.mark.timeout(7200)], id="full"),
    ],
)
def test_commands_may_be_stopped_at_any_moment(options: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.interruption", *options], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
