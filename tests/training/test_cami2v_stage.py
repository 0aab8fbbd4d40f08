"""Stage "cami2v": what it learns from and trains, that it starts as DynamiCrafter, and goes on as if never stopped."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

import cvd_core
from cvd_core.cami2v.camera import relative_path
from cvd_core.cami2v.checkpoint import load_picture_to_video
from cvd_core.cami2v.ddim import DDIM, NoiseSchedule
from cvd_core.cami2v.picture import clip_pixels
from cvd_core.cli import main
from cvd_core.engine.prediction import Prediction
from cvd_core.engine.prompts import encode_prompts
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats import write_cameras
from cvd_core.runs import mini
from cvd_core.sampling.settings import StartPicture
from cvd_core.scenes.paths import camera_paths
from cvd_core.training.cami2v_stage import CamI2VStage
from cvd_core.training.cami2v_trainer import CamI2VTrainer
from cvd_core.training.config import TrainConfig, load_config
from cvd_core.training.config_parts import CamI2VConfig, DataConfig, FoldersConfig, LoopConfig, NoiseConfig
from cvd_core.training.data.decode import VideoFile, fit
from cvd_core.training.data.guided_clips import GuidedClips
from cvd_core.training.trainers import trainer_for
from cvd_core.video.files import write_video
from tests.engine.test_cami2v import TRAINED, whole_file
from tests.training.processes import kill_at_work
from tests.training.scene_folders import PROMPT, WIDTH, filmed
from tests.training.stage_checks import (
    assert_continues,
    assert_less_is_kept,
    assert_same_as_whole,
    losses_of,
    plain,
    written_config,
)

CLIP, SIZE = 40, 64


def write_estates(folder: Path) -> FoldersConfig:
    """One clip of a static scene with its cameras."""
    folder.mkdir()
    path = camera_paths(np.array([[1.5, 0, 0.3, 0, 5]]), CLIP)
    path = Cameras(path.c2w, path.intrinsics * torch.tensor([1, 64 / 48, 1, 1]))
    write_cameras(path, folder / "clip.txt")
    write_video(filmed(path, 3, moving=False)[0], folder / "clip.mp4", 8)
    (folder / "captions.json").write_text(f'{{"clip": "{PROMPT}"}}')
    return FoldersConfig(folder)


def written(folder: Path, prediction: Prediction) -> TrainConfig:
    """A training of the 256 model (epsilon) or the 512 model (v_prediction), with all that it reads."""
    model = folder / "model"
    model.mkdir()
    torch.save({"state_dict": whole_file("none", learned=prediction == "epsilon")}, model / "model.ckpt")
    shutil.copytree(mini.FOLDER / "base" / "tokenizer", model / "tokenizer")
    return TrainConfig(
        output=folder / "run",
        stages={"cami2v": LoopConfig(steps=2, batch=1, learning_rate=1e-3, warmup=1, log_every=1, save_seconds=0)},
        start_from=model,
        data=DataConfig(size=SIZE, frames=16),
        folders=write_estates(folder / "estates"),
        noise=NoiseConfig(prediction=prediction),
        cami2v=CamI2VConfig(longest_stride=2),
    )


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """Of the 256 model."""
    return written(tmp_path_factory.mktemp("cami2v"), "epsilon")


@pytest.fixture(scope="module")
def config_512(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    return written(tmp_path_factory.mktemp("cami2v512"), "v_prediction")


@pytest.fixture(params=["config", "config_512"])
def either(request: pytest.FixtureRequest) -> TrainConfig:
    """Of both models, for what the stage does differently: the rate it tells, noise and target."""
    found: TrainConfig = request.getfixturevalue(request.param)
    return found


def new_stage(config: TrainConfig, *, learned: bool = True) -> CamI2VStage:
    """The stage, with a camera branch that changes something unless it is to be as it starts."""
    stage = trainer_for(config, resume=True).stage("cami2v")
    assert isinstance(stage, CamI2VStage)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in stage.trained() if learned else ():
        if "pluker_projection" in name or ".to_out." in name:
            parameter.data = 0.05 * torch.randn(parameter.shape, generator=generator)
    return stage


def is_256(config: TrainConfig) -> bool:
    return config.noise.prediction == "epsilon"


# what is learned from


def test_clips_are_cut_with_their_cameras_at_random_strides(config: TrainConfig) -> None:
    assert config.folders is not None
    assert config.folders.realestate10k is not None
    folder = config.folders.realestate10k
    clips = GuidedClips(folder, 16, SIZE, SIZE, longest_stride=2)
    whole = fit(VideoFile(folder / "clip.mp4").read(range(CLIP)), SIZE, SIZE)
    path = cvd_core.read_cameras(folder / "clip.txt").crop_to(SIZE, SIZE)
    seen = set()
    for step in range(20):
        clip = clips.sample(0, step)
        assert torch.equal(clip.video, clips.sample(0, step).video)
        start = int((whole - clip.video[:1]).abs().mean((1, 2, 3)).argmin())
        indices = [start + clip.stride * k for k in range(16)]
        assert torch.equal(clip.video, whole[indices])
        assert torch.equal(clip.cameras.c2w[0], path.c2w[0, indices])
        assert torch.allclose(clip.cameras.intrinsics[0], path.intrinsics[0, indices])
        assert clip.prompt == PROMPT
        seen.add((clip.stride, clip.reference))
    assert {stride for stride, _ in seen} == {1, 2}
    assert len({reference for _, reference in seen}) > 8
    with pytest.raises(ValueError, match=r"clip\.mp4 has 40 frames; training takes 41 of a clip: remove it"):
        GuidedClips(folder, 41, SIZE, SIZE, 2).sample(0)


def test_the_network_is_told_what_inference_tells_it(either: TrainConfig) -> None:
    """Context, rate and path, by hand; the given picture is the latent of the reference frame, at all frames."""
    stage = new_stage(either)
    assert either.folders is not None
    assert either.folders.realestate10k is not None
    batch = next(found for step in range(50) if not bool((found := stage.batch(step, range(1)))["silent"].any()))
    reference = int(batch["reference"])
    with torch.no_grad():
        text = encode_prompts(trainer_for(either, resume=True).model, [PROMPT])  # type: ignore[attr-defined]
        pixels = clip_pixels(batch["videos"][:, reference])
        picture = stage.resampler(stage.picture_encoder(pixel_values=pixels).last_hidden_state)
        assert torch.equal(stage.context(batch), torch.cat([text, picture], 1))
        gray = stage.context({**batch} | {"silent": torch.tensor([True])})
        zeros = stage.resampler(stage.picture_encoder(pixel_values=clip_pixels(0 * batch["videos"][:, 0]))[0])
        assert torch.equal(gray[:, 77:], zeros)
    centre = batch["c2w"][0, reference]
    assert torch.equal(centre, torch.eye(4, dtype=torch.float64))
    clip = stage._clip(next(s for s in range(50) if torch.equal(stage.batch(s, range(1))["noise"], batch["noise"])), 0)
    assert torch.equal(relative_path(clip.cameras, reference).c2w, batch["c2w"])
    assert int(batch["rate"]) == (clip.stride if is_256(either) else int(29.97 / clip.stride))
    seen: list[Tensor] = []
    hook = stage.unet.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        latents = stage.latents(batch)
        stage(batch)
    hook.remove()
    assert torch.equal(seen[0][:, :4], stage.noised(latents, batch)[0])
    assert torch.equal(seen[0][:, 4:], latents[:, :, [reference]].expand(-1, -1, 16, -1, -1))


def test_what_is_to_be_predicted_leads_the_sampler_back_to_the_latents(either: TrainConfig) -> None:
    """A perfect prediction, given to DDIM at the same time, is one step from the video: two ways to say one thing."""
    stage = new_stage(either)
    predicts = stage.schedule.predicts
    sampler = DDIM(NoiseSchedule.of(predicts), 25, eta=0.0)
    batch = stage.batch(0, range(1))
    latents = torch.randn(1, 4, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    for step in (1, 5, 15, 24):  # the very first of the 512 model holds noise alone
        noisy, target = stage.noised(latents, {**batch} | {"timestep": torch.tensor([sampler.timesteps[step]])})
        _, clean = sampler.advance(step, noisy, target, torch.zeros_like(noisy))
        times = [*sampler.timesteps, 0]
        scale = sampler.schedule.scales[times[step + 1] if step + 1 < 25 else times[step]]
        assert torch.allclose(clean, scale * latents, atol=2e-3)


def test_text_and_picture_are_left_out_together(config: TrainConfig) -> None:
    stage = new_stage(replace(config, noise=replace(config.noise, empty_text=0.5)))
    empty, count = stage.tokens[""][0], 0
    for step in range(24):
        batch = stage.batch(step, range(1))
        assert torch.equal(batch["tokens"][0], empty) == bool(batch["silent"])
        count += int(batch["silent"])
    assert 4 < count < 20


# what is trained


def test_the_stage_starts_as_dynamicrafter_bit_for_bit(config: TrainConfig) -> None:
    stage, changed = new_stage(config, learned=False), new_stage(config)
    batch = stage.batch(0, range(1))
    with torch.no_grad():
        latents, context = stage.latents(batch), stage.context(batch)
        inputs = torch.cat([stage.noised(latents, batch)[0], latents], 1)
        told = (inputs, batch["timestep"], context, batch["rate"])
        found = stage.unet(*told, stage.features(batch))
        assert config.start_from is not None
        base = load_picture_to_video(config.start_from / "model.ckpt").unet
        assert base.layout.camera == "none"
        assert torch.equal(found, base(*told))
        assert torch.equal(found, stage.unet(*told))
        assert not torch.equal(changed.unet(*told, changed.features(batch)), found)
    again = dict(new_stage(config, learned=False).trained())
    assert all(torch.equal(value, again[name]) for name, value in stage.trained()), "the seed decides"


def gradients(stage: CamI2VStage, step: int = 0) -> dict[str, Tensor]:
    stage.zero_grad()
    stage.train()(stage.batch(step, range(1)))["loss"].backward()
    return {name: p.grad for name, p in stage.named_parameters() if p.grad is not None}


def test_the_camera_branch_is_trained_and_nothing_else(config: TrainConfig) -> None:
    stage = new_stage(config)
    found = gradients(stage)
    assert all(any(part in name for part in TRAINED) or name.startswith("camera.pose_encoder.") for name in found)
    trained = {name for name, _ in stage.trained()}
    assert {name for name, gradient in found.items() if gradient.any()} == trained
    released = {name for name in whole_file() if any(part in name for part in TRAINED) and not name.endswith(".pe")}
    prefixes = {"unet.": "model.diffusion_model.", "camera.": ""}
    named = {prefixes[name.split(".")[0] + "."] + name.split(".", 1)[1] for name in trained}
    assert named == released, "all that the released model adds"
    first = gradients(new_stage(config, learned=False))
    moved = {name for name, gradient in first.items() if gradient.any()}
    last = ("pluker_projection", "epipolar_attn.to_out")
    assert moved == {name for name in trained if any(part in name for part in last)}, "what is zero"


def test_a_fixed_batch_is_learned_and_the_base_is_left_as_it_is(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = new_stage(config, learned=False)
    before = {name: p.clone() for name, p in stage.named_parameters() if not p.requires_grad}
    batch = stage.batch(0, range(1))
    with torch.no_grad():  # what does not change from step to step
        latents, context = stage.latents(batch), stage.context(batch)
    monkeypatch.setattr(stage, "latents", lambda _: latents)
    monkeypatch.setattr(stage, "context", lambda _: context)
    losses = losses_of(stage, batch, steps=6, learning_rate=3e-3)
    # Layers of random numbers lie between the camera branch and the noise: it learns no more than they let through.
    assert losses[-1] < 0.975 * losses[0]
    assert losses[-1] < losses[3] < losses[0]
    after = dict(stage.named_parameters())
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_gradient_checkpointing_gives_the_same_gradients_from_less(config: TrainConfig) -> None:
    kept, repeated = new_stage(config), new_stage(config)
    repeated.enable_gradient_checkpointing()
    assert_less_is_kept(kept, repeated, gradients)


def test_half_precision_keeps_the_camera_branch_whole(config: TrainConfig) -> None:
    """The same numbers as float32 weights that are cast at each use."""
    results = []
    for precision in ("no", "bf16"):
        stage = new_stage(replace(config, precision=precision))  # type: ignore[arg-type]
        assert {p.dtype for _, p in stage.trained()} == {torch.float32}
        frozen = {p.dtype for p in stage.parameters() if not p.requires_grad and p.ndim > 1}
        assert frozen == {torch.float32 if precision == "no" else torch.bfloat16}
        with torch.autocast("cpu", torch.bfloat16):
            results.append(stage(stage.batch(0, range(1)))["loss"].detach())
    assert float(results[0]) == pytest.approx(float(results[1]), rel=2e-2)


# stopped, continued, written


def test_the_stage_continues_bit_equal(config: TrainConfig, tmp_path: Path) -> None:
    loop = config.stages["cami2v"]
    whole, first, second = (new_stage(config, learned=False) for _ in range(3))
    assert_continues(whole, first, second, loop, tmp_path, stop_after=1)


@pytest.mark.slow
def test_a_killed_training_goes_on_and_its_export_generates(either: TrainConfig, tmp_path: Path) -> None:
    file = written_config(either, tmp_path)
    kill_at_work(file, tmp_path / "out" / "cami2v" / "metrics.csv")
    assert main(["train", str(file), "--resume"]) == 0
    trainer = CamI2VTrainer(replace(either, output=tmp_path / "whole"), resume=False)
    with pytest.raises(ValueError, match="has no checkpoints; expected one of the stage cami2v"):
        trainer.export(tmp_path / "none")
    trainer.train()
    assert_same_as_whole(tmp_path, "cami2v", either.stages["cami2v"].steps)

    trainer.export(tmp_path / "model", torch.float32)
    assert either.start_from is not None
    written = load_file(tmp_path / "model" / "camera.safetensors")
    assert written.keys() == {name for name in whole_file() if any(part in name for part in TRAINED)}
    path = cvd_core.make_rig("stereo", views=1, frames=16, baseline=2)
    picture = StartPicture(fixture_picture(tmp_path))
    base, camera = either.start_from / "model.ckpt", tmp_path / "model" / "camera.safetensors"
    frames = [
        cvd_core.load_pipeline(base, camera=file, config=either.start_from, device="cpu")(
            path, PROMPT, width=64, height=64, steps=1, picture=picture, progress=False
        ).frames
        for file in (camera, None)
    ]
    assert not torch.equal(*frames)
    shutil.copytree(either.start_from, tmp_path / "more")
    shutil.copy2(camera, tmp_path / "more" / "camera.safetensors")
    more = CamI2VTrainer(replace(either, start_from=tmp_path / "more", output=tmp_path / "on"), resume=False)
    assert all(torch.equal(p, written[f"model.diffusion_model.{name}"]) for name, p in camera_of(more))


def camera_of(trainer: CamI2VTrainer) -> list[tuple[str, Any]]:
    from cvd_core.training.cami2v_stage import camera_parameters

    return camera_parameters(trainer.model.networks.unet)


def fixture_picture(folder: Path) -> Path:
    from PIL import Image

    Image.new("RGB", (WIDTH, WIDTH), (200, 30, 30)).save(folder / "picture.png")
    return folder / "picture.png"


# configuration


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("data", {"frames": 8}, "data.frames is 8; the stage cami2v takes 16"),
        ("data", {"size": 96}, "data.size is 96; the stage cami2v takes multiples of 64"),
        ("folders", {"videos": "v"}, "takes clips with cameras, but folders names no realestate10k"),
        ("cami2v", {"longest_stride": 0}, "cami2v.longest_stride is 0; expected at least 1"),
    ],
)
def test_mistakes_are_told_in_a_line(
    config: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str], section: str, values: Any, message: str
) -> None:
    changed = plain(asdict(config)) | {"output": str(tmp_path / "out")}
    changed[section] = values if section == "folders" else changed[section] | values
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(changed))
    assert main(["train", str(tmp_path / "config.yaml")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert message in said


def test_another_prediction_than_the_models_is_told(either: TrainConfig) -> None:
    other = replace(either, noise=NoiseConfig(prediction="v_prediction" if is_256(either) else "epsilon"))
    with pytest.raises(ValueError, match=r"predicts .*, the configuration says"):
        trainer_for(other, resume=True).stage("cami2v")


def test_the_packaged_configuration_has_the_papers_numbers() -> None:
    config = load_config("cami2v")
    loop = config.stages["cami2v"]
    assert (loop.steps, loop.learning_rate, 8 * loop.batch) == (50_000, 1e-4, 64)
    assert (config.data.size, config.data.height, config.cami2v.longest_stride) == (256, None, 10)
    assert config.noise.prediction == "epsilon"
