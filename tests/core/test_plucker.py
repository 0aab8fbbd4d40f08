"""Plücker rays against kornia's unprojection, and what a Plücker line must satisfy."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia.geometry.camera import PinholeCamera
from torch import Tensor

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.plucker import camera_rays, plucker_embedding
from tests.core.strategies import random_rig, rigs

sizes = st.tuples(st.integers(1, 24), st.integers(1, 24))


def seen_points(cameras: Cameras, width: int, height: int, depth: float) -> Tensor:
    """``(V, F, H, W, 3)`` world point at ``depth`` behind the centre of every pixel, by kornia."""
    n = cameras.views * cameras.frames
    K = torch.eye(4, dtype=torch.float64).repeat(n, 1, 1)
    K[:, :3, :3] = cameras.K(width, height).flatten(0, 1)
    sides = (torch.full((n,), float(height)), torch.full((n,), float(width)))
    pinhole = PinholeCamera(K, torch.linalg.inv(cameras.c2w).flatten(0, 1), *sides)
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    pixels = torch.stack([columns, rows], -1).double().flatten(0, 1).expand(n, -1, -1)
    points = pinhole.unproject(pixels, torch.full((*pixels.shape[:2], 1), depth, dtype=torch.float64))
    return points.view(cameras.views, cameras.frames, height, width, 3)


@settings(deadline=None, max_examples=25)
@given(rigs(max_views=3, max_frames=5), sizes, st.floats(0.5, 50))
def test_every_point_of_the_ray_gives_the_same_embedding(cameras: Cameras, size: tuple[int, int], depth: float) -> None:
    """Oracle: kornia's point behind the pixel; its direction from the centre, and its moment about the origin."""
    points = seen_points(cameras, *size, depth)
    direction = torch.nn.functional.normalize(points - cameras.centers[:, :, None, None], dim=-1)
    moment = torch.linalg.cross(points, direction, dim=-1)
    expected = torch.cat([moment, direction], -1).permute(0, 1, 4, 2, 3)
    found = plucker_embedding(cameras, *size)
    assert found.shape == (cameras.views, cameras.frames, 6, size[1], size[0])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(rigs(max_views=3, max_frames=5), sizes)
def test_embedding_is_a_pluecker_line(cameras: Cameras, size: tuple[int, int]) -> None:
    moment, direction = plucker_embedding(cameras, *size).double().split(3, dim=2)
    torch.testing.assert_close(direction.norm(dim=2), torch.ones_like(direction[:, :, 0]), rtol=0, atol=1e-6)
    assert (moment * direction).sum(2).abs().max() < 1e-6
    origins, rays = camera_rays(cameras, *size)
    assert torch.equal(origins, cameras.centers)
    torch.testing.assert_close(rays.permute(0, 1, 4, 2, 3), direction, rtol=0, atol=1e-6)


def test_pixels_are_centred_at_one_half() -> None:
    """Principal point in the middle of a 5 x 3 image: the ray of pixel (2, 1) is the optical axis."""
    cameras = Cameras(torch.eye(4).view(1, 1, 4, 4), torch.tensor([1.0, 1, 0.5, 0.5]).view(1, 1, 4))
    direction = plucker_embedding(cameras, 5, 3)[0, 0, 3:]
    assert torch.equal(direction[:, 1, 2], torch.tensor([0.0, 0, 1]))
    corner = torch.tensor([0.5 / 5 - 0.5, 0.5 / 3 - 0.5, 1])
    torch.testing.assert_close(direction[:, 0, 0], corner / corner.norm())


def test_first_frames_of_relative_poses_have_no_moment() -> None:
    found = plucker_embedding(random_rig(0, 3, 4).relative_to_first(), 16, 8)
    assert (found[:, 0, :3] == 0).all()
    assert found[:, 1:, :3].abs().amax((2, 3, 4)).min() > 0.01
