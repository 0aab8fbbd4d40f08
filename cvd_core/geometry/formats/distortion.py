"""Lens distortion: how far it moves a picture's corner. Poses do not depend on it, so that readers may leave it out.

The polynomial model of Brown and Conrady as OpenCV and COLMAP define it (COLMAP's camera models documentation; OpenCV's
calib3d, "Detailed Description"). Fisheye lenses follow other models: without the distortion there is nothing like a
pinhole camera left, so they are refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from cvd_core.geometry.formats.options import Intrinsics, Size

POLYNOMIAL = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
"""Coefficients by name, in OpenCV's order."""


def corner_shift(
    coefficients: Mapping[str, float], intrinsics: Intrinsics, size: Size, where: str, *, rational: bool = False
) -> float:
    """Pixels by which distortion moves the corner that it moves most.

    Args:
        coefficients: by the names in :data:`POLYNOMIAL`; those that are missing are 0.
        intrinsics: fx, fy, cx, cy as fractions of the image size.
        size: of the image, in pixels.
        where: place of the coefficients, for messages.
        rational: k4, k5 and k6 are the denominator's (OpenCV's full model); otherwise k4 is a fourth radial term.

    Raises:
        ValueError: a corner that would move by more than the picture's diagonal.
    """
    if not any(coefficients.values()):
        return 0.0
    k1, k2, p1, p2, k3, k4, k5, k6 = (coefficients.get(name, 0.0) for name in POLYNOMIAL)
    fx, fy, cx, cy = intrinsics
    shift = 0.0
    for corner_x, corner_y in ((0, 0), (1, 0), (0, 1), (1, 1)):
        x, y = (corner_x - cx) / fx, (corner_y - cy) / fy
        r = x * x + y * y
        numerator = 1 + r * (k1 + r * (k2 + r * (k3 + (0 if rational else r * k4))))
        denominator = 1 + r * (k4 + r * (k5 + r * k6)) if rational else 1.0
        radial = numerator / denominator - 1 if denominator else math.inf
        dx = x * radial + 2 * p1 * x * y + p2 * (r + 2 * x * x)
        dy = y * radial + p1 * (r + 2 * y * y) + 2 * p2 * x * y
        moved = math.hypot(dx * fx * size[0], dy * fy * size[1])
        shift = max(shift, moved if math.isfinite(moved) else math.inf)
    if shift > math.hypot(*size):
        stated = ", ".join(f"{name} = {value:g}" for name, value in coefficients.items() if value)
        raise ValueError(
            f"{where}: lens distortion {stated} would move a corner of the picture by {shift:.3g} pixels, farther than "
            "the picture is wide; check the coefficients"
        )
    return shift


def refuse_fisheye(model: object, where: str) -> None:
    """Refuse a camera model that is no pinhole with polynomial distortion.

    Raises:
        ValueError: always.
    """
    raise ValueError(
        f"{where}: camera model {model!r}; only pinhole cameras, with or without polynomial distortion, are supported. "
        "A fisheye or panoramic picture shows straight lines curved, which no pinhole camera does: undistort the "
        "images first (colmap image_undistorter), which gives new intrinsics"
    )
