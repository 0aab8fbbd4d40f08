"""Intrinsics of camera files: fractions of the image size or pixels, plausible, and free of contradictions.

Every reader comes through here: a number that cannot be what the format says it is - pixels where fractions are
expected, millimetres where pixels are - is refused, never taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from cvd_core.geometry.formats.options import Intrinsics, ReadOptions, Size

_SHORTEST, _LONGEST = 0.1, 100.0
"""Focal lengths divided by the image side: a field of view of 157 degrees, beyond any rectilinear lens, and one of 0.6
degrees, a 3600 mm lens on 35 mm film."""
_FARTHEST = (-1.0, 2.0)
"""Principal points as fractions of the image: a window as large as the image, right beside it."""
_AGREE = 0.02
"""Two statements of one focal length may differ by this much, relatively: angles are printed with two digits."""


def checked_fractions(values: Sequence[float], where: str, size: Size | None = None) -> Intrinsics:
    """fx, fy, cx, cy that are meant to be fractions of the image size.

    Args:
        values: the four numbers.
        where: their place, for messages.
        size: of the images; if it is known, pixels are converted.

    Raises:
        ValueError: they look like pixels (and no size is known), or cannot be those of a camera.
    """
    fx, fy, cx, cy = values
    if are_fractions(values):
        return fx, fy, cx, cy
    if max(cx, cy) > _FARTHEST[1] or max(fx, fy) > _LONGEST:
        if size is not None:
            return from_pixels(values, size, where)
        raise ValueError(
            f"{where}: fx, fy, cx, cy are {_join(values)}, which look like pixels; expected fractions of the image "
            "size (fx and cx divided by the width, fy and cy by the height), such as 0.475 0.844 0.5 0.5. "
            "Divide them, or give the width and height of the images"
        )
    _refuse_implausible((fx, fy, cx, cy), where, f"fx, fy, cx, cy are {_join(values)}")
    return fx, fy, cx, cy


def from_pixels(values: Sequence[float], size: Size, where: str) -> Intrinsics:
    """fx, fy, cx, cy in pixels, divided by the image size.

    Raises:
        ValueError: a size that is not positive, or numbers that cannot be those of a camera in pixels.
    """
    (fx, fy, cx, cy), (w, h) = values, size
    if min(w, h) <= 0:
        raise ValueError(f"{where}: the image size is {w:g} x {h:g}; expected a positive image size in pixels")
    if max(abs(cx), abs(cy)) <= 1 and min(w, h) > 8:
        raise ValueError(
            f"{where}: the principal point cx, cy is {cx:g}, {cy:g} pixels, in the corner of a {w:g} x {h:g} image; it "
            f"looks like a fraction or an offset from the centre. Expected pixels, such as {w / 2:g}, {h / 2:g}"
        )
    fractions = fx / w, fy / h, cx / w, cy / h
    _refuse_implausible(fractions, where, f"fx, fy, cx, cy are {_join(values)} pixels of a {w:g} x {h:g} image")
    return fractions


def are_fractions(values: Sequence[float]) -> bool:
    """Whether fx, fy, cx, cy are plausible as fractions of the image size. No pixels are."""
    fx, fy, cx, cy = values
    low, high = _FARTHEST
    return all(f <= 0 or _SHORTEST <= f <= _LONGEST for f in (fx, fy)) and all(low <= c <= high for c in (cx, cy))


def _refuse_implausible(fractions: Intrinsics, where: str, found: str) -> None:
    """Leaves focal lengths that are not positive to :class:`Cameras`, which names them."""
    for side, f in (("width", fractions[0]), ("height", fractions[1])):
        if f > 0 and not _SHORTEST <= f <= _LONGEST:
            hint = "millimetres or fractions in place of pixels" if f < _SHORTEST else "pixels of another image size"
            raise ValueError(
                f"{where}: {found}: a focal length of {f:.4g} times the image {side}, that is a field of view of "
                f"{field_of_view(f):.4g} degrees, is not plausible. Are these {hint}?"
            )
    for axis, c in (("x", fractions[2]), ("y", fractions[3])):
        if not _FARTHEST[0] <= c <= _FARTHEST[1]:
            raise ValueError(
                f"{where}: {found}: the principal point c{axis} is {c:.4g} image sides from the edge, far outside the "
                "image; expected about 0.5. Are the units right, and the image size?"
            )


def field_of_view(focal: float) -> float:
    """Degrees across an image side for a focal length divided by that side, the principal point in its middle."""
    return math.degrees(2 * math.atan(0.5 / focal))


def focal_of_angle(angle: float, name: str, where: str) -> float:
    """Focal length divided by the image side, of a field of view in radians.

    Raises:
        ValueError: no angle between 0 and pi.
    """
    if not 0 < angle < math.pi:
        raise ValueError(f'{where}: "{name}" is {angle:g}; expected a field of view in radians, between 0 and pi')
    return 0.5 / math.tan(angle / 2)


def agreed(statements: dict[str, float], where: str) -> float | None:
    """One focal length, divided by its image side, from all statements of it; None if there is none.

    Args:
        statements: by their words, such as ``"fl_x" = 500``.

    Raises:
        ValueError: two that disagree; the message names both, and what they mean.
    """
    (words, first), *others = statements.items() or (("", math.nan),)
    for other, value in others:
        if first > 0 and value > 0 and abs(first / value - 1) > _AGREE:
            raise ValueError(
                f"{where}: {words} and {other} contradict each other: fields of view of {field_of_view(first):.4g} and "
                f"{field_of_view(value):.4g} degrees. Correct one of them, or remove it"
            )
    return first if statements else None


def require_intrinsics(options: ReadOptions, place: Path | str) -> Intrinsics:
    """The intrinsics given by hand, for a file that has none.

    Raises:
        ValueError: none were given, or they are implausible.
    """
    if options.intrinsics is None:
        raise ValueError(
            f"{place} holds no intrinsics; give fx, fy, cx, cy (fx and cx divided by the image width, fy and cy by the "
            "height), for example 1.01 1.01 0.5 0.5 for a 24 mm lens on a square 23.76 mm sensor"
        )
    return checked_fractions(options.intrinsics, f"{place}, the intrinsics given by hand", options.size)


def refuse_intrinsics(intrinsics: Intrinsics | None, path: Path) -> None:
    """Refuse intrinsics given by hand for a file that states its own.

    Raises:
        ValueError: some were given.
    """
    if intrinsics is not None:
        raise ValueError(f"{path} states its own intrinsics; leave out the ones given by hand ({_join(intrinsics)})")


def _join(values: Sequence[float]) -> str:
    return " ".join(f"{value:.6g}" for value in values)
