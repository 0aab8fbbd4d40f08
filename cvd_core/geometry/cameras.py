"""The one camera type of the project: V views x F frames of calibrated pinhole cameras.

Convention (everything else lives only inside :mod:`cvd_core.geometry.formats`): OpenCV axes - x right, y down,
z forward -, camera-to-world matrices, float64, intrinsics normalised by image width and height. One world unit is
whatever the trajectory was made in; nothing here assumes metres.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

ROTATION_TOLERANCE = 1e-3
"""Largest entry of ``R^T R - I`` accepted: pose files carry 6 to 9 digits and drift by about 1e-6 from a rotation."""

FARTHEST = 1e12
"""Largest coordinate of a camera centre accepted; earth-centred ones in millimetres are below 1e10."""

MOST_CAMERAS = 200_000
"""Most cameras in one rig (views times frames); more is a mistake in the input, and would only fill the memory."""
_FEW, _EXACT = 1024, 8192
"""Among more points than the first, :meth:`Cameras.extent` looks for candidates; up to the second, it compares all."""


@dataclass(frozen=True, eq=False)
class Cameras:
    """Calibrated cameras of a rig.

    Args:
        c2w: ``(V, F, 4, 4)`` float64 camera-to-world matrices, OpenCV axes.
        intrinsics: ``(V, F, 4)`` float64 ``fx, fy, cx, cy``; fx and cx divided by the image width, fy and cy by the
            height.
        names: one label per view; empty means ``view0 ...``.
        magnitude: largest distance of a camera centre from the world's origin that the poses were computed from; at
            least that of the poses as they are. Rounding is judged against it: made relative to the first, the poses
            of a world whose coordinates are 1e3 keep the rounding errors of such coordinates.
        aspects: image width divided by height of every view's source, or None where pixels are square (the aspect is
            then ``fy / fx``); empty means None for all. :meth:`crop_to` needs it.

    Raises:
        ValueError: wrong shapes, non-finite numbers, a matrix whose 3x3 part is not a rotation or whose last row is not
            0 0 0 1, or a focal length that is not positive. The message names the view and frame.
    """

    c2w: Tensor
    intrinsics: Tensor
    names: tuple[str, ...] = ()
    magnitude: float = 0.0
    aspects: tuple[float | None, ...] = ()

    def __post_init__(self) -> None:
        c2w = torch.as_tensor(self.c2w).detach().to("cpu", torch.float64)
        intrinsics = torch.as_tensor(self.intrinsics).detach().to("cpu", torch.float64)
        if c2w.ndim != 4 or c2w.shape[-2:] != (4, 4) or 0 in c2w.shape:
            raise ValueError(f"camera matrices have shape {tuple(c2w.shape)}; expected (views, frames, 4, 4)")
        if intrinsics.shape != (*c2w.shape[:2], 4):
            raise ValueError(
                f"intrinsics have shape {tuple(intrinsics.shape)}; expected {(*c2w.shape[:2], 4)}: fx, fy, cx, cy for "
                "every view and frame"
            )
        names = tuple(self.names) or tuple(f"view{i}" for i in range(len(c2w)))
        if len(names) != len(c2w):
            raise ValueError(f"{len(names)} view names for {len(c2w)} views; give one name per view")
        for name in names:
            try:
                name.encode()
            except (AttributeError, UnicodeEncodeError) as error:
                raise ValueError(f"the view name {name!r} is not text that can be written; rename the view") from error
        aspects = tuple(self.aspects) or (None,) * len(c2w)
        if len(aspects) != len(c2w) or not all(map(_is_aspect, aspects)):
            raise ValueError(
                f"image aspects are {aspects}; expected width / height, or None, for each of {len(c2w)} views"
            )
        object.__setattr__(self, "c2w", c2w)
        object.__setattr__(self, "intrinsics", intrinsics)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "aspects", aspects)
        if fault := first_fault(c2w, intrinsics):
            view, frame, problem = fault
            raise ValueError(f"camera of {names[view]}, frame {frame}, {problem}")
        object.__setattr__(self, "magnitude", max(self.magnitude, float(self.centers.norm(dim=-1).max())))

    @property
    def views(self) -> int:
        return self.c2w.shape[0]

    @property
    def frames(self) -> int:
        return self.c2w.shape[1]

    @property
    def w2c(self) -> Tensor:
        """``(V, F, 4, 4)`` world-to-camera matrices."""
        R, t = self.c2w[..., :3, :3], self.c2w[..., :3, 3:]
        out = self.c2w.clone()
        out[..., :3, :3] = R.mT
        out[..., :3, 3:] = -R.mT @ t
        return out

    @property
    def centers(self) -> Tensor:
        """``(V, F, 3)`` camera centres in world units."""
        return self.c2w[..., :3, 3]

    def extent(self) -> float:
        """Largest distance between any two camera centres of the rig, in world units.

        Memory grows with the number of cameras, not with its square. Exact, except where more than 8192 centres lie
        about equally far out: then to within the spacing of neighbours on the path.
        """
        points = self.centers.reshape(-1, 3)
        if len(points) > _FEW:
            points = _outermost(points)
        # Not through a matrix product: far from the origin it would lose the small differences.
        return max(
            float(torch.cdist(part, points, compute_mode="donot_use_mm_for_euclid_dist").max())
            for part in points.split(_FEW)
        )

    def K(self, width: int, height: int) -> Tensor:
        """``(V, F, 3, 3)`` intrinsic matrices in pixels of a ``width`` x ``height`` image."""
        fx, fy, cx, cy = self.intrinsics.unbind(-1)
        K = torch.zeros(*self.intrinsics.shape[:2], 3, 3, dtype=torch.float64)
        K[..., 0, 0], K[..., 1, 1] = fx * width, fy * height
        K[..., 0, 2], K[..., 1, 2] = cx * width, cy * height
        K[..., 2, 2] = 1
        return K

    def crop_to(self, width: int, height: int) -> Cameras:
        """The same cameras seen through the largest centred window of aspect ``width : height``.

        A pose file states intrinsics of the source video, often 16:9. Used unchanged on a square image they squeeze
        the scene. The source's aspect is the view's entry in ``aspects``, or ``fy / fx`` (square pixels) without one;
        the wider side is cropped around the image centre, as CameraCtrl does. Pixels that were square still are.
        """
        fx, fy, cx, cy = self.intrinsics.unbind(-1)
        stated = torch.tensor([a or math.nan for a in self.aspects], dtype=torch.float64)[:, None]
        source = torch.where(stated.isnan(), fy / fx, stated)
        ratio = source / (width / height)  # > 1: the source is wider than the target
        sx, sy = ratio.clamp(min=1), (1 / ratio).clamp(min=1)
        cropped = torch.stack([fx * sx, fy * sy, 0.5 + (cx - 0.5) * sx, 0.5 + (cy - 0.5) * sy], -1)
        aspects = tuple(a and width / height for a in self.aspects)
        return replace(self, intrinsics=cropped, aspects=aspects)

    def relative_to_first(self) -> Cameras:
        """Each view's poses in the frame of its own first camera: frame 0 of every view becomes the identity.

        This is how CameraCtrl and CVD feed cameras to the network, and what makes the first frames of all views the
        same picture (CVD paper, Sec. 4). The magnitude stays.
        """
        relative = self.w2c[:, :1] @ self.c2w
        relative[:, 0] = torch.eye(4, dtype=torch.float64)  # exactly, so rounding never makes a baseline
        return replace(self, c2w=relative)

    def select(self, views: Sequence[int]) -> Cameras:
        """The cameras of ``views``, in that order."""
        index = list(views)
        return replace(
            self,
            c2w=self.c2w[index],
            intrinsics=self.intrinsics[index],
            names=tuple(self.names[i] for i in index),
            aspects=tuple(self.aspects[i] for i in index),
        )

    def frame(self, frame: int) -> Cameras:
        """All views at one moment, as cameras of one frame; ``frame`` counts from 0."""
        at = slice(frame, frame + 1)
        return replace(self, c2w=self.c2w[:, at], intrinsics=self.intrinsics[:, at])

    @staticmethod
    def concatenate(parts: Sequence[Cameras]) -> Cameras:
        """All views of ``parts`` in one set.

        Raises:
            ValueError: no parts, or different frame counts (the message lists them by view name).
        """
        if not parts:
            raise ValueError("no cameras given; expected at least one set")
        if len({p.frames for p in parts}) > 1:
            found = ", ".join(f"{p.names[0]}: {p.frames}" for p in parts)
            raise ValueError(
                f"trajectories have different numbers of frames ({found}); resample them to one length first"
            )
        names = [name for p in parts for name in p.names]
        if len(set(names)) < len(names):
            names = [f"view{i}" for i in range(len(names))]
        return Cameras(
            torch.cat([p.c2w for p in parts]),
            torch.cat([p.intrinsics for p in parts]),
            tuple(names),
            max(p.magnitude for p in parts),
            tuple(aspect for p in parts for aspect in p.aspects),
        )


def prepare_cameras(cameras: Cameras, width: int, height: int) -> Cameras:
    """Cameras as the networks expect them: square pixels at width x height, each path relative to its first pose."""
    return cameras.crop_to(width, height).relative_to_first()


def check_count(views: int, frames: int) -> None:
    """Refuse rigs beyond any sense before memory is taken for them.

    Raises:
        ValueError: more than :data:`MOST_CAMERAS` cameras.
    """
    if views * frames > MOST_CAMERAS:
        raise ValueError(
            f"{views:,} views of {frames:,} frames are {views * frames:,} cameras; expected {MOST_CAMERAS:,} at most, "
            "so use fewer views or frames"
        )


def first_fault(c2w: Tensor, intrinsics: Tensor) -> tuple[int, int, str] | None:
    """View, frame and what is wrong with the first camera that is unusable; None if all are fine.

    Args:
        c2w: ``(V, F, 4, 4)`` float64.
        intrinsics: ``(V, F, 4)`` float64.
    """
    R = c2w[..., :3, :3]
    error = (R.mT @ R - torch.eye(3, dtype=R.dtype)).abs().amax((-1, -2))
    last = torch.tensor([0.0, 0, 0, 1], dtype=torch.float64)
    rules = (
        (
            c2w.isfinite().all(-1).all(-1) & intrinsics.isfinite().all(-1),
            "holds NaN or infinity; every number of a camera must be finite",
        ),
        (
            (error <= ROTATION_TOLERANCE) & (torch.linalg.det(R) > 0),
            f"has a 3x3 part that is not a rotation (R^T R differs from I by more than {ROTATION_TOLERANCE:g}, or it "
            "mirrors); check the axes and that the matrix carries no scale",
        ),
        ((c2w[..., 3, :] == last).all(-1), "has a last row other than 0 0 0 1"),
        (
            (c2w[..., :3, 3].abs() <= FARTHEST).all(-1),
            f"is more than {FARTHEST:g} units from the origin, more than any scene has; scale the path",
        ),
        (
            (intrinsics[..., :2] > 0).all(-1),
            "has a focal length that is not positive; fx and fy are focal lengths divided by image width and height",
        ),
    )
    for ok, problem in rules:
        if not bool(ok.all()):
            view, frame = (~ok).nonzero()[0].tolist()
            return view, frame, problem
    return None


def _is_aspect(value: object) -> bool:
    return value is None or (isinstance(value, float) and 0 < value < math.inf)


def _outermost(points: Tensor) -> Tensor:
    """The points ``(N, 3)`` among which the two that are farthest apart are; a selection if there are too many."""
    center = (points.amax(0) + points.amin(0)) / 2
    radius = (points - center).norm(dim=-1)
    far = points[radius.argmax()]
    for _ in range(4):  # from one point to the farthest and on: a good lower bound
        distance = (points - far).norm(dim=-1)
        far = points[distance.argmax()]
    bound = float(distance.max())
    candidates = points[radius + radius.max() >= bound * (1 - 1e-12)]  # nearer to the centre, no pair reaches the bound
    if len(candidates) <= _EXACT:
        return candidates
    every = candidates[:: -(-len(candidates) // _EXACT)]
    return torch.cat([every, far[None], points[(points - far).norm(dim=-1).argmax()][None]])
