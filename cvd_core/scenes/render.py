"""A small ray caster: exact pinhole pictures of procedural scenes, all pixels of all frames at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.interpolation import Array
from cvd_core.geometry.plucker import camera_rays
from cvd_core.scenes.world import Scene
from cvd_core.video.clip import to_bytes

SUPERSAMPLING = 2
"""Rays per pixel and axis."""
FOG_DISTANCE = 14.0
"""Where the floor has faded into the horizon to 1/e."""
FAR = 1e6
AMBIENT = 0.45


@torch.no_grad()
def render(scene: Scene, cameras: Cameras, width: int, height: int) -> Tensor:
    """Videos of a scene by synchronised cameras; frame f of F shows it at time f / (F - 1).

    Args:
        scene: what to see.
        cameras: V paths of F frames, in the scene's world (the first camera of a clip being the identity).
        width, height: of the pictures in pixels.

    Returns:
        ``(V, F, 3, H, W)`` float32 RGB in [-1, 1].
    """
    origins, directions = camera_rays(cameras, width * SUPERSAMPLING, height * SUPERSAMPLING)
    d = directions.float().movedim(-1, 0)  # (3, V, F, H, W)
    o = origins.float().movedim(-1, 0)[..., None, None]  # (3, V, F, 1, 1)
    time = torch.linspace(0, 1, cameras.frames)[:, None, None]
    centers = [
        [float(c) + float(v) * time for c, v in zip(center, velocity, strict=True)]
        for center, velocity in zip(scene.centers, scene.velocities, strict=True)
    ]
    pixel = 1 / (float(cameras.intrinsics[..., 0].mean()) * width)  # angle that one pixel covers
    colour, nearest = _background(scene, o, d, centers, pixel)
    for i, shape in enumerate(scene.shapes):
        local = [o[axis] - centers[i][axis] for axis in range(3)]
        if shape == "ball":
            distance, normal = _ball(local, d, float(scene.radii[i]))
        else:
            distance, normal = _cube(local, d, float(scene.radii[i]), float(scene.yaw[i]))
        diffuse = sum(n * float(axis) for n, axis in zip(normal, scene.light, strict=True))
        shade = AMBIENT + (1 - AMBIENT) * torch.as_tensor(diffuse).clamp(min=0)
        visible = distance < nearest
        for channel, value in enumerate(scene.object_rgb[i]):
            colour[channel] = torch.where(visible, shade * float(value), colour[channel])
        nearest = torch.where(visible, distance, nearest)
    picture = colour.movedim(0, 2)  # (V, F, 3, H, W)
    small = avg_pool2d(picture.flatten(0, 1), SUPERSAMPLING).unflatten(0, picture.shape[:2])
    return small.mul_(2).sub_(1).clamp_(-1, 1)


def _background(scene: Scene, o: Tensor, d: Tensor, centers: list[list[Tensor]], pixel: float) -> tuple[Tensor, Tensor]:
    """Colour ``(3, V, F, H, W)`` and distance ``(V, F, H, W)`` of floor and sky; the floor has the objects' shadows."""
    above = scene.height - o[1]
    distance = torch.where(d[1] > 1e-4, above / d[1].clamp(min=1e-4), FAR)
    x, z = o[0] + distance * d[0], o[2] + distance * d[2]
    weight = _pattern(scene, x, z, distance * pixel / d[1].clamp(min=1e-4))
    shadow = torch.ones_like(distance)
    for center, radius in zip(centers, scene.radii, strict=True):
        reach = ((x - center[0]) ** 2 + (z - center[2]) ** 2).sqrt() / float(radius)
        shadow *= 0.45 + 0.55 * ((reach - 0.5) / 0.9).clamp(0, 1)
    fog = (-distance / FOG_DISTANCE).exp()
    up = (-d[1]).clamp(min=0).mul(1.6).clamp(max=1)
    colour = torch.empty(3, *distance.shape)
    for channel in range(3):
        light, dark = (float(tone[channel]) for tone in scene.floor_rgb)
        horizon, zenith = (float(tone[channel]) for tone in scene.sky_rgb)
        floor = (dark + (light - dark) * weight) * shadow
        colour[channel] = torch.where(
            distance < FAR, horizon + (floor - horizon) * fog, horizon + (zenith - horizon) * up
        )
    return colour, distance


