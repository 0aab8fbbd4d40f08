"""What the other benchmarks measure on a processor, and what only a GPU has; under ten minutes on one card.

- One 320-channel sync module in float16 at 256, 512 and 768 pixels, 2 to 6 views: the released code's evaluation,
  dense and sparse; seconds, peak memory, and which attention kernels ran.
- Whole runs at Stable Diffusion 1.5's size, 512x512, 16 frames: 2 views in float16 and bfloat16, with offload, dense
  and sparse; 6 views in pairs and joint; seconds a step and peak memory. Weights come from a formula (some GB are
  written to a temporary folder): only speed and memory are of interest.

Without a GPU nothing is measured. ``--smoke`` runs everything at tiny sizes on the CPU, to see that it would run.

    python -m benchmarks.gpu --json gpu.json
    python -m benchmarks.gpu --smoke
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.harness import add_json, interleaved, machine, print_table, write_report
from benchmarks.sync_module import CPU, Case, variants
from cvd_core import ModelPaths, Pairing, Settings, load_pipeline, make_rig
from cvd_core.networks.tiles import AttentionKind
from tests import formula

ATTENTION = ("flash", "efficient", "fmha", "flex", "attention", "triton", "softmax")
"""What the names of kernels that attend hold."""
GIGABYTE = 1e9


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        modules: views and pixels of a side of each sync module.
        frames: F.
        repeats: of each module, after one call that is not counted.
        size: of the networks of whole runs.
        side: pixels of their videos.
        steps: of theirs; the first one, which builds masks and compiles kernels, is not counted.
    """

    device: torch.device
    modules: tuple[tuple[int, int], ...]
    frames: int
    repeats: int
    size: formula.Size
    side: int
    steps: int

    @property
    def half(self) -> torch.dtype:
        """The type of the modules, which CPUs compute slowly in."""
        return torch.float32 if self.device == CPU else torch.float16


FULL = Plan(torch.device("cuda"), ((2, 256), (2, 512), (4, 512), (6, 512), (2, 768)), 16, 3, "full", 512, 4)
SMOKE = Plan(CPU, ((2, 64),), 2, 1, "reduced", 64, 2)


@dataclass(frozen=True)
class Sampling:
    """A way of making videos: pairs of views, one at a time, or all of them at once."""

    views: int
    dtype: str = "float16"
    attention: AttentionKind = "dense"
    offload: bool = False
    joint: bool = False

    @property
    def name(self) -> str:
        words = [f"{self.views} views", self.dtype, self.attention, "joint" * self.joint, "offload" * self.offload]
        return ", ".join(word for word in words if word)


SAMPLINGS = (
    Sampling(2),
    Sampling(2, attention="sparse"),
    Sampling(2, dtype="bfloat16"),
    Sampling(2, offload=True),
    Sampling(6),
    Sampling(6, attention="sparse"),
    Sampling(6, joint=True),
)


@contextmanager
def peak(device: torch.device) -> Iterator[Callable[[], float]]:
    """Gigabytes that tensors on a GPU take at most inside the block; NaN on a CPU."""
    if device == CPU:
        yield lambda: float("nan")
        return
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    yield lambda: torch.cuda.max_memory_allocated() / GIGABYTE


def finished(call: Callable[[], object], device: torch.device) -> Callable[[], None]:
    """A call that returns when the device has done its work."""

    def run() -> None:
        call()
        if device != CPU:
            torch.cuda.synchronize()

    return run


def kernels(call: Callable[[], object], device: torch.device) -> list[str]:
    """The attention kernels of a call, the longest first."""
    kind = ProfilerActivity.CPU if device == CPU else ProfilerActivity.CUDA
    with profile(activities=[kind]) as seen:
        call()
    taken = {e.key: e.cpu_time_total if device == CPU else e.device_time_total for e in seen.key_averages()}
    names = [name for name in taken if any(word in name.lower() for word in ATTENTION)]
    return [name[:80] for name in sorted(names, key=lambda name: -taken[name])[:2]]


