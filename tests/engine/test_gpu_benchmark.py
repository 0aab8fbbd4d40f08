"""The GPU's benchmark runs, at sizes that mean nothing; it says what it would measure where there is no GPU."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import gpu


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu"])
    assert gpu.main() == 0
    said = capsys.readouterr().out
    assert "512x512" in said
    assert said.endswith("nothing was measured.\n")


@pytest.mark.slow
def test_every_row_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = tmp_path / "gpu.json"
    monkeypatch.setattr(sys, "argv", ["gpu", "--smoke", "--json", str(report)])
    assert gpu.main() == 0
    results = json.loads(report.read_text())["results"]
    assert [row["evaluation"] for row in results["modules"]] == ["released", "dense", "sparse"]
    assert all(row["off"] < 1e-3 and row["median s"] > 0 for row in results["modules"])
    assert [row["sampling"] for row in results["runs"]] == [sampling.name for sampling in gpu.SAMPLINGS]
    assert all(row["s a step"] > 0 for row in results["runs"])
