"""DA3_GEOMETRY: the cameras that Depth Anything 3 estimates in ComfyUI's core nodes (0.33 and newer).

``extrinsics`` ``(1, S, 3, 4)`` map world to camera, OpenCV axes; ``intrinsics`` ``(1, S, 3, 3)`` count in pixels of the
size that the network ran at, which the dictionary does not state. That size is taken from the principal point, which
the network's camera decoder puts into the middle of the image.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats.poses import Matrix, Pose, gather

_ROUNDING = 0.08
"""How far the shapes of the image and of the network's input may differ: sides are rounded to multiples of 14."""
_DRIFT = 0.02
"""Largest entry of ``R^T R - I`` that half precision explains."""


def from_depth_anything(geometry: Mapping[str, Any], views: int = 1) -> Cameras:
    """Cameras of S images: ``views`` of S / views frames each, one view after the other.

    Warns:
        UserWarning: principal points are not in the middle of the image, so the field of view is less certain.

    Raises:
        ValueError: no cameras in it, as with one image or in mono mode; a number of images that does not divide by
            ``views``; a matrix that is not a rotation or a focal length that is not positive.
    """
    if "extrinsics" not in geometry or "intrinsics" not in geometry:
        raise ValueError(
            f"the geometry ({geometry.get('mode', 'unknown')} mode) holds no cameras; run Depth Anything 3 in "
            "multiview mode with a Small or Base model on at least two images"
        )
    w2c = np.asarray(geometry["extrinsics"], np.float64)[0]
    K = np.asarray(geometry["intrinsics"], np.float64)[0]
    count = len(w2c)
    if views < 1 or count % views:
        raise ValueError(f"the geometry holds {count} cameras, which do not divide into {views} views of equal length")
    if not np.isfinite(K).all() or (K[:, :2, 2] <= 0).any():
        raise ValueError("the geometry's intrinsics have no principal point; Depth Anything 3 did not estimate cameras")
    _compare_shapes(geometry, K)
    frames = count // views
    poses = [
        Pose(
            f"view{i // frames}",
            i % frames,
            _c2w(w2c[i], f"camera {i}"),
            (K[i, 0, 0] / (2 * K[i, 0, 2]), K[i, 1, 1] / (2 * K[i, 1, 2]), 0.5, 0.5),
            f"camera {i}",
            float(K[i, 0, 2] / K[i, 1, 2]),
        )
        for i in range(count)
    ]
    return gather(poses, "the geometry").cameras


def _compare_shapes(geometry: Mapping[str, Any], K: Matrix) -> None:
    """Warn where twice the principal point is not the shape of the images."""
    if "depth" not in geometry:
        return
    height, width = geometry["depth"].shape[-2:]
    off = np.abs(K[:, 0, 2] / K[:, 1, 2] / (width / height) - 1)
    if off.max() > _ROUNDING:
        warnings.warn(
            f"the principal point of camera {int(off.argmax())} is not in the middle of the {width} x {height} image, "
            "so its field of view is uncertain; pose_method cam_dec has it in the middle",
            UserWarning,
            stacklevel=3,
        )


def _c2w(w2c: Matrix, where: str) -> Matrix:
    """The inverse of ``(3, 4)`` or ``(4, 4)``, with the nearest rotation where rounding has moved it off."""
    rotation, translation = w2c[:3, :3], w2c[:3, 3]
    if not np.isfinite(w2c).all():
        raise ValueError(f"{where} holds NaN or infinity; Depth Anything 3 found no pose for this image")
    if np.abs(rotation.T @ rotation - np.eye(3)).max() > _DRIFT or np.linalg.det(rotation) < 0:
        raise ValueError(f"{where} has a 3x3 part that is not a rotation; expected world-to-camera matrices")
    c2w = np.eye(4)
    c2w[:3, :3] = Rotation.from_matrix(rotation).as_matrix().T
    c2w[:3, 3] = -c2w[:3, :3] @ translation
    return c2w
