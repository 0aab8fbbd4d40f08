"""Cameras as a glTF 2.0 scene, for Blender, Unreal, Unity, Houdini and viewers in the browser.

Every view is a node with a perspective camera; one animation moves them all, at the times of the frames. glTF has y up
and cameras that look along -z, so the world is turned by 180 degrees about x; shapes stay as they are. World units
stand for metres. A lens that changes over time is animated with KHR_animation_pointer; programs that do not know this
extension show the first frame's. The principal point is in the middle of every glTF camera.
"""

from __future__ import annotations

import base64
import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cvd_core import __version__
from cvd_core.files import atomic_path
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats.y_up import to_y_up

POINTER = "KHR_animation_pointer"
_FLOAT, _NEAR = 5126, 0.01
_CENTRED = 1e-3
"""Principal points nearer to the middle than this, as fractions of the image, count as being there."""

Json = dict[str, Any]
Floats = NDArray[np.float32]


def write_gltf(cameras: Cameras, path: str | os.PathLike[str], fps: float = 8, *, overwrite: bool = False) -> Path:
    """Write ``cameras`` as one ``.gltf`` file that needs no other; returns its path.

    Args:
        cameras: V views of F frames.
        path: ends in ``.gltf``; folders are made as needed.
        fps: frames per second of the animation.
        overwrite: replace a file that is already there; by default it is never touched.

    Warns:
        UserWarning: a principal point away from the middle was left out.

    Raises:
        ValueError: another extension, a frame rate that is not positive, or a file that is there or cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".gltf":
        raise ValueError(f"cannot write {path}: expected a name that ends in .gltf")
    if not 0 < fps < float("inf"):
        raise ValueError(f"frame rate is {fps}; expected frames per second, such as 8")
    text = json.dumps(gltf_scene(cameras, fps), indent=1)
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def gltf_scene(cameras: Cameras, fps: float) -> Json:
    """The glTF document: a node, a camera and a part of the animation per view, with all numbers in one buffer."""
    _warn_off_centre(cameras)
    c2w = to_y_up(cameras.c2w.numpy())
    positions = c2w[..., :3, 3].astype(np.float32)
    rotations = _continuous(
        Rotation.from_matrix(c2w[..., :3, :3].reshape(-1, 3, 3)).as_quat().reshape(*c2w.shape[:2], 4)
    )
    fx, fy = cameras.intrinsics[..., 0].numpy(), cameras.intrinsics[..., 1].numpy()
    lenses = {"yfov": 2 * np.arctan(0.5 / fy), "aspectRatio": fy / fx}

    numbers = _Numbers()
    channels: list[Json] = []
    samplers: list[Json] = []
    pointers = False
    if cameras.frames > 1:
        times = numbers.add(np.arange(cameras.frames, dtype=np.float32) / np.float32(fps), "SCALAR", bounds=True)
        for view in range(cameras.views):
            moving: list[tuple[Json, Floats, str]] = [
                ({"node": view, "path": "translation"}, positions[view], "VEC3"),
                ({"node": view, "path": "rotation"}, rotations[view], "VEC4"),
            ]
            for name, values in lenses.items():
                if np.ptp(values[view]) > 1e-9:
                    pointers = True
                    pointer = {POINTER: {"pointer": f"/cameras/{view}/perspective/{name}"}}
                    moving.append(
                        ({"path": "pointer", "extensions": pointer}, values[view].astype(np.float32), "SCALAR")
                    )
            for target, content, kind in moving:
                channels.append({"sampler": len(samplers), "target": target})
                samplers.append({"input": times, "output": numbers.add(content, kind), "interpolation": "LINEAR"})
    document: Json = {
        "asset": {"version": "2.0", "generator": f"collaborative-video-diffusion {__version__}"},
        "scene": 0,
        "scenes": [{"name": "cameras", "nodes": list(range(cameras.views))}],
        "nodes": [
            {
                "name": name,
                "camera": view,
                "translation": c2w[view, 0, :3, 3].tolist(),
                "rotation": rotations[view, 0].tolist(),
            }
            for view, name in enumerate(cameras.names)
        ],
        "cameras": [
            {
                "name": name,
                "type": "perspective",
                "perspective": {"znear": _NEAR, **{key: float(values[view, 0]) for key, values in lenses.items()}},
            }
            for view, name in enumerate(cameras.names)
        ],
    }
    if channels:
        document["animations"] = [{"name": "cameras", "channels": channels, "samplers": samplers}]
        document |= numbers.described()
    if pointers:
        document["extensionsUsed"] = [POINTER]
    return document


class _Numbers:
    """The file's buffer while it grows: 32-bit floats, in base64 inside the file."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[Json] = []
        self.accessors: list[Json] = []

    def add(self, values: Floats, kind: str, *, bounds: bool = False) -> int:
        """Append ``(F,)`` or ``(F, n)`` values; returns the accessor's number. Times must state their bounds."""
        content = np.ascontiguousarray(values, "<f4").tobytes()
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(content)})
        self.data += content
        limits = {"min": [float(values.min())], "max": [float(values.max())]} if bounds else {}
        view = len(self.views) - 1
        self.accessors.append(
            {"bufferView": view, "componentType": _FLOAT, "count": len(values), "type": kind, **limits}
        )
        return view

    def described(self) -> Json:
        encoded = base64.b64encode(self.data).decode()
        buffer = {"byteLength": len(self.data), "uri": f"data:application/octet-stream;base64,{encoded}"}
        return {"accessors": self.accessors, "bufferViews": self.views, "buffers": [buffer]}


def _continuous(quaternions: NDArray[np.float64]) -> Floats:
    """``(V, F, 4)`` with each quaternion's sign chosen so that it is the nearer one to that of the frame before."""
    flips = np.where((quaternions[:, 1:] * quaternions[:, :-1]).sum(-1) < 0, -1.0, 1.0)
    signs = np.concatenate([np.ones((len(quaternions), 1)), np.cumprod(flips, axis=1)], axis=1)
    return (quaternions * signs[..., None]).astype(np.float32)


def _warn_off_centre(cameras: Cameras) -> None:
    off = (cameras.intrinsics[..., 2:] - 0.5).abs().amax((1, 2))
    worst = int(off.argmax())
    if off[worst] > _CENTRED:
        warnings.warn(
            f"the principal point of {cameras.names[worst]} is up to {100 * float(off[worst]):.1f}% of the image away "
            "from its middle, where glTF puts it; the file's cameras look that far past what ours show",
            UserWarning,
            stacklevel=4,
        )
