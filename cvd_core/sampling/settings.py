"""Everything that determines a run apart from the models and the cameras."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Ge, Gt, Interval, MinLen

from cvd_core.cami2v.guidance import Schedule
from cvd_core.cami2v.network import FRAMES
from cvd_core.fields import FieldError, check_fields
from cvd_core.geometry.epipolar import Mask
from cvd_core.networks.sizes import check_size
from cvd_core.networks.tiles import AttentionKind
from cvd_core.sampling.pairs import Pairing
from cvd_core.sampling.recurrence import Recurrence
from cvd_core.sync.context import SyncBranches
from cvd_core.syncam.novel_view import VIDEO_GUIDANCE

Sampler = Literal["ddim", "euler", "euler_ancestral", "dpmpp_2m", "dpmpp_2m_sde", "unipc", "lcm"]
"""Sampling methods; ``ddim`` (eta 0) is the paper's, ``lcm`` is for models distilled to a few steps."""


@dataclass(frozen=True)
class StartPicture:
    """The picture that videos start from, with CamI2V or DynamiCrafter; the defaults are the released scripts'.

    Attributes:
        image: its file; scaled to cover the videos' size and cropped around the centre.
        reference_frame: the frame that shows it, 0 to 15; cameras count relative to that frame's.
        path_scale: factor on the translations of the cameras; paths have a unit of their own, pictures have none.
        frame_rate: what the network is told of the speed: frame stride 1 to 10 of the 256 model, frames per second 5 to
            30 of the 512 model; None: 3 and 10.
        eta: noise that DDIM adds in every step; 1 as much as the reverse process has, 0 none.
        shared_noise: several views get the same random numbers instead of their own, at the start and in every step.
            They look more alike so; nothing else connects them.

    Raises:
        FieldError: a field has the wrong type or is out of range.
    """

    image: Path
    reference_frame: Annotated[int, Interval(ge=0, le=FRAMES - 1)] = 0
    path_scale: Annotated[float, Interval(ge=0, le=1000)] = 1.0
    frame_rate: Annotated[float | None, Interval(gt=0, le=1000)] = None
    eta: Annotated[float, Interval(ge=0, le=1)] = 1.0
    shared_noise: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        object.__setattr__(self, "image", Path(os.path.abspath(self.image)))


@dataclass(frozen=True)
class GivenView:
    """A video that is the first view, with SynCamMaster (its paper, Sec. 3.5 and Eq. 7).

    Attributes:
        reference: its file; its beginning is used, scaled to cover the videos' size and cropped around the centre.
        video_guidance: guidance scale of the given video, s_V; that of the text, s_T, is the run's ``guidance``.

    Raises:
        FieldError: a field has the wrong type or is out of range.
    """

    reference: Path
    video_guidance: Annotated[float, Interval(ge=0, le=1000)] = VIDEO_GUIDANCE

    def __post_init__(self) -> None:
        check_fields(self)
        object.__setattr__(self, "reference", Path(os.path.abspath(self.reference)))


Given = TypeVar("Given", StartPicture, GivenView)
_ABOUT = {
    "image": "goes with a picture that the videos start from",
    "reference": "goes with a video that is the first view",
}


