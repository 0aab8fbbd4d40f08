"""LOAD3D_CAMERA: the cameras that ComfyUI's 3D nodes (Load 3D, Preview 3D, Create Camera Info, Render Splat) exchange.

One camera is a dictionary as three.js has it: ``position``, ``target``, ``quaternion`` (camera to world), ``fov``
(vertical, in degrees), ``zoom`` (a factor on the focal length), ``cameraType``; y up, cameras look along -z. ComfyUI
before 0.4 knows neither ``quaternion`` nor ``fov``: such a camera stands upright and looks at its target.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats.poses import Matrix, Pose, gather, rotation_of
from cvd_core.geometry.formats.text import number
from cvd_core.geometry.formats.y_up import to_y_up
from cvd_core.geometry.trajectories import look_at

DEFAULT_FOV = 35.0
"""Vertical field of view in degrees that ComfyUI's Render Splat takes where a camera states none."""
_CENTRED = 1e-3

CameraInfo = dict[str, Any]


def to_load3d(cameras: Cameras) -> list[list[CameraInfo]]:
    """One LOAD3D_CAMERA per frame, a list per view. The target is one unit ahead.

    Warns:
        UserWarning: a principal point away from the middle of the image was left out; these cameras have none.
    """
    if bool(((cameras.intrinsics[..., 2:] - 0.5).abs() > _CENTRED).any()):
        warnings.warn(
            "LOAD3D_CAMERA has no principal point; pictures rendered with it are shifted against ours",
            UserWarning,
            stacklevel=2,
        )
    matrices = to_y_up(cameras.c2w.numpy())
    return [
        [_info(c2w, fx, fy) for c2w, (fx, fy, _, _) in zip(view, lenses, strict=True)]
        for view, lenses in zip(matrices, cameras.intrinsics.tolist(), strict=True)
    ]


def from_load3d(infos: Sequence[Mapping[str, Any]], width: int, height: int, fov: float = DEFAULT_FOV) -> Cameras:
    """One view, with a frame for each of ``infos``.

    Args:
        infos: LOAD3D_CAMERA dictionaries.
        width, height: of the pictures in pixels; the vertical field of view stays, pixels are square.
        fov: vertical, in degrees, of cameras that state none.

    Raises:
        ValueError: no cameras, orthographic ones, or a number that is missing or makes no sense; the message names it.
    """
    poses = []
    for i, info in enumerate(infos):
        where = f"camera_info {i}"
        if str(info.get("cameraType", "perspective")).lower().startswith("ortho"):
            raise ValueError(f"{where} is orthographic; expected a perspective camera")
        angle = number(info.get("fov") or fov, f"{where}.fov")
        if not 0 < angle < 180:
            raise ValueError(f"{where}.fov is {angle:g}; expected degrees between 0 and 180")
        fy = 0.5 / math.tan(math.radians(angle) / 2) * number(info.get("zoom") or 1, f"{where}.zoom")
        poses.append(Pose("camera", i, _c2w(info, where), (fy * height / width, fy, 0.5, 0.5), where))
    return gather(poses, "camera_info").cameras


def _info(c2w: Matrix, fx: float, fy: float) -> CameraInfo:
    return {
        "position": _xyz(c2w[:3, 3]),
        "target": _xyz(c2w[:3, 3] - c2w[:3, 2]),
        "quaternion": dict(zip("xyzw", Rotation.from_matrix(c2w[:3, :3]).as_quat().tolist(), strict=True)),
        "fov": math.degrees(2 * math.atan(0.5 / fy)),
        "aspect": fy / fx,
        "zoom": 1.0,
        "cameraType": "perspective",
    }


def _xyz(point: Matrix) -> dict[str, float]:
    return dict(zip("xyz", point.tolist(), strict=True))


def _c2w(info: Mapping[str, Any], where: str) -> Matrix:
    position = _point(info, "position", where)
    c2w = np.eye(4)
    c2w[:3, 3] = position
    if info.get("quaternion"):
        c2w[:3, :3] = rotation_of(_components(info["quaternion"], "xyzw", f"{where}.quaternion"), f"{where}.quaternion")
        return to_y_up(c2w)
    c2w = to_y_up(c2w)
    try:
        c2w[:3, :3] = look_at(c2w[:3, 3], _point(info, "target", where) * (1, -1, -1))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return c2w


def _point(info: Mapping[str, Any], name: str, where: str) -> Matrix:
    if not isinstance(info.get(name), Mapping):
        raise ValueError(f"{where} has no {name}; expected x, y and z")
    return np.array(_components(info[name], "xyz", f"{where}.{name}"))


def _components(values: Mapping[str, Any], names: str, where: str) -> list[float]:
    return [number(values.get(name), f"{where}.{name}") for name in names]
