"""Making the videos of ``cvd generate`` and writing them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from cvd_core.cli import note
from cvd_core.cli.inputs import Inputs
from cvd_core.cli.outputs import complete_folder, file_stems
from cvd_core.engine.assemble import load_pipeline
from cvd_core.engine.pipeline import CollaborativePipeline
from cvd_core.engine.run import RecordedModel, RunRecord, record_models, versions_here
from cvd_core.geometry.cameras import prepare_cameras
from cvd_core.geometry.formats import write_cameras
from cvd_core.run_folder import CAMERAS, GRID, RECORD
from cvd_core.sampling.collaborate import Progress
from cvd_core.video import grid, write_video


def render(inputs: Inputs, out: Path, *, allow_download: bool) -> None:
    """Make the videos, then write everything into ``out`` at once.

    Raises:
        ValueError: ``out`` cannot be written to or holds such files already, a model cannot be used or has changed
            since the run that is repeated, or the GPU's memory does not suffice.
    """
    settings, cameras = inputs.settings, inputs.cameras
    stems = file_stems(cameras.names, taken=[Path(GRID).stem])
    videos = [f"{stem}.mp4" for stem in stems]
    outputs = [*videos, GRID, CAMERAS, RECORD]
    seconds: dict[str, float] = {}
    with complete_folder(out, outputs) as folder:
        with _timing(seconds, "check"):
            known = _unchanged_models(inputs)
        with _timing(seconds, "load"):
            pipeline = load_pipeline(
                inputs.paths,
                dtype=inputs.dtype,
                device=inputs.device,
                offload=inputs.offload,
                allow_download=allow_download,
            )
        pipeline.unet.check_frames(cameras.frames)
        with _timing(seconds, "check"):
            models = record_models(inputs.paths, known)
        images = _generate(pipeline, inputs, seconds)
        with _timing(seconds, "write"):
            for name, video in zip([*videos, GRID], [*images, grid(images)], strict=True):
                write_video(video, folder / name, inputs.fps)
        prepared = replace(prepare_cameras(cameras, settings.width, settings.height), names=tuple(stems))
        write_cameras(prepared, folder / CAMERAS, width=settings.width, height=settings.height)
        RunRecord(
            settings=settings,
            cameras=cameras,
            source=inputs.source,
            models=models,
            fps=inputs.fps,
            dtype=str(inputs.dtype).removeprefix("torch."),
            device=str(inputs.device),
            offload=inputs.offload,
            seconds=seconds,
        ).save(folder / RECORD)
    for name in outputs:
        print(out / name)
    print(", ".join(f"{stage}: {duration:.1f} s" for stage, duration in seconds.items()))


def _unchanged_models(inputs: Inputs) -> tuple[RecordedModel, ...]:
    """Records of the earlier run's models that are used again, once it is sure that they are the same."""
    if inputs.earlier is None:
        return ()
    kept = tuple(model for model in inputs.earlier.models if model.role not in inputs.replaced)
    for model in kept:
        model.verify()
    changed = {
        name: (then, now)
        for name, now in versions_here().items()
        if (then := inputs.earlier.versions.get(name, "none")) != now
    }
    if changed:
        listing = ", ".join(f"{name} {then}, now {now}" for name, (then, now) in changed.items())
        note(f"the earlier run was made with {listing}: numbers may differ slightly")
    return kept


def _generate(pipeline: CollaborativePipeline, inputs: Inputs, seconds: dict[str, float]) -> Tensor:
    """``(V, F, H, W, 3)`` uint8 videos, with a progress bar on stderr."""
    start = time.perf_counter()
    with tqdm(total=inputs.passes * inputs.calls, unit="call", desc="generating", dynamic_ncols=True) as bar:

        def advance(progress: Progress) -> None:
            repeats = f", repeat {progress.repeat}/{progress.repeats}" if progress.repeats > 1 else ""
            bar.set_postfix_str(f"step {progress.step + 1}/{progress.steps}{repeats}", refresh=False)
            bar.update(inputs.calls)
            seconds["sample"] = time.perf_counter() - start

        try:
            images = pipeline.generate(inputs.cameras, inputs.settings, advance)
        except torch.OutOfMemoryError as error:
            raise ValueError(
                f"the memory of {inputs.device} does not suffice ({str(error).splitlines()[0]}); try --offload, "
                "--views-per-pass 2, --dtype float16 or a smaller --width and --height"
            ) from error
    seconds["decode"] = time.perf_counter() - start - seconds["sample"]
    return images


@contextmanager
def _timing(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start
