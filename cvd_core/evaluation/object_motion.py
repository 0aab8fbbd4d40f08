"""Whether videos follow their cameras: commanded against observed motion of resting objects (the truck test)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cvd_core.evaluation.cross_view import check_match
from cvd_core.evaluation.objects import ObjectTracks
from cvd_core.geometry.cameras import Cameras

SMALLEST_MOTION = 1.0
"""Pixels: a track whose commanded motion is smaller says nothing about direction."""


@dataclass(frozen=True)
class MotionComparison:
    """How tracks move against how they should.

    Attributes:
        fraction: of the commanded motion that is observed, least squares over all tracks and frames: 1 is exact, 0
            stands still, negative goes the wrong way.
        right_sign: fraction of tracks that move to the commanded side.
        correlation: Pearson's r between commanded and observed displacements, all frames, x and y together.
        tracks: how many were compared.
        missing: how many were not: without a whole object in the first and a later frame, or hardly any command.
    """

    fraction: float
    right_sign: float
    correlation: float
    tracks: int
    missing: int


def observed_motion(tracks: ObjectTracks) -> Tensor:
    """``(V, M, F, 2)`` displacement of every object from the first frame in pixels; NaN where it is not whole."""
    motion = tracks.centers - tracks.centers[:, :1]
    whole = tracks.whole & tracks.whole[:, :1]
    return torch.where(whole[..., None], motion, math.nan).transpose(1, 2)


def commanded_motion(tracks: ObjectTracks, cameras: Cameras, depth: float | Sequence[float]) -> Tensor:
    """What :func:`observed_motion` should be for objects at rest.

    Each object starts where it is seen in the first frame, ``depth`` in front of that camera.

    Args:
        depth: world units along the view axis, for all objects or one per object. Without a known scene a typical
            depth scales the fraction alone (for rotations not even that); sign and correlation stay.

    Returns:
        ``(V, M, F, 2)`` pixels; NaN where the object is not whole in the first frame or comes behind the camera.
    """
    check_match(tracks, cameras)
    z = torch.as_tensor(depth, dtype=torch.float64).expand(len(tracks.names))
    if bool((z <= 0).any()):
        raise ValueError(f"depth is {z.tolist()}; expected world units in front of the camera, above 0")
    K = cameras.K(tracks.width, tracks.height)
    start = torch.where(tracks.whole[:, 0, :, None], tracks.centers[:, 0], math.nan)  # (V, M, 2)
    pixels = torch.cat([start, torch.ones_like(start[..., :1])], -1)
    local = torch.einsum("vij,vmj->vmi", torch.linalg.inv(K[:, 0]), pixels) * z[:, None]
    relative = cameras.w2c @ cameras.c2w[:, :1]  # first camera to camera f
    moved = torch.einsum("vfij,vmj->vmfi", relative[..., :3, :3], local) + relative[:, None, :, :3, 3]
    image = torch.einsum("vfij,vmfj->vmfi", K, moved)
    there = torch.where(image[..., 2:] > 0, image[..., :2] / image[..., 2:], math.nan)
    return there - start[:, :, None]


def compare_motion(observed: Tensor, commanded: Tensor) -> MotionComparison:
    """Compare motions of any number of tracks, of one run or of many (concatenated).

    Args:
        observed, commanded: ``(..., F, 2)`` pixels from the first frame; NaN where unknown.

    Raises:
        ValueError: different shapes.
    """
    if observed.shape != commanded.shape or observed.ndim < 2 or observed.shape[-1] != 2:
        raise ValueError(
            f"observed motion has shape {tuple(observed.shape)}, commanded {tuple(commanded.shape)}; expected the same "
            "shape (tracks, frames, 2)"
        )
    o, c = observed.flatten(0, -3), commanded.flatten(0, -3)
    known = (o.isfinite() & c.isfinite()).all(-1, keepdim=True)
    o, c = torch.where(known, o, 0.0), torch.where(known, c, 0.0)
    usable = c.norm(dim=-1).amax(-1) >= SMALLEST_MOTION
    missing = int((~usable).sum())
    if not bool(usable.any()):
        return MotionComparison(math.nan, math.nan, math.nan, 0, missing)
    o, c, known = o[usable], c[usable], known[usable]
    along = (o * c).sum((-1, -2))
    later = known.clone()
    later[:, 0] = False  # the first frame is 0 by definition
    pairs = torch.stack([part[later.expand_as(part)] for part in (o, c)])
    still = float(pairs.std(1).min()) == 0
    return MotionComparison(
        fraction=float(along.sum() / (c**2).sum()),
        right_sign=float((along > 0).double().mean()),
        correlation=0.0 if still else float(torch.corrcoef(pairs)[0, 1]),
        tracks=len(o),
        missing=missing,
    )
