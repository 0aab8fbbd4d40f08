"""Sampling in ComfyUI: V views together, with either motion backend, against V separate AnimateDiff+CameraCtrl runs.

Runs on the CPU, in the Python that ComfyUI runs with (see tests/nodes), through the nodes' own sampler path. Every row
of the table is a process of its own, with the models loaded before memory and time are taken. "together" has this
pack's own motion modules and cameras, "together, evolved" those of AnimateDiff-Evolved, as "apart" has. "without sync"
is "together" with the sync modules switched off, and their weights not counted. Seconds are those of the fastest step
of all views; the first step also builds the epipolar biases. Peak memory is the weights and what sampling adds to them.
On the CPU the host computes in float32, and casts the float16 weights of this pack's modules at every use.

Full widths need 8 GB of memory, and 4 GB of files with formula weights: written first, unless --models names a folder
that ``tests.nodes.full_size`` has made.

    python -m benchmarks.host --views 2 4 6 --resolution 64 --json host.json
"""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness import Clock, arguments, in_fresh_process, machine, print_table, write_report
from cvd_core.sync.module import SyncModules
from tests import formula
from tests.nodes.host_process import Host, host_folder, why_no_host

TOGETHER, EVOLVED, WITHOUT, APART = "together", "together, evolved", "without sync", "apart"
MOTION, SYNC = "motion modules", "sync modules"
TEXT_WIDTH = 768
GUIDANCE = 8.5


class HostRun:
    """A run of one kind, ready to go.

    Args:
        kind: one of the four rows.
        models: folder of full-size models; None for the tests' small network.
    """

    def __init__(self, kind: str, views: int, frames: int, resolution: int, steps: int, models: Path | None) -> None:
        logging.disable(logging.WARNING)
        host = Host(host_folder())
        import comfy.model_management

        from tests.nodes import small_network as small
        from tests.nodes.runs import Scene

        self.scene = Scene(
            host,
            views,
            frames,
            resolution,
            steps,
            cfg=GUIDANCE,
            sampler="ddim",
            scheduler="ddim_uniform",
            native=kind in (TOGETHER, WITHOUT),
        )
        if models is not None:
            self._load(models)
        if kind == APART:
            self.models = [self.scene.evolved(view) for view in range(views)]
        else:
            injection = host.pack("nodes.host.injection")
            sync = self._sync(models) if models is not None else injection.managed(small.sync_modules())
            start, end = (1.0, 1.0) if kind == WITHOUT else (0.0, 1.0)
            epipolar = small.epipolar(host, self.scene.cameras, resolution)
            settings = injection.SyncSettings(epipolar, 1.0, start, end)
            self.models = [injection.apply_sync(self.scene.with_motion(), sync, settings)]
        used = [self.models[0], *self.models[0].get_nested_additional_models()]
        comfy.model_management.load_models_gpu(used)
        for patcher in used:
            for weight in patcher.model.parameters():
                weight.sum()  # files are mapped: only what was read once is in memory
        gc.collect()
        counted = [patcher for patcher in used if kind != WITHOUT or not isinstance(patcher.model, SyncModules)]
        self.weights = sum(patcher.model_size() for patcher in counted)
        self.clock = Clock()
        layers = [layer for patcher in used for layer in patcher.model.modules()]
        # AnimateDiff-Evolved has a MotionModule too: a list of its temporal modules that is never called itself.
        motion = "MotionModule" if self.scene.native else "VanillaTemporalModule"
        for kind_of_layer, of_type in ((MOTION, motion), (SYNC, "SyncModule")):
            self.clock.watch(kind_of_layer, (layer for layer in layers if type(layer).__name__ == of_type))
        self.kind = kind

    def _load(self, models: Path) -> None:
        """Put full-size networks into the scene, through the loaders that users have."""
        import folder_paths

        from tests.nodes import full_size

        for name in (full_size.BASE, full_size.MOTION, full_size.SYNC):
            folder = name.partition("/")[0]
            folder_paths.add_model_folder_path(folder, str(models / folder))
        scene, host = self.scene, self.scene.host
        scene.base = host.call("CheckpointLoaderSimple", ckpt_name=Path(full_size.BASE).name)[0]
        motion, camera = (Path(name).name for name in (full_size.MOTION, full_size.CAMERA))
        if scene.native:
            scene.own_motion = (
                host.call("CVD_LoadMotionModule", motion_name=motion)[0],
                host.call("CVD_LoadCameraCtrl", camera_name=camera)[0],
            )
        else:
            (scene.motion,) = host.call("ADE_LoadAnimateDiffModelWithCameraCtrl", model_name=motion, camera_ctrl=camera)
        scene.positive, scene.negative = (
            [[formula.noise(f"prompt/{name}", (1, 77, TEXT_WIDTH)), {}]] for name in ("castle", "blurry")
        )

    def _sync(self, models: Path) -> Any:
        from tests.nodes import full_size

        (sync,) = self.scene.host.call("CVD_SyncModuleLoader", sync_name=Path(full_size.SYNC).name)
        return sync

    def __call__(self) -> dict[str, float]:
        seconds = [0.0] * self.scene.steps
        for view, model in enumerate(self.models):
            last = time.perf_counter()

            def callback(step: int, *_: Any) -> None:
                nonlocal last
                now = time.perf_counter()
                seconds[step] += now - last
                last = now

            if self.kind == APART:
                self._alone(model, view, callback)
            else:
                self.scene.sample(self.scene.guider(model), callback=callback)
        sync = self.clock.fastest(SYNC) if self.kind in (TOGETHER, EVOLVED) else 0.0
        motion = self.clock.fastest(MOTION) * len(self.models)
        return {"seconds": min(seconds), MOTION: motion, SYNC: sync, "weights": self.weights}

    def _alone(self, model: Any, view: int, callback: Any) -> None:
        import comfy.samplers

        scene = self.scene
        guider = comfy.samplers.CFGGuider(model)
        guider.set_conds(scene.positive, scene.negative)
        guider.set_cfg(scene.cfg)
        scene.sample(guider, slice(view * scene.frames, (view + 1) * scene.frames), callback=callback)


