"""Hypothesis strategies for geometry: rigs of cameras, images and feature maps of any shape."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cvd_core.geometry.cameras import Cameras

Motion = Literal["free", "shared start", "rotating", "identical"]

seeds = st.integers(0, 2**32 - 1)
rectangles = st.tuples(st.integers(8, 64), st.integers(8, 64)).map(lambda size: (8 * size[0], 8 * size[1]))
"""Width and height of an image in pixels: multiples of 8 from 64 to 512."""
maps = st.tuples(st.integers(1, 9), st.integers(1, 9))
"""``(h, w)`` of a feature map."""


def random_rig(seed: int, views: int, frames: int, motion: Motion = "free") -> Cameras:
    """Cameras near the origin that look along +z, each view with its own lens.

    Args:
        motion: ``free``: no two centres agree; ``shared start``: frame 0 of every view is the identity;
            ``rotating``: all centres at the origin; ``identical``: every view repeats the first, lens included.
    """
    rng = np.random.default_rng(seed)
    c2w = np.tile(np.eye(4), (views, frames, 1, 1))
    turns = Rotation.from_rotvec(rng.normal(scale=0.15, size=(views * frames, 3))).as_matrix()
    c2w[..., :3, :3] = turns.reshape(views, frames, 3, 3)
    c2w[..., :3, 3] = 0 if motion == "rotating" else rng.normal(scale=0.5, size=(views, frames, 3))
    lens = np.concatenate([rng.uniform(0.6, 1.8, (views, 1, 2)), rng.uniform(0.4, 0.6, (views, 1, 2))], -1)
    if motion == "shared start":
        c2w[:, 0] = np.eye(4)
    if motion == "identical":
        c2w[:], lens[:] = c2w[:1], lens[:1]
    return Cameras(torch.from_numpy(c2w), torch.from_numpy(lens.repeat(frames, 1)))


@st.composite
def rigs(
    draw: st.DrawFn, min_views: int = 1, max_views: int = 9, max_frames: int = 32, motion: Motion = "free"
) -> Cameras:
    """A :func:`random_rig` of ``min_views`` to ``max_views`` views and 1 to ``max_frames`` frames."""
    views = draw(st.integers(min_views, max_views))
    return random_rig(draw(seeds), views, draw(st.integers(1, max_frames)), motion)


def points_in_front(seed: int, count: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """``(count, 3)`` world points that every camera of a :func:`random_rig` sees in front of itself, mostly."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.uniform(-1, 1, count), rng.uniform(-1, 1, count), rng.uniform(4, 9, count)], -1)
