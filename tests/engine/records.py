"""The record of a run, without the run."""

from __future__ import annotations

from cvd_core.geometry.rigs import make_rig
from cvd_core.runs.record import RecordedFile, RecordedModel, RunRecord
from cvd_core.sampling.settings import Settings


def record() -> RunRecord:
    """Two views of two frames; its models lie nowhere."""
    file = RecordedFile("diffusion_pytorch_model.safetensors", 12, "0" * 64)
    models = (
        RecordedModel("base", "/models/base", "a diffusers folder", (file,)),
        RecordedModel("lora", "/models/a.safetensors", "a LoRA", (file,), 0.5),
    )
    settings = Settings(("a red ball",), width=64, height=64, steps=1)
    return RunRecord(settings, make_rig("stereo", 2, 2, baseline=1.0), {"rig": "stereo"}, models, 8.0, "float32", "cpu")
