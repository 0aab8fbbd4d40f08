"""nerfstudio ``transforms.json``, also written by instant-ngp and Blender exporters.

Camera-to-world matrices with OpenGL camera axes: x right, y up, the camera looks along -z. Only the camera's axes
differ from ours; the world stays as it is. Intrinsics in pixels (``fl_x fl_y cx cy w h``), for the whole file or per
frame. ``applied_transform`` and ``applied_scale`` say what was already done to the poses, so they are left as they
are: poses are read in the world that the matrices state.

The views and frames of a rig are kept in two keys of our own per frame, ``view`` (the name) and ``frame`` (the number),
which other readers pass over. Files without them are one view, frames as listed.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats.poses import (
    Intrinsics,
    Pose,
    check_names,
    gather,
    image_size,
    pose_matrix,
    refuse_intrinsics,
    require_intrinsics,
)
from cvd_core.geometry.formats.text import json_keys, number, read_json, write_text

_FLIP = np.diag([1.0, -1.0, -1.0, 1.0])
"""OpenGL camera axes to OpenCV camera axes, and back."""
_PINHOLE_MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "PERSPECTIVE")
_DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")


def read(path: Path, intrinsics: Intrinsics | None = None) -> Cameras:
    """Cameras of all frames; ``intrinsics`` only for files that state no image size.

    ``camera_angle_x`` alone (the original NeRF files) gives the focal length; pixels are then square, and the principal
    point is the image centre where the file names none.

    Raises:
        ValueError: a key is missing, lens distortion or a fisheye model (undistort first), some frames with ``view``
            and ``frame`` and some without, or as :func:`gather`.
    """
    data = read_json(path)
    frames = data.get("frames")
    if not isinstance(frames, list) or not frames:
        raise ValueError(f'{path}: no list "frames" with at least one frame; expected a nerfstudio transforms.json')
    poses = []
    for i, frame in enumerate(frames):
        where = f"{path}, frames[{i}]"
        if not isinstance(frame, dict) or "transform_matrix" not in frame:
            raise ValueError(f'{where}: no "transform_matrix"; every frame needs its 4x4 camera-to-world matrix')
        if ("view" in frame) != ("view" in frames[0]):
            raise ValueError(f'{where}: some frames name their "view" and some do not; name it in all or in none')
        view, index = (_text(frame, "view", where), _index(frame, where)) if "view" in frame else (path.stem, i)
        c2w = pose_matrix(frame["transform_matrix"], f"{where}.transform_matrix") @ _FLIP
        settings = {**data, **frame}
        _refuse_distortion(settings, where)
        poses.append(Pose(view, index, c2w, _intrinsics(settings, intrinsics, path, where), where))
    return gather(poses, path)


def _text(frame: dict[str, Any], key: str, where: str) -> str:
    if not isinstance(frame[key], str) or not frame[key]:
        raise ValueError(f'{where}: "{key}" is {frame[key]!r}; expected a name')
    return str(frame[key])


def _index(frame: dict[str, Any], where: str) -> int:
    index = frame.get("frame")
    if isinstance(index, bool) or not isinstance(index, int) or index < 0:
        raise ValueError(f'{where}: "frame" is {index!r}; a frame that names its "view" needs its number there')
    return index


def _refuse_distortion(settings: dict[str, Any], where: str) -> None:
    model = settings.get("camera_model", "OPENCV")
    if model not in _PINHOLE_MODELS or settings.get("is_fisheye"):
        model = "fisheye" if settings.get("is_fisheye") else model
        raise ValueError(f"{where}: camera model {model!r}; only pinhole cameras are supported: undistort first")
    for key in _DISTORTION:
        value = number(settings.get(key, 0.0), f"{where}.{key}")
        if value != 0:
            raise ValueError(
                f"{where}: lens distortion {key} = {value:g}; only pinhole cameras are supported: undistort first"
            )


def _intrinsics(settings: dict[str, Any], given: Intrinsics | None, path: Path, where: str) -> Intrinsics:
    def get(key: str) -> float | None:
        return number(settings[key], f"{where}.{key}") if key in settings else None

    w, h, fl_x, fl_y, angle_x, angle_y = (
        get(k) for k in ("w", "h", "fl_x", "fl_y", "camera_angle_x", "camera_angle_y")
    )
    if w is None and h is None:
        # without the image size, neither pixels nor one angle say what part of the height the focal length is
        return require_intrinsics(given, f'{where} (without the image size "w" and "h")')
    refuse_intrinsics(given, path)
    if w is None or h is None or min(w, h) <= 0:
        raise ValueError(f'{where}: image size "w" and "h" are {w} and {h}; expected two positive numbers of pixels')
    if fl_x is None and angle_x is not None:
        fl_x = w / 2 / math.tan(_angle(angle_x, "camera_angle_x", where) / 2)
    if fl_x is None:
        raise ValueError(f'{where}: neither "fl_x" nor "camera_angle_x"; add the focal length in pixels as "fl_x"')
    if fl_y is None:
        fl_y = fl_x if angle_y is None else h / 2 / math.tan(_angle(angle_y, "camera_angle_y", where) / 2)
    cx, cy = get("cx"), get("cy")
    return fl_x / w, fl_y / h, 0.5 if cx is None else cx / w, 0.5 if cy is None else cy / h


def _angle(radians: float, key: str, where: str) -> float:
    if not 0 < radians < math.pi:
        raise ValueError(f'{where}: "{key}" is {radians:g}; expected a field of view in radians, between 0 and pi')
    return radians


def write(cameras: Cameras, path: Path, width: int | None = None, height: int | None = None) -> list[Path]:
    """One JSON file with all views; images are called ``<view>/frame_00000.png``.

    Intrinsics go to the top of the file when they never change, else into every frame.

    Raises:
        ValueError: no image size, or view names that cannot be part of a file name.
    """
    check_names(cameras, path)
    width, height = image_size(width, height, path)
    size = torch.tensor([width, height, width, height], dtype=torch.float64)
    pixels = (cameras.intrinsics * size).tolist()
    constant = bool((cameras.intrinsics == cameras.intrinsics[0, 0]).all())
    matrices = (cameras.c2w.numpy() @ _FLIP).tolist()

    def focal(view: int, frame: int) -> dict[str, float]:
        return dict(zip(("fl_x", "fl_y", "cx", "cy"), pixels[view][frame], strict=True))

    frames = [
        {
            "file_path": f"{name}/frame_{frame:05d}.png",
            "view": name,
            "frame": frame,
            **({} if constant else focal(view, frame)),
            "transform_matrix": matrices[view][frame],
        }
        for view, name in enumerate(cameras.names)
        for frame in range(cameras.frames)
    ]
    top = {"camera_model": "OPENCV", "w": width, "h": height, **(focal(0, 0) if constant else {})}
    write_text(path, json.dumps({**top, "frames": frames}, indent=1) + "\n")
    return [path]


def matches(path: Path) -> bool:
    """Whether the file is a JSON object with ``frames``."""
    return path.is_file() and "frames" in json_keys(path)
