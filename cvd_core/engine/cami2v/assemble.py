"""CamI2V on DynamiCrafter as a :class:`cvd_core.engine.method.Method`: from model files to a pipeline."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from cvd_core.cami2v.network import FRAMES as MODEL_FRAMES
from cvd_core.cami2v.network import SIDE
from cvd_core.engine.cami2v.loading import load_picture_model
from cvd_core.engine.cami2v.pipeline import PicturePipeline, network_path, require_frames, require_picture
from cvd_core.engine.detect import look_into
from cvd_core.engine.model_paths import ModelPaths
from cvd_core.engine.placement import Placement
from cvd_core.engine.refusals import refuse_given
from cvd_core.fields import FieldError
from cvd_core.geometry.cameras import Cameras
from cvd_core.sampling.pairs import Pairing
from cvd_core.sampling.settings import Settings
from cvd_core.video.stills import fit_picture, read_still
from cvd_core.weights import Kind

FRAMES: int | None = MODEL_FRAMES
SMALLER = "`offload`, `dtype` float16 or a smaller `width` and `height`"
UNUSED: Collection[str] = ("band", "threshold")
_SIZES = {"256": (256, 256), "512": (512, 320)}
"""Width and height that the released models were trained with."""


def defaults(paths: ModelPaths, asked: Collection[str] = ()) -> Mapping[str, Any]:
    """The paper's, at the size of the model."""
    width, height = _trained_size(paths)
    return {"width": width, "height": height, "steps": 25, "guidance": 7.5, "pairing": Pairing("joint")}


def check(paths: ModelPaths, cameras: Cameras, settings: Settings) -> None:
    """Find what can be known to fail before anything is loaded.

    Raises:
        ValueError: files or settings that other methods have, no picture, or a size or number of frames that the
            networks cannot make.
    """
    for role in ("motion", "sync"):
        if getattr(paths, role) is not None:
            raise FieldError(role, "does not go with DynamiCrafter; leave it out")
    if paths.loras:
        raise FieldError("loras", "are not supported on DynamiCrafter; leave them out")
    if settings.sampler != "ddim":
        raise FieldError("sampler", f"is {settings.sampler!r}; DynamiCrafter and CamI2V are sampled with 'ddim'")
    if settings.pairing.strategy != "joint":
        raise FieldError(
            "strategy", f"is {settings.pairing.strategy!r}; CamI2V's views do not see each other, leave it out"
        )
    for name in ("width", "height"):
        if (side := getattr(settings, name)) % SIDE:
            nearest = max(SIDE, round(side / SIDE) * SIDE)
            raise FieldError(
                name, f"is {side} pixels; DynamiCrafter makes multiples of {SIDE} - the nearest is {nearest}"
            )
    refuse_given(settings, "DynamiCrafter")
    require_frames(cameras.frames)
    fit_picture(read_still(require_picture(settings).image)[None], settings.width, settings.height)


def load(
    paths: ModelPaths,
    placement: Placement = Placement(),  # noqa: B008 - frozen
    *,
    allow_download: bool = False,
) -> PicturePipeline:
    """Load all networks of a run.

    Raises:
        ValueError: a file is missing, damaged, of another kind or for another network.
    """
    model = load_picture_model(
        paths.base, paths.camera, config=paths.config, dtype=placement.dtype, allow_download=allow_download
    )
    return PicturePipeline(model, placement)


def follows_cameras(paths: ModelPaths) -> bool:
    """See :meth:`cvd_core.engine.method.Method.follows_cameras`."""
    info = look_into(paths.base)
    return paths.camera is not None or (info is not None and info.kind is not Kind.DYNAMICRAFTER)


def files(role: str, path: Path) -> list[Path]:
    """What :func:`load` reads of a folder, see :meth:`cvd_core.engine.method.Method.files`: a tokenizer."""
    return [file for file in sorted((path / "tokenizer").glob("*")) if file.is_file()]


def prepare(cameras: Cameras, settings: Settings) -> Cameras:
    """Cameras as the networks are given them."""
    return network_path(cameras, settings)


def hints(paths: ModelPaths, cameras: Cameras, settings: Settings, usual: Mapping[str, Any]) -> list[str]:
    """See :meth:`cvd_core.engine.method.Method.hints`."""
    found = []
    if cameras.views > 1:
        found.append(
            f"the {cameras.views} videos start from one picture and are otherwise independent: CamI2V does not "
            "synchronise views"
        )
    if not follows_cameras(paths):
        found.append("`base` is DynamiCrafter without camera: the videos will not follow the camera paths")
    if (settings.width, settings.height) != (trained := _trained_size(paths)):
        name, other = ("256", "512") if trained == _SIZES["256"] else ("512", "256")
        found.append(
            f"`base` is the {name} model, trained at {trained[0]}x{trained[1]}; other sizes come out worse, and for "
            f"about {_SIZES[other][0]}x{_SIZES[other][1]} there is the {other} model"
        )
    return found


def _trained_size(paths: ModelPaths) -> tuple[int, int]:
    info = look_into(paths.base)
    return _SIZES.get(info.variant if info else "", _SIZES["256"])
