"""``cvd generate`` on the reduced network: from pose files to videos, and the same again."""

from __future__ import annotations

import json
import math
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from cvd_core.cli import main
from cvd_core.engine.model_paths import ModelPaths
from cvd_core.engine.placement import Placement, choose_device, choose_dtype
from cvd_core.engine.sd15 import assemble as sd15
from cvd_core.engine.sd15.pipeline import CollaborativePipeline
from cvd_core.geometry.cameras import Cameras, prepare_cameras
from cvd_core.geometry.formats import read_cameras, write_cameras
from cvd_core.geometry.rigs import make_rig
from cvd_core.geometry.trajectories import resample
from cvd_core.runs import make as render
from cvd_core.runs.record import RunRecord
from cvd_core.sampling.pairs import Pairing
from cvd_core.sampling.recurrence import Recurrence
from cvd_core.sampling.settings import GivenView, Settings, StartPicture
from cvd_core.video.files import read_video
from cvd_core.video.side_by_side import grid
from cvd_core.weights import motion_tensors, read_checkpoint, sha256
from tests import formula
from tests.engine.command import plan_of, request_of
from tests.formula import ModelFiles

POSES = [Path(__file__).parents[1] / "data" / "poses" / f"{n}.txt" for n in ("0bf152ef84195293", "2f25826f0d0ef09a")]
SMALL = ["--width", 64, "--height", 64, "--steps", 2, "--guidance", 1, "--prompt", "a cat"]
TINY = ["--rig", "circle", "--frames", 2, *SMALL]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> NoReturn:
        raise AssertionError("something tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def model_options(models: ModelFiles) -> list[object]:
    return ["--base", models.base_folder, "--motion", models.motion, "--camera", models.camera, "--sync", models.sync]


def cvd(*words: object) -> int:
    return main(["generate", *map(str, words)])


@dataclass
class Run:
    folder: Path
    printed: str
    videos: dict[str, Tensor]


@pytest.fixture(scope="module")
def first(models: ModelFiles, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two pose files, 16 frames, all models."""
    folder = tmp_path_factory.mktemp("runs") / "new" / "first"
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("builtins.print", lambda *words, **_: lines.append(" ".join(map(str, words))))
        assert cvd("--poses", *POSES, *SMALL, *model_options(models), "--out", folder) == 0
    return Run(folder, "\n".join(lines), decoded(folder))


def decoded(folder: Path) -> dict[str, Tensor]:
    return {path.name: read_video(path)[0] for path in sorted(folder.glob("*.mp4"))}


def assert_same_videos(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


# from files to files


def test_two_pose_files_become_two_videos_and_a_grid(first: Run) -> None:
    names = {f"{path.stem}.mp4" for path in POSES}
    assert {path.name for path in first.folder.iterdir()} == {*names, "grid.mp4", "transforms.json", "run.json"}
    for path in first.folder.iterdir():
        assert str(path) in first.printed
    for name in names:
        assert first.videos[name].shape == (16, 64, 64, 3)
        assert read_video(first.folder / name)[1] == 8
        assert first.videos[name].float().std() > 10  # a picture, not one colour
    assert first.videos["grid.mp4"].shape == (16, 64, 128, 3)
    views = grid(torch.stack([first.videos[f"{path.stem}.mp4"] for path in POSES]))
    assert (first.videos["grid.mp4"].int() - views.int()).abs().float().mean() < 6  # both are coded, with loss
    assert "no --" not in first.printed
    assert "each is moved so that all share one first camera" in first.printed


def test_cameras_are_written_as_the_networks_saw_them(first: Run) -> None:
    given = Cameras.concatenate([read_cameras(path) for path in POSES])
    expected = prepare_cameras(given, 64, 64)
    found = read_cameras(first.folder / "transforms.json")
    assert found.names == expected.names
    torch.testing.assert_close(found.c2w, expected.c2w, rtol=0, atol=1e-12)
    torch.testing.assert_close(found.intrinsics, expected.intrinsics, rtol=0, atol=1e-12)


def test_the_record_holds_everything(first: Run, models: ModelFiles) -> None:
    record = RunRecord.load(first.folder / "run.json")
    given = Cameras.concatenate([read_cameras(path) for path in POSES])
    assert torch.equal(record.cameras.c2w, given.c2w)
    assert torch.equal(record.cameras.intrinsics, given.intrinsics)
    assert record.cameras.names == given.names
    assert record.source["poses"] == [str(path) for path in POSES]
    assert record.settings == Settings(("a cat",), width=64, height=64, steps=2, guidance=1.0)
    assert (record.fps, record.dtype, record.device, record.offload) == (8, "float32", choose_device().type, False)
    assert record.paths == ModelPaths(models.base_folder, models.motion, models.camera, models.sync)
    kinds = {model.role: model.kind for model in record.models}
    assert kinds["motion"] == "an AnimateDiff motion module (v3)"
    assert kinds["sync"] == "a CVD sync module"
    sync = next(model for model in record.models if model.role == "sync")
    assert [(f.bytes, f.sha256) for f in sync.files] == [(models.sync.stat().st_size, sha256(models.sync))]
    base = next(model for model in record.models if model.role == "base")
    assert {file.name for file in base.files} == {
        *(f"{part}/config.json" for part in ("unet", "vae", "text_encoder")),
        *(f"{part}/diffusion_pytorch_model.safetensors" for part in ("unet", "vae")),
        "text_encoder/model.safetensors",
        *(f"tokenizer/{name}" for name in ("vocab.json", "merges.txt", "tokenizer_config.json")),
    }
    assert {"torch", "diffusers", "transformers", "cvd_core", "python", "platform"} <= record.versions.keys()
    assert record.seconds.keys() == {"check", "load", "sample", "decode", "write"}
    assert min(record.seconds.values()) >= 0
    assert RunRecord.from_json(record.to_json()).to_json() == record.to_json()


def test_a_record_repeats_its_run(first: Run, tmp_path: Path) -> None:
    assert cvd("--from", first.folder / "run.json", "--out", tmp_path / "again") == 0
    assert_same_videos(decoded(tmp_path / "again"), first.videos)
    for name in ("grid.mp4", "transforms.json"):
        assert (tmp_path / "again" / name).read_bytes() == (first.folder / name).read_bytes()
    before, after = (json.loads((folder / "run.json").read_text()) for folder in (first.folder, tmp_path / "again"))
    for changing in ("date", "seconds"):
        del before[changing], after[changing]
    assert after == before


def test_options_override_a_record(first: Run, models: ModelFiles) -> None:
    words = ["--seed", 1, "--frames", 4, "--fps", 12, "--prompt", "a dog", "a cat", "--recurrence", 2, "--height", 128]
    loras = ["--lora", models.adapter, f"{models.lora_kohya}:0.5"]
    found = plan_of("--from", first.folder / "run.json", *words, *loras, "--offload", "--dtype", "bfloat16")
    record = RunRecord.load(first.folder / "run.json")
    changed = replace(record.settings, seed=1, prompts=("a dog", "a cat"), recurrence=Recurrence(2), height=128)
    assert found.settings == changed
    assert torch.equal(found.cameras.c2w, resample(record.cameras, 4).c2w)
    assert found.source == {**record.source, "frames": 4}
    assert found.paths == replace(record.paths, loras=((models.adapter, 1.0), (models.lora_kohya, 0.5)))
    assert found.kept == {"base", "config", "motion", "camera", "sync"}
    assert (found.fps, found.placement.dtype, found.placement.offload) == (12, torch.bfloat16, True)
    rig = plan_of("--from", first.folder / "run.json", "--rig", "stereo", "--rig-baseline", 0.2)
    assert torch.equal(rig.cameras.c2w, make_rig("stereo", 2, 16, baseline=0.2).c2w)
    assert rig.settings == record.settings


def test_every_setting_has_its_option() -> None:
    words = ["--prompt", "a", "--prompt", "b", "--negative", "c", "--width", 72, "--height", 80, "--steps", 7]
    words += ["--guidance", 3, "--sampler", "unipc", "--seed", 9, "--strategy", "multi-partition", "--partitions", 2]
    words += ["--recurrence", 3, "--recurrence-range", 0.25, 0.5, "--views-per-pass", 1, "--sync-strength", 0.5]
    words += ["--sync-start", 0.125, "--sync-end", 0.75, "--sync-branches", "conditional"]
    words += ["--camera-strength", 0.25, "--band", "hard", "--threshold", 5, "--camera-guidance", 1.5]
    words += ["--camera-guidance-schedule", "cosine", "--attention", "sparse"]
    picture = ["--image", "a.png", "--reference-frame", 3, "--path-scale", 2, "--frame-rate", 8, "--eta", 0.5]
    words += [*picture, "--shared-noise", "--reference", "b.mp4", "--video-guidance", 2]
    expected = Settings(
        ("a", "b"),
        ("c",),
        width=72,
        height=80,
        steps=7,
        guidance=3.0,
        sampler="unipc",
        seed=9,
        pairing=Pairing("multi-partition", 2, 1),
        recurrence=Recurrence(3, 0.25, 0.5),
        sync_strength=0.5,
        sync_start=0.125,
        sync_end=0.75,
        sync_branches="conditional",
        camera_strength=0.25,
        camera_guidance=1.5,
        camera_guidance_schedule="cosine",
        attention="sparse",
        band="hard",
        threshold=5.0,
        picture=StartPicture(Path("a.png"), 3, 2.0, 8.0, 0.5, True),
        given=GivenView(Path("b.mp4"), 2.0),
    )
    unchanged = [f.name for f in fields(Settings) if getattr(expected, f.name) == getattr(Settings(("x",)), f.name)]
    assert unchanged == []
    assert expected.picture is not None
    assert [f.name for f in fields(StartPicture) if getattr(expected.picture, f.name) == f.default] == []
    asked = request_of(*words, "--rig", "circle", "--base", "x", "--motion", "y").settings
    assert Settings.from_dict(asked) == expected


def test_a_rig_of_three_without_camera_and_sync(
    models: ModelFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    single = ["--base", models.base_file, "--config", models.base_folder, "--motion", models.motion]
    rig = ["--views", 3, "--rig-distance", 0.25, "--rig-easing", "ease-in", "--width", 128]
    assert cvd(*TINY, *single, *rig, "--out", tmp_path) == 0
    assert {path.name for path in tmp_path.glob("*.mp4")} == {"view0.mp4", "view1.mp4", "view2.mp4", "grid.mp4"}
    assert read_video(tmp_path / "view2.mp4")[0].shape == (2, 64, 128, 3)
    assert read_video(tmp_path / "grid.mp4")[0].shape == (2, 128, 256, 3)
    said = capsys.readouterr().err
    assert "note: no --camera: the videos will not follow the camera paths" in said
    assert "note: no --sync: the views will not see each other" in said
    record = RunRecord.load(tmp_path / "run.json")
    expected = make_rig("circle", 3, 2, easing="ease-in", aspect=2.0, distance=0.25)
    assert torch.equal(record.cameras.c2w, expected.c2w)
    assert record.source == {"rig": "circle", "views": 3, "frames": 2, "easing": "ease-in", "distance": 0.25}
    assert record.paths.config == models.base_folder


@pytest.mark.parametrize(
    ("words", "passes", "calls"),
    [
        (["--views", 2, "--steps", 25], 25, 1),
        (["--views", 4, "--steps", 25, "--recurrence", 3], 73, 1),
        (["--views", 6, "--recurrence", 6, "--strategy", "multi-partition", "--partitions", 2], 145, 2),
        (["--views", 4, "--strategy", "exhaustive"], 25, 3),
        (["--views", 4, "--views-per-pass", 2], 25, 2),
        (["--views", 7, "--views-per-pass", 2], 25, 3),
    ],
)
def test_network_calls_are_counted(words: list[object], passes: int, calls: int) -> None:
    found = plan_of("--rig", "circle", "--prompt", "a", "--base", "x", "--motion", "y", *words)
    assert (found.settings.passes, len(found.settings.pairing.calls(found.cameras.views))) == (passes, calls)


def test_options_without_effect_are_named(
    models: ModelFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    useless = ["--camera-strength", 2, "--sync-strength", 2, "--negative", "fog", "--recurrence-range", 0, 0.5]
    useless += ["--sync-start", 0.5, "--sync-end", 1, "--camera-guidance", 2]
    words = [*TINY, "--base", models.base_folder, "--motion", "x", "--config", "y", *useless]
    assert cvd(*words, "--out", tmp_path / "out") == 2  # no such motion module
    said = capsys.readouterr().err
    for option in (
        "--camera-strength",
        "--camera-guidance",
        "--sync-strength",
        "--sync-start",
        "--sync-end",
        "--negative",
        "--recurrence-range",
        "--config",
    ):
        assert f"note: {option} with" in said
    assert said.count("changes nothing") == 8


def test_pose_files_of_different_lengths_are_resampled_on_demand(tmp_path: Path) -> None:
    short = tmp_path / "short.txt"
    write_cameras(resample(read_cameras(POSES[0]), 5), short)
    words = ["--poses", short, "--poses", POSES[1], "--prompt", "a", "--base", "x", "--motion", "y"]
    cameras = plan_of(*words, "--frames", 9).cameras
    assert torch.equal(cameras.c2w[1:], resample(read_cameras(POSES[1]), 9).c2w)
    assert torch.equal(cameras.c2w[0, -1], read_cameras(short).c2w[0, -1])


def test_intrinsics_for_pose_files_without(tmp_path: Path) -> None:
    write_cameras(replace(read_cameras(POSES[0])), tmp_path / "poses.npy")
    words = ["--poses", tmp_path / "poses.npy", "--prompt", "a", "--base", "x", "--motion", "y"]
    cameras = plan_of(*words, "--intrinsics", 0.5, 0.6, 0.5, 0.4).cameras
    assert cameras.intrinsics[0, 3].tolist() == [0.5, 0.6, 0.5, 0.4]


# interruptions


@pytest.mark.parametrize("moment", ["tqdm.update", "write_video", "write_cameras", "RunRecord.save", "complete_folder"])
def test_ctrl_c_leaves_nothing(
    models: ModelFiles, pipeline: CollaborativePipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    monkeypatch.setattr(sd15, "load", lambda *_, **__: pipeline)  # loading again takes seconds
    owner, _, name = f"cvd_core.runs.make.{moment}".rpartition(".")
    calls = []

    def interrupt(*_: Any, **__: Any) -> NoReturn:
        raise KeyboardInterrupt

    def interrupt_second(*words: Any) -> None:
        calls.append(words)
        if len(calls) == 2:
            raise KeyboardInterrupt
        original(*words)

    original = getattr(render, "write_video")  # noqa: B009 - its type stays out of the way
    monkeypatch.setattr(f"{owner}.{name}", interrupt_second if name == "write_video" else interrupt)
    assert cvd(*TINY, *model_options(models), "--out", tmp_path / "a" / "out") == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_ctrl_c_in_a_real_process(models: ModelFiles, tmp_path: Path) -> None:
    words = [*TINY, *model_options(models), "--out", tmp_path / "out", "--steps", 500]
    process = subprocess.Popen(
        [sys.executable, "-m", "cvd_core.cli", "generate", *map(str, words)],
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs are born ignoring it
    )
    assert process.stderr is not None
    said = b""
    while not re.search(rb"step [1-9]", said):
        chunk = os.read(process.stderr.fileno(), 4096)
        assert chunk, said
        said += chunk
    assert all(path.name.startswith(".cvd") for path in (tmp_path / "out").iterdir())  # nothing is finished yet
    process.send_signal(signal.SIGINT)
    said += process.communicate()[1]
    assert process.returncode == 130
    assert said.endswith(b"cvd: interrupted\n")
    assert b"Traceback" not in said
    assert list(tmp_path.iterdir()) == []


# the pipeline


@pytest.fixture(scope="module")
def paths(models: ModelFiles) -> ModelPaths:
    return ModelPaths(models.base_folder, models.motion, models.camera, models.sync)


@pytest.fixture(scope="module")
def pipeline(paths: ModelPaths) -> CollaborativePipeline:
    return sd15.load(paths)


def generate(pipeline: CollaborativePipeline, views: int = 2, **changes: Any) -> Tensor:
    settings = Settings(**{"prompts": ("a cat",), "width": 64, "height": 64, "steps": 2, "guidance": 1.0, **changes})
    return pipeline.generate(make_rig("circle", views, 2), settings)


def test_only_the_seed_decides(pipeline: CollaborativePipeline) -> None:
    expected = generate(pipeline)
    torch.manual_seed(5)
    torch.rand(7)
    before = torch.get_rng_state()
    assert torch.equal(generate(pipeline), expected)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(generate(pipeline, seed=1), expected)


@pytest.mark.parametrize(("views", "repeats"), [(4, 2), (5, 1)])
def test_views_per_pass_saves_memory_and_changes_nothing(
    pipeline: CollaborativePipeline, views: int, repeats: int
) -> None:
    whole = generate(pipeline, views, recurrence=Recurrence(repeats))
    pieces = generate(pipeline, views, recurrence=Recurrence(repeats), pairing=Pairing(views_per_pass=2))
    assert whole.shape == (views, 2, 64, 64, 3)
    difference = (pieces.int() - whole.int()).abs().float()
    assert difference.max() <= 1  # matrix products of other sizes round differently
    assert difference.mean() < 0.01


def test_views_see_each_other_only_through_the_sync_modules(paths: ModelPaths, pipeline: CollaborativePipeline) -> None:
    prompts = [("a cat", "a cat"), ("a cat", "a dog")]
    together = [generate(pipeline, prompts=p) for p in prompts]
    assert not torch.equal(together[0][1], together[1][1])
    assert not torch.equal(together[0][0], together[1][0])  # the other view's prompt reaches view 0
    assert torch.equal(together[0], generate(pipeline))
    alone = sd15.load(replace(paths, sync=None))
    apart = [generate(alone, prompts=p) for p in prompts]
    assert not torch.equal(apart[0][1], apart[1][1])
    assert torch.equal(apart[0][0], apart[1][0])


def test_the_views_see_each_other_only_inside_the_sync_range(pipeline: CollaborativePipeline) -> None:
    def passes(**changes: Any) -> list[Tensor]:
        settings = Settings(("a cat",), width=64, height=64, steps=2, guidance=1.0, **changes)
        found: list[Tensor] = []
        pipeline.generate(make_rig("circle", 2, 2), settings, lambda state: found.append(state.latents))
        return found

    whole, none = passes(), passes(sync_strength=0.0)
    first, second, never = passes(sync_end=0.75), passes(sync_start=0.75), passes(sync_start=1.0)
    assert torch.equal(first[0], whole[0])
    assert not torch.equal(first[1], whole[1])
    assert torch.equal(second[0], none[0])
    assert not torch.equal(second[1], none[1])
    assert torch.equal(never[1], none[1])


@pytest.mark.parametrize(
    ("schedule", "weight"), [("constant", 1.0), ("cosine", math.cos((1 - 501 / 999) * math.pi / 2))]
)
def test_camera_guidance_moves_away_from_what_has_no_camera(
    pipeline: CollaborativePipeline, schedule: str, weight: float
) -> None:
    """A step of DDIM is linear in the prediction, and a camera of strength 0 is none."""

    def first(**changes: Any) -> Tensor:
        settings = Settings(("a cat",), width=64, height=64, steps=2, **changes)
        found: list[Tensor] = []
        pipeline.generate(make_rig("circle", 2, 2), settings, lambda state: found.append(state.latents))
        return found[0]

    plain, none = first(guidance=1.0), first(guidance=1.0, camera_strength=0.0)
    assert not torch.allclose(plain, none, atol=1e-3)
    guided = first(guidance=1.0, camera_guidance=2.0, camera_guidance_schedule=schedule)
    torch.testing.assert_close(guided, plain + weight * (plain - none), atol=1e-4, rtol=1e-4)
    with_text = first(guidance=3.0)
    guided = first(guidance=3.0, camera_guidance=2.0, camera_guidance_schedule=schedule)
    torch.testing.assert_close(guided, with_text + weight * (plain - none), atol=1e-4, rtol=1e-4)
    assert torch.equal(first(guidance=3.0, camera_guidance=1.0, camera_guidance_schedule=schedule), with_text)


def test_a_distilled_motion_module_and_its_sampler(paths: ModelPaths, models: ModelFiles, tmp_path: Path) -> None:
    """AnimateLCM's files have no position tables; with guidance 1 there is one branch; recurrence and sync work."""
    tensors = motion_tensors(read_checkpoint(models.motion))
    bare = tmp_path / "AnimateLCM_sd15_t2v.safetensors"
    save_file({key: value.clone() for key, value in tensors.items() if not key.endswith(".pe")}, bare)
    pipeline = sd15.load(replace(paths, motion=bare))
    assert pipeline.unet.motion_frames == 64
    rows: list[int] = []
    pipeline.unet.register_forward_pre_hook(lambda _, inputs: rows.append(len(inputs[0])))
    few = {"sampler": "lcm", "steps": 2, "recurrence": Recurrence(2)}
    found = generate(pipeline, 3, **few)
    assert rows == [3, 3, 3]
    assert found.float().std() > 10
    with_tables = generate(sd15.load(paths), 3, **few)
    assert (found.int() - with_tables.int()).abs().float().mean() < 0.05  # tables rounded in two ways
    apart = generate(pipeline, 3, **few, sync_strength=0.0)
    assert (found.int() - apart.int()).abs().float().mean() > 1


@pytest.mark.parametrize(("words", "notes"), [(["--steps", 6, "--guidance", 1.5], 0), (["--steps", 25], 1)])
def test_what_is_not_known_of_few_steps_is_said(words: list[object], notes: int) -> None:
    words = ["--rig", "circle", "--prompt", "a", "--base", "x", "--motion", "y", "--sampler", "lcm", *words]
    plan = plan_of(*words)
    assert sum("`steps` 4 to 8" in hint for hint in plan.hints) == notes
    assert not any("has not been measured" in hint for hint in plan.hints)
    assert any("has not been measured" in hint for hint in plan_of(*words, "--sync", "z").hints)


def test_cameras_matter_only_through_camera_control_and_the_mask(
    paths: ModelPaths, pipeline: CollaborativePipeline
) -> None:
    settings = Settings(("a cat",), width=64, height=64, steps=1, guidance=1.0)
    rigs = [make_rig("circle", 2, 2, distance=d) for d in (0.3, 0.9)]

    def matter(pipeline: CollaborativePipeline, **changes: Any) -> bool:
        one, other = (pipeline.generate(rig, replace(settings, **changes)) for rig in rigs)
        return not torch.equal(one, other)

    assert matter(pipeline)
    assert not matter(sd15.load(replace(paths, camera=None, sync=None)))
    masked = sd15.load(replace(paths, camera=None))
    assert matter(masked)
    assert not matter(masked, band="none")


def test_a_lora_changes_the_videos_and_not_the_files(
    paths: ModelPaths, models: ModelFiles, pipeline: CollaborativePipeline
) -> None:
    weights = models.base_folder / "unet" / "diffusion_pytorch_model.safetensors"
    before = sha256(weights)
    plain = generate(pipeline)
    found = [generate(sd15.load(replace(paths, loras=((models.lora_kohya, scale),)))) for scale in (0.5, 1.0)]
    assert not torch.equal(found[0], plain)
    assert not torch.equal(found[0], found[1])
    assert sha256(weights) == before


def test_offloading_changes_nothing(paths: ModelPaths, pipeline: CollaborativePipeline) -> None:
    device = choose_device()
    expected = generate(pipeline if device.type == "cpu" else sd15.load(paths, Placement(device)))
    assert torch.equal(generate(sd15.load(paths, Placement(device, offload=True))), expected)


def test_every_network_computes_in_the_dtype(
    paths: ModelPaths, models: ModelFiles, pipeline: CollaborativePipeline
) -> None:
    small = sd15.load(replace(paths, loras=((models.adapter, 0.0),)), Placement(dtype=torch.bfloat16))
    for network in (small.unet, small.base.vae, small.base.text_encoder):
        assert {p.dtype for p in network.parameters()} == {torch.bfloat16}
    error = (generate(small).float() - generate(pipeline).float()).abs().mean()
    assert 0 < error < 12


def test_the_image_unet_takes_no_memory(pipeline: CollaborativePipeline) -> None:
    assert all(parameter.is_meta for parameter in pipeline.base.unet.parameters())
    assert not any(p.is_meta for p in [*pipeline.unet.parameters(), *pipeline.unet.buffers()])


def test_choices_of_device_and_type() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_dtype("auto", torch.device("cpu")) == torch.float32
    assert choose_dtype("auto", torch.device("cuda")) == torch.float16
    assert choose_dtype("bfloat16", torch.device("cpu")) == torch.bfloat16
    for name in ("gpu", "cuda:99", "cpu:x"):
        with pytest.raises(ValueError, match=f"device '{name}' cannot be used here"):
            choose_device(name)
    with pytest.raises(ValueError, match="dtype is 'fp16'; expected auto, float32, float16, bfloat16"):
        choose_dtype("fp16", torch.device("cpu"))


# real size


@pytest.fixture
def full_size(tmp_path: Path) -> Iterator[ModelFiles]:
    yield formula.write_models(tmp_path / "models", "full", torch.float16)
    shutil.rmtree(tmp_path / "models")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_real_size(full_size: ModelFiles, tmp_path: Path) -> None:
    words = ["--poses", *POSES, *SMALL, *model_options(full_size), "--out", tmp_path / "out"]
    words += ["--dtype", "bfloat16", "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-m", "cvd_core.cli", "generate", *map(str, words)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    videos = decoded(tmp_path / "out")
    assert [tuple(video.shape) for video in videos.values()] == [(16, 64, 64, 3), (16, 64, 64, 3), (16, 64, 128, 3)]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(done.stdout, f"peak memory {peak:.2f} GiB")
    assert peak < 12
