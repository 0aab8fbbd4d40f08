"""``cvd train`` in processes of its own: to run, and to kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]


def cvd(*words: object) -> subprocess.Popen[str]:
    """The command in a process of its own, where hash tables and memory lie differently."""
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads()), "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        [sys.executable, "-m", "cvd_core.cli", "train", *map(str, words)],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def kill_at_work(config: Path, table: Path) -> None:
    """Start a training, and kill it when its table of metrics has a first row."""
    process = cvd(config)
    while not (table.exists() and table.read_text().count("\n") > 1):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
