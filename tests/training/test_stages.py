"""The stages: what they train, what their batches hold, and that a run can be stopped, continued and exported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from cvd_core.engine.model_paths import ModelPaths
from cvd_core.engine.sd15 import assemble as sd15
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.epipolar import pair_geometry
from cvd_core.sampling.settings import Settings
from cvd_core.scenes.paths import camera_paths
from cvd_core.training.checkpoint import load_checkpoint
from cvd_core.training.config_parts import SD15_STAGES, StageName
from cvd_core.training.noise import timesteps
from cvd_core.training.sd15_trainer import Sd15Trainer
from cvd_core.training.stage import Stage
from cvd_core.training.sync_stage import SyncStage
from cvd_core.training.video_stage import VideoStage
from tests.training.small import small_config
from tests.training.stage_checks import assert_continues, losses_of


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two steps a stage."""
    folder = tmp_path_factory.mktemp("run")
    Sd15Trainer(small_config(folder), resume=False).train()
    return folder


@pytest.fixture
def trainer(trained: Path) -> Sd15Trainer:
    trainer = Sd15Trainer(small_config(trained), resume=True)
    trainer.load()
    return trainer


def step_where(stage: VideoStage | SyncStage, cameras: bool) -> int:
    return next(step for step in range(100) if stage.on_static(step) == cameras)


