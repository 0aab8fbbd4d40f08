"""What repeats or starts a run: records, files of jobs, configurations of trainings, damaged in values and bytes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import yaml

from cvd_core.cli.generate import request
from cvd_core.cli.job_file import read_jobs
from cvd_core.runs.record import RunRecord
from cvd_core.training.config import PACKAGED, load_config
from tests.engine.records import record
from tests.fuzz import Target
from tests.fuzz.damage import damaged_bytes, damaged_value, damaged_words, pick
from tests.training.small import small_values


def _record(rng: np.random.Generator, folder: Path) -> None:
    text = record().to_json()
    if rng.random() < 0.8:
        text = json.dumps(damaged_value(rng, json.loads(text)))
    content = text.encode("utf-8", "replace")
    if rng.random() < 0.3:
        content = damaged_bytes(rng, content)
    (folder / "run.json").write_bytes(content)
    RunRecord.load(folder / "run.json").to_json()


def _config(rng: np.random.Generator, folder: Path) -> None:
    file = folder / "config.yaml"
    packaged = [yaml.safe_load(path.read_text()) for path in sorted(PACKAGED.glob("*.yaml"))]
    text = yaml.safe_dump(damaged_value(rng, pick(rng, [small_values(folder), *packaged])), allow_unicode=False)
    match int(rng.integers(3)):
        case 0:
            file.write_bytes(damaged_bytes(rng, text.encode()))
        case 1:
            file.write_bytes(damaged_words(rng, text).encode("utf-8", "replace"))
        case 2:
            file.write_text(text)
    load_config(file)


def _jobs(rng: np.random.Generator, folder: Path) -> None:
    job = {"out": "a", "rig": "circle", "views": 4, "prompt": ["a", "b"], "rig-distance": 0.5, "offload": True}
    lines = [json.dumps(damaged_value(rng, job) if rng.random() < 0.8 else job) for _ in range(2)]
    content = "\n".join(lines).encode("utf-8", "replace")
    if rng.random() < 0.3:
        content = damaged_bytes(rng, content)
    (folder / "jobs.jsonl").write_bytes(content)
    common = argparse.Namespace(jobs=folder / "jobs.jsonl", out=folder, repeat=None)
    for _, options in read_jobs(common):
        request(options)


TARGETS = (Target("run-record", _record), Target("training-config", _config), Target("jobs", _jobs))
