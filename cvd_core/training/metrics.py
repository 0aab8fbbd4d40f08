"""What a stage reports while it learns: a plain CSV, and the same numbers for TensorBoard."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from cvd_core.files import atomic_path


def check_tensorboard() -> None:
    """Raise ValueError if TensorBoard is not installed."""
    if find_spec("tensorboard") is None:
        raise ValueError(
            "the configuration says `tensorboard: true`, but TensorBoard is not installed; get it with `pip install "
            "tensorboard`, or leave the line out: metrics.csv has the same numbers"
        )


class Metrics:
    """Means over ``every`` steps.

    Args:
        folder: receives ``metrics.csv``, one row each, and TensorBoard's event files.
        every: steps.
        done: steps after which training goes on; what an earlier run has written of later ones is dropped.
        tensorboard: write for TensorBoard too.
    """

    def __init__(self, folder: Path, every: int, done: int, *, tensorboard: bool) -> None:
        self.path, self.every = folder / "metrics.csv", every
        folder.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            self._drop_after(done)
        self.sums: dict[str, float] = {}
        self.counted = 0
        self.started = time.monotonic()
        self.board = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(folder, purge_step=done + 1)

    def add(self, step: int, values: Mapping[str, Tensor | float | None]) -> None:
        """Take in the numbers of ``step`` (from 1)."""
        for name, value in values.items():
            if value is not None:
                self.sums[name] = self.sums.get(name, 0.0) + float(torch.as_tensor(value).detach())
        self.counted += 1
        if step % self.every == 0:
            now = time.monotonic()
            row = {"seconds_per_step": (now - self.started) / self.counted}
            row |= {name: total / self.counted for name, total in self.sums.items()}
            self._write(step, row)
            self.sums, self.counted, self.started = {}, 0, now

    def close(self) -> None:
        """Write what TensorBoard has not written yet."""
        if self.board is not None:
            self.board.close()

    def _drop_after(self, done: int) -> None:
        """Keep the rows up to ``done``; the last one may be cut off where the process was killed."""
        header, *rows = self.path.read_text().splitlines(keepends=True) or [""]
        kept = [row for row in rows if row.endswith("\n") and row.count(",") == header.count(",")]
        kept = [row for row in kept if (step := row.split(",")[0]).isdecimal() and int(step) <= done]
        with atomic_path(self.path) as temporary:
            temporary.write_text("".join([header, *kept]))

    def _write(self, step: int, row: dict[str, float]) -> None:
        new = not self.path.exists() or not self.path.stat().st_size
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, ["step", *row])
            if new:
                writer.writeheader()
            writer.writerow({"step": step} | {name: f"{value:.6g}" for name, value in row.items()})
        if self.board is not None:
            for name, value in row.items():
                self.board.add_scalar(name, value, step)