def gradients(stage: Stage, step: int) -> dict[str, Tensor]:
    stage.zero_grad()
    stage(stage.batch(step, range(2)))["loss"].backward()
    return {name: p.grad for name, p in stage.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("cameras", [True, False])
def test_the_sync_stage_trains_the_sync_modules_and_nothing_else(trainer: Sd15Trainer, cameras: bool) -> None:
    stage = trainer.stage("sync")
    assert isinstance(stage, SyncStage)
    found = gradients(stage, step_where(stage, cameras))
    assert found
    assert all(name.startswith("unet.sync.") for name in found)
    assert {name for name, _ in stage.trained()} == set(found), "every sync parameter takes part"


@pytest.mark.parametrize("cameras", [True, False])
def test_the_video_stage_trains_camera_networks_where_there_are_cameras(trainer: Sd15Trainer, cameras: bool) -> None:
    stage = trainer.stage("video")
    assert isinstance(stage, VideoStage)
    found = gradients(stage, step_where(stage, cameras))
    assert any("motion_modules" in name for name in found)
    assert any(name.startswith("unet.pose_encoder") for name in found) == cameras
    assert any(name.startswith("unet.merges") for name in found) == cameras
    assert not any(name.startswith(("unet.sync", "text_encoder")) for name in found)


def test_the_camera_phase_has_the_true_geometry_of_its_pairs(trainer: Sd15Trainer) -> None:
    stage = trainer.stage("sync")
    assert isinstance(stage, SyncStage)
    batch = stage.batch(step_where(stage, True), range(3))
    assert batch["noisy"].shape == (6, 8, 3, 4, 4)
    assert batch["timestep"].view(3, 2).diff().abs().max() == 0, "one noise level per pair (paper, A.3.1)"
    assert torch.equal(batch["tokens"][0], batch["tokens"][1])
    assert bool((batch["valid"] == 1).all())
    bias = stage.bias(batch)
    assert bias is not None
    assert not bias.slope_per_frame
    cameras = Cameras(batch["c2w"], batch["intrinsics"])
    for view, partner in ((2, 3), (5, 4)):
        expected = pair_geometry(cameras.select([view, partner]), 0, 1, 32, 32)
        assert torch.equal(bias._pair(view, partner).fundamental, expected.fundamental)
    assert stage.context(batch).partners == {0: (1,), 1: (0,), 2: (3,), 3: (2,), 4: (5,), 5: (4,)}


def test_the_video_phase_has_pseudo_lines_through_the_homography_and_masks_what_is_unseen(trainer: Sd15Trainer) -> None:
    stage = trainer.stage("sync")
    assert isinstance(stage, SyncStage)
    batch = stage.batch(step_where(stage, False), range(3))
    assert "plucker" not in batch
    valid = batch["valid"].view(3, 2, 3, 4, 4)
    assert bool((valid[:, 0] == 1).all())
    assert bool((valid[:, 1] < 1).any())
    bias = stage.bias(batch)
    assert bias is not None
    assert bias.slope_per_frame
    there, back = bias._pair(2, 3), bias._pair(3, 2)
    assert torch.equal(there.homography, batch["homography"][1, 1])
    assert torch.allclose(there.homography @ back.homography, torch.eye(3, dtype=torch.float64), atol=1e-9)
    assert bool(there.degenerate.all())
    changed = {**batch, "target": torch.where(batch["valid"][:, None] == 0, 9.0, batch["target"])}
    assert torch.equal(stage(batch)["loss"], stage(changed)["loss"]), "no loss on what the copy cannot know"


def test_ablations_change_what_they_say(trainer: Sd15Trainer) -> None:
    stage = trainer.stage("sync")
    assert isinstance(stage, SyncStage)
    step = step_where(stage, False)
    changed = replace(stage.config.sync, homography=False, band="none", shared_timestep=False)
    stage.config = replace(stage.config, sync=changed)
    batch = stage.batch(step, range(3))
    assert stage.bias(batch) is None
    assert bool((batch["valid"] == 1).all())
    assert torch.equal(batch["homography"], torch.eye(3, dtype=torch.float64).expand(3, 2, 3, 3, 3))
    assert batch["timestep"].view(3, 2).diff().abs().max() > 0
    stage.config = replace(stage.config, sync=replace(changed, camera_share=1.0))
    assert all(stage.on_static(step) for step in range(50))


@pytest.mark.parametrize("name", ["images", "video", "sync"])
def test_a_fixed_batch_is_learned(trainer: Sd15Trainer, name: StageName) -> None:
    stage = trainer.stage(name)
    step = step_where(stage, True) if isinstance(stage, VideoStage | SyncStage) else 0
    batch = stage.batch(step, range(1))
    losses = losses_of(stage, batch, steps=50, learning_rate=4e-3)
    # The frozen networks of a model that is hardly trained limit what sync modules can do.
    assert losses[-1] < (0.6 if name == "sync" else 0.3) * losses[0]


@pytest.mark.parametrize("name", SD15_STAGES)
def test_every_stage_continues_bit_equal(trained: Path, tmp_path: Path, name: StageName) -> None:
    def new_stage() -> Stage:
        trainer = Sd15Trainer(small_config(trained), resume=True)
        trainer.load()
        return trainer.stage(name)

    loop = replace(small_config(trained).stages[name], steps=4)
    whole, first, second = new_stage(), new_stage(), new_stage()
    assert_continues(whole, first, second, loop, tmp_path, stop_after=2)
    ends = [load_checkpoint(tmp_path / part / "checkpoint.pt") for part in ("whole", "parts")]
    assert all(torch.equal(value, ends[1].average[key]) for key, value in ends[0].average.items())


def test_the_exported_model_generates_what_the_trained_one_does(trainer: Sd15Trainer, tmp_path: Path) -> None:
    trainer.export(tmp_path, torch.float32)
    motion, camera, sync = (tmp_path / f"{name}.safetensors" for name in ("motion", "camera", "sync"))
    pipeline = sd15.load(ModelPaths(tmp_path / "base", motion, camera, sync))
    denoiser = trainer.denoiser
    assert pipeline.unet.prediction == "v_prediction"
    for part in ("unet", "pose_encoder", "merges", "sync"):
        ours, theirs = getattr(denoiser, part).state_dict(), getattr(pipeline.unet, part).state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    cameras = camera_paths(torch.eye(5).numpy()[:2], 3)
    settings = Settings(("a red ball and a blue cube",), width=64, height=64, steps=2, guidance=2.0)
    videos = pipeline.generate(cameras, settings)
    assert videos.shape == (2, 3, 64, 64, 3)


def test_a_shift_prefers_noise() -> None:
    u = torch.linspace(0, 0.999, 1000)
    assert torch.equal(timesteps(u, 1.0), (1000 * u).long())
    shifted = timesteps(u, 3.0)
    assert bool((shifted.diff() >= 0).all())
    assert (int(shifted[0]), int(shifted[-1])) == (0, 999)
    assert float((shifted > 500).float().mean()) == pytest.approx(0.75, abs=0.01)


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_half_precision_without_a_gpu_is_refused_before_data_is_made(tmp_path: Path) -> None:
    trainer = Sd15Trainer(replace(small_config(tmp_path), precision="fp16"), resume=False)
    with pytest.raises(ValueError, match="`precision: fp16`, which takes a GPU"):
        trainer.train()
    assert not (tmp_path / "latents").exists()


def test_training_goes_on_from_an_exported_model(trainer: Sd15Trainer, trained: Path, tmp_path: Path) -> None:
    trainer.export(tmp_path / "model", torch.float32)
    config = small_config(tmp_path / "more")
    config = replace(config, start_from=tmp_path / "model", stages={"sync": config.stages["sync"]})
    more = Sd15Trainer(config, resume=False)
    for part in ("unet", "pose_encoder", "merges", "sync"):
        ours, theirs = getattr(trainer.denoiser, part).state_dict(), getattr(more.denoiser, part).state_dict()
        assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    more.train()
    more.export(tmp_path / "again", torch.float32)
    names = [{p.relative_to(d) for p in d.rglob("*") if p.is_file()} for d in (tmp_path / "model", tmp_path / "again")]
    assert names[0] == names[1]
    with pytest.raises(ValueError, match="predicts 'v_prediction', the configuration says 'epsilon'"):
        Sd15Trainer(replace(config, noise=replace(config.noise, prediction="epsilon")), resume=True).train()
    (tmp_path / "model" / "sync.safetensors").unlink()
    fresh = Sd15Trainer(config, resume=True).denoiser.sync
    assert fresh is not None
    assert all(not bool(p.any()) for name, p in fresh.named_parameters() if ".proj_out." in name)


def test_one_attention_per_sync_module_is_trained_exported_and_run(trained: Path, tmp_path: Path) -> None:
    Sd15Trainer(small_config(trained), resume=True).export(tmp_path / "model", torch.float32)
    (tmp_path / "two.safetensors").write_bytes((tmp_path / "model" / "sync.safetensors").read_bytes())
    config = small_config(tmp_path / "one")
    one = replace(config.sync, attentions=1)
    config = replace(config, start_from=tmp_path / "model", stages={"sync": config.stages["sync"]}, sync=one)
    with pytest.raises(ValueError, match="have 2 attentions, the configuration says 1"):
        Sd15Trainer(config, resume=False).train()
    (tmp_path / "model" / "sync.safetensors").unlink()
    trainer = Sd15Trainer(config, resume=False)
    trainer.train()
    trainer.export(tmp_path / "again", torch.float32)
    two, found = (load_file(tmp_path / name) for name in ("two.safetensors", "again/sync.safetensors"))
    left_out = {key for key in two if ".attention_blocks.1." in key or ".norms.1." in key}
    assert left_out
    assert found.keys() == two.keys() - left_out
    assert any(bool(value.any()) for key, value in found.items() if key.endswith("proj_out.weight")), "it learned"
    motion, camera, sync = (tmp_path / "again" / f"{name}.safetensors" for name in ("motion", "camera", "sync"))
    settings = Settings(("a red ball",), width=64, height=64, steps=2, guidance=1.0)
    cameras = camera_paths(torch.eye(5).numpy()[:2], 3)
    synced, single = (
        sd15.load(ModelPaths(tmp_path / "again" / "base", motion, camera, modules)).generate(cameras, settings)
        for modules in (sync, None)
    )
    assert not torch.equal(synced, single)


def test_nothing_is_exported_without_videos(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    Sd15Trainer(replace(config, stages={"autoencoder": config.stages["autoencoder"]}), resume=False).train()
    with pytest.raises(ValueError, match="has checkpoints of autoencoder; expected one of the stage video"):
        Sd15Trainer(config, resume=True).export(tmp_path / "model")
