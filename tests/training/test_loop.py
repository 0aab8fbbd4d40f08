"""The training loop: stopped and continued it gives the same weights, and it trains only what it should."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from cvd_core.sampling.draws import seeded_generator
from cvd_core.training.checkpoint import load_checkpoint
from cvd_core.training.config_parts import LoopConfig
from cvd_core.training.loop import learning_rate, train_stage
from cvd_core.training.metrics import check_tensorboard
from cvd_core.training.stage import Stage, StageBatch

CONFIG = LoopConfig(steps=12, batch=8, learning_rate=0.02, warmup=3, log_every=4, ema=0.9)


class Line(Stage):
    """Fits y = 3 x + 1 with one layer, and has one that must not change."""

    seen: Tensor

    def __init__(self, interrupt_at: int | None = None) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.frozen = nn.Linear(1, 1).requires_grad_(False)
        nn.init.zeros_(self.layer.weight)
        nn.init.ones_(self.frozen.weight)
        self.register_buffer("seen", torch.zeros(()))
        self.interrupt_at = interrupt_at

    def batch(self, step: int, positions: Sequence[int]) -> StageBatch:
        if step == self.interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)
        return {"x": torch.randn(len(positions), 1, generator=seeded_generator("line", step, positions[0]))}

    def forward(self, batch: StageBatch) -> dict[str, Tensor]:
        self.seen.add_(1)
        x = self.frozen(batch["x"])
        target = 3 * x + 1
        return {"loss": (self.layer(x) - target).square().mean()}


def new_line(interrupt_at: int | None = None) -> Line:
    torch.manual_seed(0)
    return Line(interrupt_at)


def test_a_run_continued_from_a_checkpoint_is_bit_equal(tmp_path: Path) -> None:
    whole = new_line()
    average = train_stage(whole, CONFIG, tmp_path / "whole")
    train_stage(new_line(), CONFIG, tmp_path / "parts", stop_after=5)
    continued = new_line()
    second = train_stage(continued, CONFIG, tmp_path / "parts", resume=True)
    assert all(
        torch.equal(a, b) for a, b in zip(whole.state_dict().values(), continued.state_dict().values(), strict=True)
    )
    assert all(torch.equal(a, b) for a, b in zip(average.values, second.values, strict=True))
    assert not torch.equal(average.values[0], whole.layer.weight), "the average lags behind"
    assert continued.seen == 12


def test_interruption_saves_a_complete_checkpoint(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train_stage(new_line(interrupt_at=6), CONFIG, tmp_path / "cut")
    assert load_checkpoint(tmp_path / "cut" / "checkpoint.pt").step == 7, "the step under way is finished"
    assert [p.name for p in (tmp_path / "cut").iterdir() if p.name.startswith(".")] == []
    whole, continued = new_line(), new_line()
    train_stage(whole, CONFIG, tmp_path / "whole")
    train_stage(continued, CONFIG, tmp_path / "cut", resume=True)
    assert torch.equal(whole.layer.weight, continued.layer.weight)
    assert signal.getsignal(signal.SIGINT) is before


def test_only_trained_parameters_change_and_the_loss_falls(tmp_path: Path) -> None:
    line = new_line()
    frozen = line.frozen.weight.clone()
    train_stage(line, replace(CONFIG, steps=400, learning_rate=0.1, weight_decay=0.0), tmp_path)
    assert torch.equal(line.frozen.weight, frozen)
    assert float(line.layer.weight) == pytest.approx(3, abs=0.01)
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(4, 401, 4))
    assert float(rows[-1]["loss"]) < 1e-3 < float(rows[0]["loss"])


def test_tensorboard_gets_the_numbers_of_the_table(tmp_path: Path) -> None:
    def train(**options: Any) -> None:
        train_stage(new_line(), CONFIG, tmp_path, tensorboard=True, **options)

    train(stop_after=4)
    shutil.copy(tmp_path / "checkpoint.pt", tmp_path / "early.pt")
    train(resume=True)
    shutil.move(tmp_path / "early.pt", tmp_path / "checkpoint.pt")  # as if it had crashed before the second was saved
    train(resume=True)
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["4", "8", "12"]
    board = EventAccumulator(str(tmp_path)).Reload()
    assert set(board.Tags()["scalars"]) == rows[0].keys() - {"step"}
    for name in board.Tags()["scalars"]:
        assert [event.step for event in board.Scalars(name)] == [4, 8, 12]
        expected = [float(row[name]) for row in rows]
        assert [event.value for event in board.Scalars(name)] == pytest.approx(expected, rel=1e-5)


def test_missing_tensorboard_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    check_tensorboard()
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ValueError, match=r"pip install tensorboard.*metrics\.csv"):
        check_tensorboard()


def test_existing_checkpoints_are_not_overwritten_and_must_fit(tmp_path: Path) -> None:
    train_stage(new_line(), CONFIG, tmp_path, stop_after=1)
    with pytest.raises(ValueError, match="`resume`"):
        train_stage(new_line(), CONFIG, tmp_path)
    other = new_line()
    other.frozen.requires_grad_(True)
    with pytest.raises(ValueError, match=r"holds 2 trained weights, this configuration has 4; only one of them has f"):
        train_stage(other, CONFIG, tmp_path, resume=True)


def test_learning_rate_warms_up_and_falls() -> None:
    rates = [learning_rate(CONFIG, step) for step in range(CONFIG.steps)]
    assert rates[0] == pytest.approx(0.02 / 3)
    assert max(rates) == rates[2] == pytest.approx(0.02)
    assert all(a > b for a, b in pairwise(rates[3:]))
    assert learning_rate(CONFIG, CONFIG.steps) == pytest.approx(0.02 * CONFIG.final_rate)
