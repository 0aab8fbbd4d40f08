"""The truck test: objects of generated videos against those of renders under the same cameras."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cvd_core.evaluation.object_motion import MotionComparison, commanded_motion, compare_motion, observed_motion
from cvd_core.evaluation.objects import track_objects
from cvd_core.geometry.cameras import Cameras
from cvd_core.scenes.paths import AXES, camera_paths
from cvd_core.scenes.render import film
from cvd_core.scenes.world import OBJECT_COLOURS, Scene, random_scene

HELD_OUT = 7
"""Stream of scenes that no stage of training draws from."""
TYPICAL_DEPTH = 2.9
"""World units: the middle of where scenes have their objects. Scales commanded motion, of both kinds alike."""

Generate = Callable[[Cameras, list[str]], Tensor]
"""Cameras of V views and V prompts to ``(V, F, H, W, 3)`` uint8."""


@dataclass(frozen=True)
class TruckTest:
    """How objects move in generated videos and in renders of scenes of the same kind.

    Attributes:
        generated, real: against the commanded motion at a typical depth.
        size: width of generated objects over that of real ones, as the square root of mean areas in the first frames.
    """

    generated: MotionComparison
    real: MotionComparison
    size: float

    @property
    def ratio(self) -> float:
        """Generated over real motion: 1 is right, 0 ignores the camera."""
        return self.generated.fraction / self.real.fraction


def single_object_scenes(count: int, seed: int) -> list[Scene]:
    """Held-out static scenes with one object near the middle, so that it stays in sight."""
    scenes: list[Scene] = []
    index = 0
    while len(scenes) < count:
        scene = random_scene(np.random.default_rng((seed, HELD_OUT, index)), moving=False)
        index += 1
        if len(scene.shapes) == 1 and abs(scene.centers[0, 0] / scene.centers[0, 2]) < 0.25:
            scenes.append(scene)
    return scenes


def truck_test(
    generate: Generate, largest: Mapping[str, float], *, scenes: int, frames: int, size: int, seed: int = 0
) -> TruckTest:
    """Move the camera, half of the scenes to each side.

    Args:
        generate: the model under test, without exchange between views.
        largest: amounts over the clip by axis, alternating in sign, see :data:`cvd_core.scenes.paths.AXES`.
        scenes: number of held-out scenes, each generated once from its prompt.
        frames, size: F, and width and height of the videos.
        seed: of the scenes.
    """
    chosen = single_object_scenes(scenes, seed)
    amounts = np.zeros((scenes, len(AXES)))
    for axis, amount in largest.items():
        amounts[:, AXES.index(axis)] = [amount * (-1) ** i for i in range(scenes)]
    cameras = camera_paths(amounts, frames)
    videos = generate(cameras, [scene.prompt() for scene in chosen])
    renders = torch.cat([film(scene, cameras.select([i]), size) for i, scene in enumerate(chosen)])
    (generated, area), (real, real_area) = (_compare(v, cameras, chosen) for v in (videos, renders))
    return TruckTest(generated, real, (area / real_area) ** 0.5)


def _compare(videos: Tensor, cameras: Cameras, scenes: list[Scene]) -> tuple[MotionComparison, float]:
    """All videos ``(N, F, H, W, 3)``, each of one scene's only object, and the mean area of those in first frames."""
    observed, commanded, areas = [], [], []
    for i, scene in enumerate(scenes):
        colour = scene.colours[0]
        tracks = track_objects(videos[i : i + 1], {colour: OBJECT_COLOURS[colour]})
        areas.append(tracks.areas[:, 0])
        observed.append(observed_motion(tracks))
        commanded.append(commanded_motion(tracks, cameras.select([i]), TYPICAL_DEPTH))
    area = torch.cat(areas)
    return compare_motion(torch.cat(observed), torch.cat(commanded)), float(area[area > 0].mean())
