"""Everything that determines a run apart from the models and the cameras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Interval, MinLen

from cvd_core.fields import FieldError, check_fields
from cvd_core.geometry.epipolar import Mask
from cvd_core.networks.sizes import check_size
from cvd_core.sampling.pairs import Pairing
from cvd_core.sampling.recurrence import Recurrence

Sampler = Literal["ddim", "euler", "euler_ancestral", "dpmpp_2m", "dpmpp_2m_sde", "unipc"]
"""Sampling methods; ``ddim`` (eta 0) is the paper's."""


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
        camera_strength: factor on CameraCtrl's merge; 1 as trained.
        band, threshold: the epipolar mask, see :class:`cvd_core.sync.bias.EpipolarBias`; band "none": no mask, for sync
            modules that were trained without.

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
    camera_strength: Annotated[float, Interval(ge=-1000, le=1000)] = 1.0
    band: Mask = "soft"
    threshold: Annotated[float, Gt(0)] = 3.0

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
    def passes(self) -> int:
        """Steps of the run with their repeats."""
        return sum(self.recurrence.at(step, self.steps) for step in range(self.steps))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, those of the pairing among the others; :meth:`from_dict` restores them."""
        values = asdict(self)
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
        known = [known.name for known in fields(Settings) if known.name != "pairing"]
        if unknown := sorted(values.keys() - set(known)):
            names = ", ".join([*known, *(known.name for known in fields(Pairing))])
            raise ValueError(f"{unknown[0]!r} is not a setting; expected one of {names}")
        if "prompts" not in values:
            raise FieldError("prompts", "is missing; say what is to be seen, once for all views or once per view")
        try:
            return Settings(**values, pairing=Pairing(**pairing), recurrence=Recurrence(**recurrence))
        except TypeError as error:
            raise FieldError("recurrence", f"is {recurrence!r}; expected times, start and end") from error
