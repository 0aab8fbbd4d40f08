"""``camera_extrinsics.json`` of ReCamMaster, SynCamMaster and their Unreal Engine data sets.

``{"frame0": {"cam01": "[f f f 0] [r r r 0] [u u u 0] [x y z 1] ", ...}, ...}``: a camera-to-world matrix, transposed,
so that the brackets hold the directions of the camera's forward, right and up axes and its position. World and camera
have Unreal's left-handed axes: x forward, y right, z up. Lengths are centimetres; ours are taken as metres.

Left-handed numbers become a proper rotation by renaming the axes of the camera *and* of the world (x right is Unreal's
y, y down its -z, z forward its x). The models' own loaders rename only the camera's and then go over to poses relative
to the first frame, where the world's axes cancel: both give the same relative poses.

The files hold no intrinsics. The data sets were rendered with a focal length of 18, 24, 35 or 50 mm on a square 23.76
mm sensor, that is fx = fy = f / 23.76 and cx = cy = 0.5 for the full square image.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from cvd_core.geometry.formats.lens import require_intrinsics
from cvd_core.geometry.formats.options import ReadOptions
from cvd_core.geometry.formats.output import Files, check_constant_intrinsics
from cvd_core.geometry.formats.poses import Matrix, Pose, gather
from cvd_core.geometry.formats.recording import Recording
from cvd_core.geometry.formats.text import join, json_keys, numbers, read_json, shown

_FROM_UNREAL = np.array([[0.0, 1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
"""Unreal coordinates (forward, right, up) to OpenCV's (right, down, forward). Orthogonal; the transpose goes back."""
_CENTIMETRES = 100.0
_FRAME = re.compile(r"frame(\d{1,9})")
_CAMERA = re.compile(r"cam\d+")


def read(path: Path, options: ReadOptions) -> Recording:
    """Cameras of all ``cam..`` in all ``frame..``; intrinsics have to be given.

    Raises:
        ValueError: no intrinsics, no frames, a key or matrix of another form, or as :func:`gather`.
    """
    data = read_json(path)
    lens = require_intrinsics(options, path)
    poses = []
    for key, cameras in data.items():
        match = _FRAME.fullmatch(key)
        if match is None or not isinstance(cameras, dict):
            raise ValueError(
                f'{path}, "{key[:40]}": expected only keys "frame0", "frame1" ..., each an object of cameras'
            )
        for name, text in cameras.items():
            where = f'{path}, "{key}", "{name}"'
            poses.append(Pose(name, int(match[1]), _parse(text, where), lens, where))
    return gather(poses, path, options)


def _parse(text: object, where: str) -> Matrix:
    rows = re.findall(r"\[([^\[\]]*)\]", text) if isinstance(text, str) else []
    words = [row.split() for row in rows]
    if [len(row) for row in words] != [4, 4, 4, 4]:
        raise ValueError(
            f'{where} is {shown(text)}; expected four brackets of four numbers, "[.. .. .. ..] [..] [..] [x y z 1]"'
        )
    matrix = np.array([numbers(row, f"{where}, bracket {n}") for n, row in enumerate(words, 1)]).T
    if matrix[3].tolist() != [0, 0, 0, 1]:
        raise ValueError(
            f"{where}: the brackets end in {join(matrix[3])}; expected 0 0 0 1 (the last bracket is the position)"
        )
    matrix[:3, 3] /= _CENTIMETRES
    return _FROM_UNREAL @ matrix @ _FROM_UNREAL.T


def write(recording: Recording, path: Path, width: int | None = None, height: int | None = None) -> Files:
    """One JSON file. Views are called ``cam01 ...`` (the loaders ask for these) unless they already are ``cam<n>``.

    Intrinsics are not written: the format has none. The image size is not used.

    Raises:
        ValueError: intrinsics that change between views or frames.
    """
    cameras = recording.cameras
    check_constant_intrinsics(cameras, path, "write nerfstudio, COLMAP or .npz instead")
    names = cameras.names
    if len(set(names)) < len(names) or not all(_CAMERA.fullmatch(name) for name in names):
        names = tuple(f"cam{view + 1:02d}" for view in range(cameras.views))
    matrices = _FROM_UNREAL.T @ cameras.c2w.numpy() @ _FROM_UNREAL
    matrices[..., :3, 3] *= _CENTIMETRES
    data = {
        f"frame{frame}": {
            name: "".join(f"[{join(column)}] " for column in matrices[view, frame].T) for view, name in enumerate(names)
        }
        for frame in range(cameras.frames)
    }
    return {path: f"{json.dumps(data, indent=4)}\n".encode()}


def matches(path: Path) -> bool:
    """Whether the file is a JSON object with a key ``frame<number>``."""
    return path.is_file() and any(_FRAME.fullmatch(key) for key in json_keys(path))
