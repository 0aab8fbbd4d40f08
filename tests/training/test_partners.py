"""The sync stage with several partners: who attends to whom, by which lines, and that pairs stay what they were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.epipolar import pair_geometry
from cvd_core.training.checkpoint import CHECKPOINT
from cvd_core.training.config import load_config
from cvd_core.training.sd15_trainer import Sd15Trainer
from cvd_core.training.sync_stage import SyncStage
from tests.training.small import small_config
from tests.training.stage_checks import assert_continues

VIEWS = 4


@pytest.fixture(scope="module", params=["deformed", "rendered"])
def trainer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sd15Trainer:
    config = small_config(tmp_path_factory.mktemp("run"))
    return Sd15Trainer(replace(config, data=replace(config.data, views=VIEWS, moving=request.param)), resume=True)


def new_stage(trainer: Sd15Trainer) -> SyncStage:
    """With modules that change something."""
    stage = Sd15Trainer(trainer.config, resume=True, source=trainer.source).stage("sync")
    assert isinstance(stage, SyncStage)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in stage.trained():
        if ".proj_out." in name:
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    return stage


def step_of(stage: SyncStage, views: int, *, static: bool) -> int:
    return next(step for step in range(200) if stage.views(step) == views and stage.on_static(step) == static)


def test_every_number_of_partners_occurs_alike(trainer: Sd15Trainer) -> None:
    stage = new_stage(trainer)
    drawn = [stage.views(step) for step in range(600)]
    assert set(drawn) == {2, 3, 4}
    assert all(150 < drawn.count(views) < 250 for views in (2, 3, 4))
    pairs = replace(trainer.config, data=replace(trainer.config.data, views=2))
    stage.config = pairs
    assert {stage.views(step) for step in range(50)} == {2}


@pytest.mark.parametrize("views", [2, 3, 4])
def test_all_views_of_a_clip_are_partners_along_their_true_lines(trainer: Sd15Trainer, views: int) -> None:
    stage = new_stage(trainer)
    batch = stage.batch(step_of(stage, views, static=True), range(2))
    assert len(batch["noisy"]) == 2 * views
    assert batch["timestep"].view(2, views).diff().abs().max() == 0
    partners = stage.context(batch).partners
    for view in range(2 * views):
        clip = view // views
        assert partners[view] == tuple(v for v in range(clip * views, (clip + 1) * views) if v != view)
    bias = stage.bias(batch)
    assert bias is not None
    cameras = Cameras(batch["c2w"], batch["intrinsics"])
    of_clip = cameras.select(range(views, 2 * views))
    for first in range(views):
        for second in range(views):
            if first != second:
                expected = pair_geometry(of_clip, first, second, 32, 32)
                found = bias._pair(views + first, views + second)
                assert torch.equal(found.fundamental, expected.fundamental)


@pytest.mark.parametrize("trainer", ["deformed"], indirect=True)
def test_deformed_copies_map_to_each_other(trainer: Sd15Trainer) -> None:
    """A point of the video, followed into one copy, lies in another where the map between the copies says."""
    stage = new_stage(trainer)
    batch = stage.batch(step_of(stage, 3, static=False), range(2))
    bias = stage.bias(batch)
    assert bias is not None
    assert bias.slope_per_frame
    point = torch.tensor([11.0, 17.0, 1.0], dtype=torch.float64)
    for first, second in ((0, 1), (1, 2), (2, 0)):
        there = batch["homography"][1] @ point  # (V, F, 3)
        followed = torch.einsum("fij,fj->fi", bias._pair(3 + first, 3 + second).homography, there[first])
        assert torch.allclose(followed / followed[:, 2:], there[second] / there[second, :, 2:], atol=1e-9)
    changed = {**batch, "target": torch.where(batch["valid"][:, None] == 0, 9.0, batch["target"])}
    assert torch.equal(stage(batch)["loss"], stage(changed)["loss"])


def test_rendered_moving_scenes_have_cameras(trainer: Sd15Trainer) -> None:
    stage = new_stage(trainer)
    batch = stage.batch(step_of(stage, 3, static=False), range(2))
    assert ("plucker" in batch) == ("c2w" in batch) == (trainer.config.data.moving == "rendered")
    bias = stage.bias(batch)
    assert bias is not None
    assert bool(bias._pair(0, 1).degenerate[1:].all()) == (trainer.config.data.moving == "deformed")


@pytest.mark.parametrize("static", [True, False])
def test_every_partner_counts(trainer: Sd15Trainer, static: bool) -> None:
    """One softmax over all: what the network makes of the first view depends on each of the others."""
    stage = new_stage(trainer).eval()
    batch = stage.batch(step_of(stage, 4, static=static), range(1))

    def output(noisy: Tensor) -> Tensor:
        text = stage.encode_text(batch["tokens"])
        features = stage.unet.encode_cameras(batch["plucker"]) if "plucker" in batch else None
        return stage.unet(noisy, batch["timestep"], text, features, stage.context(batch))[0]

    with torch.no_grad():
        plain = output(batch["noisy"])
        assert torch.equal(output(batch["noisy"]), plain)
        for view in (1, 2, 3):
            other = batch["noisy"].clone()
            other[view] += 1
            assert not torch.equal(output(other), plain)


def test_training_stops_and_continues_bit_equal(trainer: Sd15Trainer, tmp_path: Path) -> None:
    loop = replace(trainer.config.stages["sync"], steps=4, batch=2)
    whole, first, second = (new_stage(trainer) for _ in range(3))
    before = {name: value.clone() for name, value in whole.named_parameters() if not value.requires_grad}
    assert_continues(whole, first, second, loop, tmp_path, stop_after=2)
    assert (tmp_path / "parts" / CHECKPOINT).exists()
    after = dict(whole.named_parameters())
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_the_packaged_configurations_differ_from_pair_training_in_their_data_alone() -> None:
    ours, theirs = load_config("sd15-joint"), load_config("sd15")
    assert (ours.data.views, theirs.data.views) == (4, 2)
    assert ours.sync == theirs.sync
    assert replace(ours.data, views=2, clips=theirs.data.clips) == theirs.data


def test_the_mini_model_goes_on_with_data_of_the_kind_it_began_with() -> None:
    first, more = load_config("mini"), load_config("mini-continue")
    assert first.data == more.data
    assert first.data.views == 4