def measure(views: int, frames: int, resolution: int, steps: int, models: Path | None) -> dict[str, Any]:
    """Print the table of one number of views."""
    found: dict[str, dict[str, float]] = {}
    rows = [[f"{views} views", "s a step", MOTION, SYNC, "weights MB", "sampling MB", "peak MB"]]
    for kind in (TOGETHER, EVOLVED, WITHOUT, APART):
        added, values = in_fresh_process(HostRun, kind, views, frames, resolution, steps, models)
        found[kind] = {**values, "sampling": added, "peak": values["weights"] + added}
        seconds = [f"{values[name]:.2f}" for name in ("seconds", MOTION, SYNC)]
        rows.append([kind, *seconds, *(f"{found[kind][name] / 1e6:.0f}" for name in ("weights", "sampling", "peak"))])
    print_table(rows)
    ratios = {
        "sync / motion modules": found[TOGETHER][SYNC] / found[TOGETHER][MOTION],
        "peak with / without sync": found[TOGETHER]["peak"] / found[WITHOUT]["peak"],
        "time native / evolved": found[TOGETHER]["seconds"] / found[EVOLVED]["seconds"],
        "peak native / evolved": found[TOGETHER]["peak"] / found[EVOLVED]["peak"],
        "time together / apart": found[TOGETHER]["seconds"] / found[APART]["seconds"],
        "peak together / apart": found[TOGETHER]["peak"] / found[APART]["peak"],
    }
    print(", ".join(f"{name}: {value:.2f}" for name, value in ratios.items()) + "\n", flush=True)
    return {"views": views, "rows": found, "ratios": ratios}


def main() -> int:
    parser = arguments((__doc__ or "").split("\n")[0], repeats=None)
    parser.add_argument("--views", type=int, nargs="+", default=[2, 4, 6], help="numbers of views (default 2 4 6)")
    parser.add_argument("--resolution", type=int, default=64, help="pixels of a side (default 64)")
    parser.add_argument("--frames", type=int, default=16, help="frames of a view (default 16)")
    parser.add_argument("--steps", type=int, default=2, help="denoising steps of a run (default 2)")
    parser.add_argument("--size", choices=("reduced", "full"), default="full", help="widths of the network")
    parser.add_argument("--models", type=Path, metavar="FOLDER", help="full-size models, see tests/nodes/full_size.py")
    options = parser.parse_args()
    if why := why_no_host():
        print(why, file=sys.stderr)
        return 2
    torch.set_num_threads(options.threads)
    about = machine()
    print(", ".join(f"{key}: {value}" for key, value in about.items()), flush=True)
    with ExitStack() as stack:
        models = options.models if options.size == "full" else None
        if options.size == "full" and models is None:
            models = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            subprocess.run([sys.executable, "-m", "tests.nodes.full_size", str(models)], check=True)
        print(
            f"{options.frames} frames, {options.resolution} px, guidance, {options.steps} steps, {options.size} widths"
        )
        settings = (options.frames, options.resolution, options.steps)
        results = [measure(views, *settings, models) for views in options.views]
    named = {name: getattr(options, name) for name in ("frames", "resolution", "steps", "size")}
    write_report(options.json, "host", about, {**named, "results": results})
    return 0


if __name__ == "__main__":
    sys.exit(main())
