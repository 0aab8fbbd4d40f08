"""Making videos: loaded models, runs of them, and the files of a run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from cvd_core.engine.method import VideoPipeline, method_for
from cvd_core.engine.model_paths import ModelPaths
from cvd_core.engine.placement import Placement
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats import write_cameras
from cvd_core.geometry.trajectories import resample
from cvd_core.memory import first_line, lacks_memory
from cvd_core.output_folder import complete_folder
from cvd_core.runs import mini
from cvd_core.runs.choose_models import choose_models, is_mini
from cvd_core.runs.file_names import file_stems
from cvd_core.runs.plan import Plan, check_run, default_settings, hints
from cvd_core.runs.record import RecordedFile, RecordedModel, RunRecord, record_models
from cvd_core.runs.request import DEFAULT_FPS
from cvd_core.sampling.collaborate import Progress
from cvd_core.sampling.settings import Settings
from cvd_core.video.files import write_video
from cvd_core.video.run_folder import CAMERAS, GRID, RECORD
from cvd_core.video.side_by_side import grid_clip

StrPath = str | os.PathLike[str]


def load_pipeline(
    base: StrPath | ModelPaths = mini.NAME,
    *,
    motion: StrPath | None = None,
    camera: StrPath | None = None,
    sync: StrPath | None = None,
    loras: Sequence[StrPath | tuple[StrPath, float]] = (),
    config: StrPath | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    offload: bool = False,
    allow_download: bool = False,
) -> Pipeline:
    """Load models and record what they are; reads every file twice, the second time for its SHA-256.

    Args:
        base: ``mini``, the small model of the package, which brings all other parts; Stable Diffusion 1.5 or a
            fine-tune of it, a diffusers folder or a single file; Wan 2.1 for SynCamMaster; CamI2V's or DynamiCrafter's
            whole file; or all files at once, as they are.
        motion: AnimateDiff v3 motion module.
        camera: CameraCtrl, or with DynamiCrafter what CamI2V trained on it; without it the videos do not follow their
            cameras.
        sync: CVD's sync modules; without them the videos are independent of each other.
        loras: files, or files with their strengths.
        config: for a base in a single file: any SD1.5 diffusers folder, for its configs and tokenizer.
        device: cpu, cuda, cuda:1, mps, or auto: a GPU if there is one.
        dtype: float32, float16, bfloat16, or auto: float16 on a GPU, float32 on the CPU.
        offload: save GPU memory: keep each network in main memory while it is not in use.
        allow_download: fetch config files and tokenizer, a few MB, for a single file without ``config``.

    Raises:
        ValueError: a file is missing, damaged, of another kind or for another network, or there is no such device.
    """
    placement = Placement.choose(device, dtype, offload)
    if isinstance(base, ModelPaths):
        return Pipeline.load(base, placement, allow_download=allow_download)
    given = {"motion": motion, "camera": camera, "sync": sync, "config": config}
    asked: dict[str, Any] = {"base": base} | {role: Path(path) for role, path in given.items() if path is not None}
    if loras:
        asked["loras"] = tuple(
            (Path(lora[0]), lora[1]) if isinstance(lora, tuple) else (Path(lora), 1.0) for lora in loras
        )
    return Pipeline.load(choose_models(asked)[0], placement, allow_download=allow_download)


@dataclass(frozen=True, eq=False)
class Pipeline:
    """Loaded models, for any number of runs; call it to make one.

    Attributes:
        networks: the models at work.
        paths: their files.
        placement: where they compute.
        models: what the files were when they were loaded.
        seconds: that loading took, by stage.
    """

    networks: VideoPipeline
    paths: ModelPaths
    placement: Placement
    models: tuple[RecordedModel, ...]
    seconds: Mapping[str, float]

    @staticmethod
    def load(
        paths: ModelPaths,
        placement: Placement,
        *,
        allow_download: bool = False,
        recorded: Collection[RecordedModel] = (),
    ) -> Pipeline:
        """Load all models of a run; see :func:`load_pipeline`.

        Args:
            recorded: models of an earlier run that must be what they were.

        Raises:
            ValueError: a model cannot be used, or has changed since the earlier run.
        """
        method = method_for(paths)
        seconds: dict[str, float] = {}
        with _timing(seconds, "check"):
            for model in recorded:
                model.verify(method)
        with _timing(seconds, "load"):
            networks = method.load(paths, placement, allow_download=allow_download)
        with _timing(seconds, "check"):
            models = record_models(paths, recorded)
        return Pipeline(networks, paths, placement, models, seconds)

    def settings(self, prompts: str | Sequence[str], **values: Any) -> Settings:
        """Settings of a run; what is left out is as these models like it, the small model differs from the others.

        Args:
            prompts: one for all views, or one per view.
            values: other fields of :class:`Settings`.
        """
        return Settings(**{"prompts": prompts, **default_settings(self.paths, values), **values})

    def hints(self, cameras: Cameras, settings: Settings) -> list[str]:
        """What a run asks of these models that they cannot do or have not learned, a sentence each."""
        return hints(self.paths, cameras, settings)

    def __call__(
        self,
        cameras: Cameras,
        prompts: str | Sequence[str] | Settings,
        *,
        fps: float = DEFAULT_FPS,
        progress: bool | Callable[[Progress], object] = True,
        source: Mapping[str, Any] | None = None,
        **values: Any,
    ) -> Run:
        """Make one video per camera path.

        Args:
            cameras: V paths of F frames; only their motion relative to their own first pose counts. The small model
                takes longer ones resampled to the 8 frames it makes.
            prompts: one for all views or one per view, or the whole :class:`Settings` of the run.
            fps: frames per second of the video files.
            progress: show a bar on stderr, or call this after every denoising pass; it may raise to stop.
            source: where the cameras come from, for the record.
            values: fields of :class:`Settings`, as in :meth:`settings`; they replace those of given settings.

        Raises:
            ValueError: settings that cannot be used, more frames than the networks can make, prompts that do not match
                the views, or too little GPU memory.
        """
        settings = replace(prompts, **values) if isinstance(prompts, Settings) else self.settings(prompts, **values)
        if is_mini(self.paths.base) and cameras.frames > mini.FRAMES:
            cameras = resample(cameras, mini.FRAMES)
        check_run(self.paths, cameras, settings, fps)
        self.networks.check_frames(cameras.frames)
        inputs = {name: RecordedFile.of(path, path.parent) for name, path in settings.input_files.items()}
        seconds = dict(self.seconds)
        frames = self._generate(cameras, settings, progress, seconds)
        record = RunRecord(
            settings=settings,
            cameras=cameras,
            source=source or {},
            models=self.models,
            fps=fps,
            dtype=self.placement.dtype_name,
            device=self.placement.device_name,
            offload=self.placement.offload,
            inputs=inputs,
            seconds=seconds,
        )
        return Run(frames, record)

    def _generate(
        self,
        cameras: Cameras,
        settings: Settings,
        progress: bool | Callable[[Progress], object],
        seconds: dict[str, float],
    ) -> Tensor:
        start = time.perf_counter()
        calls = len(settings.pairing.calls(cameras.views))
        with tqdm(
            total=settings.passes * calls,
            unit="call",
            desc="generating",
            dynamic_ncols=True,
            disable=progress is not True,
        ) as bar:

            def advance(state: Progress) -> None:
                repeats = f", repeat {state.repeat}/{state.repeats}" if state.repeats > 1 else ""
                bar.set_postfix_str(f"step {state.step + 1}/{state.steps}{repeats}", refresh=False)
                bar.update(calls)
                seconds["sample"] = time.perf_counter() - start
                if callable(progress):
                    progress(state)

            try:
                frames = self.networks.generate(cameras, settings, advance)
            except (MemoryError, RuntimeError) as error:
                if not lacks_memory(error):
                    raise
                raise ValueError(
                    f"the memory of {self.placement.device} is not enough ({first_line(error)}); try "
                    f"{method_for(self.paths).SMALLER}"
                ) from error
        seconds["decode"] = time.perf_counter() - start - seconds["sample"]
        return frames


@dataclass(frozen=True, eq=False)
class Run:
    """What a run made.

    Attributes:
        frames: ``(V, F, H, W, 3)`` uint8 RGB.
        record: everything that repeats it, and how long it took.
    """

    frames: Tensor
    record: RunRecord

    @property
    def cameras(self) -> Cameras:
        """The cameras as the networks were given them, named as the video files are."""
        settings = self.record.settings
        prepared = method_for(self.record.paths).prepare(self.record.cameras, settings)
        return replace(prepared, names=tuple(_stems(self.record.cameras)))

    def save(self, out: StrPath) -> None:
        """Write all files at once, as ``cvd generate`` does: one MP4 per view, all views in step, cameras, record.

        Raises:
            ValueError: ``out`` cannot be written to or already holds such files.
        """
        with complete_folder(Path(out), file_names(self.record.cameras)) as folder:
            self.write(folder)

    def write(self, folder: Path) -> RunRecord:
        """Write all files into ``folder``, which must exist; returns the record that stands there."""
        seconds = dict(self.record.seconds)
        settings, cameras = self.record.settings, self.cameras
        with _timing(seconds, "write"):
            for name, video in zip(
                [*cameras.names, Path(GRID).stem], [*self.frames, grid_clip(self.frames)], strict=True
            ):
                write_video(video, folder / f"{name}.mp4", self.record.fps)
        write_cameras(cameras, folder / CAMERAS, width=settings.width, height=settings.height)
        record = replace(self.record, seconds=seconds)
        record.save(folder / RECORD)
        return record


def make_run(
    plan: Plan, out: Path, *, allow_download: bool = False, load: Callable[[], Pipeline] | None = None
) -> RunRecord:
    """Make the videos of a plan and write everything into ``out`` at once; returns its record.

    Of a team of processes, all must make the run, and the leader writes it.

    Args:
        load: gives the plan's models, where they are at hand.

    Raises:
        FolderInUseError: another process is writing to ``out``.
        ValueError: ``out`` cannot be written to or already holds such files, a model cannot be used or has changed
            since the run that is repeated, or the GPU's memory is not enough.
        ConnectionError: another process of the team has ended.
    """

    def made(leads: bool) -> Run:
        pipeline = (
            Pipeline.load(plan.paths, plan.placement, allow_download=allow_download, recorded=plan.recorded)
            if load is None
            else load()
        )
        return pipeline(plan.cameras, plan.settings, fps=plan.fps, source=plan.source, progress=leads)

    if not plan.placement.team.leads:
        return made(False).record
    with complete_folder(out, file_names(plan.cameras)) as folder:
        return made(True).write(folder)


def file_names(cameras: Cameras) -> list[str]:
    """The files of a run."""
    return [*(f"{stem}.mp4" for stem in _stems(cameras)), GRID, CAMERAS, RECORD]


def _stems(cameras: Cameras) -> list[str]:
    return file_stems(cameras.names, taken=[Path(GRID).stem])


@contextmanager
def _timing(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start
