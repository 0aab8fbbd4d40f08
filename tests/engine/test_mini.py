"""The small model as ``cvd generate``'s default: what it brings along, what it goes with, and what it hints at."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

import cvd_core
from cvd_core.cli import main
from cvd_core.engine.model_paths import ModelPaths
from cvd_core.engine.sd15 import assemble as sd15
from cvd_core.geometry.rigs import make_rig
from cvd_core.runs import mini
from cvd_core.runs.record import RunRecord, record_models
from cvd_core.sampling.settings import Settings
from cvd_core.scenes.paths import SPREAD
from cvd_core.training.config import load_config
from cvd_core.video.files import read_video
from tests import mini_run
from tests.engine.command import plan_of
from tests.formula import ModelFiles

POSES = [Path(__file__).parents[1] / "data" / "poses" / f"{n}.txt" for n in ("0bf152ef84195293", "2f25826f0d0ef09a")]
STEREO = ["--rig", "stereo", "--prompt", "a red ball"]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> NoReturn:
        raise AssertionError("something tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def refusal(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    capsys.readouterr()
    assert main(["generate", "--out", "unused", *map(str, words)]) == 2
    return capsys.readouterr().err.splitlines()[-1]


def record(folder: Path, paths: ModelPaths) -> Path:
    """The run.json of an earlier run with these models."""
    settings = Settings(("a cat",), width=72, height=80, steps=3, guidance=2.0)
    RunRecord(settings, make_rig("circle", 3, 5), {}, record_models(paths), 8.0, "float32", "cpu").save(
        folder / "run.json"
    )
    return folder / "run.json"


# what it is


def test_what_is_said_of_it_is_how_it_was_trained() -> None:
    trained = load_config(Path(cvd_core.__file__).parent / "training" / "configs" / "mini.yaml")
    assert (mini.SETTINGS["width"], mini.SETTINGS["height"]) == (trained.data.size, trained.data.size)
    assert trained.data.frames == mini.FRAMES
    assert trained.data.spread == SPREAD
    assert trained.networks.widths == mini.WIDTHS
    pipeline = sd15.load(mini.MODEL)
    assert pipeline.unet.widths == mini.WIDTHS
    assert pipeline.unet.motion_frames == mini.FRAMES
    assert pipeline.unet.sync is not None
    words = [token.removesuffix("</w>") for token in pipeline.base.tokenizer.tokenize(mini.EXAMPLE)]
    assert words == mini.EXAMPLE.split()


# what a run takes from it


@pytest.mark.parametrize("words", [[], ["--base", "mini"], ["--base", mini.MODEL.base]])
def test_it_is_the_default_and_brings_its_own_defaults(words: list[object]) -> None:
    found = plan_of(*STEREO, *words)
    assert found.paths == mini.MODEL
    assert found.settings == Settings(("a red ball",), **mini.SETTINGS)
    assert torch.equal(found.cameras.c2w, make_rig("stereo", 2, 8).c2w)
    assert found.source["frames"] == 8


def test_options_come_before_its_defaults(models: ModelFiles) -> None:
    words = ["--frames", 4, "--width", 72, "--steps", 3, "--base", "mini", "--sync", models.sync]
    found = plan_of(*STEREO, *words)
    assert found.settings == Settings(("a red ball",), **mini.SETTINGS | {"width": 72, "steps": 3})
    assert found.cameras.frames == 4
    assert found.paths == ModelPaths(mini.MODEL.base, mini.MODEL.motion, mini.MODEL.camera, models.sync)


def test_pose_files_get_its_number_of_frames() -> None:
    words = ["--poses", *POSES, "--prompt", "a red ball"]
    assert plan_of(*words).cameras.frames == 8
    assert plan_of(*words, "--frames", 5).cameras.frames == 5
    assert plan_of(*words, "--base", "x", "--motion", "y").cameras.frames == 16


def test_other_models_have_the_papers_defaults() -> None:
    found = plan_of(*STEREO, "--base", "./mini", "--motion", "y")
    assert found.paths == ModelPaths(Path("mini"), Path("y"))
    assert found.settings == Settings(("a red ball",))
    assert found.cameras.frames == 16


# with other files


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["--sync", "CVD.ckpt"], "--sync"),
        (["--motion", "m", "--camera", "c", "--sync", "s"], "--motion, --camera, --sync"),
        (["--lora", "style.safetensors:0.5"], "--lora"),
        (["--config", "sd15"], "--config"),
    ],
)
def test_files_without_their_base(capsys: pytest.CaptureFixture[str], words: list[object], options: str) -> None:
    message = refusal(capsys, *STEREO, *words)
    assert f"error: {options} without --base; name the Stable Diffusion 1.5 model" in message
    assert "small model of the package, which is used when no files are given" in message


@pytest.mark.parametrize("part", ["motion", "camera", "sync"])
def test_files_of_another_size(
    models: ModelFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str], part: str
) -> None:
    file = getattr(models, part)
    message = refusal(capsys, *STEREO, "--base", "mini", f"--{part}", file, "--out", tmp_path / "out")
    assert file.name in message
    assert "(32, 64, 64, 64), the base model has (64, 96, 128)" in message
    assert "of one family" in message
    message = refusal(
        capsys, *STEREO, "--base", models.base_folder, "--motion", models.motion, f"--{part}", getattr(mini.MODEL, part)
    )
    assert f"{part}.safetensors" in message
    assert "(64, 96, 128), the base model has (32, 64, 64, 64)" in message
    assert list(tmp_path.iterdir()) == []


# an earlier run


def test_its_runs_are_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # nothing depends on where the program is started
    words = [*STEREO, "--views", 3, "--steps", 2]
    assert main(["generate", *map(str, words), "--out", "first"]) == 0
    found = RunRecord.load("first/run.json")
    assert found.paths == mini.MODEL
    assert (found.settings.width, found.settings.guidance, found.cameras.frames) == (64, 3.0, 8)
    assert main(["generate", "--from", "first/run.json", "--out", "again"]) == 0
    for name in ("view0.mp4", "view1.mp4", "view2.mp4"):
        video = read_video(Path("first") / name)[0]
        assert video.shape == (8, 64, 64, 3)
        assert torch.equal(video, read_video(Path("again") / name)[0])


def test_a_record_decides_what_it_says(tmp_path: Path) -> None:
    found = plan_of("--from", record(tmp_path, mini.MODEL), "--seed", 4)
    assert found.settings == Settings(("a cat",), width=72, height=80, steps=3, guidance=2.0, seed=4)
    assert found.cameras.frames == 5
    every = ("base", "config", "motion", "camera", "sync", "lora")
    assert (found.paths, found.kept) == (mini.MODEL, frozenset(every))
    assert plan_of("--from", tmp_path / "run.json", "--rig", "circle").cameras.frames == 8
    anew = plan_of("--from", tmp_path / "run.json", "--base", "mini")
    assert (anew.paths, anew.kept) == (mini.MODEL, frozenset(("config", "lora")))


def test_a_change_to_it_or_from_it_leaves_no_other_file_behind(
    models: ModelFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ModelPaths(models.base_folder, models.motion, models.camera, models.sync, ((models.adapter, 1.0),))
    to_it = plan_of("--from", record(tmp_path, own), "--base", "mini")
    assert (to_it.paths, to_it.kept) == (mini.MODEL, frozenset())
    away = ["--from", record(tmp_path, mini.MODEL), "--base", models.base_folder]
    assert "error: --motion is missing" in refusal(capsys, *away)
    found = plan_of(*away, "--motion", models.motion)
    assert (found.paths, found.kept) == (ModelPaths(models.base_folder, models.motion), frozenset())


# what it is told to do


def hints(*words: object) -> list[str]:
    found = plan_of(*words)
    return mini.hints(found.settings, found.cameras)


def test_nothing_is_said_of_what_it_knows() -> None:
    known = ["--rig", "stereo", "--rig-baseline", 2, "--negative", "Sky,", "--prompt"]
    assert hints(*known, mini.EXAMPLE) == []
    assert hints(*known, "A RED ball, and a blue cube.") == []


def test_words_it_does_not_know() -> None:
    (text,) = hints("--rig", "stereo", "--prompt", "a red lighthouse", "a red ball at Dawn", "--negative", "fog")
    assert "does not know 'lighthouse', 'at', 'dawn', 'fog'; its words are a, and, ball, blue" in text
    assert mini.EXAMPLE in text


def test_sizes_it_was_not_trained_with() -> None:
    (text,) = hints(*STEREO, "--width", 128)
    assert "64x64 pixels only" in text


@pytest.mark.parametrize(
    ("words", "beyond"),
    [
        (["--rig", "stereo", "--rig-baseline", 4], "(truck 2)"),
        (["--rig", "circle", "--views", 4, "--rig-distance", 0.5], "(pedestal 0.5, pan 26.6, tilt 26.6)"),
        (["--rig", "orbit", "--rig-angle", 60, "--rig-distance", 2], "(pan 30)"),
    ],
)
def test_camera_motion_it_was_not_trained_with(words: list[object], beyond: str) -> None:
    (text,) = hints(*words, "--prompt", "a red ball")
    assert beyond in text
    assert "truck 1.5, dolly 1, pan 20" in text


def test_the_user_is_told_which_model_it_is(
    models: ModelFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--rig", "circle", "--prompt", "a cat", "--steps", 1, "--guidance", 1, "--frames", 2]
    assert main(["generate", *map(str, words), "--out", str(tmp_path / "mini")]) == 0
    said = capsys.readouterr().err
    assert f"cvd: note: {mini.ABOUT}; {mini.INSTEAD.replace('`base`', '--base')}\n" in said
    assert "does not know 'cat'" in said
    assert "has not learned such camera motion" in said
    files = ["--base", models.base_folder, "--motion", models.motion, "--width", 64, "--height", 64]
    assert main(["generate", *map(str, [*words, *files]), "--out", str(tmp_path / "own")]) == 0
    assert "small model" not in capsys.readouterr().err


def test_the_recorded_run_is_what_the_engine_makes() -> None:
    """What the nodes are compared with; after a change of the model: ``python -m tests.mini_run``."""
    difference = (mini_run.made_by_the_engine().float() - mini_run.recorded().float()).abs()
    assert difference.max() <= 1
