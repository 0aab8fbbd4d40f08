"""COLMAP text models: a folder with ``cameras.txt``, ``images.txt`` and ``points3D.txt``.

An image is the world-to-camera rotation as a quaternion (w first) and translation, OpenCV axes; intrinsics are in
pixels with the centre of the first pixel at 0.5, like ours. Images called ``<view>/frame_<number>.<type>`` carry the
views and frames of a rig; under any other names all images are one view, sorted by name with numbers counted as
numbers.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from cvd_core.files import natural_key
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats.poses import (
    Intrinsics,
    Matrix,
    Pose,
    check_names,
    gather,
    image_size,
    inverse,
    refuse_intrinsics,
)
from cvd_core.geometry.formats.text import join, number, numbers, read_text, write_text

_RIG_IMAGE = re.compile(r"(?P<view>.+)/frame_(?P<frame>\d{1,9})\.\w+")
_QUATERNION_TOLERANCE = 1e-2
"""How far a quaternion's norm may be from 1: wide enough for three printed digits, too narrow for a wrong column."""


def read(path: Path, intrinsics: Intrinsics | None = None) -> Cameras:
    """Cameras of all images in the model folder ``path``.

    Raises:
        ValueError: a file of the model is missing (or there is only the binary model), a camera model other than
            PINHOLE and SIMPLE_PINHOLE, a broken line, no images, or as :func:`gather`.
    """
    refuse_intrinsics(intrinsics, path)
    lenses = _read_cameras(_part(path, "cameras"))
    images = _read_images(_part(path, "images"), lenses)
    matched = {name: _RIG_IMAGE.fullmatch(name) for name in images}
    poses = []
    for i, name in enumerate(images if all(matched.values()) else sorted(images, key=natural_key)):
        c2w, lens, where = images[name]
        match = matched[name] if all(matched.values()) else None
        view, frame = (match["view"], int(match["frame"])) if match else (path.resolve().name, i)
        poses.append(Pose(view, frame, c2w, lens, where))
    return gather(poses, path)


def _part(folder: Path, name: str) -> Path:
    file = folder / f"{name}.txt"
    if not file.is_file():
        hint = (
            f"it holds {name}.bin, so convert the model first: colmap model_converter --output_type TXT"
            if (folder / f"{name}.bin").is_file()
            else "pick the folder that holds cameras.txt and images.txt, often sparse/0"
        )
        raise ValueError(f"{folder} has no {name}.txt; expected a COLMAP text model. {hint[0].upper()}{hint[1:]}")
    return file


def _read_cameras(file: Path) -> dict[str, Intrinsics]:
    """Normalised intrinsics by camera id."""
    lenses: dict[str, Intrinsics] = {}
    for n, line in enumerate(read_text(file).splitlines(), 1):
        where, words = f"{file}, line {n}", line.split()
        if not words or line.startswith("#"):
            continue
        if len(words) < 4:
            raise ValueError(f"{where}: {len(words)} columns; expected CAMERA_ID MODEL WIDTH HEIGHT and the parameters")
        model, values = words[1], numbers(words[2:], where)
        parameters = {"PINHOLE": 4, "SIMPLE_PINHOLE": 3}.get(model)
        if parameters is None:
            raise ValueError(
                f"{where}: camera model {model}; only PINHOLE and SIMPLE_PINHOLE are supported: undistort the images "
                "first (colmap image_undistorter)"
            )
        if len(values) != 2 + parameters or min(values[:2]) <= 0:
            raise ValueError(
                f"{where}: expected a positive image size and {parameters} parameters of {model}, found {line!r}"
            )
        w, h, *K = values
        fx, fy, cx, cy = K if model == "PINHOLE" else (K[0], *K)
        lenses[words[0]] = (fx / w, fy / h, cx / w, cy / h)
    return lenses


def _read_images(file: Path, lenses: dict[str, Intrinsics]) -> dict[str, tuple[Matrix, Intrinsics, str]]:
    """Camera-to-world matrix, intrinsics and place by image name, in order of image ids."""
    found: list[tuple[float, str, tuple[Matrix, Intrinsics, str]]] = []
    lines = enumerate(read_text(file).splitlines(), 1)
    for n, line in lines:
        where, words = f"{file}, line {n}", line.split(maxsplit=9)
        if not words or line.startswith("#"):
            continue
        if len(words) < 10:
            raise ValueError(
                f"{where}: {len(words)} columns; expected IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, then a line of "
                "points (which may be empty)"
            )
        name, camera = words[9].strip(), words[8]
        if camera not in lenses:
            raise ValueError(f"{where}: image {name!r} uses camera {camera}, which cameras.txt does not have")
        values = numbers(words[1:8], f"{where}, after the id")
        norm = float(np.linalg.norm(values[:4]))
        if abs(norm - 1) > _QUATERNION_TOLERANCE:
            raise ValueError(f"{where}: the quaternion's length is {norm:g}; expected 1 (order QW QX QY QZ)")
        w2c = np.eye(4)
        w2c[:3, :3] = Rotation.from_quat([*values[1:4], values[0]]).as_matrix()
        w2c[:3, 3] = values[4:]
        found.append((number(words[0], f"{where}: the id"), name, (inverse(w2c, where), lenses[camera], where)))
        next(lines, None)  # the image's 2D points
    names = [name for _, name, _ in found]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{file}: two images are called {twice!r}; expected one line for each image")
    return {name: image for _, name, image in sorted(found, key=lambda item: item[0])}


def write(cameras: Cameras, path: Path, width: int | None = None, height: int | None = None) -> list[Path]:
    """A model folder without points; images that share their intrinsics share a PINHOLE camera.

    A quaternion can only hold a rotation: matrices that drift from one (pose files do by about 1e-6) are replaced by
    the nearest rotation. Camera centres are kept.

    Raises:
        ValueError: no image size, or view names that cannot be part of a file name.
    """
    check_names(cameras, path)
    width, height = image_size(width, height, path)
    lens_ids: dict[tuple[float, ...], int] = {}
    images = []
    rotations = Rotation.from_matrix(cameras.c2w.numpy()[..., :3, :3].reshape(-1, 3, 3)).inv()
    translations = -rotations.apply(cameras.centers.reshape(-1, 3).numpy())
    quaternions = np.roll(rotations.as_quat(), 1, axis=-1)
    for i, (q, t) in enumerate(zip(quaternions, translations, strict=True)):
        view, frame = divmod(i, cameras.frames)
        lens = lens_ids.setdefault(tuple(cameras.intrinsics[view, frame].tolist()), len(lens_ids) + 1)
        images.append(f"{i + 1} {join([*q, *t])} {lens} {cameras.names[view]}/frame_{frame:05d}.png\n\n")
    size = (width, height, width, height)
    lenses = [
        f"{number} PINHOLE {width} {height} {join(k * s for k, s in zip(K, size, strict=True))}\n"
        for K, number in lens_ids.items()
    ]
    texts = {
        "cameras.txt": f"# CAMERA_ID MODEL WIDTH HEIGHT FX FY CX CY\n{''.join(lenses)}",
        "images.txt": f"# IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, then a line of 2D points\n{''.join(images)}",
        "points3D.txt": "# POINT3D_ID X Y Z R G B ERROR TRACK: none\n",
    }
    for name, text in texts.items():
        write_text(path / name, text)
    return [path / name for name in texts]


def matches(path: Path) -> bool:
    """Whether the folder holds a COLMAP model, text or binary (which :func:`read` then explains)."""
    return any((path / f"{name}.{kind}").is_file() for name in ("cameras", "images") for kind in ("txt", "bin"))
