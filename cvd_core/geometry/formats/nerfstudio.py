"""nerfstudio ``transforms.json``, also written by instant-ngp, NeRF's Blender exporters, Polycam and COLMAP scripts.

Camera-to-world matrices with OpenGL camera axes: x right, y up, the camera looks along -z. Only the camera's axes
differ from ours; the world stays as it is. Intrinsics in pixels (``fl_x fl_y cx cy w h``) or as angles
(``camera_angle_x``), for the whole file or per frame. ``applied_transform`` and ``applied_scale`` say what was already
done to the poses, so they are left as they are: poses are read in the world that the matrices state.

The views and frames of a rig are kept in two keys of our own per frame, ``view`` (the name) and ``frame`` (the number),
which other readers pass over. In files without them the names of the pictures tell views and order
(:mod:`~cvd_core.geometry.formats.views`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from cvd_core.geometry.formats.distortion import POLYNOMIAL, corner_shift, refuse_fisheye
from cvd_core.geometry.formats.nerfstudio_lens import Lens, read_lens
from cvd_core.geometry.formats.options import ReadOptions
from cvd_core.geometry.formats.output import Files, check_names, image_size
from cvd_core.geometry.formats.poses import OPENGL, Pose, gather, pose_matrix
from cvd_core.geometry.formats.recording import Recording
from cvd_core.geometry.formats.text import json_keys, number, read_json, shown
from cvd_core.geometry.formats.views import Place, views_of

_PERSPECTIVE = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE")

Json = dict[str, Any]


def read(path: Path, options: ReadOptions) -> Recording:
    """Cameras of all frames.

    Raises:
        ValueError: a key is missing, intrinsics are missing or contradict each other, a fisheye model, some frames with
            ``view`` and ``frame`` and some without, names that may be one view or several, or as :func:`gather`.
    """
    data = read_json(path)
    frames = data.get("frames")
    if not isinstance(frames, list) or not frames:
        raise ValueError(f'{path}: no list "frames" with at least one frame; expected a nerfstudio transforms.json')
    for i, frame in enumerate(frames):
        if not isinstance(frame, dict) or "transform_matrix" not in frame:
            raise ValueError(
                f'{path}, frames[{i}]: no "transform_matrix"; every frame needs its 4x4 camera-to-world matrix'
            )
    clips = data.get("clips") if isinstance(data.get("clips"), dict) else {}
    poses = []
    for i, (frame, (view, index)) in enumerate(zip(frames, _places(frames, path, options), strict=True)):
        where = f"{path}, frames[{i}]"
        c2w = pose_matrix(frame["transform_matrix"], f"{where}.transform_matrix") @ OPENGL
        lens = read_lens(frame, data, options, path, where)
        size = lens.size or options.size
        poses.append(
            Pose(
                view,
                index,
                c2w,
                lens.intrinsics,
                where,
                size[0] / size[1] if size else None,
                _corner_shift({**data, **frame}, lens, options, where),
                number(frame["time"], f"{where}.time") if "time" in frame else None,
                _name(frame),
                clip if isinstance(clip := clips.get(view, ""), str) else "",
            )
        )
    return gather(poses, path, options)


def _name(frame: Json) -> str:
    name = frame.get("file_path")
    return name if isinstance(name, str) else ""


def _places(frames: list[Json], path: Path, options: ReadOptions) -> list[Place]:
    """View and number of every frame: from our own keys, else from the names of the pictures, else as listed."""
    for i, frame in enumerate(frames):
        if ("view" in frame) != ("view" in frames[0]):
            raise ValueError(
                f'{path}, frames[{i}]: some frames name their "view" and some do not; name it in all or in none'
            )
    if "view" in frames[0]:
        return [_own_place(frame, f"{path}, frames[{i}]") for i, frame in enumerate(frames)]
    names = [_name(frame) for frame in frames]
    if not all(names) or len(set(names)) == 1:  # nothing to go by, or one video for all
        return [(path.stem, i) for i in range(len(frames))]
    return views_of(names, path.stem, str(path), one_view=options.one_view)


def _own_place(frame: Json, where: str) -> Place:
    view, index = frame["view"], frame.get("frame")
    if not isinstance(view, str) or not view:
        raise ValueError(f'{where}: "view" is {shown(view)}; expected a name')
    if isinstance(index, bool) or not isinstance(index, int) or index < 0:
        raise ValueError(f'{where}: "frame" is {shown(index)}; a frame that names its "view" needs its number there')
    return view, index


def _corner_shift(settings: Json, lens: Lens, options: ReadOptions, where: str) -> float:
    """Pixels by which distortion moves the corner (of an image 1000 pixels wide, where the size is not known)."""
    model = settings.get("camera_model", "OPENCV")
    if model not in _PERSPECTIVE or settings.get("is_fisheye"):
        refuse_fisheye("fisheye" if settings.get("is_fisheye") else model, where)
    names = [name for name in POLYNOMIAL if settings.get(name) is not None]
    coefficients = {name: number(settings[name], f"{where}.{name}") for name in names}
    fx, fy = lens.intrinsics[:2]
    if min(fx, fy) <= 0:
        return 0.0  # refused in a moment, with the place
    return corner_shift(coefficients, lens.intrinsics, lens.size or options.size or (1000, 1000 * fx / fy), where)


def write(recording: Recording, path: Path, width: int | None = None, height: int | None = None) -> Files:
    """One JSON file with all views; pictures keep their names, or are called ``<view>/frame_00000.png``.

    Intrinsics go to the top of the file when they never change, else into every frame.

    Raises:
        ValueError: no image size, or view names that cannot be part of a file name.
    """
    cameras = recording.cameras
    check_names(cameras, path)
    width, height = image_size(width, height, path)
    size = torch.tensor([width, height, width, height], dtype=torch.float64)
    pixels = (cameras.intrinsics * size).tolist()
    constant = bool((cameras.intrinsics == cameras.intrinsics[0, 0]).all())
    matrices = (cameras.c2w.numpy() @ OPENGL).tolist()

    def lens(view: int, frame: int) -> dict[str, float]:
        return dict(zip(("fl_x", "fl_y", "cx", "cy"), pixels[view][frame], strict=True))

    frames = [
        {
            "file_path": recording.images[view][frame] if recording.images else f"{name}/frame_{frame:05d}.png",
            "view": name,
            "frame": frame,
            **({} if recording.times is None else {"time": float(recording.times[view, frame])}),
            **({} if constant else lens(view, frame)),
            "transform_matrix": matrices[view][frame],
        }
        for view, name in enumerate(cameras.names)
        for frame in range(cameras.frames)
    ]
    top: Json = {"camera_model": "OPENCV", "w": width, "h": height, **(lens(0, 0) if constant else {})}
    if any(recording.clips):
        top["clips"] = dict(zip(cameras.names, recording.clips, strict=True))
    return {path: f"{json.dumps({**top, 'frames': frames}, indent=1)}\n".encode()}


def matches(path: Path) -> bool:
    """Whether the file is a JSON object with ``frames``."""
    return path.is_file() and "frames" in json_keys(path)
