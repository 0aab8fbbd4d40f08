"""``cvd generate`` with what cannot work: one line that says what is wrong and what to do, and nothing is written."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from cvd_core.cli import main
from cvd_core.engine.model_paths import ModelPaths
from cvd_core.geometry.formats import read_cameras, write_cameras
from cvd_core.geometry.rigs import make_rig
from cvd_core.geometry.trajectories import resample
from cvd_core.runs.record import VERSION, RunRecord, record_models
from cvd_core.sampling.settings import Settings
from tests.formula import ModelFiles

POSES = Path(__file__).parents[1] / "data" / "poses" / "0bf152ef84195293.txt"
SMALL: list[object] = ["--width", 64, "--height", 64, "--steps", 2, "--prompt", "a cat"]
RIG: list[object] = ["--rig", "circle", "--frames", 2, *SMALL]
NO_MODELS: list[object] = ["--base", "x", "--motion", "y"]


def model_options(models: ModelFiles, **other: object) -> list[object]:
    files = {"base": models.base_folder, "motion": models.motion, "camera": models.camera, "sync": models.sync, **other}
    return [word for name, file in files.items() for word in (f"--{name}", file)]


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run with options that must be refused; returns the message."""

    def run(*words: object, out: Path = tmp_path / "out") -> str:
        before = sorted(tmp_path.iterdir())
        capsys.readouterr()
        assert main(["generate", "--out", str(out), *map(str, words)]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert sorted(tmp_path.iterdir()) == before
        lines = [
            line for line in printed.err.splitlines() if line and not line.startswith(("cvd: note:", "generating:"))
        ]
        assert len(lines) == 1, printed.err
        assert lines[0].startswith("cvd: error: ")
        return lines[0]

    return run


# options


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*SMALL, *NO_MODELS], "no cameras; give pose files with --poses, or a rig such as --rig circle"),
        (["--poses", POSES, "--rig", "circle"], "both --poses and --rig are given"),
        (["--poses", POSES, "--views", 3, "--rig-distance", 1], "--views, --rig-distance without --rig"),
        (["--rig", "circle", "--intrinsics", 1, 1, 0.5, 0.5], "--intrinsics without --poses"),
        (["--rig", "circle", "--rig-angle", 30], "rig 'circle'"),
        (["--rig", "circle", "--views", 0], "views is 0"),
        (["--rig", "circle", "--frames", 0], "frames is 0"),
        (["--poses", "nowhere.txt"], "nowhere.txt does not exist"),
        (["--poses", POSES, "--intrinsics", 1, 1, 0.5, 0.5], "states its own intrinsics"),
        (["--rig", "circle", "--width", 100], "width is 100 pixels; expected a multiple of 8, at least 64"),
        (["--rig", "circle", "--height", 8], "height is 8 pixels"),
        (["--rig", "circle", "--steps", 0], "--steps is 0"),
        (["--rig", "circle", "--guidance", 0], "guidance is 0.0"),
        (["--rig", "circle", "--sampler", "plms"], "sampler is 'plms'; expected one of ddim, euler"),
        (["--rig", "circle", "--recurrence", 0], "recurrence is 0"),
        (["--rig", "circle", "--recurrence-range", 0.5, 0.2], "--recurrence-range is 0.5 to 0.2"),
        (["--rig", "circle", "--views-per-pass", 0], "--views-per-pass is 0"),
        (["--rig", "circle", "--prompt", "b", "c"], "3 prompts for 2 views"),
        (["--rig", "circle", "--negative", "b", "c", "d"], "3 negative prompts for 2 views"),
        (["--rig", "circle", "--fps", 0], "frame rate is 0.0"),
        (["--rig", "circle", "--device", "gpu"], "device 'gpu' cannot be used here"),
        (["--rig", "circle", "--from", "nowhere.json"], "nowhere.json does not exist; expected the run.json"),
        (["--rig", "circle", "--seed", -1], "seed is -1"),
        (["--rig", "circle", "--seed", 1 << 64], "seed is 18446744073709551616"),
        (["--rig", "circle", "--partitions", 2], "choose 'multi-partition'"),
    ],
)
def test_options(refused: Any, words: list[object], message: str) -> None:
    assert message in refused(*SMALL, *NO_MODELS, *words)


