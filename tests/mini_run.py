"""A run of the small model as ``cvd generate`` makes it, for hosts without diffusers to compare with.

    python -m tests.mini_run

writes ``tests/data/mini_run.npz``; a test of the engine holds it to what the engine makes.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.trajectory_json import build_trajectories, parse_trajectories
from cvd_core.runs.mini import MODEL
from cvd_core.sampling.pairs import Pairing
from cvd_core.sampling.recurrence import Recurrence
from cvd_core.sampling.settings import Settings
from tests.workflow import ROOT, Json, snapshot, to_prompt

FILE = Path(__file__).parent / "data" / "mini_run.npz"
TEMPLATE = ROOT / "example_workflows" / "1 Start here.json"
COMPARABLE = {
    "steps": 10,
    "sampler_name": "ddim",
    "scheduler": "ddim_uniform",
    "recurrence": 2,
    "recurrence_end": 0.6,
}
"""The template's sampler draws noise in every step, and hosts have another source of it than the engine. They also
scale the first noise otherwise where sampling starts below the highest level, which shows in fewer steps."""


def template() -> tuple[Json, dict[str, str]]:
    """The prompt of the template "1 Start here", and the number of each class's first node."""
    prompt = to_prompt(json.loads(TEMPLATE.read_text()), snapshot())
    return prompt, {node["class_type"]: number for number, node in reversed(prompt.items())}


def graph() -> tuple[Json, dict[str, str]]:
    """The same with a sampler that hosts and the engine have alike."""
    prompt, numbers = template()
    prompt[numbers["CVD_CollaborativeKSampler"]]["inputs"] |= COMPARABLE
    return prompt, numbers


def _inputs(class_type: str) -> Json:
    prompt, numbers = graph()
    inputs: Json = prompt[numbers[class_type]]["inputs"]
    return inputs


def cameras() -> Cameras:
    """Those of the template."""
    given = _inputs("CVD_CameraTrajectoryBuilder")
    trajectories = parse_trajectories(given["trajectory"])
    size = {name: given[name] for name in ("views", "frames", "width", "height")}
    return build_trajectories(trajectories, **size).cameras


def settings() -> Settings:
    """Those of the template, as the command line has them."""
    size, given = _inputs("CVD_EmptyMultiViewLatent"), _inputs("CVD_CollaborativeKSampler")
    prompt, _ = graph()
    texts = [prompt[given[name][0]]["inputs"]["text"] for name in ("positive", "negative")]
    return Settings(
        prompts=(texts[0],),
        negative_prompts=(texts[1],),
        width=size["width"],
        height=size["height"],
        steps=given["steps"],
        guidance=given["cfg"],
        sync_branches=_inputs("CVD_ApplySync")["branches"],
        seed=given["seed"],
        pairing=Pairing(given["pair_strategy"]),
        recurrence=Recurrence(given["recurrence"], given["recurrence_start"], given["recurrence_end"]),
    )


def made_by_the_engine() -> Tensor:
    """``(V, F, H, W, 3)`` uint8."""
    from cvd_core.engine.sd15.assemble import load

    return load(MODEL).generate(cameras(), settings())


def recorded() -> Tensor:
    """What was made when the file was written."""
    with np.load(FILE) as data:
        return torch.from_numpy(data["videos"])


if __name__ == "__main__":
    np.savez_compressed(FILE, videos=made_by_the_engine().numpy())
