"""What travels between the pack's nodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from comfy_api.latest import io

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.epipolar import Band
from cvd_core.geometry.plucker import plucker_embedding
from cvd_core.sync.bias import EpipolarBias

if TYPE_CHECKING:
    from torch import Tensor

CamerasType = io.Custom("CVD_CAMERAS")
"""Carries :class:`cvd_core.geometry.cameras.Cameras`."""
PluckerType = io.Custom("CVD_PLUCKER")
"""Carries :class:`PluckerRays`."""
EpipolarType = io.Custom("CVD_EPIPOLAR")
"""Carries :class:`EpipolarSpec`."""
SyncType = io.Custom("CVD_SYNC")
"""Carries the loaded sync modules, a model patcher of the host."""
SynCamType = io.Custom("CVD_SYNCAM")
"""Carries SynCamMaster's loaded modules, a model patcher of the host."""
MotionType = io.Custom("CVD_MOTION")
"""Carries loaded motion modules, a model patcher of the host."""
CameraControlType = io.Custom("CVD_CAMERA_CONTROL")
"""Carries a loaded CameraCtrl, a model patcher of the host."""
CameraCtrlPoses = io.Custom("CAMERACTRL_POSES")
"""AnimateDiff-Evolved's camera path: a flat list of rows of 19 numbers, one video."""


class RowOfView(list[float]):
    """A CAMERACTRL_POSES row of one of several views. AnimateDiff-Evolved keeps copies of the rows it is given."""

    def __init__(self, row: Iterable[float], views: int) -> None:
        super().__init__(row)
        self.views = views

    def copy(self) -> RowOfView:
        return RowOfView(self, self.views)


@dataclass(frozen=True, eq=False)
class PluckerRays:
    """The camera input of a run: prepared cameras (square pixels, relative to each first pose) and their rays."""

    cameras: Cameras
    width: int
    height: int
    embedding: Tensor  # (V, F, 6, H, W) float32 on the CPU

    def of_view(self, view: int, frames: Sequence[int] | None = None) -> Tensor:
        """``(F, 6, H, W)`` of one view, or of some of its frames as a clip of its own.

        CameraCtrl knows a clip by poses relative to its first, so rays of a part start anew.
        """
        if frames is None:
            return self.embedding[view]
        index = list(frames)
        seen = Cameras(self.cameras.c2w[view : view + 1, index], self.cameras.intrinsics[view : view + 1, index])
        return plucker_embedding(seen.relative_to_first(), self.width, self.height)[0]


@dataclass(frozen=True, eq=False)
class EpipolarSpec:
    """How views may attend to each other: prepared cameras, image size in pixels, and the shape of the band."""

    cameras: Cameras
    width: int
    height: int
    band: Band
    threshold: float

    def bias(self) -> EpipolarBias:
        """The attention bias that they describe."""
        return EpipolarBias.from_cameras(
            self.cameras, self.width, self.height, band=self.band, threshold=self.threshold
        )
