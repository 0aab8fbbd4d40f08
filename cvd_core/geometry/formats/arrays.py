"""NumPy arrays: ``.npy`` with camera-to-world matrices, ``.npz`` with intrinsics and names as well.

OpenCV axes and normalised intrinsics, exactly as :class:`Cameras` holds them. Pickled objects are never loaded.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cvd_core.files import atomic_path
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats.poses import (
    Intrinsics,
    Matrix,
    Pose,
    check_constant_intrinsics,
    gather,
    pose_matrix,
    refuse_intrinsics,
    require_intrinsics,
)

_MAGIC = {".npy": b"\x93NUMPY", ".npz": b"PK\x03\x04"}


def read(path: Path, intrinsics: Intrinsics | None = None) -> Cameras:
    """Cameras from ``c2w`` of shape ``(F, 4, 4)`` or ``(V, F, 4, 4)``; 3x4 matrices are completed.

    An .npz may hold ``intrinsics``, ``(V, F, 4)``, ``(F, 4)`` for all views or ``(4,)`` for all cameras, and ``names``
    ``(V,)``. Without intrinsics in the file (always in an .npy) the argument is required.

    Raises:
        ValueError: not a NumPy file, a pickle, no ``c2w``, other shapes or kinds of numbers, intrinsics missing (or
            given twice), or as :func:`gather`.
    """
    arrays = _load(path)
    if "c2w" not in arrays:
        raise ValueError(f"{path} holds {sorted(arrays)}; expected c2w, and perhaps intrinsics and names")
    c2w = _floats(arrays["c2w"], f"{path}, c2w")
    if c2w.ndim not in {3, 4} or c2w.shape[-2:] not in {(4, 4), (3, 4)} or 0 in c2w.shape:
        raise ValueError(f"{path}: c2w has shape {c2w.shape}; expected (frames, 4, 4) or (views, frames, 4, 4)")
    c2w = c2w.reshape(-1, *c2w.shape[-3:])
    V, F = c2w.shape[:2]
    if "intrinsics" in arrays:
        refuse_intrinsics(intrinsics, path)
        K = _floats(arrays["intrinsics"], f"{path}, intrinsics")
        if K.shape not in {(V, F, 4), (F, 4), (4,)}:
            raise ValueError(f"{path}: intrinsics have shape {K.shape}; expected {(V, F, 4)}, {(F, 4)} or (4,)")
    else:
        K = np.array(require_intrinsics(intrinsics, path))
    K = np.broadcast_to(K, (V, F, 4))
    names = arrays.get("names", np.array([f"view{v}" for v in range(V)]))
    if names.dtype.kind != "U" or names.shape != (V,) or len(set(names.tolist())) < V:
        raise ValueError(f"{path}: names are {names.tolist()!r}; expected {V} different texts, one per view")
    return gather(
        [
            Pose(str(names[v]), f, pose_matrix(c2w[v, f], place), tuple(K[v, f].tolist()), place)
            for v in range(V)
            for f, place in ((f, f"{path}, view {v}, frame {f}") for f in range(F))
        ],
        path,
    )


def _load(path: Path) -> dict[str, NDArray[np.generic]]:
    """Arrays of the file by name; the one of an .npy is called c2w."""
    try:
        if matches(path):
            loaded = np.load(path, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"c2w": loaded}
            with loaded:
                return {name: np.asarray(loaded[name]) for name in loaded.files}
    except Exception as error:  # besides ValueError: errors of the tokenizer, of zip, of memory for a made-up size
        if "allow_pickle" in str(error):
            raise ValueError(
                f"{path} holds Python objects (a pickle), which are not loaded because they can run code; save "
                "plain arrays of numbers"
            ) from error
        raise ValueError(f"cannot read {path}: {error}; the file may be cut short") from error
    raise ValueError(f"{path} is not a NumPy file; expected an .npy or .npz with camera-to-world matrices")


def _floats(array: NDArray[np.generic], where: str) -> Matrix:
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{where} holds {array.dtype}; expected real numbers")
    return array.astype(np.float64)


def write(cameras: Cameras, path: Path, width: int | None = None, height: int | None = None) -> list[Path]:
    """``.npz``: everything. ``.npy``: the ``(V, F, 4, 4)`` matrices alone. The image size is not used.

    Raises:
        ValueError: another extension, or an .npy when the intrinsics change between views or frames.
    """
    if path.suffix.lower() not in _MAGIC:
        raise ValueError(f"cannot write {path}: a NumPy file ends in .npy or .npz; rename it")
    if path.suffix.lower() == ".npy":
        check_constant_intrinsics(cameras, path, "write an .npz instead")
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        if path.suffix.lower() == ".npy":
            np.save(file, cameras.c2w.numpy())
        else:
            np.savez(
                file,
                c2w=cameras.c2w.numpy(),
                intrinsics=cameras.intrinsics.numpy(),
                names=np.array(cameras.names),
            )
    return [path]


def matches(path: Path) -> bool:
    """Whether the file begins like an .npy or a zip file."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(8).startswith(tuple(_MAGIC.values()))
