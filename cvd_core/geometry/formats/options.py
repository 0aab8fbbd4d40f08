"""What a person says about a camera file, beyond what is in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Intrinsics = tuple[float, float, float, float]
"""fx, fy, cx, cy; fx and cx divided by the image width, fy and cy by the height."""
Size = tuple[float, float]
"""Width and height of the images, in pixels."""
Convention = Literal["c2w", "w2c", "c2w-opengl", "w2c-opengl"]
"""What a pose matrix maps: camera to world or world to camera; the camera's axes are OpenCV's (x right, y down, z
forward) or OpenGL's (x right, y up, z backward)."""
CONVENTIONS: tuple[Convention, ...] = get_args(Convention)


@dataclass(frozen=True)
class ReadOptions:
    """How to read a file that does not say everything.

    Attributes:
        intrinsics: for files without any.
        size: of the images, for files that count in pixels but do not state it.
        convention: of the matrices, for formats that do not fix it.
        pinhole_only: refuse lens distortion instead of leaving it out.
        one_view: all pictures are one path, whatever their names and folders look like.
    """

    intrinsics: Intrinsics | None = None
    size: Size | None = None
    convention: Convention | None = None
    pinhole_only: bool = False
    one_view: bool = False
