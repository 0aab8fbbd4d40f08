"""Distillation of few steps: steps and boundary are diffusers', the model stays as it is, the LoRA goes with others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, LCMScheduler
from pydantic import TypeAdapter
from torch import Tensor

from cvd_core.cli import main
from cvd_core.engine.model_paths import MODEL_FILES
from cvd_core.engine.sd15.lora import apply_lora
from cvd_core.engine.solvers import NOISE_SCHEDULE
from cvd_core.training.checkpoint import load_checkpoint
from cvd_core.training.config import TrainConfig
from cvd_core.training.consistency_stage import STEP, ConsistencyStage
from cvd_core.training.initial import load_networks
from cvd_core.training.sd15_trainer import LORA, Sd15Trainer
from tests.training.small import small_config, small_values
from tests.training.stage_checks import assert_continues, losses_of, written_config

LOOP = {"steps": 2, "batch": 2, "learning_rate": 1e-2, "warmup": 1, "log_every": 1, "save_seconds": 0}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model of two steps a stage."""
    folder = tmp_path_factory.mktemp("model")
    trainer = Sd15Trainer(small_config(folder / "run"), resume=False)
    trainer.train()
    trainer.export(folder / "model", torch.float32)
    return folder / "model"


def config_for(model: Path, output: Path) -> TrainConfig:
    values = small_values(output) | {"start_from": str(model), "stages": {"consistency": LOOP}}
    return TypeAdapter(TrainConfig).validate_python(values | {"noise": {"prediction": "v_prediction"}})


@pytest.fixture
def trainer(model: Path, tmp_path: Path) -> Sd15Trainer:
    return Sd15Trainer(config_for(model, tmp_path / "out"), resume=True)


def stage_of(trainer: Sd15Trainer) -> ConsistencyStage:
    stage = trainer.stage("consistency")
    assert isinstance(stage, ConsistencyStage)
    return stage


def changed(stage: ConsistencyStage) -> None:
    """Give the LoRA weights that do something."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in stage.trained():
        if "lora_B" in name:
            parameter.data = 0.05 * torch.randn(parameter.shape, generator=generator)


def test_only_a_lora_of_the_base_is_trained(trainer: Sd15Trainer) -> None:
    stage = stage_of(trainer)
    names = [name for name, _ in stage.trained()]
    assert names
    assert all("lora_" in name and "motion_modules" not in name for name in names)
    assert {name.split("lora_")[1][0] for name in names} == {"A", "B"}
    assert any("conv1" in name for name in names)
    assert any("to_q" in name for name in names)
    before = {name: value.clone() for name, value in trainer.denoiser.named_parameters()}
    assert not any("lora" in name for name in before)
    stage(stage.batch(0, range(2)))["loss"].backward()
    optimizer = torch.optim.AdamW([p for _, p in stage.trained()], 0.1)
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in trainer.denoiser.named_parameters())


def test_the_models_step_is_ddims(trainer: Sd15Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = stage_of(trainer)
    changed(stage)  # it is the model's step, not the student's
    batch = stage.batch(0, range(2))
    noisy, t = batch["latents"], torch.tensor([999, 539])
    text = stage.encode_text(batch["tokens"])
    scheduler = DDIMScheduler(**NOISE_SCHEDULE, prediction_type="v_prediction", clip_sample=False)
    scheduler.set_timesteps(1000 // STEP)
    with torch.no_grad():
        found = stage._guided_step(noisy, t, t - STEP, text, None, torch.tensor([3.0, 3.0]))
        empty = stage.encode_text(stage.empty[None]).expand_as(text)
        given, without = (trainer.denoiser(noisy, t, words) for words in (text, empty))
    output = without + 3.0 * (given - without)
    for row in range(2):
        expected = scheduler.step(output[row], int(t[row]), noisy[row]).prev_sample
        torch.testing.assert_close(found[row], expected, rtol=1e-5, atol=1e-5)


def test_an_answer_is_what_the_sampler_takes_it_for(trainer: Sd15Trainer) -> None:
    stage = stage_of(trainer)
    batch = stage.batch(0, range(2))
    noisy, text = batch["latents"], stage.encode_text(batch["tokens"])
    scheduler = LCMScheduler(**NOISE_SCHEDULE, prediction_type="v_prediction")
    scheduler.set_timesteps(4)
    for t in scheduler.timesteps[:2]:
        with torch.no_grad():
            found = stage._answer(noisy, t.expand(2), text, None)
            output = stage.unet(noisy, t, text)
        expected = scheduler.step(output, t, noisy).denoised
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        assert torch.equal(stage._answer(noisy, torch.zeros(2, dtype=torch.long), text, None), noisy)


def test_timesteps_and_guidance_are_those_of_the_sampler(trainer: Sd15Trainer) -> None:
    stage = stage_of(trainer)
    batches = [stage.batch(step, range(8)) for step in range(12)]
    timesteps = torch.cat([batch["timestep"] for batch in batches])
    possible = LCMScheduler(**NOISE_SCHEDULE)
    possible.set_timesteps(50)
    assert set(timesteps.tolist()) <= set(possible.timesteps.tolist())
    assert len(set(timesteps.tolist())) > 30
    guidance = torch.cat([batch["guidance"] for batch in batches])
    assert 5 <= guidance.min() < 6 < 9 < guidance.max() <= 10


def test_a_fixed_batch_is_learned(trainer: Sd15Trainer) -> None:
    stage = stage_of(trainer)
    batch = stage.batch(0, range(2))
    losses = losses_of(stage, batch, steps=8, learning_rate=1e-2)
    assert losses[-1] < 0.7 * losses[0]


def test_the_lora_merged_into_the_base_is_the_student(model: Path, tmp_path: Path) -> None:
    config = config_for(model, tmp_path / "out")
    file = str(written_config(config, tmp_path))
    assert main(["train", file]) == 0
    assert main(["train", file, "--export", str(tmp_path / "exported")]) == 0
    assert [path.name for path in (tmp_path / "exported").iterdir()] == [LORA]
    trainer = Sd15Trainer(config, resume=True)
    trainer.load()
    stage = stage_of(trainer)
    assert load_checkpoint(tmp_path / "out" / "consistency" / "checkpoint.pt").step == LOOP["steps"]
    trainer.write(tmp_path, ["consistency"], torch.float32)
    base, denoiser = load_networks(model, config)
    report = apply_lora(base, tmp_path / LORA)
    assert report.unmatched == ()
    batch = stage.batch(0, range(2))
    text = stage.encode_text(batch["tokens"])
    with torch.no_grad():
        ours, plain = (network(batch["latents"], 499, text) for network in (stage.unet, trainer.denoiser))
        merged: Tensor = denoiser(batch["latents"], 499, text)
    torch.testing.assert_close(merged, ours, rtol=1e-4, atol=1e-5)
    assert (merged - plain).abs().max() > 1e-4
    assert (model / MODEL_FILES.sync).exists()


@pytest.mark.slow
def test_it_continues_bit_equal(trainer: Sd15Trainer, tmp_path: Path) -> None:
    def new_stage() -> ConsistencyStage:
        return stage_of(Sd15Trainer(trainer.config, resume=True, source=trainer.source))

    loop = replace(trainer.config.stages["consistency"], steps=2)
    whole, first, second = new_stage(), new_stage(), new_stage()
    assert_continues(whole, first, second, loop, tmp_path, stop_after=1)