@dataclass(frozen=True)
class Settings:
    """Settings of one run, checked on construction; the defaults are the paper's and the released scripts'.

    Attributes:
        prompts: one for all views, or one per view. The sync modules were trained on pairs with one prompt: let prompts
            of different views describe the same scene and differ in what one camera alone sees.
        negative_prompts: one for all views, or one per view.
        width, height: of the videos, in pixels; multiples of 8, at least 64.
        steps: denoising steps.
        guidance: classifier-free guidance scale; 1 turns guidance off. Released scripts: 8.5 (two views), 14 (more).
        sampler: the sampling method.
        seed: determines every random number of the run.
        pairing: which views attend to each other, and how many share a network call.
        recurrence: how many times each step is denoised. Paper: 1 (two views), 4 (four), 6 with two partitions (six).
        sync_strength: factor on what the sync modules add; 1 as trained, 0 disconnects the views.
        sync_start, sync_end: fractions of the noise schedule, 0 its noisy beginning and 1 its clean end, between which
            the sync modules are active. The views are independent of each other in all other steps.
        sync_branches: of classifier-free guidance: both, as in the paper, or the conditional one alone. Guidance then
            multiplies what the sync modules add by its scale, and they take half the time.
        camera_strength: factor on CameraCtrl's merge, or on what CamI2V's camera adds; 1 as trained.
        camera_guidance: guidance scale of the camera, apart from the text's: by how much predictions are moved away
            from those without camera. 1 is none; anything else evaluates the network once more in every step.
        camera_guidance_schedule: constant, or falling to 0 over the steps as a cosine does.
        band, threshold: the epipolar mask, see :class:`cvd_core.sync.bias.EpipolarBias`; band "none": no mask, for sync
            modules that were trained without.
        attention: whether attention along epipolar lines passes over pixels that are masked out, which takes less time
            and memory on large maps, or computes the whole matrix; the same result within rounding.
        picture: what the videos start from, where a model starts from one.
        given: a video that is the first view, where a model can make views of one.

    Raises:
        FieldError: a field has the wrong type or is out of range.
    """

    prompts: Annotated[tuple[str, ...], MinLen(1), "one for all views or one per view"]
    negative_prompts: Annotated[tuple[str, ...], MinLen(1), "one for all views or one per view"] = ("",)
    width: int = 256
    height: int = 256
    steps: Annotated[int, Ge(1)] = 25
    guidance: Annotated[float, Interval(ge=1, le=1000), "1 turns guidance off"] = 8.5
    sampler: Sampler = "ddim"
    seed: Annotated[int, Interval(ge=0, le=2**64 - 1)] = 0
    pairing: Pairing = field(default_factory=Pairing)
    recurrence: Recurrence = field(default_factory=Recurrence)
    sync_strength: Annotated[float, Interval(ge=-1000, le=1000)] = 1.0
    sync_start: Annotated[float, Interval(ge=0, le=1)] = 0.0
    sync_end: Annotated[float, Interval(ge=0, le=1)] = 1.0
    sync_branches: SyncBranches = "both"
    camera_strength: Annotated[float, Interval(ge=-1000, le=1000)] = 1.0
    camera_guidance: Annotated[float, Interval(ge=0, le=1000), "1 is none"] = 1.0
    camera_guidance_schedule: Schedule = "constant"
    band: Mask = "soft"
    threshold: Annotated[float, Gt(0)] = 3.0
    attention: AttentionKind = "auto"
    picture: StartPicture | None = None
    given: GivenView | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        check_size(self.width, self.height)
        if self.sync_start > self.sync_end:
            raise FieldError(
                "sync_start",
                f"is {self.sync_start:g} and `sync_end` {self.sync_end:g}, so the sync modules would never be active; "
                "set the start before the end",
            )

    def sync_strength_at(self, progress: float) -> float:
        """Strength of the sync modules at a fraction of the noise schedule, 0 its noisy beginning."""
        return self.sync_strength if self.sync_start <= progress <= self.sync_end else 0.0

    def per_view(self, views: int) -> tuple[list[str], list[str]]:
        """Prompts and negative prompts of every view.

        Raises:
            ValueError: neither one nor one per view.
        """
        out = []
        for name, given in (("prompts", self.prompts), ("negative prompts", self.negative_prompts)):
            if len(given) not in (1, views):
                raise ValueError(f"{len(given)} {name} for {views} views; give one for all views or one per view")
            out.append(list(given) * (views if len(given) == 1 else 1))
        return out[0], out[1]

    @property
    def input_files(self) -> dict[str, Path]:
        """Pictures and videos that a run starts from, by the names of their fields."""
        found = {"image": self.picture.image} if self.picture else {}
        return found | ({"reference": self.given.reference} if self.given else {})

    @property
    def passes(self) -> int:
        """Steps of the run with their repeats."""
        return sum(self.recurrence.at(step, self.steps) for step in range(self.steps))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, those of the pairing among the others; :meth:`from_dict` restores them."""
        values = asdict(self)
        for field_name, file in (("picture", "image"), ("given", "reference")):
            if values[field_name] is not None:
                values[field_name][file] = str(values[field_name][file])
        return values | values.pop("pairing")

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Settings:
        """Restore settings.

        Raises:
            ValueError: unknown or missing names, or values that cannot be used.
        """
        values = dict(values)
        pairing = {name: values.pop(name) for name in [known.name for known in fields(Pairing)] if name in values}
        recurrence = values.pop("recurrence", {})
        picture = _with_file(StartPicture, "picture", "image", values.pop("picture", None))
        given = _with_file(GivenView, "given", "reference", values.pop("given", None))
        known = [known.name for known in fields(Settings) if known.name != "pairing"]
        if unknown := sorted(values.keys() - set(known)):
            names = ", ".join([*known, *(known.name for known in fields(Pairing))])
            raise ValueError(f"{unknown[0]!r} is not a setting; expected one of {names}")
        if "prompts" not in values:
            raise FieldError("prompts", "is missing; say what is to be seen, once for all views or once per view")
        try:
            times = Recurrence(**recurrence)
        except TypeError as error:
            raise FieldError("recurrence", f"is {recurrence!r}; expected times, start and end") from error
        return Settings(**values, pairing=Pairing(**pairing), recurrence=times, picture=picture, given=given)


def _with_file(kind: type[Given], name: str, file: str, values: Any) -> Given | None:
    """Restore the part ``name`` of the settings, which is about a file."""
    if values is None:
        return None
    names = [known.name for known in fields(kind)]
    if not isinstance(values, Mapping) or not values.keys() <= set(names):
        raise FieldError(name, f"is {values!r}; expected {', '.join(names)}")
    if file not in values:
        useless = ", ".join(f"`{known}`" for known in values)
        raise FieldError(file, f"is missing; {useless} {_ABOUT[file]}")
    return kind(**values)