def test_what_is_missing(refused: Any) -> None:
    assert "--prompt is missing" in refused("--rig", "circle", *NO_MODELS)
    assert "--motion is missing; give the AnimateDiff motion module" in refused(*RIG, "--base", "x")


def test_pose_files_of_different_lengths(refused: Any, tmp_path: Path) -> None:
    short = tmp_path / "short.txt"
    write_cameras(resample(read_cameras(POSES), 5), short)
    message = refused("--poses", POSES, short, *SMALL, *NO_MODELS)
    assert f"{POSES}: 16, {short}: 5" in message
    assert "--frames 16" in message


# models


@pytest.mark.parametrize(
    ("slot", "file", "expected"),
    [
        ("base", "sync", "CVD.ckpt is not a Stable Diffusion 1.5 checkpoint: its keys look like a CVD sync module"),
        ("motion", "camera", "CameraCtrl.ckpt is not an AnimateDiff motion module"),
        ("camera", "sync", "CVD.ckpt is not a CameraCtrl checkpoint"),
        ("sync", "motion", "v3_sd15_mm.ckpt is not a CVD sync module: its keys look like an AnimateDiff motion module"),
        ("lora", "motion", "v3_sd15_mm.ckpt is not a LoRA: its keys look like an AnimateDiff motion module"),
        ("sync", "lora_kohya", "lora_kohya.safetensors is not a CVD sync module"),
    ],
)
def test_a_file_in_the_wrong_place(refused: Any, models: ModelFiles, slot: str, file: str, expected: str) -> None:
    message = refused(*RIG, *model_options(models, **{slot: getattr(models, file)}))
    assert expected in message
    role = "lora" if file == "lora_kohya" else file
    assert f"Give it to --{role} instead" in message


@pytest.mark.parametrize("slot", ["base", "motion", "camera", "sync", "lora"])
def test_a_file_that_is_not_there(refused: Any, models: ModelFiles, slot: str) -> None:
    assert "nowhere.ckpt does not exist" in refused(*RIG, *model_options(models, **{slot: "nowhere.ckpt"}))


@pytest.mark.parametrize("slot", ["base", "motion", "camera", "sync", "lora"])
def test_a_pickle_that_would_run_code(refused: Any, models: ModelFiles, tmp_path: Path, slot: str) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    torch.save({"weight": Trap()}, tmp_path / "trap.ckpt")
    assert "asks to run posix.system" in refused(*RIG, *model_options(models, **{slot: tmp_path / "trap.ckpt"}))
    assert not (tmp_path / "ran").exists()


def test_a_base_without_its_tokenizer(refused: Any, models: ModelFiles, tmp_path: Path) -> None:
    single = model_options(models, base=models.base_file)
    assert "carries no configs and no tokenizer" in refused(*RIG, *single)
    folder = Path(shutil.copytree(models.base_folder, tmp_path / "base"))
    shutil.rmtree(folder / "tokenizer")
    assert "lacks tokenizer/vocab.json" in refused(*RIG, *model_options(models, base=folder))
    assert "lacks tokenizer/vocab.json" in refused(*RIG, *single, "--config", folder)


def test_a_sync_module_that_lacks_tensors(refused: Any, models: ModelFiles, tmp_path: Path) -> None:
    tensors = torch.load(models.sync, weights_only=True)["unet_trainable_dict"]
    tensors.popitem()
    save_file(tensors, tmp_path / "half.safetensors")
    message = refused(*RIG, *model_options(models, sync=tmp_path / "half.safetensors"))
    assert "half.safetensors holds 519 of 520 sync module tensors; missing 1: " in message


def test_more_frames_than_a_network_has_positions_for(refused: Any, models: ModelFiles) -> None:
    message = refused(*RIG, "--frames", 40, *model_options(models))
    assert "40 frames: the motion module holds positions for 32" in message
    assert "at most 16 frames" in message
    message = refused(*RIG, "--frames", 20, *model_options(models))
    assert "20 frames: the CameraCtrl pose encoder holds positions for 16" in message


def test_a_prompt_that_is_too_long(refused: Any, models: ModelFiles) -> None:
    message = refused(*RIG, "--prompt", "w" * 100, *model_options(models), "--views", 2)
    assert "the prompt has 100 tokens, the text encoder takes 75" in message


