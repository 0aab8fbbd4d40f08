"""Between our world (y down, cameras look along +z) and that of three.js and glTF (y up, cameras look along -z)."""

from __future__ import annotations

import numpy as np

from cvd_core.geometry.formats.poses import OPENGL, Matrix


def to_y_up(c2w: Matrix) -> Matrix:
    """``(..., 4, 4)`` camera-to-world matrices from one world to the other; its own inverse.

    Both the world and the camera's axes turn by 180 degrees about x: p' = S p and R' = S R S with S = diag(1, -1, -1).
    """
    return np.asarray(OPENGL @ c2w @ OPENGL)
