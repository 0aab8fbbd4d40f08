"""Two-view geometry of synchronised cameras, and the attention bias made from it.

The released code softens the paper's mask (Eq. 4): the bias is 0 in a band around the epipolar line and falls
linearly outside; the band's half-width tau grows with the frame's largest pixel-to-line distance. Both kinds are here.
Where two cameras share a centre there is no epipolar line; a *pseudo line* of random slope through the pixel's image
under a homography replaces it (paper, Sec. 4.1, for first frames; Sec. 4.2, for homography training).

Pixels of the bias sit at integer positions (the first one at 0), as in the released code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from cvd_core.geometry.cameras import Cameras

Band = Literal["soft", "hard"]
Mask = Literal[Band, "none"]
"""A band, or no mask at all: every pixel may look at all of the other view, as in the paper's ablation."""

EPSILON = 1e-6
"""The released code's guard in both divisions. Our fundamental matrices are scaled so that it never matters."""
HARD_BIAS = -1e4
"""Bias outside a hard band: far below any score, finite in float16, so that a query without a key stays finite."""
SMALLEST_BASELINE = 1e-4
"""Baselines under this fraction of the rig's extent give no usable line: the parallax is far below a pixel."""
ROUNDING = 1e-6
"""Rounding of camera centres in files and float32 matrices, relative to their distance from the origin (or to 1)."""
FINEST_BAND = 0.01
"""Least half-width of a soft band in pixels: finer distances are rounding, as on a map of one pixel."""
FARTHEST_TARGET = 4.0
"""A homography that throws a pixel further out than this many image sizes has no partner to attend to."""


@dataclass(frozen=True, eq=False)
class PairGeometry:
    """How the pixels of one view map into a partner view, frame by frame.

    Attributes:
        fundamental: ``(F, 3, 3)`` with ``x'^T F x = 0`` for pixel x of the view and x' of the partner.
        homography: ``(F, 3, 3)`` pixel map used where ``degenerate``.
        degenerate: ``(F,)`` bool; frames without a baseline, where only pseudo lines exist.
    """

    fundamental: Tensor
    homography: Tensor
    degenerate: Tensor

    @property
    def frames(self) -> int:
        return self.degenerate.shape[0]

    @staticmethod
    def from_homographies(homography: Tensor) -> PairGeometry:
        """Pseudo lines only, through ``H x`` in every frame (training without cameras; paper, Sec. 4.2).

        Args:
            homography: ``(F, 3, 3)`` map from pixels of the view to pixels of the partner; identity matrices give
                lines through the pixel itself.
        """
        H = homography.to(torch.float64)
        return PairGeometry(torch.zeros_like(H), H, torch.ones(len(H), dtype=torch.bool, device=H.device))

    @staticmethod
    def from_fundamental(fundamental: Tensor) -> PairGeometry:
        """Given matrices, unscaled; the first frames of the views share their pose (paper, Sec. 4.1)."""
        F = fundamental.to(torch.float64)
        degenerate = torch.zeros(len(F), dtype=torch.bool, device=F.device)
        degenerate[0] = True
        return PairGeometry(F, torch.eye(3, dtype=F.dtype, device=F.device).expand_as(F), degenerate)


def smallest_baseline(cameras: Cameras) -> float:
    """Distance in world units below which two camera centres count as one.

    Judged against the rig's extent and the size of the coordinates that the poses were computed from
    (:attr:`.Cameras.magnitude`), so that rounding never makes a mask.
    """
    return max(SMALLEST_BASELINE * cameras.extent(), ROUNDING * max(cameras.magnitude, 1.0))


