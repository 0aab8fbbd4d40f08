"""Objects found by colour: where they were drawn, and whole only where nothing hides a part."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from cvd_core.evaluation.objects import track_objects
from cvd_core.scenes.render import film, project
from cvd_core.scenes.world import OBJECT_COLOURS
from tests.evaluation.scenes import paths, resting_scene

RED, BLUE, YELLOW = ({name: OBJECT_COLOURS[name]} for name in ("red", "blue", "yellow"))


def picture(*discs: tuple[float, float, float, str], size: int = 48) -> Tensor:
    """``(1, 1, size, size, 3)`` pale ground with discs x, y, radius, colour; later ones hide earlier ones."""
    image = torch.full((size, size, 3), 0.8)
    v, u = torch.meshgrid(torch.arange(size) + 0.5, torch.arange(size) + 0.5, indexing="ij")
    for x, y, radius, colour in discs:
        image[(u - x) ** 2 + (v - y) ** 2 <= radius**2] = torch.tensor(OBJECT_COLOURS[colour])
    return (image * 255).round().to(torch.uint8)[None, None]


def test_a_disc_is_where_it_was_drawn() -> None:
    tracks = track_objects(picture((20, 31, 7, "red")), RED)
    assert tracks.names == ("red",)
    torch.testing.assert_close(tracks.centers[0, 0, 0], torch.tensor([20.0, 31.0], dtype=torch.float64))
    assert tracks.areas.item() == pytest.approx(torch.pi * 49, rel=0.03)
    assert tracks.roundness.item() > 0.85
    torch.testing.assert_close(tracks.rgb[0, 0, 0].float(), torch.tensor(OBJECT_COLOURS["red"]), atol=0.003, rtol=0)
    assert tracks.whole.all()


def test_a_square_is_less_round_than_a_disc() -> None:
    square = picture()
    square[0, 0, 10:30, 10:30] = torch.tensor([220, 25, 20], dtype=torch.uint8)
    assert track_objects(square, RED).roundness.item() == pytest.approx(2 / torch.pi, abs=0.04)


def test_the_largest_region_counts() -> None:
    tracks = track_objects(picture((10, 10, 3, "red"), (34, 34, 6, "red")), RED)
    assert tracks.centers[0, 0, 0].tolist() == pytest.approx([34, 34])


@pytest.mark.parametrize("discs", [[], [(24, 24, 8, "blue")], [(24, 24, 1.1, "red")]])
def test_what_is_not_there_is_not_found(discs: list[tuple[float, float, float, str]]) -> None:
    tracks = track_objects(picture(*discs), RED)
    assert tracks.centers.isnan().all()
    assert not tracks.whole.any()
    assert not tracks.areas.any()


@pytest.mark.parametrize(
    ("discs", "whole"),
    [
        ([(20, 20, 6, "red"), (36, 36, 6, "blue")], [True, True]),
        ([(20, 20, 6, "red"), (28, 20, 6, "blue")], [False, False]),  # one hides a part of the other
        ([(3, 20, 6, "red"), (36, 36, 6, "blue")], [False, True]),  # cut by the edge
    ],
)
def test_whole(discs: list[tuple[float, float, float, str]], whole: list[bool]) -> None:
    assert track_objects(picture(*discs), RED | BLUE).whole[0, 0].tolist() == whole


def test_rendered_objects_are_found_where_they_project() -> None:
    errors = []
    for seed in range(6):
        scene, cameras = resting_scene(seed), paths([[0.8, 0, 0, 0, 0], [0, 0.2, 0, 0, 6]])
        tracks = track_objects(film(scene, cameras, 64), {name: OBJECT_COLOURS[name] for name in scene.colours})
        there = project(cameras, scene.centers, 64, 64) + 0.5
        errors.append((tracks.centers - there).norm(dim=-1)[tracks.whole])
    error = torch.cat(errors)
    assert len(error) > 40
    # A ball's outline is not centred on the image of its centre, by up to 2 pixels for the largest, nearest ones.
    assert error.mean() < 1.2
    assert error.max() < 3


@pytest.mark.parametrize(
    ("colours", "message"),
    [
        ({}, "no object colours"),
        ({"gray": (0.5, 0.5, 0.5)}, "gray is a grey"),
        (YELLOW | {"gold": (0.9, 0.75, 0.05)}, "yellow and gold have nearly the same hue"),
    ],
)
def test_colours_that_cannot_be_found(colours: Mapping[str, tuple[float, float, float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        track_objects(picture(), colours)


@pytest.mark.parametrize("videos", [torch.zeros(1, 8, 8, 3, dtype=torch.uint8), torch.zeros(1, 1, 8, 8, 3)])
def test_other_shapes_and_types(videos: Tensor) -> None:
    with pytest.raises(ValueError, match="expected uint8 of shape"):
        track_objects(videos, RED)