def _pattern(scene: Scene, x: Tensor, z: Tensor, along: Tensor) -> Tensor:
    """Weight in [0, 1] of the floor's first tone: a smooth pattern, faded where a pixel covers more than a period.

    Args:
        along: length of a pixel on the floor, away from the camera, in world units.
    """
    frequency = 2 * math.pi * scene.pattern_scale
    cos, sin = math.cos(scene.pattern_angle), math.sin(scene.pattern_angle)
    first = torch.sin(frequency * (cos * x + sin * z) + 2 * math.pi * float(scene.pattern_phase[0]))
    if scene.pattern == "checkered":
        first = first * torch.sin(frequency * (cos * z - sin * x) + 2 * math.pi * float(scene.pattern_phase[1]))
    blurred = frequency * 0.3 * along  # 0.3 pixels: standard deviation of a box filter of one pixel
    return 0.5 + 0.5 * torch.tanh(3 * first) * (-0.5 * blurred**2).exp()


def _ball(o: list[Tensor], d: Tensor, radius: float) -> tuple[Tensor, list[Tensor]]:
    """Distance along rays ``o + t d`` to a ball around 0, :data:`FAR` where they miss, and its normal."""
    b = sum((o[i] * d[i] for i in range(3)), torch.zeros(()))
    inside = b**2 - (sum((o[i] ** 2 for i in range(3)), torch.zeros(())) - radius**2)
    t = -b - inside.clamp(min=0).sqrt()
    distance = torch.where((inside > 0) & (t > 0), t, FAR)
    return distance, [(o[i] + t * d[i]) / radius for i in range(3)]


def _cube(o: list[Tensor], d: Tensor, half: float, yaw: float) -> tuple[Tensor, list[Tensor]]:
    """The same for a cube of edge 2 ``half`` turned by ``yaw`` about the vertical."""
    cos, sin = math.cos(yaw), math.sin(yaw)
    local = [cos * o[0] + sin * o[2], o[1], cos * o[2] - sin * o[0]]
    ray = [cos * d[0] + sin * d[2], d[1], cos * d[2] - sin * d[0]]
    entries, exits = [], []
    for start, step in zip(local, ray, strict=True):
        inverse = 1 / torch.where(step.abs() < 1e-6, 1e-6, step)
        middle, spread = -start * inverse, half * inverse.abs()
        entries.append(middle - spread)
        exits.append(middle + spread)
    enter = torch.maximum(torch.maximum(entries[0], entries[1]), entries[2])
    leave = torch.minimum(torch.minimum(exits[0], exits[1]), exits[2])
    distance = torch.where((enter < leave) & (enter > 0), enter, FAR)
    side = [(enter == entry) * -torch.sign(step) for entry, step in zip(entries, ray, strict=True)]
    return distance, [cos * side[0] - sin * side[2], side[1], sin * side[0] + cos * side[2]]


def film(scene: Scene, cameras: Cameras, size: int) -> Tensor:
    """Square renders as a pipeline gives videos: ``(V, F, size, size, 3)`` uint8."""
    return to_bytes(render(scene, cameras, size, size) / 2 + 0.5).movedim(2, -1)


def project(cameras: Cameras, points: Array, width: int, height: int) -> Tensor:
    """Where the cameras see world points.

    Args:
        points: ``(P, 3)``, or ``(F, P, 3)`` for points that move.

    Returns:
        ``(V, F, P, 2)`` pixels in which the first pixel's centre is 0, 0; meaningless for points behind the camera.
    """
    world = torch.as_tensor(points, dtype=torch.float64).expand(cameras.frames, -1, 3)
    w2c = cameras.w2c
    local = torch.einsum("vfij,fpj->vfpi", w2c[..., :3, :3], world) + w2c[..., None, :3, 3]
    image = torch.einsum("vfij,vfpj->vfpi", cameras.K(width, height), local)
    return image[..., :2] / image[..., 2:] - 0.5