def measure_module(plan: Plan, views: int, side: int) -> list[dict[str, Any]]:
    """One row per evaluation of a sync module."""
    case = Case(views, side, plan.frames, plan.device, plan.half)
    rows, calls = [], {}
    expected = None
    for name, evaluate in variants(case).items():
        with peak(plan.device) as memory:
            run = finished(evaluate, plan.device)
            run()  # masks are built and kernels compiled
            found = evaluate()
            expected = found if expected is None else expected
            off = float((found - expected).abs().max())
            rows.append({"views": views, "resolution": side, "evaluation": name, "peak GB": memory(), "off": off})
        rows[-1]["kernels"] = kernels(run, plan.device)
        calls[name] = run
    for row, seconds in zip(rows, interleaved(calls, plan.repeats).values(), strict=True):
        row["median s"] = median(seconds)
    return rows


def measure_run(plan: Plan, files: ModelPaths, sampling: Sampling) -> dict[str, Any]:
    """Seconds a step and peak memory of a whole run, its prompts encoded and its videos decoded."""
    dtype = "float32" if plan.device == CPU else sampling.dtype
    with peak(plan.device) as memory:
        pipeline = load_pipeline(files, device=plan.device.type, dtype=dtype, offload=sampling.offload)
        settings = Settings(
            ("a castle",),
            width=plan.side,
            height=plan.side,
            steps=plan.steps,
            attention=sampling.attention,
            pairing=Pairing("joint") if sampling.joint else Pairing(views_per_pass=2),
        )
        steps: dict[int, float] = {}
        cameras = make_rig("circle", sampling.views, plan.frames)
        pipeline.networks.generate(
            cameras, settings, lambda progress: steps.__setitem__(progress.step, time.perf_counter())
        )
        times = sorted(steps.values())
        row = {"sampling": sampling.name, "peak GB": memory()}
    return row | {"s a step": (times[-1] - times[0]) / (len(times) - 1)}


def model_files(folder: Path, size: formula.Size) -> ModelPaths:
    """Weights from a formula, in float16."""
    files = formula.write_models(folder, size, torch.float16)
    return ModelPaths(files.base_folder, files.motion, files.camera, files.sync)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes on the CPU: does the script run?")
    add_json(parser)
    args = parser.parse_args()
    if not (args.smoke or torch.cuda.is_available()):
        print(f"{__doc__}\nThere is no GPU here; nothing was measured.")
        return 0
    plan = SMOKE if args.smoke else FULL
    card = "CPU, smoke test: the numbers mean nothing" if args.smoke else torch.cuda.get_device_name()
    about = machine() | {"card": card}
    print(", ".join(f"{key}: {value}" for key, value in about.items()), flush=True)
    modules = []
    for views, side in plan.modules:
        rows = measure_module(plan, views, side)
        modules += rows
        table = [[f"{views} views, {side} px, {plan.frames} frames", "median s", "peak GB", "off", "kernels"]]
        for row in rows:
            numbers = [f"{row['median s']:.4f}", f"{row['peak GB']:.2f}", f"{row['off']:.0e}"]
            table.append([row["evaluation"], *numbers, "; ".join(row["kernels"])])
        print_table(table)
        print(flush=True)
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        files = model_files(Path(folder), plan.size)
        for sampling in SAMPLINGS:
            runs.append(measure_run(plan, files, sampling))
    table = [[f"{plan.side}x{plan.side}, {plan.frames} frames", "s a step", "peak GB"]]
    print_table([*table, *([r["sampling"], f"{r['s a step']:.3f}", f"{r['peak GB']:.2f}"] for r in runs)])
    write_report(args.json, "gpu", about, {"modules": modules, "runs": runs})
    return 0


if __name__ == "__main__":
    sys.exit(main())
