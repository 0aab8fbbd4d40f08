"""SynCamMaster on Wan 2.1 as a :class:`cvd_core.engine.method.Method`: from model files to a pipeline."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from cvd_core.engine.lora import lora_files
from cvd_core.engine.model_paths import ModelPaths
from cvd_core.engine.placement import Placement
from cvd_core.engine.refusals import refuse_picture
from cvd_core.engine.wan.given import read_given
from cvd_core.engine.wan.loading import WAN_FOLDER, load_wan
from cvd_core.engine.wan.lora import apply_lora
from cvd_core.engine.wan.pipeline import SynCamPipeline
from cvd_core.fields import FieldError
from cvd_core.geometry.cameras import Cameras
from cvd_core.sampling.pairs import Pairing
from cvd_core.sampling.settings import Settings
from cvd_core.syncam.cameras import SIDE, beyond_training, latent_frames
from cvd_core.syncam.checkpoint import load_syncam
from cvd_core.syncam.novel_view import REFERENCE, TEXT_GUIDANCE, UNGUIDED, UNTRAINED

_DEFAULTS: Mapping[str, Any] = {
    "width": 832,
    "height": 480,
    "steps": 50,
    "guidance": 5.0,
    "sampler": "euler",
    "pairing": Pairing("joint"),
}
"""The released script's."""
FRAMES: int | None = 81
SMALLER = (
    "`offload`, `dtype` bfloat16, a smaller `width` and `height`, fewer `frames`, or `strategy` partition with "
    "`views_per_pass` 2"
)
UNUSED: Collection[str] = ("band", "threshold")


def defaults(paths: ModelPaths, asked: Collection[str] = ()) -> Mapping[str, Any]:
    """The released script's; with a given video the paper's guidance by text."""
    return {**_DEFAULTS, **({"guidance": TEXT_GUIDANCE} if "given" in asked else {})}


def check(paths: ModelPaths, cameras: Cameras, settings: Settings) -> None:
    """Find what can be known to fail before anything is loaded.

    Raises:
        ValueError: files or settings that other methods have, a number of frames that Wan cannot make, or a given video
            that cannot be used.
    """
    for role in ("motion", "camera"):
        if getattr(paths, role) is not None:
            raise FieldError(role, "goes with Stable Diffusion 1.5, the base is Wan 2.1; leave it out")
    refuse_picture(settings, "Wan 2.1 text-to-video")
    if settings.camera_guidance != 1:
        raise FieldError("camera_guidance", "goes with CameraCtrl and CamI2V; leave it out with Wan 2.1")
    if settings.attention != "auto":
        raise FieldError("attention", "goes with epipolar lines, of CVD and CamI2V; leave it out with Wan 2.1")
    if settings.sync_branches != "both":
        raise FieldError("sync_branches", "goes with CVD's sync modules; leave it out with Wan 2.1")
    if settings.sampler != "euler":
        raise FieldError("sampler", f"is {settings.sampler!r}; Wan 2.1 is a rectified flow, expected 'euler'")
    for name in ("width", "height"):
        if (side := getattr(settings, name)) % SIDE:
            raise FieldError(name, f"is {side} pixels; Wan 2.1 makes multiples of {SIDE}")
    latent_frames(cameras.frames)
    if settings.given:
        if paths.sync is None:
            raise FieldError("reference", "is given without `sync`; the other views would not see it")
        if cameras.views < 2:
            raise FieldError("reference", "is given for the only view; add a camera, the first is its own")
        read_given(settings, settings.given.reference, cameras.frames)


def load(
    paths: ModelPaths,
    placement: Placement = Placement(),  # noqa: B008 - frozen
    *,
    allow_download: bool = False,
) -> SynCamPipeline:
    """Load all networks of a run; nothing is downloaded.

    Raises:
        ValueError: a file is missing, damaged, of another kind or for another network.
    """
    modules = load_syncam(paths.sync, dtype=placement.dtype) if paths.sync else None
    model = load_wan(paths.base, config=paths.config, dtype=placement.dtype)
    for file, scale in paths.loras:
        apply_lora(model.transformer, file, scale)
    return SynCamPipeline(model, modules, placement)


def follows_cameras(paths: ModelPaths) -> bool:
    """See :meth:`cvd_core.engine.method.Method.follows_cameras`."""
    return paths.camera is not None


def files(role: str, path: Path) -> list[Path]:
    """What :func:`load` reads of a folder, see :meth:`cvd_core.engine.method.Method.files`."""
    return lora_files(path) if role == "lora" else WAN_FOLDER.files(path, with_weights=True)


def prepare(cameras: Cameras, settings: Settings) -> Cameras:
    """Cameras as the networks are given them: where they stand, with square pixels at the size of the videos."""
    return cameras.crop_to(settings.width, settings.height)


def hints(paths: ModelPaths, cameras: Cameras, settings: Settings, usual: Mapping[str, Any]) -> list[str]:
    """See :meth:`cvd_core.engine.method.Method.hints`."""
    if paths.sync is None:
        return ["no `sync`: the views will not see each other; the videos are independent"]
    pairing = settings.pairing
    together = pairing.largest_group(cameras.views)
    found = beyond_training(cameras, together, with_first_only=pairing.strategy == "star")
    if settings.given:
        found.append(UNTRAINED)
        if not pairing.always_with(REFERENCE, cameras.views):
            found.append(UNGUIDED)
    return [f"SynCamMaster: {sentence}" for sentence in found]
