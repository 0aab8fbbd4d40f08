"""The truck test tells generators that follow their cameras from those that do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from cvd_core.evaluation.truck_test import single_object_scenes, truck_test
from cvd_core.geometry.cameras import Cameras
from cvd_core.scenes.render import film

SCENES, FRAMES, SIZE = 6, 4, 64


def renderer(change: Callable[[Cameras], Cameras]) -> Callable[[Cameras, list[str]], Tensor]:
    """A "model" that knows the scenes, and sees them through changed cameras."""
    scenes = single_object_scenes(SCENES, 0)

    def generate(cameras: Cameras, prompts: list[str]) -> Tensor:
        assert prompts == [scene.prompt() for scene in scenes]
        changed = change(cameras)
        return torch.cat([film(scene, changed.select([i]), SIZE) for i, scene in enumerate(scenes)])

    return generate


def slower(cameras: Cameras) -> Cameras:
    c2w = cameras.c2w.clone()
    c2w[..., :3, 3] *= 0.5
    return replace(cameras, c2w=c2w)


def backwards(cameras: Cameras) -> Cameras:
    c2w = cameras.c2w.clone()
    c2w[..., :3, 3] *= -1
    return replace(cameras, c2w=c2w)


@pytest.mark.parametrize(
    ("change", "ratio"),
    [
        (lambda cameras: cameras, 1.0),
        (slower, 0.5),
        (backwards, -1.0),
        (lambda cameras: replace(cameras, c2w=torch.eye(4).expand_as(cameras.c2w)), 0.0),
    ],
)
def test_the_ratio_is_the_share_of_the_motion(change: Callable[[Cameras], Cameras], ratio: float) -> None:
    test = truck_test(renderer(change), {"truck": 0.8}, scenes=SCENES, frames=FRAMES, size=SIZE)
    assert test.ratio == pytest.approx(ratio, abs=0.12)
    assert test.real.fraction == pytest.approx(1, abs=0.25), "at a typical depth"
    assert test.real.right_sign == 1
    assert test.size == 1, "all start in one place"
    if ratio:
        assert np.sign(test.generated.correlation) == np.sign(ratio)
        assert test.generated.right_sign == (ratio > 0)


def closer(cameras: Cameras) -> Cameras:
    c2w = cameras.c2w.clone()
    c2w[..., 2, 3] += 0.7
    return replace(cameras, c2w=c2w)


def test_objects_that_are_too_large_are_told() -> None:
    test = truck_test(renderer(closer), {"truck": 0.8}, scenes=SCENES, frames=FRAMES, size=SIZE)
    assert 1.15 < test.size < 1.6


def unturned(cameras: Cameras) -> Cameras:
    """Moved as commanded, but never turned."""
    c2w = cameras.c2w.clone()
    c2w[..., :3, :3] = torch.eye(3)
    return replace(cameras, c2w=c2w)


def test_an_orbit_tells_who_does_not_turn() -> None:
    ratios = [
        truck_test(renderer(change), {"truck": 0.8, "pan": -8.0}, scenes=SCENES, frames=FRAMES, size=SIZE).ratio
        for change in (lambda cameras: cameras, unturned)
    ]
    assert ratios[0] == pytest.approx(1, abs=0.05)
    assert ratios[1] > 1.6
