"""From what is asked of a run to all that it starts from, checked before anything slow begins."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cvd_core.engine.method import method_for
from cvd_core.engine.model_paths import ModelPaths
from cvd_core.engine.placement import Placement
from cvd_core.fields import FieldError
from cvd_core.files import expand
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats import read_cameras
from cvd_core.geometry.rigs import make_rig
from cvd_core.geometry.trajectories import resample
from cvd_core.runs import mini
from cvd_core.runs.choose_models import choose_models, is_mini
from cvd_core.runs.record import RecordedModel, RunRecord, versions_here
from cvd_core.runs.request import DEFAULT_FPS, DEFAULT_FRAMES, DEFAULT_VIEWS, Request
from cvd_core.sampling.pairs import Pairing
from cvd_core.sampling.settings import Settings
from cvd_core.syncam.presets import PRESETS, preset_cameras
from cvd_core.video.files import frame_rate

MOST_VIEWS = 1000
"""Of one run; pairs of views grow with the square of their number."""


@dataclass(frozen=True)
class Plan:
    """A run before it starts.

    Attributes:
        settings, cameras, source, fps: see :class:`cvd_core.runs.record.RunRecord`.
        paths: files of the models.
        placement: of the networks.
        earlier: the run that is repeated, or None.
        kept: roles of its models that are used again.
        hints: what is easily overlooked, a sentence each.
    """

    settings: Settings
    cameras: Cameras
    source: Mapping[str, Any]
    paths: ModelPaths
    fps: float
    placement: Placement
    earlier: RunRecord | None
    kept: frozenset[str]
    hints: tuple[str, ...]

    @property
    def recorded(self) -> tuple[RecordedModel, ...]:
        """Models of the earlier run that are used again, as they were."""
        return tuple(model for model in self.earlier.models if model.role in self.kept) if self.earlier else ()


def plan_run(request: Request) -> Plan:
    """Complete and check a request.

    Raises:
        ValueError: something is missing, contradicts something else, or cannot be used.
    """
    earlier = request.earlier

    def chosen(name: str, default: Any) -> Any:
        """What is asked for, else what the earlier run had."""
        asked = getattr(request, name)
        return asked if asked is not None else getattr(earlier, name, default)

    paths, kept = choose_models(request.models, earlier.paths if earlier else None)
    settings = _settings(request, default_settings(paths, {name for name, asked in request.settings.items() if asked}))
    own_frames = mini.FRAMES if is_mini(paths.base) else method_for(paths).FRAMES
    cameras, source = _cameras(request, settings, own_frames)
    fps = chosen("fps", DEFAULT_FPS)
    if earlier:
        changed = {name for part in ("picture", "given") for name in request.settings.get(part, {})}
        earlier.verify_inputs(settings.input_files.keys() - changed)
    check_run(paths, cameras, settings, fps)
    return Plan(
        settings=settings,
        cameras=cameras,
        source=source,
        paths=paths,
        fps=fps,
        placement=Placement.choose(chosen("device", "auto"), chosen("dtype", "auto"), chosen("offload", False)),
        earlier=earlier,
        kept=kept,
        hints=(
            *hints(paths, cameras, settings),
            *_without_effect(request, paths, settings, cameras.views),
            *_other_versions(earlier),
        ),
    )


def default_settings(paths: ModelPaths, asked: Collection[str] = ()) -> Mapping[str, Any]:
    """Settings of a run that says nothing else than those ``asked`` for, where models have their own."""
    return mini.SETTINGS if is_mini(paths.base) else method_for(paths).defaults(paths, asked)


def check_run(paths: ModelPaths, cameras: Cameras, settings: Settings, fps: float) -> None:
    """Find now what would be found after the models are loaded, or after the run.

    Raises:
        ValueError: prompts do not match the views, or the frame rate, the sampler or the models cannot be used.
    """
    method_for(paths).check(paths, cameras, settings)
    if cameras.views > MOST_VIEWS:
        raise FieldError("views", f"is {cameras.views}; expected at most {MOST_VIEWS}: make them in several runs")
    settings.per_view(cameras.views)
    frame_rate(fps)


def hints(paths: ModelPaths, cameras: Cameras, settings: Settings) -> list[str]:
    """What a run means where that is easily overlooked, one sentence each; names of arguments are in backticks."""
    of_mini = [f"{mini.ABOUT}; {mini.INSTEAD}", *mini.hints(settings, cameras)] if is_mini(paths.base) else []
    return of_mini + method_for(paths).hints(paths, cameras, settings, default_settings(paths))


def _without_effect(request: Request, paths: ModelPaths, settings: Settings, views: int) -> list[str]:
    """What was asked for and changes nothing."""
    asked, method = request.settings, method_for(paths)
    pointless = {
        **{f"`{name}` with this `base`": name in asked for name in method.UNUSED},
        **{
            f"`{name}` without `camera`": name in asked and not method.follows_cameras(paths)
            for name in ("camera_strength", "camera_guidance")
        },
        **{
            f"`{name}` without `sync`": name in asked and paths.sync is None
            for name in ("sync_strength", "sync_start", "sync_end", "sync_branches")
        },
        "`sync_branches` with `guidance` 1": "sync_branches" in asked and settings.guidance == 1,
        "`attention` with `band` none": "attention" in asked and settings.band == "none",
        "`camera_guidance_schedule` with `camera_guidance` 1": "camera_guidance_schedule" in asked
        and settings.camera_guidance == 1,
        "`negative_prompts` with `guidance` 1": "negative_prompts" in asked and settings.guidance == 1,
        f"`views_per_pass` with `strategy` {settings.pairing.strategy}, which never splits the views,": "views_per_pass"
        in asked
        and settings.pairing.is_one_group(views),
        "`recurrence_range` with `recurrence` 1": "start" in asked.get("recurrence", {})
        and settings.recurrence.times == 1,
        "`config` with a diffusers folder as `base`": "config" in request.models and paths.base.is_dir(),
    }
    return [f"{what} changes nothing" for what, is_so in pointless.items() if is_so]


def _other_versions(earlier: RunRecord | None) -> list[str]:
    """Whether the earlier run was made by other versions of anything."""
    if earlier is None:
        return []
    here = versions_here()
    names = dict.fromkeys([*here, *earlier.versions])
    found = {name: (earlier.versions.get(name, "none"), here.get(name, "none")) for name in names}
    listing = ", ".join(f"{name} {then}, now {now}" for name, (then, now) in found.items() if then != now)
    return [f"the earlier run was made with {listing}: numbers may differ slightly"] if listing else []


def _settings(request: Request, defaults: Mapping[str, Any]) -> Settings:
    values = request.earlier.settings.to_dict() if request.earlier else {"recurrence": {}, **defaults}
    if isinstance(pairing := values.pop("pairing", None), Pairing):
        values |= asdict(pairing)
    nested: dict[str, Any] = {
        name: {**(values.get(name) or {}), **request.settings.get(name, {})}
        for name in ("recurrence", "picture", "given")
    }
    nested |= {name: nested[name] or None for name in ("picture", "given")}
    return Settings.from_dict({**values, **request.settings, **nested})


def _cameras(request: Request, settings: Settings, own_frames: int | None) -> tuple[Cameras, Mapping[str, Any]]:
    """The cameras and a note of where they come from.

    Args:
        own_frames: number of frames of the model, if it has one.
    """
    frames = own_frames if request.frames is None else request.frames
    for_rigs = {
        "views": request.views,
        "rig_easing": request.rig_easing,
        **{f"rig_{name}": value for name, value in request.rig_parameters.items()},
    }
    if request.poses and request.rig:
        raise ValueError("both `poses` and `rig` are given; take the cameras from one of them")
    if not request.rig and (useless := [f"`{name}`" for name, value in for_rigs.items() if value is not None]):
        raise ValueError(f"{', '.join(useless)} without `rig`; these describe a rig - name one with `rig`")
    if request.intrinsics and not request.poses:
        raise ValueError("`intrinsics` without `poses`; they are for pose files that hold none")
    if request.rig:
        views = DEFAULT_VIEWS if request.views is None else request.views
        frames = DEFAULT_FRAMES if frames is None else frames
        if request.rig in PRESETS:
            if request.rig_parameters or request.rig_easing:
                raise ValueError(f"the cameras of `rig` {request.rig} stand still; leave out its other parameters")
            aspect = settings.width / settings.height
            preset = preset_cameras(request.rig, frames, views, aspect=aspect)
            return preset, {"rig": request.rig, "views": views, "frames": frames}
        parameters: dict[str, Any] = {"easing": request.rig_easing or "linear", **request.rig_parameters}
        cameras = make_rig(request.rig, views, frames, aspect=settings.width / settings.height, **parameters)
        return cameras, {"rig": request.rig, "views": views, "frames": frames, **parameters}
    if request.poses:
        return _read_poses(request, frames), {"poses": [str(p.absolute()) for p in request.poses], "frames": frames}
    earlier = request.earlier
    if earlier is None:
        raise ValueError("no cameras; give pose files with `poses`, or a rig such as `rig` circle `views` 4")
    if request.frames is None:
        return earlier.cameras, earlier.source
    return resample(earlier.cameras, request.frames), {**earlier.source, "frames": request.frames}


def _read_poses(request: Request, frames: int | None) -> Cameras:
    paths = expand(request.poses)
    parts = [read_cameras(path, intrinsics=request.intrinsics) for path in paths]
    if frames is not None:
        parts = [resample(part, frames) for part in parts]
    if len({part.frames for part in parts}) > 1:
        found = ", ".join(f"{path}: {part.frames}" for path, part in zip(paths, parts, strict=True))
        raise ValueError(
            f"the pose files have different numbers of frames ({found}); `frames` {DEFAULT_FRAMES} resamples all of "
            "them to one length"
        )
    return Cameras.concatenate(parts)
