"""Everything that decides a run besides the models and the cameras."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from cvd_core.geometry.epipolar import Mask
from cvd_core.networks.sizes import check_size
from cvd_core.sampling.pairs import Strategy
from cvd_core.sampling.recurrence import Recurrence


@dataclass(frozen=True)
class Settings:
    """Settings of one run; the defaults are the paper's and the released scripts'.

    Attributes:
        prompts: one for all views, or one per view. The sync modules were trained on pairs with one prompt: let prompts
            of different views describe the same scene and differ in what one camera alone sees.
        negative_prompts: likewise.
        width, height: of the videos, in pixels; multiples of 8, at least 64.
        steps: denoising steps.
        guidance: classifier-free guidance scale; 1 turns guidance off. Released scripts: 8.5 (two views), 14 (more).
        sampler: a key of :data:`cvd_core.engine.solvers.SOLVERS`.
        seed: decides every random number of the run.
        strategy, partitions: who talks to whom, see :mod:`cvd_core.sampling.pairs`.
        recurrence: how often each step is denoised. Paper: 1 (two views), 4 (four), 6 with two partitions (six).
        views_per_pass: at most so many views in one network call, to save memory; None: a whole round at once.
        sync_strength: factor on what the sync modules add; 1 as trained, 0 disconnects the views.
        camera_strength: factor on CameraCtrl's merge; 1 as trained.
        band, threshold: the epipolar mask, see :class:`cvd_core.sync.bias.EpipolarBias`; band "none": no mask, for sync
            modules that were trained without.
    """

    prompts: tuple[str, ...]
    negative_prompts: tuple[str, ...] = ("",)
    width: int = 256
    height: int = 256
    steps: int = 25
    guidance: float = 8.5
    sampler: str = "ddim"
    seed: int = 0
    strategy: Strategy = "partition"
    partitions: int = 1
    recurrence: Recurrence = field(default_factory=Recurrence)
    views_per_pass: int | None = None
    sync_strength: float = 1.0
    camera_strength: float = 1.0
    band: Mask = "soft"
    threshold: float = 3.0

    def __post_init__(self) -> None:
        check_size(self.width, self.height)
        if not self.prompts:
            raise ValueError("no prompt given; give one for all views or one per view")
        if self.guidance < 1:
            raise ValueError(f"guidance is {self.guidance}; expected at least 1 (1 turns guidance off)")
        if self.views_per_pass is not None and self.views_per_pass < 1:
            raise ValueError(f"views per pass is {self.views_per_pass}; expected at least 1")

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

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; :meth:`from_dict` restores them."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Settings:
        """Raises ValueError for unknown or missing names."""
        values = dict(values)
        try:
            for name in ("prompts", "negative_prompts"):
                if name in values:
                    values[name] = tuple(values[name])
            if "recurrence" in values:
                values["recurrence"] = Recurrence(**values["recurrence"])
            return Settings(**values)
        except TypeError as error:
            raise ValueError(f"the run's settings cannot be used: {error}") from error
