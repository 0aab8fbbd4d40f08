"""NumPy files without surprises: sizes are known from the headers before anything is unpacked; never a pickle."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from cvd_core.geometry.cameras import MOST_CAMERAS

T = TypeVar("T")
_NPY, _ZIP = b"\x93NUMPY", b"PK\x03\x04"
_MOST_BYTES = 32 * 8 * MOST_CAMERAS
"""Larger than any array of cameras: a 4x4 matrix of float64 for each of the most there may be, twice."""
_MOST_ARRAYS = 10_000


class Header(NamedTuple):
    """What an array's header says."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def is_numpy(path: Path) -> bool:
    """Whether the file begins like an .npy or a zip file."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(8).startswith((_NPY, _ZIP))


def read_headers(path: Path) -> dict[str, Header]:
    """Shape and type of every array by name; the one of an .npy is called "".

    Raises:
        ValueError: not a NumPy file, or damaged.
    """
    return dict(_each(path, lambda file, _: _header(file)))


def read_arrays(path: Path, names: set[str]) -> dict[str, NDArray[np.generic]]:
    """The arrays of these names that are there.

    Raises:
        ValueError: as :func:`read_headers`; an array of Python objects, or larger than arrays of cameras are.
    """

    def load(file: IO[bytes], name: str) -> NDArray[np.generic]:
        start = file.tell()
        header = _header(file)
        size = int(np.prod([float(n) for n in header.shape])) * header.dtype.itemsize
        if header.dtype.hasobject:
            raise ValueError(
                f"{path} holds Python objects (a pickle), which are not loaded because they can run code; save plain "
                "arrays of numbers"
            )
        if size > _MOST_BYTES:
            raise ValueError(
                f"{path}, {name or 'the array'} has shape {header.shape}, {size / 2**20:.0f} MiB; at most "
                f"{MOST_CAMERAS:,} cameras are read"
            )
        file.seek(start)
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))

    return dict(_each(path, load, names))


def _each(path: Path, use: Callable[[IO[bytes], str], T], names: set[str] | None = None) -> Iterator[tuple[str, T]]:
    with _damage_named(path), path.open("rb") as file:
        start = file.read(8)
        file.seek(0)
        if start.startswith(_NPY):
            if names is None or "" in names:
                yield "", use(file, "")
        elif start.startswith(_ZIP):
            with zipfile.ZipFile(file) as archive:
                members = archive.namelist()
                if len(members) > _MOST_ARRAYS:
                    raise ValueError(f"{path} holds {len(members)} arrays; pick a file of camera poses")
                for member in members:
                    name = member.removesuffix(".npy")
                    if names is None or name in names:
                        with archive.open(member) as part:
                            yield name, use(part, name)
        else:
            raise ValueError(f"{path} is not a NumPy file; expected an .npy or .npz with camera matrices")


def _header(file: IO[bytes]) -> Header:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if any(n < 0 for n in shape):
        raise ValueError(f"a negative size, {shape}")
    return Header(shape, dtype)


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Whatever NumPy, its tokenizer or the zip reader raise about damage, in one line with the path."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ValueError) and str(error).startswith(str(path)):
            raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"cannot read {path}: {reason}; the file may be cut short") from error
