"""The packaged configuration for Stable Diffusion 1.5, on networks of its size with weights from a formula."""

from __future__ import annotations

import csv
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from benchmarks.harness import in_fresh_process
from cvd_core.engine.model_paths import MODEL_FILES
from cvd_core.training.config import PACKAGED
from tests import formula
from tests.training.clip_folders import write_clip_folders
from tests.training.fresh_process import training

SIZE, FRAMES, STEPS = 64, 2, 2
SEED = 2
"""One step of each phase."""


def write_model(folder: Path, size: formula.Size) -> None:
    """What there is before sync modules are trained, in float16 as published."""
    keys = formula.key_list(size)
    formula.write_base(folder / MODEL_FILES.base, None, size, torch.float16)
    save_file(formula.tensors(keys["mm"], torch.float16), folder / MODEL_FILES.motion)
    camera = keys["pose_encoder"] | keys["attention_processor"]
    save_file(formula.tensors(camera, torch.float16), folder / MODEL_FILES.camera)


def write_config(folder: Path) -> Path:
    """The packaged configuration with less data, fewer steps and the test's own files."""
    config: dict[str, Any] = yaml.safe_load((PACKAGED / "sd15.yaml").read_text())
    clips = write_clip_folders(folder, SIZE, 4 * FRAMES)
    config |= {"output": str(folder / "run"), "start_from": "model", "seed": SEED, "tensorboard": False}
    config["data"] |= {"size": SIZE, "frames": FRAMES}
    config["folders"] = {"realestate10k": str(clips.realestate10k), "videos": str(clips.videos)}
    for lora in ("camera_lora", "video_lora"):
        config["sync"].pop(lora)
    config["stages"]["sync"] |= {"steps": STEPS, "log_every": 1}
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    shutil.rmtree(tmp_path)  # gigabytes


@pytest.mark.slow
@pytest.mark.parametrize("size", ["reduced", "full"])
@pytest.mark.timeout(3600)
def test_two_steps(folder: Path, size: formula.Size, capsys: pytest.CaptureFixture[str]) -> None:
    write_model(folder / "model", size)
    peak, changed = in_fresh_process(training, write_config(folder), folder / "out")
    with capsys.disabled():
        print(f"\npeak memory of two steps, {size} size: {peak / 2**30:.2f} GiB")
    assert all(name.startswith("denoiser.sync.") for name in changed)
    written = formula.key_list(size)["epi"]
    ends = {f"denoiser.sync.{name}" for name in written if name.endswith("proj_out.weight")}
    assert ends <= set(changed), "they start at zero and are the first to learn"
    exported = load_file(folder / "out" / MODEL_FILES.sync)
    assert {name: list(value.shape) for name, value in exported.items()} == written
    with (folder / "run" / "sync" / "metrics.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert len(losses) == STEPS
    assert all(math.isfinite(loss) and loss > 0 for loss in losses)
    assert peak < 14 * 2**30
