"""Where a MODEL's motion and cameras may come from: this pack's own modules, or AnimateDiff-Evolved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from .animatediff import AnimateDiff
from .native import has_native_motion
from .native_calls import NativeMotion, has_evolved

if TYPE_CHECKING:
    from torch import Tensor

    from ..types import PluckerRays

Frames = tuple[int, ...]
"""The frames of the clip that one network call sees, in its order."""
Wrappers = dict[str, list[Callable[..., Any]]]
"""By the host's name of the wrapped function."""


class MotionBackend(Protocol):
    """What the collaborative guider needs of a model's motion modules and cameras in one run."""

    def window(self, frames: int) -> int:
        """Most frames that one network call sees of a clip of ``frames``."""
        ...

    def check_frames(self, frames: int) -> None:
        """Raise ValueError if a position table is too short for a network call on a clip of ``frames``."""
        ...

    def pack(self, rows: Tensor, views: int) -> Tensor:
        """``(V * F, C, h, w)`` rows as the backend wants the host's sampler to see them."""
        ...

    def unpack(self, packed: Tensor, views: int) -> Tensor:
        """The inverse of :meth:`pack`."""
        ...

    def wrappers(self, views: Callable[[], int]) -> tuple[Wrappers, Wrappers]:
        """Functions around the host's own: outside all other packs', and inside them.

        Args:
            views: tells how many views the running network call has.
        """
        ...

    def seen_frames(self, transformer_options: dict[str, Any]) -> Frames | None:
        """Which frames the running network call sees; None for all of them."""
        ...

    def with_cameras(
        self,
        transformer_options: dict[str, Any],
        views: Sequence[int],
        branches: int,
        frames: Frames | None,
        like: Tensor,
    ) -> dict[str, Any]:
        """Options of a network call in which every view follows its camera.

        Args:
            transformer_options: the call's.
            views: in batch order; rows are ``[branch [view [frame]]]``.
            branches: guidance branches in the batch.
            frames: from :meth:`seen_frames`.
            like: tensor with the device and dtype of the call.
        """
        ...


def motion_of(model: Any, rays: PluckerRays) -> MotionBackend:
    """The motion modules of a model, ready for a run of all views.

    Raises:
        ValueError: the model has none, has them from both sources, or they cannot run on several videos.
    """
    native, evolved = has_native_motion(model), has_evolved(model)
    if native and evolved:
        raise ValueError(
            "the model has motion modules from Apply Motion + Camera and from AnimateDiff-Evolved; remove one of them"
        )
    if evolved:
        return AnimateDiff(model, rays)
    if native:
        return NativeMotion.of_run(model, rays)
    raise ValueError(
        "the model has no motion module: put Apply Motion + Camera before this node, with Load Motion Module and Load "
        "CameraCtrl - or Apply AnimateDiff+CameraCtrl Model and Use Evolved Sampling of the pack AnimateDiff-Evolved"
    )
