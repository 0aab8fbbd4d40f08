"""Two processes on a CPU train one model."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from cvd_core.training.checkpoint import load_checkpoint
from cvd_core.training.loop import train_stage
from tests.training.small import small_config
from tests.training.two_processes import LOOP, Plane

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launch, "-m", "tests.training.two_processes", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def weights(folder: Path) -> list[dict[str, Tensor]]:
    return [load_file(folder / f"{rank}.safetensors") for rank in range(2)]


def test_both_end_with_the_same_weights(weights: list[dict[str, Tensor]]) -> None:
    first, second = weights
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_they_learn_what_one_learns_from_the_batches_of_both(folder: Path, weights: list[dict[str, Tensor]]) -> None:
    alone = Plane()
    average = train_stage(alone, replace(LOOP, batch=2 * LOOP.batch), folder / "alone")
    for name, value in zip(average.names, average.values, strict=True):
        torch.testing.assert_close(weights[0][f"plane.{name}"], alone.state_dict()[name], rtol=0, atol=1e-6)
        torch.testing.assert_close(weights[0][f"average.{name}"], value, rtol=0, atol=1e-6)


def test_they_stop_after_the_same_step(folder: Path, weights: list[dict[str, Tensor]]) -> None:
    saved = load_checkpoint(folder / "interrupted" / "checkpoint.pt")
    assert saved.step == 4
    for rank in range(2):
        assert torch.equal(weights[rank]["interrupted.layer.weight"], saved.weights["layer.weight"])


def test_a_whole_run_is_trained(folder: Path) -> None:
    config = small_config(folder / "run")
    for stage, loop in config.stages.items():
        assert load_checkpoint(folder / "run" / stage / "checkpoint.pt").step == loop.steps
        assert len((folder / "run" / stage / "metrics.csv").read_text().splitlines()) == 1 + loop.steps