# output


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_an_output_that_cannot_be_written_is_found_first(refused: Any, tmp_path: Path, out: str) -> None:
    (tmp_path / "file").touch()
    assert "cannot write to" in refused(*RIG, *NO_MODELS, out=tmp_path / out)  # these models do not even exist


def test_earlier_results_are_not_overwritten(refused: Any, tmp_path: Path) -> None:
    (tmp_path / "grid.mp4").write_bytes(b"precious")
    assert f"{tmp_path} already holds grid.mp4; choose another folder" in refused(*RIG, *NO_MODELS, out=tmp_path)
    assert (tmp_path / "grid.mp4").read_bytes() == b"precious"


# records


@pytest.fixture
def record(models: ModelFiles, tmp_path: Path) -> Path:
    """The record of a run with models that can be spoiled."""
    for file in (models.motion, models.sync, models.adapter):
        shutil.copy(file, tmp_path)
    base = Path(shutil.copytree(models.base_folder, tmp_path / "base"))
    paths = ModelPaths(
        base, tmp_path / models.motion.name, sync=tmp_path / "CVD.ckpt", loras=((tmp_path / models.adapter.name, 1.0),)
    )
    settings = Settings(("a cat",), width=64, height=64, steps=1, guidance=1.0)
    RunRecord(settings, make_rig("circle", 2, 2), {}, record_models(paths), 8.0, "float32", "cpu").save(
        tmp_path / "run.json"
    )
    return tmp_path / "run.json"


def test_a_model_that_has_changed_is_named_with_its_option(refused: Any, record: Path, models: ModelFiles) -> None:
    folder = record.parent
    tensors = torch.load(folder / "CVD.ckpt", weights_only=True)["unet_trainable_dict"]
    key = next(iter(tensors))
    torch.save({"unet_trainable_dict": {**tensors, key: tensors[key] + 1}}, folder / "CVD.ckpt")
    message = refused("--from", record)
    assert f"{folder / 'CVD.ckpt'} is not the file that the recorded run used" in message
    assert "with --sync" in message
    (folder / "v3_sd15_mm.ckpt").unlink()
    message = refused("--from", record, "--sync", models.sync)
    assert (
        f"{folder / 'v3_sd15_mm.ckpt'}, an AnimateDiff motion module (v3) that the recorded run used, does" in message
    )
    assert "with --motion" in message
    (folder / models.adapter.name).write_bytes(b"")
    message = refused("--from", record, "--sync", models.sync, "--motion", models.motion)
    assert "with --lora" in message


def test_models_given_anew_are_not_compared(record: Path, models: ModelFiles) -> None:
    (record.parent / "CVD.ckpt").unlink()
    assert main(["generate", "--from", str(record), "--sync", str(models.sync), "--out", str(record.parent / "o")]) == 0
    again = RunRecord.load(record.parent / "o" / "run.json")
    assert again.paths.sync == models.sync
    unchanged = [model for model in RunRecord.load(record).models if model.role != "sync"]
    assert [model for model in again.models if model.role != "sync"] == unchanged


@pytest.mark.parametrize("change", ["a config", "other weights", "tokenizer", "one more format", "noise schedule"])
def test_a_base_folder_that_has_changed(refused: Any, record: Path, change: str) -> None:
    base = record.parent / "base"
    weights = base / "unet" / "diffusion_pytorch_model.safetensors"
    if change == "a config":
        file = base / "vae" / "config.json"
        file.write_text(file.read_text().replace("0.18215", "0.18216"))
    elif change == "other weights":
        file = weights
        tensors = load_file(file)
        save_file({key: value * 2 for key, value in tensors.items()}, file)
    elif change == "tokenizer":
        file = base / "tokenizer" / "merges.txt"
        file.unlink()
    elif change == "noise schedule":
        file = base / "scheduler" / "scheduler_config.json"
        file.parent.mkdir()
        file.write_text('{"prediction_type": "v_prediction"}')
    else:  # weights are found in another file than then
        file = weights.with_suffix(".bin")
        torch.save(load_file(weights), file)
        weights.unlink()
    message = refused("--from", record)
    assert f"{file} is not the file that the recorded run used" in message
    assert "with --base" in message


