"""Intrinsics of a ``transforms.json``: pixels, angles or both, for the file or for a frame, and what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from cvd_core.geometry.formats.lens import (
    agreed,
    checked_fractions,
    focal_of_angle,
    from_pixels,
    refuse_intrinsics,
    require_intrinsics,
)
from cvd_core.geometry.formats.options import Intrinsics, ReadOptions, Size
from cvd_core.geometry.formats.text import number

_FOCAL = {"x": ("fl_x", "camera_angle_x"), "y": ("fl_y", "camera_angle_y")}
_KEYS = ("w", "h", "cx", "cy", *_FOCAL["x"], *_FOCAL["y"])


class Lens(NamedTuple):
    """Normalised intrinsics, and the image size in pixels where the file states it."""

    intrinsics: Intrinsics
    size: Size | None


def read_lens(frame: dict[str, Any], top: dict[str, Any], options: ReadOptions, path: Path, where: str) -> Lens:
    """The lens of a frame; what the frame states goes before what the file does.

    Pixels are square where only one focal length is stated, and the principal point is the image centre where none is.
    ``camera_angle_x`` alone, as in the original NeRF files, leaves the aspect open: the size or the intrinsics have to
    be given, and agree with the angle.

    Raises:
        ValueError: naming what is missing, implausible, or contradicts something else.
    """
    stated = _statements(frame, top, where)
    size = _size(stated, where)
    used = size or options.size
    pixels = {key: value for key, value in stated.items() if key in {"fl_x", "fl_y", "cx", "cy"}}
    if used is None and pixels and options.intrinsics is None:
        found = ", ".join(f"{key} = {value:g}" for key, value in pixels.items())
        raise ValueError(
            f'{where}: {found} in pixels, but the image size "w" and "h" is missing; give the width and height of the '
            "images, or the intrinsics fx, fy, cx, cy"
        )
    fx, fy = (_focal(axis, stated, used, where) for axis in "xy")
    if fx is None and fy is None:
        if size is not None and options.intrinsics is None:
            raise ValueError(f'{where}: neither "fl_x" nor "camera_angle_x"; add the focal length in pixels as "fl_x"')
        lens = require_intrinsics(options, f'{where} (without the image size "w" and "h")')
        return Lens(lens, size)
    if options.intrinsics is not None:
        if size is not None or (fx and fy):
            refuse_intrinsics(options.intrinsics, path)
        return Lens(_given_beside_angle(options, fx, fy, where), size)
    if used is None and (fx is None or fy is None):
        axis, known, other = ("x", fx, "fy") if fx else ("y", fy, "fx")
        raise ValueError(
            f'{where}: "camera_angle_{axis}" = {stated[f"camera_angle_{axis}"]:g} gives f{axis} = {known:.4f}, but '
            f'{other} needs the aspect of the images, and the file has no "w" and "h"; give the width and '
            "height of the images"
        )
    aspect = used[0] / used[1] if used else 1.0
    fx = fx if fx is not None else (fy or 0.0) / aspect
    fy = fy if fy is not None else fx * aspect
    if used is None:
        return Lens(checked_fractions((fx, fy, 0.5, 0.5), where), None)
    w, h = used
    cx, cy = stated.get("cx", w / 2), stated.get("cy", h / 2)
    return Lens(from_pixels((fx * w, fy * h, cx, cy), used, where), size)


def _statements(frame: dict[str, Any], top: dict[str, Any], where: str) -> dict[str, float]:
    """Numbers by key. A frame that states an axis's focal length in one way overrides the file's in any way."""
    own = {key: value for key, value in frame.items() if value is not None}
    settings = dict(top)
    for both in _FOCAL.values():
        if any(key in own for key in both):
            settings = {key: value for key, value in settings.items() if key not in both}
    settings |= own
    return {key: number(settings[key], f"{where}.{key}") for key in _KEYS if settings.get(key) is not None}


def _size(stated: dict[str, float], where: str) -> Size | None:
    there = [key for key in ("w", "h") if key in stated]
    if len(there) == 1:
        missing = "h" if there == ["w"] else "w"
        raise ValueError(
            f'{where}: the image size has "{there[0]}" = {stated[there[0]]:g}, but no "{missing}"; add it, in pixels'
        )
    if not there:
        return None
    w, h = stated["w"], stated["h"]
    if min(w, h) <= 0:
        raise ValueError(f'{where}: image size "w" and "h" are {w:g} and {h:g}; expected positive numbers of pixels')
    return w, h


def _focal(axis: str, stated: dict[str, float], size: Size | None, where: str) -> float | None:
    """Focal length of an axis divided by the image side, from pixels and angle, which have to agree."""
    pixels, angle = _FOCAL[axis]
    statements = {}
    if pixels in stated and size is not None:
        side = size[axis == "y"]
        statements[f"{pixels} = {stated[pixels]:g} pixels of {side:g}"] = stated[pixels] / side
    if angle in stated:
        statements[f"{angle} = {stated[angle]:g}"] = focal_of_angle(stated[angle], angle, where)
    return agreed(statements, where)


def _given_beside_angle(options: ReadOptions, fx: float | None, fy: float | None, where: str) -> Intrinsics:
    """Intrinsics given by hand beside an angle in the file: a stated fact is never overridden."""
    given = require_intrinsics(options, where)
    for axis, stated, value in (("x", fx, given[0]), ("y", fy, given[1])):
        if stated is not None:
            agreed(
                {f"camera_angle_{axis}, f{axis} = {stated:.4f}": stated, f"the given f{axis} = {value:g}": value}, where
            )
    return given
