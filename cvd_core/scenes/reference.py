"""One fixed scene to judge a camera path by, or to guide a model that takes a camera's motion from a video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from torch import Tensor

from cvd_core.geometry.cameras import Cameras, prepare_cameras
from cvd_core.scenes.render import render
from cvd_core.scenes.world import OBJECT_COLOURS, Scene

_OBJECTS = (
    ("ball", "red", (0.0, 0.2, 1.0), 0.3),
    ("cube", "blue", (-0.95, 0.2, 1.9), 0.3),
    ("cube", "purple", (1.05, 0.05, 2.3), 0.45),
    ("cube", "green", (0.62, 0.38, 0.75), 0.12),
    ("cube", "yellow", (-0.6, 0.41, 0.62), 0.09),
)
"""Shape, colour, center and radius; things stand where they do in the trajectory editor: the subject one unit ahead."""


def reference_scene() -> Scene:
    """A subject one unit in front of a camera at the origin, half a unit above the floor, and cubes around it."""
    colours = tuple(colour for _, colour, _, _ in _OBJECTS)
    light = np.array([-0.5, -1.0, -0.6])
    return Scene(
        shapes=tuple(shape for shape, *_ in _OBJECTS),
        colours=colours,
        floor="gray",
        pattern="checkered",
        sky="pale",
        centers=np.array([center for _, _, center, _ in _OBJECTS]),
        velocities=np.zeros((len(_OBJECTS), 3)),
        radii=np.array([radius for *_, radius in _OBJECTS]),
        yaw=np.linspace(0.0, 1.2, len(_OBJECTS)),
        object_rgb=np.array([OBJECT_COLOURS[colour] for colour in colours]),
        floor_rgb=np.array([[0.68, 0.69, 0.71], [0.36, 0.37, 0.40]]),
        sky_rgb=np.array([[0.80, 0.85, 0.92], [0.45, 0.60, 0.82]]),
        height=0.5,
        pattern_scale=1.0,
        pattern_angle=0.0,
        pattern_phase=np.zeros(2),
        light=light / np.linalg.norm(light),
    )


def film_path(path: Cameras, width: int, height: int, scale: float = 1.0) -> Iterator[Tensor]:
    """What a camera sees of the reference scene along a path, frame by frame: memory is that of one.

    Args:
        path: one view; taken relative to its first pose and cropped to the shape of the pictures.
        width, height: of the pictures in pixels.
        scale: world units of the scene per unit of the path.

    Yields:
        ``(H, W, 3)`` float32 RGB in 0..1.
    """
    scene, path = reference_scene(), prepare_cameras(path, width, height)
    c2w = path.c2w.clone()
    c2w[..., :3, 3] *= scale
    path = replace(path, c2w=c2w)
    for frame in range(path.frames):
        picture = render(scene, path.frame(frame), width, height)[0, 0]
        yield (picture / 2 + 0.5).movedim(0, -1)