def test_a_lora_in_a_folder_is_recorded_with_its_config(record: Path, models: ModelFiles, tmp_path: Path) -> None:
    folder = tmp_path / "style"
    folder.mkdir()
    shutil.copy(models.lora_peft, folder / "adapter_model.safetensors")
    config = folder / "adapter_config.json"
    config.write_text('{"r": 4, "lora_alpha": 4}')
    earlier = RunRecord.load(record)
    changed = replace(earlier, models=record_models(replace(earlier.paths, loras=((folder, 1.0),)), earlier.models))
    (lora,) = (model for model in changed.models if model.role == "lora")
    assert {file.name for file in lora.files} == {"adapter_model.safetensors", "adapter_config.json"}
    changed.verify()
    config.write_text('{"r": 4, "lora_alpha": 8}')
    with pytest.raises(ValueError, match=r"adapter_config\.json is not the file that the recorded run used.*`loras`"):
        changed.verify()


def test_a_folder_that_is_something_else_by_now(refused: Any, record: Path) -> None:
    values = json.loads(record.read_text())
    for model in values["models"]:
        model["path"] = str(record.parent.parent) if model["role"] == "base" else model["path"]
    record.write_text(json.dumps(values))
    assert "is not the file that the recorded run used (no such file, recorded: " in refused("--from", record)


def test_files_that_are_not_read_may_come_and_go(record: Path) -> None:
    (record.parent / "base" / "unet" / "diffusion_pytorch_model.fp16.safetensors").touch()
    (record.parent / "base" / "README.md").touch()
    RunRecord.load(record).verify()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", "it is not valid JSON"),
        (lambda text: text[: len(text) // 2], "it is not valid JSON"),
        (lambda text: "[1, 2]", 'not the record of a run, which has "format": "cvd run"'),
        (lambda text: '{"frames": []}', "not the record of a run"),
        (
            lambda text: edited(text, version=VERSION + 1),
            f"its format has version {VERSION + 1}, this program reads {VERSION}",
        ),
        (lambda text: edited(text, settings={"prompts": ["a"], "hue": 3}), "'hue'"),
        (lambda text: edited(text, settings={}), "prompts"),
        (lambda text: edited(text, settings={"prompts": ["a"], "steps": "25"}), "steps is '25'"),
        (lambda text: edited(text, settings={"prompts": ["a"], "width": 100}), "width is 100 pixels"),
        (lambda text: edited(text, models=None), "models is None; expected a list"),
        (
            lambda text: edited(text, cameras={}),
            "cameras lacks names; cameras lacks c2w",
        ),
        (
            lambda text: edited(text, cameras={"c2w": [[1]], "intrinsics": [], "names": [], "source": {}}),
            "c2w.0.0 is 1; expected a list",
        ),
        (lambda text: edited(text, fps="fast"), "fps is 'fast'; expected a number"),
    ],
)
def test_a_record_that_cannot_be_used(refused: Any, record: Path, change: Any, message: str) -> None:
    record.write_text(change(record.read_text()))
    found = refused("--from", record)
    assert found.startswith(f"cvd: error: {record} cannot be repeated: ")
    assert message in found


def edited(text: str, **values: Any) -> str:
    return json.dumps({**json.loads(text), **values})


def test_another_version_is_told(
    record: Path, models: ModelFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    versions = json.loads(record.read_text())["versions"]
    record.write_text(edited(record.read_text(), versions={**versions, "torch": "2.5.0"}, device="cpu"))
    (tmp_path / "CVD.ckpt").write_bytes(b"no model")
    assert main(["generate", "--from", str(record), "--sync", str(tmp_path / "CVD.ckpt"), "--out", "unused"]) == 2
    assert f"made with torch 2.5.0, now {torch.__version__}: numbers may differ" in capsys.readouterr().err


def test_a_record_keeps_every_digit(record: Path) -> None:
    text = record.read_text()
    loaded = RunRecord.load(record)
    assert torch.equal(loaded.cameras.c2w, make_rig("circle", 2, 2).c2w)
    assert loaded.to_json() == text
    prompts = ("[\n 1\n]", '"é" {x} [1, 2]', "\u2028")
    kept = RunRecord.from_json(edited(text, settings={**loaded.settings.to_dict(), "prompts": prompts}))
    assert RunRecord.from_json(kept.to_json()).settings.prompts == prompts
