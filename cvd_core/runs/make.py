"""Making the videos of ``cvd generate`` and writing them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from cvd_core.cli import note
from cvd_core.engine.sd15.assemble import load_pipeline
from cvd_core.engine.sd15.pipeline import CollaborativePipeline
from cvd_core.geometry.cameras import Cameras, prepare_cameras
from cvd_core.geometry.formats import write_cameras
from cvd_core.runs.output import complete_folder, file_stems
from cvd_core.runs.plan import Inputs
from cvd_core.runs.record import RecordedModel, RunRecord, record_models, versions_here
from cvd_core.sampling.collaborate import Progress
from cvd_core.video.files import grid, write_video
from cvd_core.video.run_folder import CAMERAS, GRID, RECORD


@dataclass(frozen=True, eq=False)
class Made:
    """What a run made: ``(V, F, H, W, 3)`` uint8 videos, and the seconds of its stages."""

    videos: Tensor
    seconds: dict[str, float]


def render(inputs: Inputs, out: Path, *, allow_download: bool) -> None:
    """Make the videos, then write everything into ``out`` at once.

    Raises:
        ValueError: ``out`` cannot be written to or holds such files already, a model cannot be used or has changed
            since the run that is repeated, or the GPU's memory does not suffice.
    """
    outputs = [*_video_files(inputs.cameras), GRID, CAMERAS, RECORD]
    with complete_folder(out, outputs) as folder:
        made = make_run(inputs, folder, allow_download=allow_download)
    for name in outputs:
        print(out / name)
    print(", ".join(f"{stage}: {duration:.1f} s" for stage, duration in made.seconds.items()))


def make_run(inputs: Inputs, folder: Path, *, allow_download: bool = False) -> Made:
    """Make the videos and write all files of the run into ``folder``, which must exist.

    Raises:
        ValueError: a model cannot be used or has changed since the run that is repeated, or the GPU's memory does not
            suffice.
    """
    settings, cameras = inputs.settings, inputs.cameras
    files = _video_files(cameras)
    seconds: dict[str, float] = {}
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
        for name, video in zip([*files, GRID], [*images, grid(images)], strict=True):
            write_video(video, folder / name, inputs.fps)
    names = tuple(Path(name).stem for name in files)
    prepared = replace(prepare_cameras(cameras, settings.width, settings.height), names=names)
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
    return Made(images, seconds)


def _video_files(cameras: Cameras) -> list[str]:
    """The name of every view's video."""
    return [f"{stem}.mp4" for stem in file_stems(cameras.names, taken=[Path(GRID).stem])]


def _unchanged_models(inputs: Inputs) -> tuple[RecordedModel, ...]:
    """Records of the earlier run's models that are used again, once it is sure that they are the same."""
    if inputs.earlier is None:
        return ()
    kept = tuple(model for model in inputs.earlier.models if model.role in inputs.kept)
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
