"""Random scenes of balls and cubes on a textured floor, and prompts that say a part of what is in them.

World: OpenCV axes (x right, y down, z forward). Every clip's first camera is the identity and stands ``height`` above
the floor, the plane y = height. Numbers are world units; a ball is about 1 across and 2 to 4 away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cvd_core.geometry.interpolation import Array

OBJECT_COLOURS = {
    "red": (0.86, 0.10, 0.08),
    "yellow": (0.95, 0.85, 0.08),
    "green": (0.08, 0.65, 0.14),
    "blue": (0.08, 0.22, 0.90),
    "purple": (0.62, 0.10, 0.78),
}
"""Saturated, so that an object can be found in a picture by its hue; floors and skies are pale."""
FLOOR_COLOURS = {"white": (0.86, 0.86, 0.84), "gray": (0.52, 0.53, 0.55), "brown": (0.52, 0.42, 0.34)}
SKY_COLOURS = {"pale": (0.72, 0.80, 0.90), "pink": (0.90, 0.74, 0.72), "dark": (0.16, 0.17, 0.24)}
SHAPES = ("ball", "cube")
FLOOR_PATTERNS = ("checkered", "striped")

SILENCE = 0.15
"""Fraction of scenes whose prompt does not mention the floor, and of those whose prompt does not mention the sky."""


@dataclass(frozen=True)
class Scene:
    """One scene. Arrays have one entry per object unless said otherwise.

    Attributes:
        shapes, colours: names of each object's shape and colour.
        floor, pattern, sky: names of the floor's colour and pattern and of the sky's colour.
        centers: ``(M, 3)`` at the first frame.
        velocities: ``(M, 3)`` world units per clip; zero for things that rest.
        radii: ``(M,)`` of a ball, or half the edge of a cube.
        yaw: ``(M,)`` rotation of a cube about the vertical, radians.
        object_rgb: ``(M, 3)`` in [0, 1].
        floor_rgb: ``(2, 3)`` the pattern's two tones.
        sky_rgb: ``(2, 3)`` at the horizon and at the zenith.
        height: of the first camera above the floor.
        pattern_scale: pattern periods per world unit.
        pattern_angle: radians about the vertical.
        pattern_phase: ``(2,)`` in periods.
        light: ``(3,)`` unit vector towards the light.
    """

    shapes: tuple[str, ...]
    colours: tuple[str, ...]
    floor: str
    pattern: str
    sky: str
    centers: Array
    velocities: Array
    radii: Array
    yaw: Array
    object_rgb: Array
    floor_rgb: Array
    sky_rgb: Array
    height: float
    pattern_scale: float
    pattern_angle: float
    pattern_phase: Array
    light: Array

    def prompt(self, *, floor: bool = True, sky: bool = True) -> str:
        """What a person would say: "a red ball and a blue cube on a gray checkered floor under a pale sky"."""
        text = " and ".join(f"a {colour} {shape}" for colour, shape in zip(self.colours, self.shapes, strict=True))
        if floor:
            text += f" on a {self.floor} {self.pattern} floor"
        return text + f" under a {self.sky} sky" if sky else text


LONGEST_PROMPT = 16
"""Words of the longest prompt: two objects, a floor and a sky."""


def vocabulary() -> list[str]:
    """Every word a prompt can hold."""
    words = {"a", "and", "on", "under", "floor", "sky", *SHAPES, *FLOOR_PATTERNS}
    return sorted(words | {*OBJECT_COLOURS, *FLOOR_COLOURS, *SKY_COLOURS})


def random_scene(rng: np.random.Generator, *, moving: bool) -> Scene:
    """A scene of one or two objects of different colours.

    Args:
        rng: decides everything.
        moving: give every object a velocity along the floor; otherwise all rest.
    """
    count = int(rng.integers(1, 3))
    colours = tuple(str(c) for c in rng.choice(list(OBJECT_COLOURS), count, replace=False))
    shapes = tuple(str(s) for s in rng.choice(SHAPES, count))
    floor, pattern, sky = (str(rng.choice(list(names))) for names in (FLOOR_COLOURS, FLOOR_PATTERNS, SKY_COLOURS))
    height = rng.uniform(0.7, 1.1)
    radii = rng.uniform(0.35, 0.6, count)
    centers = _places(rng, radii, height)
    heading, speed = rng.uniform(0, 2 * np.pi, count), rng.uniform(0.4, 1.2, count) * moving
    velocities = np.stack([np.cos(heading), np.zeros(count), np.sin(heading)], -1) * speed[:, None]
    tone = np.array(FLOOR_COLOURS[floor]) * rng.uniform(0.9, 1.1)
    contrast = rng.uniform(0.45, 0.6)
    horizon = np.array(SKY_COLOURS[sky]) * rng.uniform(0.92, 1.05)
    light = np.array([rng.uniform(-0.7, 0.7), -1.0, rng.uniform(-0.9, -0.1)])
    return Scene(
        shapes,
        colours,
        floor,
        pattern,
        sky,
        centers,
        velocities,
        radii,
        yaw=rng.uniform(0, np.pi / 2, count),
        object_rgb=np.clip([np.array(OBJECT_COLOURS[c]) + rng.normal(0, 0.02, 3) for c in colours], 0, 1),
        floor_rgb=np.clip([tone, tone * contrast], 0, 1),
        sky_rgb=np.clip([horizon, horizon * np.array([0.72, 0.78, 0.9])], 0, 1),
        height=float(height),
        pattern_scale=float(rng.uniform(0.55, 0.9)),
        pattern_angle=float(rng.uniform(0, np.pi)),
        pattern_phase=rng.uniform(0, 1, 2),
        light=light / np.linalg.norm(light),
    )


def random_prompt(scene: Scene, rng: np.random.Generator) -> str:
    """The scene's prompt, at times without the floor or the sky: what is not said is random."""
    says_floor, says_sky = rng.random(2) >= SILENCE
    return scene.prompt(floor=bool(says_floor), sky=bool(says_sky))


def _places(rng: np.random.Generator, radii: Array, height: float) -> Array:
    """``(M, 3)`` centres of objects on the floor, apart from each other, where the first camera sees them."""
    while True:
        depth = rng.uniform(2.0, 3.8, len(radii))
        x = rng.uniform(-0.38, 0.38, len(radii)) * depth
        gaps = np.hypot(np.diff(x), np.diff(depth))
        if not len(gaps) or gaps[0] > 1.5 * radii.sum():
            return np.stack([x, height - radii, depth], -1)
