"""The cost benchmark of SynCamMaster: its arithmetic is that of the layers, and it runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import syncam_cost
from benchmarks.syncam_cost import ADDED, OWN, Call, Size


@pytest.mark.parametrize("views", [2, 3])
def test_the_arithmetic_ratio_is_what_the_layers_multiply(views: int) -> None:
    """Counted by torch in both layers of a block, but for the camera encoder's few numbers."""
    size = Size(views, 96, 64, 9, 1, channels=256)
    call = Call(size)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:  # the others are not counted on CPUs
        call()
    counts = counter.get_flop_counts()
    (own,) = (sum(ops.values()) for name, ops in counts.items() if name.endswith("blocks.0.attn1"))
    assert call.network.sync is not None
    plain = Call(Size(**vars(size) | {"synchronised": False}))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as without:
        plain()
    added = counter.get_total_flops() - without.get_total_flops()
    assert added / own == pytest.approx(size.arithmetic_ratio, rel=0.01)


@pytest.mark.slow
def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = tmp_path / "cost.json"
    words = "--views 2 --width 64 --height 64 --frames 5 --blocks 1 --channels 256 --repeats 1 --threads 1"
    monkeypatch.setattr(sys, "argv", ["syncam_cost", *words.split(), "--json", str(report)])
    syncam_cost.main()
    results = json.loads(report.read_text())["results"]
    assert results["seconds"].keys() == {OWN, ADDED}
    assert results["factor"] == pytest.approx(results["measured ratio"] / results["arithmetic ratio"])
    assert all(value > 0 for value in [*results["seconds"].values(), *results["peak bytes"].values()])
