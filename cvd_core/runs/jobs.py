"""Many runs, one after the other, by any number of processes on any number of machines that share a file system.

A process takes the first run that is neither finished nor being made. A finished one has its record, and one that is
being made its folder's lock, which the system lets go of when its process ends, however that ends: so starting again
goes on with what is missing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch

from cvd_core.engine.model_paths import ModelPaths
from cvd_core.memory import lacks_memory
from cvd_core.output_folder import FolderInUseError
from cvd_core.runs.make import Pipeline, make_run
from cvd_core.runs.plan import Plan
from cvd_core.runs.record import RunRecord
from cvd_core.video.run_folder import RECORD


@dataclass(frozen=True)
class Job:
    """One of many runs.

    Attributes:
        name: of it in messages.
        plan: what to make.
        out: the folder to make it in.
        allow_download: see :func:`cvd_core.runs.make.make_run`.
    """

    name: str
    plan: Plan
    out: Path
    allow_download: bool = False

    def finished(self) -> bool:
        """Whether the folder holds this run.

        Raises:
            ValueError: it holds another one.
        """
        if not os.path.lexists(self.out / RECORD):
            return False
        record, plan = RunRecord.load(self.out / RECORD), self.plan
        differing = [
            name
            for name, found, expected in (
                ("settings", record.settings, plan.settings),
                ("frames per second", record.fps, plan.fps),
                ("models", _absolute(record.paths), _absolute(plan.paths)),
            )
            if found != expected
        ]
        a, b = record.cameras, plan.cameras
        if a.names != b.names or not (torch.equal(a.c2w, b.c2w) and torch.equal(a.intrinsics, b.intrinsics)):
            differing.append("cameras")
        if differing:
            raise ValueError(
                f"{self.out} holds another run, whose {' and '.join(differing)} differ; choose another folder"
            )
        return True


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        job: which one.
        record: of the run, if it was made now.
        error: why it could not be made.
        elsewhere: whether another process is making it.
    """

    job: Job
    record: RunRecord | None = None
    error: Exception | None = None
    elsewhere: bool = False


def check_folders(jobs: Sequence[Job]) -> None:
    """Raise ValueError if two jobs have one folder."""
    seen: dict[str, str] = {}
    for job in jobs:
        folder = os.path.realpath(job.out)
        if folder in seen:
            raise ValueError(f"{job.name} and {seen[folder]} have the same folder {job.out}; give each one of its own")
        seen[folder] = job.name


def do_jobs(jobs: Sequence[Job]) -> Iterator[Outcome]:
    """Make all runs that are missing and that nobody else is making; one that fails does not stop the others."""
    models = _Models()
    for job in jobs:
        try:
            yield Outcome(job) if job.finished() else _do(job, models)
        except (ValueError, OSError, MemoryError, RuntimeError) as error:
            if not isinstance(error, ValueError | OSError) and not lacks_memory(error):
                raise
            yield Outcome(job, error=error)


def _do(job: Job, models: _Models) -> Outcome:
    try:
        return Outcome(job, make_run(job.plan, job.out, load=lambda: models.of(job)))
    except FolderInUseError:
        return Outcome(job, elsewhere=True)
    except ValueError:
        if job.finished():  # by another process, since the first look
            return Outcome(job)
        raise


class _Models:
    """The models of the last job, for the next one."""

    def __init__(self) -> None:
        self._key: object = None
        self._pipeline: Pipeline | None = None

    def of(self, job: Job) -> Pipeline:
        plan = job.plan
        key = (_absolute(plan.paths), plan.placement, plan.recorded, job.allow_download)
        if self._pipeline is None or key != self._key:
            self._pipeline = None  # its memory is needed
            self._pipeline = Pipeline.load(
                plan.paths, plan.placement, allow_download=job.allow_download, recorded=plan.recorded
            )
            self._key = key
        return self._pipeline


def _absolute(paths: ModelPaths) -> ModelPaths:
    """As a record has them."""
    single = {
        field.name: Path(os.path.abspath(path))
        for field in fields(ModelPaths)
        if isinstance(path := getattr(paths, field.name), Path)
    }
    return replace(paths, **single, loras=tuple((Path(os.path.abspath(file)), scale) for file, scale in paths.loras))
