"""NumPy arrays: ``.npy`` with pose matrices, ``.npz`` with intrinsics and names as well.

What is written here is ``c2w``, ``intrinsics`` and ``names`` exactly as :class:`Cameras` holds them: OpenCV axes,
camera-to-world, normalised. Read are also the arrays that reconstruction tools save under names that say what they are:
``extrinsic`` (VGGT, Depth Anything 3: world-to-camera), ``cam_c2w`` (MegaSaM), ``cams2world`` (DUSt3R); with 3x3
intrinsic matrices in pixels, whose image size comes from the pictures in the file. Pickled objects are never loaded.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvd_core.geometry.cameras import check_count
from cvd_core.geometry.formats.lens import (
    are_fractions,
    checked_fractions,
    from_pixels,
    refuse_intrinsics,
    require_intrinsics,
)
from cvd_core.geometry.formats.npy import Header, is_numpy, read_arrays, read_headers
from cvd_core.geometry.formats.options import Convention, Intrinsics, ReadOptions, Size
from cvd_core.geometry.formats.output import Files, check_constant_intrinsics
from cvd_core.geometry.formats.poses import Matrix, Pose, camera_to_world, gather, pose_matrix
from cvd_core.geometry.formats.recording import Recording

_KNOWN: dict[str, Convention | None] = {
    **dict.fromkeys(
        ("c2w", "c2ws", "cam_c2w", "cam2world", "cams2world", "camera_to_world", "camera_to_worlds"), "c2w"
    ),
    **dict.fromkeys(("w2c", "w2cs", "world2cam", "world_to_camera", "extrinsic", "extrinsics"), "w2c"),
    **dict.fromkeys(("", "poses", "pose", "camera_poses", "cam_poses"), None),
}
"""Names of pose arrays, the most certain first, with what they mean; None where tools disagree."""
_INTRINSICS = ("intrinsics", "intrinsic", "K", "Ks", "cam_intrinsics", "camera_intrinsics")
_PICTURES = ("images", "image", "rgb", "rgbs", "frames", "video", "depths", "depth", "depth_map", "world_points")
"""Arrays whose shape tells the image size, the most certain first."""
_ALIKE = 1e-3


def read(path: Path, options: ReadOptions) -> Recording:
    """Cameras from matrices of shape ``(F, 4, 4)`` or ``(V, F, 4, 4)``; 3x4 matrices are completed.

    An .npz may hold intrinsics, ``(V, F, 4)``, ``(F, 4)`` for all views or ``(4,)`` for all cameras, or 3x3 matrices in
    the place of the 4; ``names`` ``(V,)``, ``times`` ``(V, F)`` in seconds, ``clips`` ``(V,)`` and ``images``
    ``(V, F)``. Without intrinsics in the file (always in an .npy) they have to be given.

    Raises:
        ValueError: not a NumPy file, a pickle, no matrices or several that contradict each other, other shapes or kinds
            of numbers, intrinsics missing (or given twice), or as :func:`gather`.
    """
    headers = read_headers(path)
    wanted = {*_KNOWN, *_INTRINSICS, "names", "times", "clips", "images", "width", "height"}
    too_large = {name for name in ("images",) if name in headers and headers[name].dtype.kind != "U"}
    arrays = read_arrays(path, wanted - too_large)
    c2w = _poses(arrays, headers, path, options)
    V, F = c2w.shape[:2]
    lenses, aspect = _lenses(arrays, headers, (V, F), path, options)
    names = _texts(arrays, "names", (V,), path)
    if names is None:
        names = np.array([f"view{v}" for v in range(V)])
    elif len(set(names.tolist())) < V:
        raise ValueError(f"{path}: names are {names.tolist()!r}; expected {V} different texts, one per view")
    images, clips = _texts(arrays, "images", (V, F), path), _texts(arrays, "clips", (V,), path)
    times = _floats(arrays["times"], f"{path}, times") if "times" in arrays else None
    if times is not None and times.shape != (V, F):
        raise ValueError(f"{path}: times have shape {times.shape}; expected {(V, F)}")
    return gather(
        [
            Pose(
                str(names[v]),
                f,
                c2w[v, f],
                lenses[v][f],
                f"{path}, view {v}, frame {f}",
                aspect,
                time=None if times is None else float(times[v, f]),
                image="" if images is None else str(images[v, f]),
                clip="" if clips is None else str(clips[v]),
            )
            for v in range(V)
            for f in range(F)
        ],
        path,
        options,
    )


def _poses(
    arrays: Mapping[str, NDArray[np.generic]], headers: Mapping[str, Header], path: Path, options: ReadOptions
) -> Matrix:
    """``(V, F, 4, 4)`` camera-to-world matrices of the pose arrays, which have to agree."""
    found = [name for name in _KNOWN if name in arrays]
    stated = [name for name in found if _KNOWN[name] or name == "" or options.convention]
    if not stated:
        hint = f"; {found[0]} may mean either, so give the `convention` (c2w or w2c)" if found else ""
        raise ValueError(
            f"{path} holds {sorted(headers)}; expected c2w (camera to world) or w2c, extrinsic (world to camera), and "
            f"perhaps intrinsics and names{hint}"
        )
    candidates = {name: _one_pose_array(arrays[name], name, path, options) for name in stated}
    (first, c2w), *others = candidates.items()
    for name, other in others:
        if other.shape != c2w.shape or not np.allclose(other, c2w, rtol=_ALIKE, atol=_ALIKE):
            raise ValueError(
                f"{path}: {first} (read as {_convention(first, options)}) and {name} (read as "
                f"{_convention(name, options)}) hold different poses; remove one of them"
            )
    return c2w


def _convention(name: str, options: ReadOptions) -> Convention:
    return options.convention or _KNOWN[name] or "c2w"


def _one_pose_array(array: NDArray[np.generic], name: str, path: Path, options: ReadOptions) -> Matrix:
    convention = _convention(name, options)
    if name in {"c2w", "w2c", "c2ws", "w2cs", "cam_c2w"} and not convention.startswith(str(_KNOWN[name])):
        raise ValueError(
            f"{path}: the matrices are called {name}, but {convention} was asked for; leave `convention` out"
        )
    label = name or "c2w"
    matrices = _floats(array, f"{path}, {label}")
    if matrices.ndim not in {3, 4} or matrices.shape[-2:] not in {(4, 4), (3, 4)} or 0 in matrices.shape:
        raise ValueError(
            f"{path}: {label} has shape {matrices.shape}; expected (frames, 4, 4) or (views, frames, 4, 4)"
        )
    matrices = matrices.reshape(-1, *matrices.shape[-3:])
    check_count(*matrices.shape[:2])
    out = np.empty((*matrices.shape[:2], 4, 4))
    for v, view in enumerate(matrices):
        for f, matrix in enumerate(view):
            where = f"{path}, view {v}, frame {f}"
            out[v, f] = camera_to_world(pose_matrix(matrix, where), convention, where)
    return out


def _lenses(
    arrays: Mapping[str, NDArray[np.generic]],
    headers: Mapping[str, Header],
    shape: tuple[int, int],
    path: Path,
    options: ReadOptions,
) -> tuple[list[list[Intrinsics]], float | None]:
    """Intrinsics of every view and frame, and the aspect of the images where it is known."""
    V, F = shape
    name = next((name for name in _INTRINSICS if name in arrays), None)
    if name is None:
        lens = require_intrinsics(options, path)
        return [[lens] * F] * V, None
    refuse_intrinsics(options.intrinsics, path)
    K = _floats(arrays[name], f"{path}, {name}")
    if K.shape[-2:] == (3, 3) and K.shape[:-2] in {(V, F), (F,), (1,), ()}:
        K = _from_matrices(K, f"{path}, {name}")
    elif K.shape not in {(V, F, 4), (F, 4), (4,)}:
        raise ValueError(
            f"{path}: {name} have shape {K.shape}; expected {(V, F, 4)}, {(F, 4)} or (4,), or 3x3 matrices instead of "
            "the 4 numbers"
        )
    K = np.broadcast_to(K if K.shape[:-1] != (1,) else K[0], (V, F, 4))
    if are_fractions(K[0, 0].tolist()):
        return [[checked_fractions(K[v, f].tolist(), f"{path}, {name}") for f in range(F)] for v in range(V)], None
    size = _image_size(arrays, headers, K, path, options)
    return [[from_pixels(K[v, f].tolist(), size, f"{path}, {name}") for f in range(F)] for v in range(V)], size[
        0
    ] / size[1]


def _from_matrices(K: Matrix, where: str) -> Matrix:
    """``(..., 4)`` fx, fy, cx, cy of ``(..., 3, 3)`` matrices."""
    zeros = K[..., (0, 1, 2, 2), (1, 0, 0, 1)]
    if not np.allclose(zeros, 0, atol=1e-3 * np.abs(K[..., 0, 0]).max(initial=0)) or not np.allclose(K[..., 2, 2], 1):
        raise ValueError(
            f"{where} is no matrix of a camera with rectangular pixels; expected fx 0 cx, 0 fy cy, 0 0 1 as its rows"
        )
    return K[..., (0, 1, 0, 1), (0, 1, 2, 2)]


def _image_size(
    arrays: Mapping[str, NDArray[np.generic]],
    headers: Mapping[str, Header],
    K: Matrix,
    path: Path,
    options: ReadOptions,
) -> Size:
    """Width and height: stated, those of pictures in the file, given, or twice the principal point (with a warning)."""
    if "width" in arrays and "height" in arrays and arrays["width"].size == arrays["height"].size == 1:
        w, h = (float(_floats(arrays[name], f"{path}, {name}").reshape(())) for name in ("width", "height"))
        return w, h
    for name in _PICTURES:
        if name in headers and (size := _picture_size(headers[name].shape)):
            return size
    if options.size:
        return options.size
    centers = K[..., 2:].reshape(-1, 2)
    w, h = (2 * centers[0]).round().tolist()
    poses = ", ".join(f"{name} ({_convention(name, options)})" for name in arrays if name in _KNOWN)
    if np.abs(centers - centers[0]).max() > 1 or min(w, h) < 1:
        raise ValueError(
            f"{path} holds {poses} and intrinsics in pixels, but no pictures that tell the image size; give the width "
            "and height of the images"
        )
    warnings.warn(
        f"{path} holds {poses} and intrinsics in pixels, but not the image size; {w:g} x {h:g} is assumed, twice the "
        "principal point. Give the width and height if the images have another size",
        UserWarning,
        stacklevel=2,
    )
    return w, h


def _picture_size(shape: tuple[int, ...]) -> Size | None:
    """Width and height of pictures ``(..., H, W)``, ``(..., H, W, channels)`` or ``(..., channels, H, W)``."""
    if len(shape) >= 4 and shape[-1] <= 4:
        shape = shape[:-1]
    return (float(shape[-1]), float(shape[-2])) if len(shape) >= 3 and min(shape[-2:]) > 4 else None


def _floats(array: NDArray[np.generic], where: str) -> Matrix:
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{where} holds {array.dtype}; expected real numbers")
    return array.astype(np.float64)


def _texts(
    arrays: Mapping[str, NDArray[np.generic]], name: str, shape: tuple[int, ...], path: Path
) -> NDArray[np.str_] | None:
    if name not in arrays:
        return None
    texts = arrays[name]
    if texts.dtype.kind != "U" or texts.shape != shape:
        raise ValueError(f"{path}: {name} are {texts.tolist()!r}; expected texts of shape {shape}")
    return texts.astype(np.str_)


def write(recording: Recording, path: Path, width: int | None = None, height: int | None = None) -> Files:
    """``.npz``: everything. ``.npy``: the ``(V, F, 4, 4)`` matrices alone. The image size is not used.

    Raises:
        ValueError: another extension, or an .npy when the intrinsics change between views or frames.
    """
    cameras, file = recording.cameras, io.BytesIO()
    if path.suffix.lower() == ".npy":
        check_constant_intrinsics(cameras, path, "write an .npz instead")
        np.save(file, cameras.c2w.numpy())
    elif path.suffix.lower() == ".npz":
        arrays: dict[str, Any] = {
            "c2w": cameras.c2w.numpy(),
            "intrinsics": cameras.intrinsics.numpy(),
            "names": np.array(cameras.names),
            "times": recording.times,
            "clips": np.array(recording.clips) if any(recording.clips) else None,
            "images": np.array(recording.images) if recording.images else None,
        }
        np.savez(file, **{name: array for name, array in arrays.items() if array is not None})
    else:
        raise ValueError(f"cannot write {path}: a NumPy file ends in .npy or .npz; rename it")
    return {path: file.getvalue()}


def matches(path: Path) -> bool:
    """Whether the file begins like an .npy or a zip file."""
    return is_numpy(path)
