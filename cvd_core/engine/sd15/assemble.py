"""CVD on Stable Diffusion 1.5 as a :class:`cvd_core.engine.method.Method`: from model files to a pipeline."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from cvd_core.camera_control.checkpoint import load_camera_control
from cvd_core.engine.fit import require_family
from cvd_core.engine.lora import lora_files
from cvd_core.engine.model_paths import NOISE_SCHEDULE_FILE, ModelPaths
from cvd_core.engine.placement import Placement
from cvd_core.engine.refusals import refuse_given, refuse_picture
from cvd_core.engine.sd15.folder import SD15_FOLDER
from cvd_core.engine.sd15.loading import load_base
from cvd_core.engine.sd15.lora import apply_lora
from cvd_core.engine.sd15.motion import build_motion_unet
from cvd_core.engine.sd15.pipeline import CollaborativePipeline
from cvd_core.engine.sd15.unet import CollaborativeUNet
from cvd_core.engine.solvers import DiffusersSolver
from cvd_core.fields import FieldError
from cvd_core.geometry.cameras import Cameras, prepare_cameras
from cvd_core.sampling.settings import Settings
from cvd_core.sync.checkpoint import load_sync_modules
from cvd_core.weights import motion_tensors, read_checkpoint

FRAMES: int | None = None
SMALLER = "`offload`, `views_per_pass` 2, `dtype` float16, a smaller `width` and `height` or fewer `frames`"
UNUSED: Collection[str] = ()
MOST_LCM_GUIDANCE = 2.5
MANY_LCM_STEPS = 12
"""Beyond these, consistency models give worse pictures: guidance is part of what they were distilled from."""
_SAME_POSE = 1e-4
_MOTION_MISSING = (
    "is missing; give the AnimateDiff motion module v3_sd15_mm.ckpt, or leave out all files for the small model of the "
    "package"
)


def defaults(paths: ModelPaths, asked: Collection[str] = ()) -> Mapping[str, Any]:
    """See :meth:`cvd_core.engine.method.Method.defaults`."""
    return {}


def check(paths: ModelPaths, cameras: Cameras, settings: Settings) -> None:
    """Find what can be known to fail before anything is loaded.

    Raises:
        ValueError: a base without motion module, a picture, or a sampler that cannot take that many steps.
    """
    refuse_picture(settings, "a text-to-video model")
    refuse_given(settings, "Stable Diffusion 1.5")
    if paths.motion is None:
        raise FieldError("motion", _MOTION_MISSING)
    DiffusersSolver(settings.sampler, settings.steps, torch.Generator)


def load(
    paths: ModelPaths,
    placement: Placement = Placement(),  # noqa: B008 - frozen
    *,
    allow_download: bool = False,
) -> CollaborativePipeline:
    """Load all networks of a run.

    Args:
        paths: the files.
        placement: where they compute, and in what type.
        allow_download: see :func:`cvd_core.engine.sd15.loading.load_base`.

    Raises:
        ValueError: a file is missing, damaged, of another kind or for another network; the message names it, says what
            it is and where it belongs.
    """
    if paths.motion is None:
        raise FieldError("motion", _MOTION_MISSING)
    dtype = placement.dtype
    motion = motion_tensors(read_checkpoint(paths.motion))
    encoder, merges = load_camera_control(paths.camera, dtype=dtype) if paths.camera else (None, None)
    sync = load_sync_modules(paths.sync, dtype=dtype) if paths.sync else None
    base = load_base(paths.base, config=paths.config, dtype=dtype, allow_download=allow_download)
    for file, scale in paths.loras:
        apply_lora(base, file, scale)
    unet = build_motion_unet(base.unet, motion, file=paths.motion.name)
    for added, modules in ((paths.camera, merges), (paths.sync, sync)):
        if added is not None and modules is not None:
            require_family(added.name, modules.widths, unet.config["block_out_channels"])
    base.unet.to("meta")  # else its weights, shared until now, would stay when the motion UNet moves to a device
    return CollaborativePipeline(CollaborativeUNet(unet, encoder, merges, sync, base.prediction), base, placement)


def follows_cameras(paths: ModelPaths) -> bool:
    """See :meth:`cvd_core.engine.method.Method.follows_cameras`."""
    return paths.camera is not None


def files(role: str, path: Path) -> list[Path]:
    """What :func:`load` reads of a folder, which may hold other formats too.

    Args:
        role: ``base`` or ``config``, a diffusers folder, the latter without weights; or ``lora``.
        path: the folder.
    """
    if role == "lora":
        return lora_files(path)
    schedule = [path / NOISE_SCHEDULE_FILE] if role == "base" else []
    return [*SD15_FOLDER.files(path, with_weights=role == "base"), *(file for file in schedule if file.is_file())]


def prepare(cameras: Cameras, settings: Settings) -> Cameras:
    """Every path from its own first pose, with square pixels at the size of the videos."""
    return prepare_cameras(cameras, settings.width, settings.height)


def hints(paths: ModelPaths, cameras: Cameras, settings: Settings, usual: Mapping[str, Any]) -> list[str]:
    """See :meth:`cvd_core.engine.method.Method.hints`."""
    found = []
    first = cameras.c2w[:, 0]
    if not torch.allclose(first, first[:1].expand_as(first), atol=_SAME_POSE):
        found.append("the views start at different poses; each is moved so that all share one first camera")
    if paths.camera is None:
        found.append("no `camera`: the videos will not follow the camera paths")
    if paths.sync is None and cameras.views > 1:
        found.append("no `sync`: the views will not see each other; the videos are independent")
    if settings.sampler == "lcm" and usual.get("sampler") != "lcm":
        if settings.guidance > MOST_LCM_GUIDANCE or settings.steps > MANY_LCM_STEPS:
            found.append(
                "`sampler` lcm is for models distilled to a few steps, an AnimateLCM motion module or an LCM LoRA; it "
                f"wants `steps` 4 to 8 and `guidance` 1 to 2, not {settings.steps} and {settings.guidance:g}"
            )
        if paths.sync is not None:
            found.append(
                "the sync modules were trained with motion modules that take many steps; how well views agree with "
                "distilled ones has not been measured"
            )
    if paths.sync is not None and cameras.views == 1:
        found.append("a single view: the sync modules have no other view to look at")
    return found
