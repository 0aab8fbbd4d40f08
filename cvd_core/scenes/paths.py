"""Random camera paths for procedural scenes: a few degrees of freedom, wide baselines, every path from the identity."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.interpolation import Array
from cvd_core.geometry.moves import DEFAULT_FOCAL

AXES = ("truck", "pedestal", "dolly", "tilt", "pan")
"""Amounts of a path: along x, y, z in world units; about x and y in degrees."""
SPREAD = {"truck": 1.5, "dolly": 1.0, "pan": 20.0}
"""Largest amounts of the paths that the small model in the package has learned."""


def random_amounts(rng: np.random.Generator, spread: Mapping[str, float]) -> Array:
    """``(5,)`` amounts in the order of :data:`AXES`.

    More than half of all paths use one axis; the others use two or three. Amounts are uniform from a quarter of the
    axis' spread to all of it, to either side: small motions teach little.

    Args:
        spread: largest amount by axis; axes left out rest.

    Raises:
        ValueError: an axis that does not exist, or none.
    """
    unknown = sorted(spread.keys() - set(AXES))
    if unknown or not spread:
        raise ValueError(f"camera axes {unknown or 'are empty'}; expected some of {', '.join(AXES)}")
    names = [axis for axis in AXES if axis in spread]
    used = min(int(rng.choice([1, 1, 1, 2, 2, 3])), len(names))
    amounts = np.zeros(len(AXES))
    for name in rng.choice(names, used, replace=False):
        amounts[AXES.index(name)] = spread[name] * rng.uniform(0.25, 1) * rng.choice([-1, 1]) / used**0.5
    return amounts


def camera_paths(amounts: Array, frames: int, focal: float = DEFAULT_FOCAL) -> Cameras:
    """One path per row of ``amounts`` ``(V, 5)``, at even speed from the identity to the full amount."""
    u = np.linspace(0, 1, frames)[None, :, None]
    steps = np.asarray(amounts)[:, None] * u  # (V, F, 5)
    c2w = np.tile(np.eye(4), (*steps.shape[:2], 1, 1))
    angles = np.stack([steps[..., 4], steps[..., 3]], -1).reshape(-1, 2)
    c2w[..., :3, :3] = Rotation.from_euler("YX", angles, degrees=True).as_matrix().reshape(*steps.shape[:2], 3, 3)
    c2w[..., :3, 3] = steps[..., :3]
    return Cameras(torch.from_numpy(c2w), lens(len(steps), frames, focal))


def lens(views: int, frames: int, focal: float = DEFAULT_FOCAL) -> Tensor:
    """``(V, F, 4)`` intrinsics of square pictures."""
    return torch.tensor([focal, focal, 0.5, 0.5], dtype=torch.float64).expand(views, frames, 4)
