"""What can be requested of a run; what is left out is taken from an earlier run, or has a default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvd_core.geometry.interpolation import Easing
from cvd_core.geometry.rigs import RIGS

if TYPE_CHECKING:
    from cvd_core.runs.record import RunRecord

DEFAULT_FPS = 8.0
DEFAULT_FRAMES = 16
DEFAULT_VIEWS = 2
RIG_PARAMETERS = sorted({parameter.name for rig in RIGS.values() for parameter in rig.parameters})


@dataclass(frozen=True)
class Request:
    """A run as it is asked for.

    Attributes:
        settings: names and values as in :meth:`cvd_core.sampling.settings.Settings.from_dict`; the recurrence and the
            picture may hold some of their fields only.
        models: fields of :class:`cvd_core.engine.model_paths.ModelPaths`; the base may be ``mini``.
        poses, intrinsics: camera files, and the intrinsics for those that hold none.
        rig, views, rig_parameters, rig_easing: cameras of a rig, see :func:`cvd_core.geometry.rigs.make_rig`.
        frames: of rigs; camera files are resampled to it.
        fps: of the video files.
        device, dtype, offload: see :meth:`cvd_core.engine.placement.Placement.choose`.
        earlier: the run that is repeated.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    models: Mapping[str, Any] = field(default_factory=dict)
    poses: Sequence[Path] = ()
    intrinsics: tuple[float, float, float, float] | None = None
    rig: str | None = None
    views: int | None = None
    rig_parameters: Mapping[str, float] = field(default_factory=dict)
    rig_easing: Easing | None = None
    frames: int | None = None
    fps: float | None = None
    device: str | None = None
    dtype: str | None = None
    offload: bool | None = None
    earlier: RunRecord | None = None
