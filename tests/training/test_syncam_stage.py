"""Stage "syncam": what it learns from and trains, that it starts as the base, and goes on as if never stopped."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

import cvd_core
from cvd_core.cli import main
from cvd_core.engine.wan.latents import encode_videos
from cvd_core.engine.wan.texts import embed
from cvd_core.geometry.cameras import Cameras
from cvd_core.syncam.cameras import camera_embedding
from cvd_core.syncam.presets import preset_cameras
from cvd_core.training.config import TrainConfig, load_config
from cvd_core.training.config_parts import AngleRange, DataConfig, LoopConfig, NoiseConfig, SynCamConfig
from cvd_core.training.data.multi_camera import MultiCameraVideos, StaticPictures, StillVideos, choose_views
from cvd_core.training.data.scenes import SceneSource
from cvd_core.training.syncam_stage import SynCamStage
from cvd_core.training.syncam_trainer import SynCamTrainer
from cvd_core.training.trainers import trainer_for
from tests.training.processes import kill_at_work
from tests.training.scene_folders import FRAMES, HEIGHT, PROMPT, WIDTH, cameras_around, write_scene_folders
from tests.training.stage_checks import (
    assert_continues,
    assert_less_is_kept,
    assert_same_as_whole,
    losses_of,
    plain,
    written_config,
)
from tests.wan_folder import write_wan

CLIP, SIZE = 5, 32


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    folder = tmp_path_factory.mktemp("syncam")
    write_wan(folder / "model" / "base")
    return TrainConfig(
        output=folder / "run",
        stages={"syncam": LoopConfig(steps=4, batch=2, learning_rate=1e-3, warmup=1, log_every=1, save_seconds=0)},
        start_from=folder / "model",
        data=DataConfig(size=SIZE, height=16, frames=CLIP),
        folders=write_scene_folders(folder),
        noise=NoiseConfig(shift=3.0),
        syncam=SynCamConfig(views=2),
    )


def new_stage(config: TrainConfig, *, learned: bool = True, **changes: Any) -> SynCamStage:
    """The stage, with modules that change something unless they are to be as they start."""
    trainer = trainer_for(replace(config, syncam=replace(config.syncam, **changes)), resume=True)
    stage = trainer.stage("syncam")
    assert isinstance(stage, SynCamStage)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in stage.trained() if learned else ():
        if "projector" in name or "cam_encoder" in name:
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    return stage


def step_of(stage: SynCamStage, kind: str) -> int:
    return next(step for step in range(200) if stage.source.kind(step) == kind)


def step_where(stage: SynCamStage, holds: Callable[[Any], bool]) -> Any:
    """A batch of synchronised views."""
    steps = (step for step in range(500) if stage.source.kind(step) == "views")
    return next(batch for step in steps if holds(batch := stage.batch(step, range(2))))


# what is learned from


def test_views_are_those_of_their_cameras_at_the_same_times(config: TrainConfig) -> None:
    assert config.folders is not None
    assert config.folders.multi_camera is not None
    folder = MultiCameraVideos(config.folders.multi_camera, 3, CLIP, WIDTH, HEIGHT)
    sample = folder.sample(0, 7, 8)
    assert sample.prompt == PROMPT
    assert sample.videos.shape == (3, CLIP, 3, HEIGHT, WIDTH)
    again = MultiCameraVideos(config.folders.multi_camera, 3, CLIP, WIDTH, HEIGHT).sample(0, 7, 8)
    assert torch.equal(sample.videos, again.videos)
    around, chosen = cameras_around(), []
    for pose in sample.cameras.c2w[:, 0]:
        same = (around.c2w[:, 0] - pose).abs().amax((1, 2)) < 1e-6
        chosen.append(int(same.nonzero()))
    videos = [folder.clips[0].parent.parent / "videos" / f"cam{view + 1:02d}.mp4" for view in chosen]
    whole = torch.stack([read_frames(path) for path in videos])
    errors = [(whole[:, start : start + CLIP] - sample.videos).abs().mean() for start in range(FRAMES - CLIP + 1)]
    assert min(errors) < 1e-6
    assert len(set(chosen)) == 3


def read_frames(path: Path) -> Tensor:
    from cvd_core.training.data.decode import VideoFile, fit

    return fit(VideoFile(path).read(range(FRAMES)), WIDTH, HEIGHT)


def test_pictures_of_a_clip_are_views_of_one_moment(config: TrainConfig) -> None:
    assert config.folders is not None
    assert config.folders.realestate10k is not None
    sample = StaticPictures(config.folders.realestate10k, 4, CLIP, WIDTH, HEIGHT).sample(0, 1)
    assert sample.videos.shape == (4, 1, 3, HEIGHT, WIDTH)
    assert sample.cameras.c2w.shape == (4, 1, 4, 4)
    path = cvd_core.read_cameras(config.folders.realestate10k / "clip.txt")
    whole = read_frames(config.folders.realestate10k / "clip.mp4")
    frames = [int((whole - video).abs().mean((1, 2, 3)).argmin()) for video in sample.videos[:, 0]]
    assert len(set(frames)) == 4
    assert torch.allclose(sample.cameras.c2w[:, 0], path.c2w[0, frames])
    with pytest.raises(ValueError, match=r"clip\.mp4 has 9 frames; 10 are taken of a clip: remove it"):
        StaticPictures(config.folders.realestate10k, 10, CLIP, WIDTH, HEIGHT).sample(0)


def test_a_single_video_is_seen_by_cameras_at_one_place(config: TrainConfig) -> None:
    assert config.folders is not None
    assert config.folders.videos is not None
    sample = StillVideos(config.folders.videos, 3, CLIP, WIDTH, HEIGHT).sample(0)
    assert torch.equal(sample.videos[0], sample.videos[2])
    embedding = camera_embedding(sample.cameras)
    assert torch.equal(embedding, embedding[:1].expand_as(embedding))
    assert embedding[0, 0].tolist() == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]


def test_kinds_are_mixed_as_the_configuration_says(config: TrainConfig) -> None:
    assert config.folders is not None
    source = SceneSource(config.folders, config.data, SynCamConfig(), 0)
    drawn = [source.kind(step) for step in range(2000)]
    for kind, fraction in SynCamConfig().mix.items():
        assert drawn.count(kind) / 2000 == pytest.approx(fraction, abs=0.03)
    shapes = {kind: source.draw(drawn.index(kind), [0])[0].videos.shape[1] for kind in SynCamConfig().mix}
    assert shapes == {"views": CLIP, "pictures": 1, "videos": CLIP}
    views_alone = SceneSource(config.folders, config.data, SynCamConfig(mix={"views": 1.0}), 0)
    assert {views_alone.kind(step) for step in range(50)} == {"views"}


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 359), min_size=2, max_size=7), st.integers(2, 4), st.integers(0, 90), st.integers(0, 90))
def test_views_are_chosen_by_their_angles(azimuths: list[int], views: int, least: int, width: int) -> None:
    """Against all combinations."""
    rig = Cameras.concatenate([preset_cameras("az", 1, 2, a, aspect=1).select([1]) for a in azimuths])
    between = [[min((a - b) % 360, (b - a) % 360) for a in azimuths] for b in azimuths]
    angles = (float(least), float(least + width))
    found = choose_views(rig, views, angles, np.random.default_rng(0))

    def fits(first: int, *others: int) -> bool:
        return all(angles[0] <= between[first][other] <= angles[1] for other in others)

    possible = [chosen for chosen in itertools.permutations(range(len(azimuths)), views) if fits(*chosen)]
    assert (found is not None) == bool(possible)
    assert found is None or tuple(found) in possible


def test_angles_grow_with_the_steps(config: TrainConfig) -> None:
    assert config.folders is not None
    angles = (AngleRange(0, 0, 20), AngleRange(10, 40, 60))
    mix: Any = {"views": 1.0}
    source = SceneSource(config.folders, config.data, SynCamConfig(views=2, mix=mix, angles=angles), 0)
    source.check()
    for step in (0, 9, 10, 30):
        for sample in source.draw(step, range(4)):
            forward = sample.cameras.c2w[:, 0, :3, 2]
            apart = float(torch.rad2deg(torch.acos(forward[0] @ forward[1])))
            assert round(apart) == 20 if step < 10 else round(apart) in (40, 60)
    far = SceneSource(config.folders, config.data, SynCamConfig(views=3, mix=mix, angles=(AngleRange(0, 50, 60),)), 0)
    with pytest.raises(ValueError, match=r"none of its 4 cameras has 2 others that look 50 to 60 degrees away"):
        far.check()


def test_mistakes_in_folders_are_told(config: TrainConfig, tmp_path: Path) -> None:
    folders = write_scene_folders(tmp_path)
    assert folders.multi_camera is not None
    scene = folders.multi_camera / "scene1"
    whole = MultiCameraVideos(folders.multi_camera, 2, FRAMES + 4, WIDTH, HEIGHT)
    with pytest.raises(ValueError, match=r"cam0\d\.mp4 has 9 frames; training takes 13 of a clip: remove it"):
        whole.sample(0)
    (scene / "videos" / "cam03.mp4").unlink()
    with pytest.raises(ValueError, match=r"scene1 has no video of cam03, which camera_extrinsics\.json names"):
        MultiCameraVideos(folders.multi_camera, 2, CLIP, WIDTH, HEIGHT).check([(0, 180)])
    with pytest.raises(ValueError, match="holds no scenes"):
        MultiCameraVideos(tmp_path / "videos", 2, CLIP, WIDTH, HEIGHT)


# what is trained


@pytest.mark.parametrize("kind", ["views", "pictures", "videos"])
def test_the_stage_starts_as_the_base_bit_for_bit(config: TrainConfig, kind: str) -> None:
    stage = new_stage(config, learned=False)
    batch = stage.batch(step_of(stage, kind), range(2))
    with torch.no_grad():
        clean = encode_videos(stage.vae, batch["videos"])
        text = embed(stage.text_encoder, batch["tokens"]).repeat_interleave(2, 0)
        noisy, time = stage.noised(clean, batch), 1000 * batch["level"]
        found = stage.network(noisy, time, text, batch["cameras"], 2)
        plain = stage.network.transformer(noisy, time, text, return_dict=False)[0]
        changed = new_stage(config).network(noisy, time, text, batch["cameras"], 2)
    assert torch.equal(found, plain)
    assert not torch.equal(changed, plain)
    state = stage.network.state_dict()
    for theirs, ours in (("to_out.0", "o"), ("to_q", "q"), ("norm_k", "norm_k")):
        copied = state[f"sync.blocks.1.mvs_attn.{ours}.weight"]
        assert torch.equal(copied, state[f"transformer.blocks.1.attn1.{theirs}.weight"])


def gradients(stage: SynCamStage, step: int) -> dict[str, Tensor]:
    stage.zero_grad()
    stage.train()(stage.batch(step, range(2)))["loss"].backward()
    return {name: p.grad for name, p in stage.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("kind", ["views", "pictures", "videos"])
def test_the_modules_are_trained_and_nothing_else(config: TrainConfig, kind: str) -> None:
    stage = new_stage(config)
    found = gradients(stage, step_of(stage, kind))
    assert all(name.startswith("network.sync.") for name in found)
    assert {name for name, _ in stage.trained()} == set(found), "every parameter of the modules takes part"
    assert all(bool(gradient.any()) for gradient in found.values())
    first = gradients(new_stage(config, learned=False), step_of(stage, kind))
    assert {name.split(".")[4] for name, gradient in first.items() if gradient.any()} == {"projector"}


def test_training_leaves_the_base_as_it_is_and_lowers_the_loss(config: TrainConfig) -> None:
    stage = new_stage(config, learned=False)
    before = {name: p.clone() for name, p in stage.named_parameters() if not p.requires_grad}
    batch = stage.batch(step_of(stage, "views"), range(1))
    losses = losses_of(stage, batch, steps=60, learning_rate=3e-3)
    assert losses[-1] < 0.5 * losses[0]
    after = dict(stage.named_parameters())
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_the_loss_is_flow_matching(config: TrainConfig) -> None:
    """By hand: the straight path between latents and noise at one level per scene, and its velocity."""
    stage = new_stage(config)
    batch = stage.batch(step_of(stage, "views"), range(2))
    level = batch["level"]
    assert level.view(2, 2).diff().abs().max() == 0, "the views of a scene have one noise level"
    assert not bool(batch["given"].any())
    assert torch.equal(batch["cameras"][::2, :, 3], torch.zeros(2, 2)), "the first view is the reference"
    with torch.no_grad():
        loss = stage(batch)["loss"]
        total = 0.0
        for scene in (0, 1):
            rows = slice(2 * scene, 2 * scene + 2)
            clean = encode_videos(stage.vae, batch["videos"][rows])
            sigma = float(level[2 * scene])
            noisy = clean + sigma * (batch["noise"][rows] - clean)
            text = embed(stage.text_encoder, batch["tokens"][scene : scene + 1]).expand(2, -1, -1)
            output = stage.network(noisy, torch.full((2,), 1000 * sigma), text, batch["cameras"][rows], 2)
            total += float((output - batch["noise"][rows] + clean).square().mean()) / 2
    assert float(loss) == pytest.approx(total, rel=1e-5)


def test_a_given_view_is_clean_and_does_not_count(config: TrainConfig) -> None:
    stage = new_stage(config, reference=0.5)
    batch = step_where(stage, lambda found: found["given"].tolist() == [True, False, False, False])
    with torch.no_grad():
        clean = encode_videos(stage.vae, batch["videos"])
        noisy = stage.noised(clean, batch)
        assert torch.equal(noisy[0], clean[0])
        level = batch["level"].view(-1, 1, 1, 1, 1)
        assert torch.equal(noisy[1:], ((1 - level) * clean + level * batch["noise"])[1:])
        plain = stage(batch)["loss"]
        noise = batch["noise"].clone()
        noise[0] += 1
        assert torch.equal(stage(batch | {"noise": noise})["loss"], plain)
        assert not torch.equal(stage(batch | {"noise": batch["noise"] + 1})["loss"], plain)
        videos = batch["videos"].clone()
        videos[0] *= -1
        assert not torch.equal(stage(batch | {"videos": videos})["loss"], plain), "the other view sees it"


def test_conditions_are_left_out_for_the_branches_of_equation_7(config: TrainConfig) -> None:
    stage = new_stage(config, reference=0.6, neither=0.25, mix={"views": 1.0})
    silent = tokenize_empty(stage)
    counts = dict.fromkeys(itertools.product((True, False), repeat=2), 0)
    for step in range(60):
        batch = stage.batch(step, range(4))
        given = batch["given"].view(4, 2)
        assert not bool(given[:, 1].any())
        for view, tokens in zip(given[:, 0].tolist(), batch["tokens"], strict=True):
            counts[view, not torch.equal(tokens, silent)] += 1
    total = sum(counts.values())
    empty = config.noise.empty_text
    expected = {
        (True, True): 0.6 * (1 - empty),
        (True, False): 0.6 * empty,
        (False, False): 0.25 + 0.15 * empty,
        (False, True): 0.15 * (1 - empty),
    }
    for branch, fraction in expected.items():
        assert counts[branch] / total == pytest.approx(fraction, abs=0.09), branch


def tokenize_empty(stage: SynCamStage) -> Tensor:
    return stage.tokens[""][0]


def test_gradient_checkpointing_gives_the_same_gradients_from_less(config: TrainConfig) -> None:
    kept, repeated = new_stage(config), new_stage(config)
    repeated.enable_gradient_checkpointing()
    step = step_of(kept, "views")
    assert_less_is_kept(kept, repeated, lambda stage: gradients(stage, step))


def test_half_precision_keeps_the_modules_whole(config: TrainConfig, tmp_path: Path) -> None:
    trainer = SynCamTrainer(replace(config, precision="bf16", output=tmp_path), resume=False)
    stage = trainer.stage("syncam")
    assert {p.dtype for _, p in stage.trained()} == {torch.float32}
    assert trainer.base.transformer.patch_embedding.weight.dtype == torch.bfloat16
    assert isinstance(stage, SynCamStage)
    with torch.autocast("cpu", torch.bfloat16):
        loss = stage(stage.batch(step_of(stage, "views"), range(2)))["loss"]
    loss.backward()
    assert bool(loss.isfinite())
    projectors = [p.grad for name, p in stage.trained() if name.endswith("projector.weight")]
    assert all(gradient is not None and bool(gradient.any()) for gradient in projectors)


# stopped, continued, written


def test_the_stage_continues_bit_equal(config: TrainConfig, tmp_path: Path) -> None:
    loop = config.stages["syncam"]
    whole, first, second = (new_stage(config, learned=False) for _ in range(3))
    assert_continues(whole, first, second, loop, tmp_path, stop_after=2)
    assert {"loss"} <= set((tmp_path / "whole" / "metrics.csv").read_text().splitlines()[0].split(","))


@pytest.mark.slow
def test_a_killed_training_goes_on_as_if_nothing_had_happened(config: TrainConfig, tmp_path: Path) -> None:
    file = written_config(config, tmp_path)
    kill_at_work(file, tmp_path / "out" / "syncam" / "metrics.csv")
    assert main(["train", str(file), "--resume"]) == 0
    SynCamTrainer(replace(config, output=tmp_path / "whole"), resume=False).train()
    assert_same_as_whole(tmp_path, "syncam", config.stages["syncam"].steps)
    assert main(["train", str(file), "--export", str(tmp_path / "model")]) == 0
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["sync.safetensors"]


def test_the_exported_modules_generate_and_can_be_trained_on(config: TrainConfig, tmp_path: Path) -> None:
    trainer = SynCamTrainer(replace(config, output=tmp_path / "run"), resume=False)
    with pytest.raises(ValueError, match="has no checkpoints; expected one of the stage syncam"):
        trainer.export(tmp_path / "none")
    trainer.train()
    trainer.export(tmp_path / "model", torch.float32)
    assert config.start_from is not None
    written = load_file(tmp_path / "model" / "sync.safetensors")
    assert any(bool(value.any()) for key, value in written.items() if key.endswith("projector.weight")), "it learned"
    (tmp_path / "model" / "base").symlink_to(config.start_from / "base")
    rig = preset_cameras("az", 5, 2, aspect=1)
    frames = [
        cvd_core.load_pipeline(tmp_path / "model" / "base", sync=file, device="cpu")(
            rig, "a red ball", progress=False, width=64, height=64, steps=1
        ).frames
        for file in (tmp_path / "model" / "sync.safetensors", None)
    ]
    assert not torch.equal(*frames)
    more = SynCamTrainer(replace(config, start_from=tmp_path / "model", output=tmp_path / "more"), resume=False)
    assert more.network.sync is not None
    assert all(torch.equal(value, written[key]) for key, value in more.network.sync.state_dict().items())


# configuration


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"frames": 6}}, "data.frames is 6; the stage syncam takes 4n + 1"),
        ({"data": {"size": 24}}, "data.size is 24; the stage syncam takes multiples of 16"),
        ({"start_from": None}, "the stage syncam adds modules to a model; name it with start_from"),
        ({"stages": {"video": {}}}, "stages has video beside syncam, which is trained alone"),
        ({"folders": {"multi_camera": "a"}}, "syncam.mix asks for pictures, but folders names no realestate10k"),
        ({"syncam": {"mix": {"views": 0.5}}}, "syncam: the fractions of mix add up to 0.5; expected 1"),
        ({"syncam": {"mix": {"images": 1.0}}}, "syncam.mix has an unknown entry 'images'; expected 'views', 'pic"),
        ({"syncam": {"reference": 0.9, "neither": 0.2}}, "reference and neither add up to 1.1; expected at most 1"),
        ({"syncam": {"angles": [{"from_step": 5, "least": 0, "most": 9}]}}, "begin at the steps [5]; expected 0"),
        ({"syncam": {"angles": [{"from_step": 0, "least": 9, "most": 0}]}}, "expected the smaller first"),
        ({"syncam": {"views": 1}}, "syncam.views is 1; expected at least 2"),
    ],
)
def test_mistakes_are_told_in_a_line(
    config: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], message: str
) -> None:
    values = plain(asdict(config)) | {"output": str(tmp_path / "out")}
    loop = values["stages"]["syncam"]
    for name, change in changes.items():
        if isinstance(change, dict):
            change = {key: loop if name == "stages" else value for key, value in change.items()}
            values[name] = change if name == "folders" else values.get(name, {}) | change
        else:
            values.pop(name)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    assert main(["train", str(tmp_path / "config.yaml")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert message in said


def test_the_packaged_configuration_has_the_papers_numbers() -> None:
    config = load_config("syncam")
    assert config.syncam.mix == {"views": 0.6, "pictures": 0.2, "videos": 0.2}
    assert [(a.from_step, a.least, a.most) for a in config.syncam.angles] == [
        (0, 0, 60), (10_000, 30, 90), (20_000, 60, 120)
    ]  # fmt: skip
    assert (config.stages["syncam"].steps, config.stages["syncam"].learning_rate) == (50_000, 1e-4)
    assert config.data.frames == 81
    assert config.gradient_checkpointing
