"""COLMAP text models: a folder with ``cameras.txt``, ``images.txt`` and ``points3D.txt``.

An image is the world-to-camera rotation as a quaternion (w first) and translation, OpenCV axes; intrinsics are in
pixels with the centre of the first pixel at 0.5, like ours. Images called ``<view>/frame_<number>.<type>`` carry the
views and frames of a rig; other names tell views and order by :mod:`~cvd_core.geometry.formats.views`. Lens distortion
of the polynomial models is left out, with a warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from cvd_core.geometry.formats.distortion import POLYNOMIAL, corner_shift, refuse_fisheye
from cvd_core.geometry.formats.lens import from_pixels, refuse_intrinsics
from cvd_core.geometry.formats.options import Intrinsics, ReadOptions, Size
from cvd_core.geometry.formats.output import Files, check_names, image_size
from cvd_core.geometry.formats.poses import Matrix, Pose, gather, inverse, rotation_of
from cvd_core.geometry.formats.recording import Recording
from cvd_core.geometry.formats.text import join, number, numbers, read_lines
from cvd_core.geometry.formats.views import Place, views_of

_RIG_IMAGE = re.compile(r"(?P<view>.+)/frame_(?P<frame>\d{1,9})\.\w+")
_MODELS = {
    "SIMPLE_PINHOLE": (1, ()),
    "PINHOLE": (2, ()),
    "SIMPLE_RADIAL": (1, ("k1",)),
    "RADIAL": (1, ("k1", "k2")),
    "OPENCV": (2, POLYNOMIAL[:4]),
    "FULL_OPENCV": (2, POLYNOMIAL),
}
"""Camera models by name: how many focal lengths they have, and their distortion after cx and cy."""


class Lens(NamedTuple):
    """One line of ``cameras.txt``: normalised intrinsics, image size, pixels by which distortion moves the corner."""

    intrinsics: Intrinsics
    size: Size
    shift: float


class Image(NamedTuple):
    """One image of ``images.txt``."""

    name: str
    c2w: Matrix
    lens: Lens
    where: str


def read(path: Path, options: ReadOptions) -> Recording:
    """Cameras of all images in the model folder ``path``.

    Raises:
        ValueError: a file of the model is missing (or there is only the binary model), a fisheye camera model, a broken
            line, no images, names that may be one view or several, or as :func:`gather`.
    """
    refuse_intrinsics(options.intrinsics, path)
    lenses = _read_cameras(_part(path, "cameras"))
    images = _read_images(_part(path, "images"), lenses)
    places = _places([image.name for image in images], path, options)
    return gather(
        [
            Pose(
                view,
                frame,
                image.c2w,
                image.lens.intrinsics,
                image.where,
                image.lens.size[0] / image.lens.size[1],
                image.lens.shift,
                image=image.name,
            )
            for image, (view, frame) in zip(images, places, strict=True)
        ],
        path,
        options,
    )


def _places(names: Sequence[str], path: Path, options: ReadOptions) -> list[Place]:
    matched = [_RIG_IMAGE.fullmatch(name) for name in names]
    if all(matched) and not options.one_view:
        return [(match["view"], int(match["frame"])) for match in matched if match]
    return views_of(names, path.resolve().name, str(path / "images.txt"), one_view=options.one_view)


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


def _read_cameras(file: Path) -> dict[str, Lens]:
    """Lenses by camera id."""
    lenses: dict[str, Lens] = {}
    for n, line in read_lines(file):
        where, row = f"{file}, line {n}", line.split()
        if not row or line.startswith("#"):
            continue
        if len(row) < 4:
            raise ValueError(f"{where}: {len(row)} columns; expected CAMERA_ID MODEL WIDTH HEIGHT and the parameters")
        model = row[1]
        if model not in _MODELS:
            refuse_fisheye(model, where)
        focals, distortion = _MODELS[model]
        w, h, *values = numbers(row[2:], where)
        expected = focals + 2 + len(distortion)
        if len(values) != expected or min(w, h) <= 0:
            raise ValueError(
                f"{where}: expected a positive image size and {expected} parameters of {model}, found {line[:200]!r}"
            )
        fx, fy, cx, cy = values[0], values[focals - 1], *values[focals : focals + 2]
        lens = from_pixels((fx, fy, cx, cy), (w, h), where)
        coefficients = dict(zip(distortion, values[focals + 2 :], strict=True))
        usable = min(lens[:2]) > 0  # otherwise refused with the first image
        shift = corner_shift(coefficients, lens, (w, h), where, rational=model == "FULL_OPENCV") if usable else 0.0
        lenses[row[0]] = Lens(lens, (w, h), shift)
    return lenses


def _read_images(file: Path, lenses: dict[str, Lens]) -> list[Image]:
    """All images, in order of their ids."""
    found: list[tuple[float, Image]] = []
    for n, line in _image_lines(file):
        where, row = f"{file}, line {n}", line.split(maxsplit=9)
        if len(row) < 10:
            raise ValueError(
                f"{where}: {len(row)} columns; expected IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, then a line of "
                "points (which may be empty)"
            )
        name, camera = row[9].strip(), row[8]
        if camera not in lenses:
            raise ValueError(f"{where}: image {name[:80]!r} uses camera {camera[:20]}, which cameras.txt does not have")
        w, x, y, z, *t = numbers(row[1:8], f"{where}, after the id")
        w2c = np.eye(4)
        w2c[:3, :3], w2c[:3, 3] = rotation_of([x, y, z, w], where), t
        found.append((number(row[0], f"{where}: the id"), Image(name, inverse(w2c, where), lenses[camera], where)))
    return [image for _, image in sorted(found, key=lambda item: item[0])]


def _image_lines(file: Path) -> Iterator[tuple[int, str]]:
    """The lines that describe images, without those of their 2D points.

    A line of points follows every image; it may be empty. People who write the file by hand leave these lines out: what
    does not read as points then is the next image.
    """
    after_image = False
    for n, line in read_lines(file):
        if line.startswith("#"):
            continue
        if after_image and _is_points(line):
            after_image = False
        elif line.strip():
            yield n, line
            after_image = True


def _is_points(line: str) -> bool:
    """Whether the line is empty or begins and ends with points X Y POINT3D_ID. No line of an image does."""
    row = line.split()
    if len(row) % 3:
        return False
    try:
        [float(word) for word in (*row[:12], *row[-3:])]
        return all(int(point) >= -1 for point in row[2:12:3])
    except ValueError:
        return False


def write(recording: Recording, path: Path, width: int | None = None, height: int | None = None) -> Files:
    """A model folder without points; images that share their intrinsics share a PINHOLE camera.

    Images keep their names where reading these gives the same views and frames; otherwise they are called
    ``<view>/frame_00000.png``. A quaternion can only hold a rotation: matrices that drift from one (pose files do by
    about 1e-6) are replaced by the nearest rotation. Camera centres are kept.

    Raises:
        ValueError: no image size, or view names that cannot be part of a file name.
    """
    cameras = recording.cameras
    check_names(cameras, path)
    width, height = image_size(width, height, path)
    names = _names(recording, path)
    lens_ids: dict[tuple[float, ...], int] = {}
    images = []
    rotations = Rotation.from_matrix(cameras.c2w.numpy()[..., :3, :3].reshape(-1, 3, 3)).inv()
    translations = -rotations.apply(cameras.centers.reshape(-1, 3).numpy())
    quaternions = np.roll(rotations.as_quat(), 1, axis=-1)
    for i, (q, t) in enumerate(zip(quaternions, translations, strict=True)):
        view, frame = divmod(i, cameras.frames)
        lens = lens_ids.setdefault(tuple(cameras.intrinsics[view, frame].tolist()), len(lens_ids) + 1)
        images.append(f"{i + 1} {join([*q, *t])} {lens} {names[i]}\n\n")
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
    return {path / name: text.encode() for name, text in texts.items()}


def _names(recording: Recording, path: Path) -> list[str]:
    """Names of all images, view by view."""
    cameras = recording.cameras
    places = [(view, frame) for view in cameras.names for frame in range(cameras.frames)]
    kept = [name for view in recording.images for name in view]
    if kept and all(name.isprintable() and name.strip() == name for name in kept):
        try:
            if _places(kept, path, ReadOptions()) == places:
                return kept
        except ValueError:
            pass
    return [f"{view}/frame_{frame:05d}.png" for view, frame in places]


def matches(path: Path) -> bool:
    """Whether the folder holds a COLMAP model, text or binary (which :func:`read` then explains)."""
    return any((path / f"{name}.{kind}").is_file() for name in ("cameras", "images") for kind in ("txt", "bin"))
