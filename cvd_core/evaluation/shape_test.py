"""The shape test: do objects of generated videos have the shape that the prompt says?

Balls and cubes are told apart by a linear classifier of their outlines, which learns from renders that were blurred as
the model's autoencoder blurs: what such a classifier cannot tell in those, no generated picture can be blamed for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample

from cvd_core.evaluation.objects import hidden_in_part, largest_of_hue
from cvd_core.scenes.paths import AXES, camera_paths
from cvd_core.scenes.render import render
from cvd_core.scenes.world import OBJECT_COLOURS, Scene, random_scene
from cvd_core.video.clip import to_bytes

SHAPE_RENDERS = 9
"""Stream of the scenes that the classifier learns from; neither training nor other tests draw from it."""
CROP = 16
"""Pixels of an outline, along both sides."""
MARGIN = 1.3
"""Side of a crop over that of the object in it."""
RIDGE = 3.0
"""Of the least squares: crops are in [0, 1], and there are hundreds."""

Blur = Callable[[Tensor], Tensor]
"""``(N, 3, H, W)`` pictures in [-1, 1] to such pictures, through an autoencoder."""


@dataclass(frozen=True)
class ShapeTest:
    """How many objects of one colour per scene have the right shape.

    Attributes:
        right: found ones of the right shape, by the shape's name.
        found: objects that are seen whole in at least one frame, by the shape's name.
        asked: all of them, by the shape's name.
    """

    right: dict[str, int]
    found: dict[str, int]
    asked: dict[str, int]

    @property
    def fraction(self) -> float:
        """Right ones among those found, the mean of the shapes: a model that knows one shape alone has one half."""
        parts = [self.right[shape] / self.found[shape] for shape in self.found if self.found[shape]]
        return sum(parts) / len(parts) if parts else float("nan")


class ShapeClassifier:
    """Tells balls from cubes.

    Args:
        blur: pictures of the learned scenes as the model's autoencoder gives them back.
        scenes: how many to learn from.
        size: width and height of the pictures in pixels.
    """

    def __init__(self, blur: Blur, *, scenes: int = 800, size: int = 64) -> None:
        still = camera_paths(np.zeros((1, len(AXES))), 1)
        rows: list[NDArray[np.float64]] = []
        signs: list[float] = []
        index = 0
        while len(rows) < scenes:
            scene = random_scene(np.random.default_rng((SHAPE_RENDERS, index)), moving=False)
            index += 1
            if len(scene.shapes) > 1:
                continue
            (picture,) = to_bytes(blur(render(scene, still, size, size)[0]) / 2 + 0.5)
            outline = outline_of(picture.movedim(0, -1), OBJECT_COLOURS[scene.colours[0]])
            if outline is not None:
                rows.append(outline)
                signs.append(1.0 if scene.shapes[0] == "ball" else -1.0)
        x, y = np.stack(rows), np.array(signs)
        self.weights = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ y)

    def __call__(self, video: Tensor, colour: Sequence[float]) -> str | None:
        """The shape of the object of a colour in a video ``(F, H, W, 3)`` uint8, by the frames in which it is whole;
        None: in none of them."""
        outlines = [found for picture in video if (found := outline_of(picture, colour)) is not None]
        if not outlines:
            return None
        return "ball" if float(np.mean(np.stack(outlines) @ self.weights)) > 0 else "cube"


def outline_of(picture: Tensor, colour: Sequence[float]) -> NDArray[np.float64] | None:
    """Saturation around an object, cut to its size, and the logarithm of that size: ``(CROP**2 + 2,)``, the last one 1.

    Args:
        picture: ``(H, W, 3)`` uint8.
        colour: RGB in [0, 1] of the object.

    Returns:
        None where there is no such object, or not all of it.
    """
    rgb = picture.cpu().numpy() / 255.0
    mask = largest_of_hue(rgb, colour)
    if not mask.any() or hidden_in_part(mask, []):
        return None
    rows, columns = mask.nonzero()
    side = float(max(np.ptp(rows), np.ptp(columns)) + 1)
    middle = torch.tensor([columns.min() + columns.max(), rows.min() + rows.max()]) / 2
    saturation = torch.from_numpy((rgb.max(-1) - rgb.min(-1)) / rgb.max(-1).clip(0.1))
    steps = torch.linspace(-1, 1, CROP, dtype=torch.float64)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    at = middle + torch.stack([x, y], -1) * side / 2 * MARGIN
    height, width = mask.shape
    grid = 2 * at / torch.tensor([width - 1, height - 1]) - 1
    crop = grid_sample(saturation[None, None], grid[None], align_corners=True, padding_mode="border")
    return np.array([*crop.flatten().tolist(), np.log(side), 1.0])


def shape_test(videos: Tensor, scenes: Sequence[Scene], classifier: ShapeClassifier) -> ShapeTest:
    """Compare shapes with what the scenes say.

    Args:
        videos: ``(N, F, H, W, 3)`` uint8, one of each scene.
        scenes: N with one object each.

    Raises:
        ValueError: another number of videos, or a scene with several objects.
    """
    if len(videos) != len(scenes):
        raise ValueError(f"there are {len(videos)} videos of {len(scenes)} scenes; expected one of each")
    right, found, asked = ({"ball": 0, "cube": 0} for _ in range(3))
    for video, scene in zip(videos, scenes, strict=True):
        if len(scene.shapes) != 1:
            raise ValueError(f"a scene has {len(scene.shapes)} objects; expected one")
        (shape,), (colour,) = scene.shapes, scene.colours
        seen = classifier(video, OBJECT_COLOURS[colour])
        asked[shape] += 1
        found[shape] += seen is not None
        right[shape] += seen == shape
    return ShapeTest(right, found, asked)
