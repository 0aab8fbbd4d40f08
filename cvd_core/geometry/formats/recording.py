"""What a camera file holds: cameras, and beside them what only some formats can say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.trajectories import resample


@dataclass(frozen=True, eq=False)
class Recording:
    """The cameras of V views in F frames, with what the file says about where they come from.

    Attributes:
        cameras: the poses and intrinsics.
        times: ``(V, F)`` time stamps in seconds, or None.
        clips: address of every view's video, empty where there is none.
        images: ``(V, F)`` names of the pictures, or none at all.
    """

    cameras: Cameras
    times: NDArray[np.float64] | None = None
    clips: tuple[str, ...] = ()
    images: tuple[tuple[str, ...], ...] = ()

    @property
    def extras(self) -> dict[str, str]:
        """What there is beside the cameras: the name of a field, with words for it."""
        words = {"times": "time stamps", "clips": "addresses of the clips", "images": "names of the pictures"}
        there = {"times": self.times is not None, "clips": any(self.clips), "images": bool(self.images)}
        return {name: words[name] for name, is_there in there.items() if is_there}

    def resample(self, frames: int) -> Recording:
        """The same paths in ``frames`` frames, at the same times; pictures are no longer those of the frames.

        Raises:
            ValueError: as :func:`~cvd_core.geometry.trajectories.resample`.
        """
        cameras = resample(self.cameras, frames)
        if cameras is self.cameras:
            return self
        times = self.times
        if times is not None:
            old, new = np.arange(times.shape[1]), np.linspace(0, times.shape[1] - 1, frames)
            times = np.array([np.interp(new, old, view) for view in times])
        return replace(self, cameras=cameras, times=times, images=())

    @staticmethod
    def concatenate(parts: Sequence[Recording]) -> Recording:
        """All views of ``parts`` in one recording; time stamps and pictures only if every part has them.

        Raises:
            ValueError: as :meth:`Cameras.concatenate`.
        """
        cameras = Cameras.concatenate([part.cameras for part in parts])
        times = [part.times for part in parts if part.times is not None]
        return Recording(
            cameras,
            np.concatenate(times) if len(times) == len(parts) else None,
            tuple(clip for part in parts for clip in part.clips or ("",) * part.cameras.views),
            tuple(view for part in parts for view in part.images) if all(part.images for part in parts) else (),
        )
