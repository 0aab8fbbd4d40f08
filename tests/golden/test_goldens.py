"""The project's code against the numbers of the reference implementation."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cvd_core.camera_control.checkpoint import merge_key
from tests import formula
from tests.golden import replay
from tests.golden.networks import golden_unet

DATA = Path(__file__).parent / "data"
SLOW = {
    "sample_four_views128_r2_q2",
    "sample_four_views_r3_q1",
    "sample_pair_5steps",
    "sample_pair128_3steps",
    "unet_four_views128_cfg_16x16",
    "cami2v_sample_eps_camera2",
}
"""Five seconds to a minute each; ``.ci/run`` runs them too."""


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem in SLOW))
        for folder in (DATA, DATA / "syncam", DATA / "cami2v")
        for path in replay.golden_files(folder)
    ],
)
def test_golden(path: Path) -> None:
    """Within the stated tolerance - or, where float32 itself does not pin the number down, within that uncertainty.

    Recorded networks on 64-pixel images end in 1x1 maps, where a GroupNorm group has two values. PyTorch's one-pass
    variance keeps few digits of their difference, and what is left depends on the processor: the reference code run on
    another one misses its own recording by 1.2e-2 (unet_pair_8x8). ``python -m tests.golden.replay`` stays strict.
    """
    checks = replay.engine_checks()
    outcome = replay.replay(path, checks)
    assert outcome is not None
    if not outcome.ok:
        uncertainty = replay.float32_reproducibility(path, checks)
        assert uncertainty is not None, f"off by {outcome.error:.2e}, tolerance {outcome.tolerance:.1e}"
        assert uncertainty > outcome.tolerance, (
            f"off by {outcome.error:.2e} where float32 is exact to {uncertainty:.1e}"
        )
        assert outcome.error <= 2 * uncertainty  # which is one sample of what rounding does


def test_replay_reports_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = DATA / "mask_circle_8.npz", DATA / "schedule_25.npz"
    shutil.copy(good, tmp_path)
    assert replay.main([str(tmp_path)]) == 0
    with np.load(bad) as arrays:
        changed = {name: arrays[name] for name in arrays.files}
    changed["betas"] = changed["betas"] + np.float32(1e-5)
    np.savez(tmp_path / bad.name, **changed)
    assert replay.main([str(tmp_path)]) == 1
    rows = {line.split()[0]: line.split()[-1] for line in capsys.readouterr().out.splitlines() if "_" in line}
    assert rows == {"mask_circle_8": "ok", "schedule_25": "FAIL"}


def test_replay_of_an_empty_folder(tmp_path: Path) -> None:
    assert replay.main([str(tmp_path)]) == 2


def test_every_reduced_key_has_its_parameter() -> None:
    network = golden_unet()
    keys = json.loads((DATA / "keys_reduced.json").read_text())
    assert network.sync is not None
    assert network.merges is not None
    assert network.pose_encoder is not None
    assert {k: list(v.shape) for k, v in network.sync.state_dict().items()} == keys["epi"]
    assert {k: list(v.shape) for k, v in network.pose_encoder.state_dict().items()} == keys["pose_encoder"]
    merges = {merge_key(k): v for k, v in keys["attention_processor"].items()}
    assert {k: list(v.shape) for k, v in network.merges.state_dict().items()} == merges
    assert set(formula.key_list("reduced")) == set(keys)
