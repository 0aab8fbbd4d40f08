"""RotErr, TransErr and CamMC: how far an estimated camera path is from the true one (CamI2V, Sec. 4.4, Eq. 10-12)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.epipolar import ROUNDING

SMALLEST_TRANSLATION = ROUNDING
"""Paths whose largest translation is below this fraction of their coordinates (or of 1) are pure rotations."""


@dataclass(frozen=True, eq=False)
class PoseErrors:
    """Errors of V paths of F frames, after both are made relative to frame 0 and scaled to a largest translation of 1.

    Attributes:
        rotation: ``(V, F)`` angle between the rotations in radians.
        translation: ``(V, F)`` distance between the positions; the true path is 1 long at its furthest.
        matrix: ``(V, F)`` Frobenius norm of the difference of the 3x4 matrices ``[R|T]``.
        pure_rotation: ``(V,)`` bool: the true path has no translation, so there is no scale. Its ``translation`` and
            ``matrix`` are NaN if the estimate moves, for noise would be scaled up to 1.
    """

    rotation: Tensor
    translation: Tensor
    matrix: Tensor
    pure_rotation: Tensor

    @property
    def rot_err(self) -> Tensor:
        """``(V,)`` RotErr: sum over the frames, radians (Eq. 10)."""
        return self.rotation.sum(-1)

    @property
    def trans_err(self) -> Tensor:
        """``(V,)`` TransErr: sum over the frames, relative (Eq. 11)."""
        return self.translation.sum(-1)

    @property
    def cam_mc(self) -> Tensor:
        """``(V,)`` CamMC: sum over the frames (Eq. 12)."""
        return self.matrix.sum(-1)


def is_pure_rotation(cameras: Cameras) -> Tensor:
    """``(V,)`` bool: views whose camera only turns."""
    largest = (cameras.centers - cameras.centers[:, :1]).norm(dim=-1).amax(-1)
    return largest <= SMALLEST_TRANSLATION * max(cameras.magnitude, 1.0)


def canonical(cameras: Cameras) -> Cameras:
    """Every path relative to its first camera, its largest translation scaled to 1; pure rotations get none at all."""
    relative = cameras.relative_to_first()
    largest = relative.centers.norm(dim=-1).amax(-1)
    scale = torch.where(is_pure_rotation(cameras), 0.0, 1 / largest)
    c2w = relative.c2w.clone()
    c2w[..., :3, 3] = relative.centers * scale.nan_to_num(0, 0, 0)[:, None, None]
    return replace(relative, c2w=c2w, magnitude=0.0)  # of the new unit


def pose_errors(estimated: Cameras, true: Cameras) -> PoseErrors:
    """Compare paths view by view. Neither the world's position nor its unit matters.

    Raises:
        ValueError: different numbers of views or frames.
    """
    if (estimated.views, estimated.frames) != (true.views, true.frames):
        raise ValueError(
            f"estimated cameras of {estimated.views} views x {estimated.frames} frames, true ones of {true.views} x "
            f"{true.frames}; expected the same"
        )
    a, b = canonical(estimated).c2w[..., :3, :], canonical(true).c2w[..., :3, :]
    turn = (a[..., :3].mT @ b[..., :3]).flatten(0, 1).numpy()
    rotation = torch.from_numpy(Rotation.from_matrix(turn).magnitude()).view(true.views, true.frames)
    pure = is_pure_rotation(true)
    scaled = torch.where(pure & ~is_pure_rotation(estimated), torch.nan, 1.0)[:, None]
    return PoseErrors(
        rotation=rotation,
        translation=(a[..., 3] - b[..., 3]).norm(dim=-1) * scaled,
        matrix=(a - b).flatten(-2).norm(dim=-1) * scaled,
        pure_rotation=pure,
    )
