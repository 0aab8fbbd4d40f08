"""Camera files: every format that is written here, damaged, and trajectory texts."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvd_core.geometry.formats import read_cameras, write_cameras
from cvd_core.geometry.formats.views import views_of
from cvd_core.geometry.rigs import make_rig
from cvd_core.geometry.trajectory_json import build_trajectories, parse_trajectories
from tests.fuzz import Target
from tests.fuzz.damage import damaged_bytes, damaged_value, damaged_words, pick

Damage = Callable[[np.random.Generator, bytes], bytes]
LENS = (0.9, 0.9, 0.5, 0.5)


def _written(rng: np.random.Generator, folder: Path, name: str, format: str, damage: Damage) -> None:
    """Write a rig of up to 3 views, damage one of its files, read it."""
    rig = make_rig("circle", int(rng.integers(1, 4)), int(rng.integers(1, 5)), distance=0.5)
    rig = rig.select([0]) if format == "realestate10k" else rig
    path = folder / name
    files = write_cameras(rig, path, format=format, width=64, height=48)
    victim = files[int(rng.integers(min(len(files), 2)))]
    victim.write_bytes(damage(rng, victim.read_bytes()))
    given = LENS if format == "recammaster" or rng.random() < 0.1 else None
    read_cameras(path, format=pick(rng, [None, None, None, format]), intrinsics=given)


def _made(rng: np.random.Generator, folder: Path, name: str, content: Callable[[int], Any], damage: Damage) -> None:
    """Write what other programs do for a few frames, damage it, read it with options that may or may not fit."""
    path = folder / name
    made = content(int(rng.integers(1, 6)))
    path.write_bytes(damage(rng, made if isinstance(made, bytes) else json.dumps(made).encode()))
    read_cameras(
        path,
        intrinsics=pick(rng, [LENS, LENS, None, (600.0, 600.0, 320.0, 240.0)]),
        convention=pick(rng, [None, None, None, "c2w", "w2c-opengl"]),
        pinhole_only=rng.random() < 0.1,
        one_view=rng.random() < 0.1,
        **pick(rng, [{}, {}, {"width": 640, "height": 480}]),
    )


def _matrices(frames: int) -> NDArray[np.float64]:
    return make_rig("circle", 1, frames, distance=0.5).c2w[0].numpy()


def _transforms(frames: int) -> object:
    names = [f"cam{i % 2}/images/{i // 2:04d}.png" for i in range(2 * frames)]
    return {
        "camera_angle_x": 2 * math.atan(320 / 500),
        "w": 640,
        "h": 480,
        "fl_x": 500,
        "fl_y": 500,
        "cx": 320,
        "cy": 240,
        "k1": -0.003,
        "camera_model": "OPENCV",
        "frames": [{"file_path": name, "transform_matrix": np.eye(4).tolist()} for name in names],
    }


def _camera_path(frames: int) -> object:
    path = [{"camera_to_world": m.reshape(-1).tolist(), "fov": 50, "aspect": 16 / 9} for m in _matrices(frames)]
    return {"render_width": 1920, "render_height": 1080, "fps": 24, "camera_type": "perspective", "camera_path": path}


def _motionctrl(frames: int) -> object:
    return _matrices(frames)[:, :3].reshape(-1, 12).tolist()


def _tum(frames: int) -> bytes:
    return "\n".join(f"{i / 10} {i} 0 0 0 0 0 1" for i in range(frames)).encode()


def _vggt(frames: int) -> bytes:
    file = io.BytesIO()
    K = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
    np.savez(file, extrinsic=_matrices(frames)[:, :3], intrinsic=np.tile(K, (frames, 1, 1)))
    return file.getvalue()


def _llff(frames: int) -> bytes:
    file = io.BytesIO()
    row = [0, 1, 0, 0, 480, 1, 0, 0, 0, 640, 0, 0, -1, 0, 500, 1, 10]
    np.save(file, np.tile(np.array(row, np.float64), (frames, 1)))
    return file.getvalue()


def _names(rng: np.random.Generator, folder: Path) -> None:
    """Lists of picture names of many patterns."""
    patterns = [
        "{0}.png",
        "cam{1}/{0:03d}.png",
        "left_{0}.jpg",
        "{1}_{0}.png",
        "frame_{0}/cam{1}.png",
        "a/b/{0}",
        "\\{1}",
    ]
    chosen = [pick(rng, patterns) for _ in range(2)]
    grid = [(frame, view) for view in range(int(rng.integers(1, 4))) for frame in range(int(rng.integers(1, 5)))]
    names = list(dict.fromkeys(pick(rng, chosen).format(frame, view) for frame, view in grid))
    places = views_of([*names, *pick(rng, [[], [], ["x"], [""], ["9" * 5000], names[:1]])], "all", "list")
    if len(set(places)) < len(places):
        raise AssertionError(f"two pictures in one place: {names} -> {places}")


def _words(rng: np.random.Generator, content: bytes) -> bytes:
    damage = damaged_words(rng, content.decode())
    return damage.encode("utf-8", "replace") if rng.random() < 0.8 else damaged_bytes(rng, content)


def _values(rng: np.random.Generator, content: bytes) -> bytes:
    if rng.random() < 0.2:
        return damaged_bytes(rng, content)
    return json.dumps(damaged_value(rng, json.loads(content))).encode()


def _arrays(rng: np.random.Generator, content: bytes) -> bytes:
    """Other names, shapes, types and values in an .npz, and headers that promise more than there is."""
    if rng.random() < 0.2:
        return damaged_bytes(rng, content)
    with np.load(io.BytesIO(content)) as file:
        arrays = {name: file[name] for name in file.files}
    name = pick(rng, list(arrays))
    array = arrays[name]
    match int(rng.integers(6)):
        case 0:
            flat = array.reshape(-1).copy()
            if flat.dtype.kind == "f":
                flat[int(rng.integers(flat.size))] = pick(rng, [np.nan, np.inf, 0, -1, 1e308, 1e-320, 2])
            arrays[name] = flat.reshape(array.shape)
        case 1:
            arrays[name] = pick(rng, [array[..., :-1], array[None], array[:0], array.reshape(-1), array.T])
        case 2 if array.dtype.kind == "f":
            arrays[name] = array.astype(pick(rng, ["f2", "i4", "c16", "?", ">f8"]))
        case 3:
            arrays[pick(rng, ["poses", "w2c", "c2w", "names", "images", "x", ""])] = arrays.pop(name)
        case 4:
            arrays[pick(rng, ["images", "depth", "w2c", "K", "times", "width"])] = pick(
                rng, [np.zeros((2, 48, 64, 3), np.uint8), array, np.zeros(3), np.array("x"), np.array(640)]
            )
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    out = io.BytesIO()
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(out, "w") as target:
        for member in source.namelist():
            data = source.read(member)
            if rng.random() < 0.1:  # as long as before, so that the header still fits
                data = data.replace(b"4, 4), }  ", b"9999999,)}")
            target.writestr(member, data)
    return out.getvalue()


_TRAJECTORIES = (
    {"version": 2, "rig": {"name": "circle", "distance": 0.5, "easing": "ease-in-out"}},
    {
        "version": 2,
        "views": [
            {"name": "left", "color": "#D55E00", "moves": [{"name": "truck", "amount": -0.5}, {"name": "pan"}]},
            {
                "name": "hero",
                "easing": [[0.4, 0.1], [0.6, 0.9]],
                "keyframes": [
                    {"position": [0, 0, 0], "look_at": [0, 0, 1], "time": 0},
                    {"position": [0.5, -0.2, 0.1], "look_at": [0, 0, 1], "easing": "ease-out", "focal": 1.2, "time": 1},
                ],
            },
        ],
    },
)


def _trajectory(rng: np.random.Generator, folder: Path) -> None:
    text = json.dumps(damaged_value(rng, pick(rng, _TRAJECTORIES)))
    if rng.random() < 0.2:
        text = damaged_bytes(rng, text.encode()).decode("utf-8", "replace")
    document = parse_trajectories(text)
    build_trajectories(document, views=int(rng.integers(0, 4)), frames=int(rng.integers(1, 9)), width=64, height=48)


TARGETS = (
    Target("pose-file", partial(_written, name="a.txt", format="realestate10k", damage=_words)),
    Target("nerfstudio", partial(_written, name="a.json", format="nerfstudio", damage=_values)),
    Target("recammaster", partial(_written, name="a.json", format="recammaster", damage=_values)),
    Target("colmap", partial(_written, name="model", format="colmap", damage=_words)),
    Target("npz", partial(_written, name="a.npz", format="numpy", damage=_arrays)),
    Target("transforms", partial(_made, name="transforms.json", content=_transforms, damage=_values)),
    Target("camera-path", partial(_made, name="camera_path.json", content=_camera_path, damage=_values)),
    Target("motionctrl", partial(_made, name="a.json", content=_motionctrl, damage=_values)),
    Target("tum", partial(_made, name="a.txt", content=_tum, damage=_words)),
    Target("vggt", partial(_made, name="a.npz", content=_vggt, damage=_arrays)),
    Target("llff", partial(_made, name="poses_bounds.npy", content=_llff, damage=damaged_bytes)),
    Target("picture-names", _names),
    Target("trajectory-json", _trajectory),
)