def pair_geometry(cameras: Cameras, view: int, partner: int, width: int, height: int) -> PairGeometry:
    """Fundamental matrices ``F = K'^-T [t]x R K^-1`` of a view and its partner, in pixels of a width x height image.

    ``(R, t)`` maps camera coordinates of ``view`` to those of ``partner``. Each F is scaled to give lines with unit
    normals on average over the image, so a bias does not depend on the unit of translations. Frames without a baseline
    get the infinite homography ``K' R K^-1``.
    """
    K = cameras.K(width, height)
    relative = cameras.w2c[partner] @ cameras.c2w[view]
    R, t = relative[:, :3, :3], relative[:, :3, 3]
    degenerate = (cameras.centers[view] - cameras.centers[partner]).norm(dim=-1) <= smallest_baseline(cameras)
    to_ray = torch.linalg.inv(K[view])
    homography = K[partner] @ R @ to_ray
    F = torch.linalg.inv(K[partner]).mT @ _cross_matrix(t) @ R @ to_ray
    corners = torch.tensor([[0.0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], dtype=F.dtype)
    normals = (corners @ F.mT)[..., :2].norm(dim=-1).mean(-1)
    F = F / normals.clamp(min=torch.finfo(F.dtype).tiny)[:, None, None]
    F[degenerate] = 0
    return PairGeometry(F, homography, degenerate)


def feature_pixels(width: int, height: int, w: int, h: int) -> Tensor:
    """``(h*w, 3)`` homogeneous image position of every pixel of a ``w`` x ``h`` feature map, row by row.

    Feature pixel i covers ``s = width / w`` image pixels and sits at their middle, ``s i + (s - 1) / 2``.
    """
    sx, sy = width / w, height / h
    x = torch.arange(w, dtype=torch.float64) * sx + (sx - 1) / 2
    y = torch.arange(h, dtype=torch.float64) * sy + (sy - 1) / 2
    return torch.stack([x.repeat(h), y.repeat_interleave(w), torch.ones(h * w, dtype=torch.float64)], -1)


def epipolar_lines(fundamental: Tensor, pixels: Tensor) -> Tensor:
    """``(..., N, 3)`` lines ``F x`` in the partner with (almost) unit normals, so that ``|l . x'|`` is in pixels.

    A pixel on the epipole has no line; its line comes out as zeros and forbids nothing.

    Args:
        fundamental: ``(..., 3, 3)``.
        pixels: ``(N, 3)`` homogeneous.
    """
    lines = pixels @ fundamental.mT
    return (lines / (lines[..., :2].norm(dim=-1, keepdim=True) + EPSILON)).nan_to_num(0, 0, 0)


def pseudo_lines(homography: Tensor, pixels: Tensor, angle: Tensor, width: int, height: int) -> Tensor:
    """Lines through ``H x`` whose unit normal makes ``angle`` (radians, from x towards y) with the x axis.

    Pixels that H sends behind the camera or far outside the partner's image have no counterpart; their line is zero.

    Args:
        homography: ``(..., 3, 3)`` pixel map.
        pixels: ``(N, 3)`` homogeneous with last coordinate 1.
        angle: ``(...)`` one angle per homography.

    Returns:
        ``(..., N, 3)``.
    """
    target = pixels @ homography.mT
    in_front = target[..., 2] > EPSILON
    xy = target[..., :2] / torch.where(in_front, target[..., 2], 1.0)[..., None]
    middle = torch.tensor([width / 2, height / 2], dtype=xy.dtype, device=xy.device)
    near = (xy - middle).norm(dim=-1) <= FARTHEST_TARGET * max(width, height)
    normal = torch.stack([angle.cos(), angle.sin()], -1)[..., None, :].to(xy).expand_as(xy)
    lines = torch.cat([normal, -(normal * xy).sum(-1, keepdim=True)], -1)
    return lines * (in_front & near)[..., None]


def soft_band(lines: Tensor, keys: Tensor, height: int, threshold: float) -> Tensor:
    """``(F,)`` half-width tau in pixels: ``threshold / (height // 2)`` of each frame's largest distance, if not tiny.

    Args:
        lines: ``(F, Q, 3)`` with unit normals.
        keys: ``(K, 3)`` homogeneous pixels of the partner, a grid row by row (:func:`feature_pixels`).
    """
    # The largest distance to a convex set of points is reached at a corner of it: no need to visit every key.
    largest = (lines @ _corners(keys).mT).abs().amax((-1, -2))
    return (threshold / (height // 2) * largest).clamp(min=FINEST_BAND)


def nearest_key(lines: Tensor, keys: Tensor, half_cell: float) -> Tensor:
    """``(F, Q)`` distance in pixels within which every line has a key: exact beside the grid, ``half_cell`` across it.

    Args:
        lines: ``(F, Q, 3)`` with unit normals.
        keys: ``(K, 3)``, as for :func:`soft_band`.
        half_cell: half the diagonal of a cell of the grid. A line across the grid crosses a cell, and is never further
            than that from all of its corners.
    """
    sides = lines @ _corners(keys).mT
    across = sides.amin(-1) * sides.amax(-1) <= 0
    return torch.where(across, half_cell, sides.abs().amin(-1))


def _corners(keys: Tensor) -> Tensor:
    """``(4, 3)`` corners of a grid of pixels in rows."""
    (left, top, one), (right, bottom, _) = keys[0], keys[-1]
    return torch.stack([left, top, one, right, top, one, left, bottom, one, right, bottom, one]).view(4, 3)


def soft_bias(lines: Tensor, keys: Tensor, tau: Tensor) -> Tensor:
    """``(F, Q, K)`` bias of the released code: ``-max(d - tau, 0) * 3 / tau``, d being pixels from line to key."""
    tau = tau[:, None, None]
    distance = (lines @ keys.mT).abs_()
    return distance.sub_(tau).clamp_(min=0).mul_(-3 / (tau + EPSILON))


def hard_bias(lines: Tensor, keys: Tensor, half_width: float) -> Tensor:
    """``(F, Q, K)`` bias of the paper's mask (Eq. 4): 0 within ``half_width`` pixels of the line, else closed."""
    return torch.where((lines @ keys.mT).abs_() <= half_width, 0.0, HARD_BIAS)


def about_center(homography: Tensor, width: int, height: int) -> Tensor:
    """A homography given about the middle of the image, as one on pixel coordinates: ``T H T^-1``."""
    T = torch.eye(3, dtype=torch.float64)
    T[0, 2], T[1, 2] = (width - 1) / 2, (height - 1) / 2
    return T @ homography.to(torch.float64) @ torch.linalg.inv(T)


def _cross_matrix(t: Tensor) -> Tensor:
    """``(..., 3)`` -> ``(..., 3, 3)`` with ``[t]x v = t x v``."""
    zero = torch.zeros_like(t[..., 0])
    x, y, z = t.unbind(-1)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
