"""What a run of ``cvd generate`` starts from: its options, completed by an earlier run's record and by defaults."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import torch

from cvd_core.cli import note
from cvd_core.engine.sd15.assemble import ModelPaths, choose_device, choose_dtype
from cvd_core.engine.solvers import DiffusersSolver
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats import read_cameras
from cvd_core.geometry.rigs import make_rig
from cvd_core.geometry.trajectories import resample
from cvd_core.runs import mini
from cvd_core.runs.defaults import DEFAULT_FPS, DEFAULT_FRAMES, DEFAULT_VIEWS, RIG_PARAMETERS
from cvd_core.runs.models import choose_models, is_mini
from cvd_core.runs.record import RunRecord
from cvd_core.sampling.draws import SeededDraws
from cvd_core.sampling.pairs import batches, rounds
from cvd_core.sampling.settings import Settings
from cvd_core.video.files import frame_rate

T = TypeVar("T")

_SAME_POSE = 1e-4


@dataclass(frozen=True)
class Inputs:
    """A run before it starts.

    Attributes:
        settings, cameras, source, fps, offload: see :class:`cvd_core.runs.record.RunRecord`.
        paths: files of the models.
        dtype, device: of the networks.
        earlier: the run that is repeated, or None.
        kept: roles of its models that are used again.
        passes: steps of the run with their repeats.
        calls: network calls in each.
    """

    settings: Settings
    cameras: Cameras
    source: Mapping[str, Any]
    paths: ModelPaths
    fps: float
    dtype: torch.dtype
    device: torch.device
    offload: bool
    earlier: RunRecord | None
    kept: frozenset[str]
    passes: int
    calls: int


def read_inputs(args: argparse.Namespace) -> Inputs:
    """Complete and check the options.

    Raises:
        ValueError: something is missing, contradicts something else, or cannot be used.
    """
    earlier = RunRecord.load(args.repeat) if args.repeat else None
    paths, kept = choose_models(args, earlier)
    small = is_mini(paths.base)
    settings = _settings(args, earlier, mini.SETTINGS if small else {})
    frames = mini.FRAMES if small and args.frames is None else args.frames
    cameras, source = _cameras(args, earlier, settings, frames)
    fps = _first(args.fps, earlier and earlier.fps, DEFAULT_FPS)
    passes, calls = _check(settings, cameras.views, fps)
    device = choose_device(_first(args.device, earlier and earlier.device, "auto"))
    return Inputs(
        settings=settings,
        cameras=cameras,
        source=source,
        paths=paths,
        fps=fps,
        dtype=choose_dtype(_first(args.dtype, earlier and earlier.dtype, "auto"), device),
        device=device,
        offload=_first(args.offload, earlier and earlier.offload, False),
        earlier=earlier,
        kept=kept,
        passes=passes,
        calls=calls,
    )


def _settings(args: argparse.Namespace, earlier: RunRecord | None, defaults: Mapping[str, Any]) -> Settings:
    values = earlier.settings.to_dict() if earlier else {"recurrence": {}, **defaults}
    names = {known.name for known in fields(Settings)} - {"recurrence"}
    values |= {name: value for name in names if (value := getattr(args, name)) is not None}
    if args.recurrence is not None:
        values["recurrence"]["times"] = args.recurrence
    if args.recurrence_range is not None:
        values["recurrence"]["start"], values["recurrence"]["end"] = args.recurrence_range
    if "prompts" not in values:
        raise ValueError("--prompt is missing; say what is to be seen, once for all views or once per view")
    return Settings.from_dict(values)


def _cameras(
    args: argparse.Namespace, earlier: RunRecord | None, settings: Settings, frames: int | None
) -> tuple[Cameras, Mapping[str, Any]]:
    """The cameras, of ``frames`` frames where any number will do, and a note of where they come from."""
    parameters = {name: value for name in RIG_PARAMETERS if (value := getattr(args, f"rig_{name}")) is not None}
    for_rigs = {
        "--views": args.views,
        "--rig-easing": args.rig_easing,
        **{f"--rig-{k}": v for k, v in parameters.items()},
    }
    if args.poses and args.rig:
        raise ValueError("both --poses and --rig are given; take the cameras from one of them")
    if not args.rig and (useless := [option for option, value in for_rigs.items() if value is not None]):
        raise ValueError(f"{', '.join(useless)} without --rig; these options are for rigs - name one with --rig")
    if args.intrinsics and not args.poses:
        raise ValueError("--intrinsics without --poses; it is for pose files that hold none")
    if args.rig:
        size = {"views": _first(args.views, DEFAULT_VIEWS), "frames": _first(frames, DEFAULT_FRAMES)}
        easing = _first(args.rig_easing, "linear")
        cameras = make_rig(args.rig, **size, easing=easing, aspect=settings.width / settings.height, **parameters)
        return cameras, {"rig": args.rig, **size, "easing": easing, **parameters}
    if args.poses:
        return _read_poses(args, frames), {"poses": [str(path.absolute()) for path in args.poses], "frames": frames}
    if earlier is None:
        raise ValueError("no cameras; give pose files with --poses, or a rig such as --rig circle --views 4")
    if args.frames is None:
        return earlier.cameras, earlier.source
    return resample(earlier.cameras, args.frames), {**earlier.source, "frames": args.frames}


def _read_poses(args: argparse.Namespace, frames: int | None) -> Cameras:
    intrinsics = tuple(args.intrinsics) if args.intrinsics else None
    parts = [read_cameras(path, intrinsics=intrinsics) for path in args.poses]
    if frames is not None:
        parts = [resample(part, frames) for part in parts]
    if len({part.frames for part in parts}) > 1:
        found = ", ".join(f"{path}: {part.frames}" for path, part in zip(args.poses, parts, strict=True))
        raise ValueError(
            f"the pose files have different numbers of frames ({found}); --frames {DEFAULT_FRAMES} resamples all of "
            "them to one length"
        )
    return Cameras.concatenate(parts)


def _check(settings: Settings, views: int, fps: float) -> tuple[int, int]:
    """Find now what would be found after the models are loaded, or after the run. Returns passes and calls in each."""
    settings.per_view(views)
    frame_rate(fps)
    DiffusersSolver(settings.sampler, settings.steps, torch.Generator)
    schedule = rounds(settings.strategy, views, SeededDraws(settings.seed), settings.partitions)
    passes = sum(settings.recurrence.at(step, settings.steps) for step in range(settings.steps))
    return passes, sum(len(list(batches(groups, settings.views_per_pass))) for groups in schedule)


def tell(args: argparse.Namespace, inputs: Inputs) -> None:
    """Say what the options mean where that is easily overlooked."""
    settings, paths, cameras = inputs.settings, inputs.paths, inputs.cameras
    if is_mini(paths.base):
        for text in (mini.ABOUT, *mini.hints(settings, cameras)):
            note(text)
    first = cameras.c2w[:, 0]
    if not torch.allclose(first, first[:1].expand_as(first), atol=_SAME_POSE):
        note("the views start at different poses; each is moved so that its first camera is the common one")
    if paths.camera is None:
        note("no --camera: the videos will not follow the camera paths")
    if paths.sync is None and cameras.views > 1:
        note("no --sync: the views will not see each other; each is a video of its own")
    if paths.sync is not None and cameras.views == 1:
        note("a single view: the sync modules have no other view to look at")
    pointless = {
        "--camera-strength without --camera": args.camera_strength is not None and paths.camera is None,
        "--sync-strength without --sync": args.sync_strength is not None and paths.sync is None,
        "--negative with guidance 1": args.negative_prompts is not None and settings.guidance == 1,
        "--recurrence-range with recurrence 1": args.recurrence_range is not None and settings.recurrence.times == 1,
        "--config with a diffusers folder as --base": args.config is not None and paths.base.is_dir(),
    }
    for what, is_so in pointless.items():
        if is_so:
            note(f"{what} changes nothing")


def _first(*values: T | None) -> T:
    """The first that is given."""
    return next(value for value in values if value is not None)
