"""Training on folders of clips, with a base, motion module and CameraCtrl in their published formats but narrow."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cvd_core.engine.sd15.loading import load_base
from cvd_core.engine.sd15.lora import apply_lora
from cvd_core.sync.checkpoint import load_sync_modules
from cvd_core.training.config import TrainConfig
from cvd_core.training.config_parts import DataConfig, FoldersConfig, LoopConfig, NoiseConfig
from cvd_core.training.phase_loras import PhaseLoras
from cvd_core.training.sd15_trainer import Sd15Trainer
from cvd_core.training.sync_stage import SyncStage
from tests import formula
from tests.training.clip_folders import write_clip_folders

SIZE, FRAMES, CLIP = 64, 3, 9


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    folder = tmp_path_factory.mktemp("full")
    keys = formula.key_list("reduced")
    model = folder / "model"
    formula.write_base(model / "base", None, "reduced")
    save_file(formula.tensors(keys["mm"]), model / "motion.safetensors")
    camera = formula.tensors(keys["pose_encoder"]) | formula.tensors(keys["attention_processor"])
    save_file(camera, model / "camera.safetensors")
    return TrainConfig(
        output=folder / "run",
        stages={"sync": LoopConfig(steps=4, batch=2, learning_rate=1e-4, warmup=1, log_every=1)},
        start_from=model,
        data=DataConfig(size=SIZE, frames=FRAMES),
        folders=write_clip_folders(folder, SIZE, CLIP),
        noise=NoiseConfig(prediction="epsilon"),
    )


def test_sync_modules_are_trained_and_written_in_the_published_format(config: TrainConfig, tmp_path: Path) -> None:
    trainer = Sd15Trainer(config, resume=False)
    before = {name: value.clone() for name, value in trainer.denoiser.unet.state_dict().items()}
    trainer.train()
    assert all(torch.equal(value, before[name]) for name, value in trainer.denoiser.unet.state_dict().items())
    trainer.export(tmp_path, torch.float32)
    assert config.start_from is not None
    for file in ("base/unet/diffusion_pytorch_model.safetensors", "motion.safetensors", "camera.safetensors"):
        assert (tmp_path / file).read_bytes() == (config.start_from / file).read_bytes(), "nothing has trained it"
    sync = load_sync_modules(tmp_path / "sync.safetensors")
    assert set(sync.state_dict()) == set(formula.key_list("reduced")["epi"])
    assert any(bool(p.any()) for name, p in sync.named_parameters() if name.endswith("proj_out.weight")), "it learned"


def test_matrices_around_the_sync_modules_are_kept_as_they_are_used(config: TrainConfig) -> None:
    """Half the memory, and the same numbers as float32 weights that are cast at each use."""
    results = []
    for wide in (True, False):
        trainer = Sd15Trainer(replace(config, precision="no" if wide else "bf16"), resume=True)
        stage = trainer.stage("sync")
        assert isinstance(stage, SyncStage)
        generator = torch.Generator().manual_seed(0)
        for parameter in stage.unet.sync.parameters():
            parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
        for name, value in trainer.base.unet.named_parameters():
            assert value.dtype == (torch.bfloat16 if value.ndim > 1 and not wide else torch.float32)
            assert value.data_ptr() == trainer.denoiser.unet.get_parameter(name).data_ptr(), "a LoRA must reach both"
        for cameras in (True, False):
            step = next(step for step in range(100) if stage.on_static(step) == cameras)
            stage.zero_grad()
            with torch.autocast("cpu", torch.bfloat16):
                loss = stage(stage.batch(step, range(1)))["loss"]
            loss.backward()
            results.append({"loss": loss.detach()} | {n: p.grad for n, p in stage.trained() if p.grad is not None})
    for expected, found in zip(results[:2], results[2:], strict=True):
        assert expected.keys() == found.keys()
        assert all(torch.equal(value, found[name]) for name, value in expected.items())
    assert float(results[0]["loss"]) > 0


def test_each_phase_has_its_own_lora(config: TrainConfig, tmp_path: Path) -> None:
    save_file(formula.adapter_lora(formula.key_list("reduced")["base"]), tmp_path / "estates.safetensors")
    save_file(formula.peft_lora(formula.key_list("reduced")["base"]), tmp_path / "videos.safetensors")
    trainer = Sd15Trainer(config, resume=True)
    unet = trainer.denoiser.unet
    plain = {name: value.clone() for name, value in unet.state_dict().items()}
    loras = PhaseLoras(
        trainer.base, {"camera": tmp_path / "estates.safetensors", "video": tmp_path / "videos.safetensors"}
    )
    assert all(torch.equal(value, plain[name]) for name, value in unet.state_dict().items())
    seen = {}
    for phase, file in (("camera", "estates"), ("video", "videos"), ("camera", "estates")):
        loras.use(phase)
        seen[phase] = {name: value.clone() for name, value in unet.state_dict().items()}
        base = load_base(config.start_from / "base") if config.start_from else None
        assert base is not None
        apply_lora(base, tmp_path / f"{file}.safetensors")
        assert all(torch.equal(value, seen[phase][name]) for name, value in base.unet.state_dict().items())
    assert any(not torch.equal(value, seen["video"][name]) for name, value in seen["camera"].items())
    loras.use("none")
    assert all(torch.equal(value, plain[name]) for name, value in unet.state_dict().items())


def test_batches_depend_on_step_and_position_alone(config: TrainConfig) -> None:
    first, second = Sd15Trainer(config, resume=True).source, Sd15Trainer(config, resume=True).source
    for static in (True, False):
        whole = first.draw(5, range(4), static=static)
        part = second.draw(5, range(2, 4), static=static)
        assert whole.latents.shape == (4, 2, FRAMES, 4, 8, 8)
        assert torch.allclose(whole.latents[2:], part.latents, atol=1e-5)
        assert torch.equal(whole.homography[2:], part.homography)
        assert (whole.cameras is not None) == static


def test_a_missing_folder_is_told_before_anything_is_made(config: TrainConfig) -> None:
    assert config.folders is not None
    one = FoldersConfig(config.folders.realestate10k)
    with pytest.raises(ValueError, match="asks for clips without cameras, but folders names no videos"):
        replace(config, folders=one)
    static = replace(config, folders=one, sync=replace(config.sync, camera_share=1.0))
    assert Sd15Trainer(static, resume=True).source.draw(0, range(1), static=True).cameras is not None


def test_a_caption_that_is_too_long_is_told_before_training(config: TrainConfig, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    assert config.folders is not None
    assert config.folders.videos is not None
    shutil.copytree(config.folders.videos, videos)
    (videos / "captions.json").write_text(json.dumps({"clip": ["a hall", "w" * 100]}))
    folders = replace(config.folders, videos=videos)
    trainer = Sd15Trainer(replace(config, folders=folders, output=tmp_path / "run"), resume=False)
    with pytest.raises(ValueError, match=r"the prompt 'w+\.\.\.w+' has 100 tokens, the text encoder takes 75; shorten"):
        trainer.train()
    assert not (tmp_path / "run").exists()
