"""What the rest of the program knows of a way of making videos, and which one goes with which base model.

A method is a module with the functions of :class:`Method`; it has its own package next to ``sd15`` and shares
what this package holds: placement, pictures, solvers, prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from cvd_core.engine.detect import is_picture_to_video, is_wan
from cvd_core.engine.model_paths import ModelPaths
from cvd_core.engine.placement import Placement
from cvd_core.geometry.cameras import Cameras
from cvd_core.sampling.collaborate import Progress
from cvd_core.sampling.settings import Settings

OnProgress = Callable[[Progress], object]
"""Called after every denoising pass; may raise to stop."""


class VideoPipeline(Protocol):
    """Loaded networks that make videos."""

    def check_frames(self, frames: int) -> None:
        """Raise ValueError if the networks cannot make that many frames."""
        ...

    def generate(self, cameras: Cameras, settings: Settings, on_progress: OnProgress | None = None) -> Tensor:
        """``(V, F, H, W, 3)`` uint8 RGB on the CPU: one video per camera path of V paths of F frames."""
        ...


class Method(Protocol):
    """A way of making videos with models of one family.

    Attributes:
        FRAMES: of a run that does not say; None: 16 of rigs, and as many as camera files have.
        SMALLER: what to change where memory runs out; names of arguments are in backticks.
        UNUSED: fields of :class:`Settings` that change nothing.
    """

    FRAMES: int | None
    SMALLER: str
    UNUSED: Collection[str]

    def defaults(self, paths: ModelPaths, asked: Collection[str] = ()) -> Mapping[str, Any]:
        """Fields of :class:`Settings` that are other than their defaults where nothing is said of them.

        Args:
            paths: the models.
            asked: fields of which something is said.
        """
        ...

    def check(self, paths: ModelPaths, cameras: Cameras, settings: Settings) -> None:
        """Raise ValueError for what can be known to fail before anything is loaded."""
        ...

    def load(self, paths: ModelPaths, placement: Placement = ..., *, allow_download: bool = False) -> VideoPipeline: ...

    def follows_cameras(self, paths: ModelPaths) -> bool:
        """Whether there is a camera control that :class:`Settings` can make stronger."""
        ...

    def files(self, role: str, path: Path) -> Sequence[Path]:
        """Which files :meth:`load` reads of a model folder given as ``role``, a field of :class:`ModelPaths`."""
        ...

    def prepare(self, cameras: Cameras, settings: Settings) -> Cameras:
        """Cameras as the networks are given them."""
        ...

    def hints(self, paths: ModelPaths, cameras: Cameras, settings: Settings, usual: Mapping[str, Any]) -> list[str]:
        """What a run means where that is easily overlooked, one sentence each; names of arguments are in backticks.

        Args:
            usual: settings that suit the model, which need no remark.
        """
        ...


def method_for(paths: ModelPaths) -> Method:
    """The method that goes with a base model: SynCamMaster with Wan, CamI2V with DynamiCrafter, CVD with all else."""
    # Imported when it is known which: diffusers' classes take seconds.
    if is_wan(paths.base):
        from cvd_core.engine.wan import assemble as wan

        return wan
    if is_picture_to_video(paths.base):
        from cvd_core.engine.cami2v import assemble as cami2v

        return cami2v
    from cvd_core.engine.sd15 import assemble as sd15

    return sd15
