"""nerfstudio ``camera_path.json``, which its viewer exports for rendering.

Camera-to-world matrices of 16 numbers, row by row, with OpenGL camera axes, in nerfstudio's own (scaled and centred)
world. ``fov`` is the vertical field of view in degrees, of an image of ``render_width`` x ``render_height`` pixels that
are square.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from cvd_core.geometry.formats.distortion import refuse_fisheye
from cvd_core.geometry.formats.lens import checked_fractions, focal_of_angle, refuse_intrinsics
from cvd_core.geometry.formats.options import ReadOptions
from cvd_core.geometry.formats.poses import OPENGL, Pose, gather, pose_matrix
from cvd_core.geometry.formats.recording import Recording
from cvd_core.geometry.formats.text import json_keys, number, read_json

_SAME_ASPECT = 0.02


def read(path: Path, options: ReadOptions) -> Recording:
    """``(1, F)`` cameras, called like the file; time stamps from ``fps``.

    Raises:
        ValueError: no list ``camera_path``, another camera type than perspective, a frame without matrix or field of
            view, neither an image size nor an aspect, or as :func:`gather`.
    """
    refuse_intrinsics(options.intrinsics, path)
    data = read_json(path)
    frames = data.get("camera_path")
    if not isinstance(frames, list) or not frames:
        raise ValueError(f'{path}: no list "camera_path" with at least one frame; expected a nerfstudio camera path')
    if data.get("camera_type", "perspective") != "perspective":
        refuse_fisheye(data["camera_type"], str(path))
    fps = number(data["fps"], f"{path}, fps") if data.get("fps") else None
    aspects = [_aspect(data, frame, path, options) for frame in frames]
    others = [(used, stated) for used, stated in aspects if stated and abs(stated / used - 1) > _SAME_ASPECT]
    if others:
        used, stated = others[0]
        warnings.warn(
            f'{path}: "aspect" is {stated:.4g}, but the image size to render has an aspect of {used:.4g}, which is '
            "used, as nerfstudio does",
            UserWarning,
            stacklevel=2,
        )
    poses = []
    for i, (frame, (aspect, _)) in enumerate(zip(frames, aspects, strict=True)):
        where = f"{path}, camera_path[{i}]"
        values: Any = np.ravel(np.array(frame.get("camera_to_world"), dtype=object)) if isinstance(frame, dict) else []
        if len(values) != 16:
            raise ValueError(f'{where}: "camera_to_world" has {len(values)} numbers; expected 16, a 4x4 matrix')
        matrix = np.reshape([number(value, f"{where}.camera_to_world") for value in values], (4, 4))
        angle = math.radians(number(frame.get("fov"), f"{where}.fov"))
        fy = focal_of_angle(angle, "fov", where)
        lens = checked_fractions((fy / aspect, fy, 0.5, 0.5), where)
        time = i / fps if fps else None
        poses.append(Pose(path.stem, i, pose_matrix(matrix, where) @ OPENGL, lens, where, aspect, time=time))
    return gather(poses, path, options)


def _aspect(data: dict[str, Any], frame: Any, path: Path, options: ReadOptions) -> tuple[float, float | None]:
    """Width / height that is rendered, and that which the frame states."""
    size = data.get("render_width"), data.get("render_height")
    stated = number(frame["aspect"], f"{path}, aspect") if isinstance(frame, dict) and frame.get("aspect") else None
    if None not in size:
        w, h = (number(value, f"{path}, the image size to render") for value in size)
    elif stated:
        w, h = stated, 1.0
    elif options.size:
        w, h = options.size
    else:
        raise ValueError(
            f'{path}: "render_width" and "render_height" are missing, and so is "aspect"; give the width and height of '
            "the images"
        )
    if min(w, h) <= 0:
        raise ValueError(f"{path}: the image size to render is {w:g} x {h:g}; expected positive numbers of pixels")
    return w / h, stated


def matches(path: Path) -> bool:
    """Whether the file is a JSON object with ``camera_path``."""
    return path.is_file() and "camera_path" in json_keys(path)
