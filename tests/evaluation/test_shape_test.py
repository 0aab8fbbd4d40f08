"""The shape test tells balls from cubes in renders, and notices videos that show the other shape, or nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cvd_core.evaluation.shape_test import ShapeClassifier, shape_test
from cvd_core.evaluation.truck_test import single_object_scenes
from cvd_core.scenes.paths import AXES, camera_paths
from cvd_core.scenes.render import film
from cvd_core.scenes.world import Scene

SCENES = single_object_scenes(24, 1)


@pytest.fixture(scope="module")
def classifier() -> ShapeClassifier:
    """Of sharp pictures, from fewer scenes."""
    return ShapeClassifier(lambda pictures: pictures, scenes=80)


def films(scenes: list[Scene]) -> torch.Tensor:
    amounts = np.zeros((len(scenes), len(AXES)))
    amounts[:, 0] = 0.5
    cameras = camera_paths(amounts, 3)
    return torch.cat([film(scene, cameras.select([i]), 64) for i, scene in enumerate(scenes)])


def test_renders_have_the_shapes_of_their_scenes(classifier: ShapeClassifier) -> None:
    test = shape_test(films(SCENES), SCENES, classifier)
    assert test.right == test.found
    assert test.fraction == 1
    assert sum(test.found.values()) >= 20
    assert sum(test.asked.values()) == 24


def test_a_model_that_makes_cubes_of_everything_has_one_half(classifier: ShapeClassifier) -> None:
    cubes = [replace(scene, shapes=("cube",)) for scene in SCENES]
    test = shape_test(films(cubes), SCENES, classifier)
    assert test.right["ball"] == 0
    assert test.right["cube"] == test.found["cube"] > 0
    assert test.fraction == 0.5


def test_videos_without_objects_have_no_fraction(classifier: ShapeClassifier) -> None:
    test = shape_test(torch.full((1, 3, 64, 64, 3), 200, dtype=torch.uint8), SCENES[:1], classifier)
    assert sum(test.found.values()) == 0
    assert np.isnan(test.fraction)


def test_what_does_not_fit_is_told(classifier: ShapeClassifier) -> None:
    videos = films(SCENES[:1])
    with pytest.raises(ValueError, match="1 videos of 2 scenes"):
        shape_test(videos, SCENES[:2], classifier)
    two = replace(SCENES[0], shapes=("ball", "cube"))
    with pytest.raises(ValueError, match="2 objects; expected one"):
        shape_test(videos, [two], classifier)
