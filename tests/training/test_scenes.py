"""Procedural scenes: the pictures agree with the cameras, and depend on their numbers alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cvd_core.geometry.cameras import Cameras
from cvd_core.scenes.paths import AXES, camera_paths, random_amounts
from cvd_core.scenes.render import project, render
from cvd_core.scenes.world import OBJECT_COLOURS, Scene, random_scene, vocabulary
from cvd_core.training.config_parts import DataConfig
from cvd_core.training.data.clips import procedural_views

SIZE = 96


def ball_scene(center: tuple[float, float, float], velocity: tuple[float, float, float] = (0, 0, 0)) -> Scene:
    """One red ball of radius 0.3 over a white floor."""
    return Scene(
        shapes=("ball",),
        colours=("red",),
        floor="white",
        pattern="checkered",
        sky="pale",
        centers=np.array([center]),
        velocities=np.array([velocity]),
        radii=np.array([0.3]),
        yaw=np.zeros(1),
        object_rgb=np.array([OBJECT_COLOURS["red"]]),
        floor_rgb=np.full((2, 3), 0.8),
        sky_rgb=np.full((2, 3), 0.8),
        height=2.0,
        pattern_scale=0.7,
        pattern_angle=0.4,
        pattern_phase=np.zeros(2),
        light=np.array([0.0, -1.0, 0.0]),
    )


def red_centroids(video: torch.Tensor) -> torch.Tensor:
    """``(F, 2)`` of ``(F, 3, H, W)``."""
    redness = (video[:, 0] - video[:, 1]).clamp(min=0.3) - 0.3
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    total = redness.sum((-1, -2))
    return torch.stack([(redness * x).sum((-1, -2)) / total, (redness * y).sum((-1, -2)) / total], -1)


@pytest.mark.parametrize("axis", AXES)
def test_a_ball_is_seen_where_the_camera_projects_it(axis: str) -> None:
    amounts = np.zeros((2, 5))
    amounts[:, AXES.index(axis)] = np.array([0.6, -0.6]) * (20 if axis in ("tilt", "pan") else 1)
    cameras = camera_paths(amounts, 3)
    scene = ball_scene((0.2, -0.1, 4.0))
    videos = render(scene, cameras, SIZE, SIZE)
    expected = project(cameras, scene.centers, SIZE, SIZE)[:, :, 0]
    for video, points in zip(videos, expected, strict=True):
        # Shading is even from above, and a ball's outline is almost centred on its centre.
        assert (red_centroids(video)[:, 0] - points[:, 0]).abs().max() < 0.6
        assert (red_centroids(video)[:, 1] - points[:, 1]).abs().max() < 3.0
    moved = (expected[0, -1] - expected[0, 0]).norm()
    assert moved > 2 or axis == "dolly"


def test_moving_objects_move_and_the_others_rest() -> None:
    still = camera_paths(np.zeros((1, 5)), 4)
    resting = render(ball_scene((0, 0, 3.0)), still, SIZE, SIZE)[0]
    assert torch.equal(resting[0], resting[-1])
    moving = render(ball_scene((0, 0, 3.0), (0.9, 0, 0)), still, SIZE, SIZE)[0]
    shift = red_centroids(moving)[-1, 0] - red_centroids(moving)[0, 0]
    focal = float(still.K(SIZE, SIZE)[0, 0, 0, 0])
    assert float(shift) == pytest.approx(focal * 0.9 / 3.0, abs=0.6)


def test_only_what_is_in_front_of_the_camera_is_seen() -> None:
    still = camera_paths(np.zeros((1, 5)), 1)
    picture = render(ball_scene((0, 0, 3.0)), still, SIZE, SIZE)[0, 0]
    assert picture[0, SIZE // 2, SIZE // 2] - picture[1, SIZE // 2, SIZE // 2] > 0.5
    behind = render(ball_scene((0, 0, -3.0)), still, SIZE, SIZE)[0, 0]
    assert (behind[0] - behind[1]).abs().max() < 0.05, "what is behind the camera is not seen"


def test_a_pair_depends_on_seed_epoch_and_index_alone() -> None:
    data = DataConfig(size=32, frames=4)
    first = [procedural_views(data, 3, 0, index)[0] for index in (0, 1, 2)]
    torch.manual_seed(5)
    again, _ = procedural_views(data, 3, 0, 1)
    assert torch.equal(first[1].videos, again.videos)
    assert first[1].prompt == again.prompt
    for other in (procedural_views(data, 4, 0, 1)[0], procedural_views(data, 3, 1, 1)[0], first[0]):
        assert not torch.equal(other.videos, again.videos)


def test_prompts_name_what_is_there_with_known_words() -> None:
    words = set(vocabulary())
    for index in range(30):
        scene = random_scene(np.random.default_rng(index), moving=bool(index % 2))
        prompt = scene.prompt()
        assert set(prompt.split()) <= words
        for colour, shape in zip(scene.colours, scene.shapes, strict=True):
            assert f"{colour} {shape}" in prompt
        assert bool(np.any(scene.velocities)) == bool(index % 2)
        assert np.allclose(scene.centers[:, 1] + scene.radii, scene.height), "everything stands on the floor"


def test_paths_start_at_the_identity_and_stay_within_their_spread() -> None:
    spread = {"truck": 1.5, "pan": 20.0}
    rng = np.random.default_rng(0)
    amounts = np.stack([random_amounts(rng, spread) for _ in range(200)])
    used = [AXES.index(name) for name in spread]
    assert (np.abs(amounts[:, used]) <= [1.5, 20.0]).all()
    assert not np.any(np.delete(amounts, used, axis=1))
    assert (np.count_nonzero(amounts, axis=1) >= 1).all()
    cameras = camera_paths(amounts, 5)
    assert isinstance(cameras, Cameras)
    assert torch.equal(cameras.c2w[:, 0], torch.eye(4, dtype=torch.float64).expand(200, 4, 4))
    with pytest.raises(ValueError, match="sideways"):
        random_amounts(rng, {"sideways": 1.0})
