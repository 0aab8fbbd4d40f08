"""``cvd inspect`` and ``cvd convert`` as an artist runs them."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from cvd_core.cli import convert, inspect
from cvd_core.runs import mini
from cvd_core.weights import sha256
from tests import formula
from tests.formula import ModelFiles


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    return formula.write_models(tmp_path_factory.mktemp("models"))


def cvd(*arguments: str | Path) -> None:
    parser = argparse.ArgumentParser(prog="cvd")
    subparsers = parser.add_subparsers()
    inspect.add_parser(subparsers)
    convert.add_parser(subparsers)
    args = parser.parse_args([str(argument) for argument in arguments])
    args.run(args)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("motion", ["an AnimateDiff motion module (v3)", "--motion", "models/animatediff_models", "at most 32"]),
        ("sync", ["a CVD sync module", "--sync", "models/cvd", "520 with 1,487,840 parameters", "unet_trainable_dict"]),
        ("camera", ["CameraCtrl checkpoint (nested)", "--camera", "cvd convert", "at most 16", "32, 64, 64, 64"]),
        ("camera_flat", ["CameraCtrl checkpoint (flat)", "--camera"]),
        (
            "base_file",
            ["Stable Diffusion 1.x", "UNet, VAE, text encoder", "fits        nothing here. base."],
        ),
        ("lora_kohya", ["LoRA in kohya format", "text width  64", "nothing here. ", "have other shapes"]),
        ("adapter", ["AnimateDiff adapter LoRA", "float32", "have other shapes"]),
    ],
)
def test_inspect_says_what_and_where(
    models: ModelFiles, capsys: pytest.CaptureFixture[str], name: str, expected: list[str]
) -> None:
    cvd("inspect", getattr(models, name))
    printed = capsys.readouterr().out
    assert printed.startswith(str(getattr(models, name)))
    for part in expected:
        assert part in printed


def test_inspect_a_folder(models: ModelFiles, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    cvd("inspect", models.base_folder)
    printed = capsys.readouterr().out
    for part in ("--base, as unet/ of", "--base, as vae/ of", "--base, as text_encoder/ of"):
        assert part in printed
    assert "fits        only the other parts of its folder; SD1.5 has other widths" in printed
    with pytest.raises(ValueError, match="holds no model files"):
        cvd("inspect", tmp_path)


def test_inspect_says_what_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.safetensors"
    motion = "down_blocks.0.motion_modules.0.temporal_transformer.proj_in.weight"
    cases = {
        "conditioner.embedders.0.x": "nothing here. CVD runs on Stable Diffusion 1.5",
        "lora_te2_x.lora_up.weight": "nothing here. x.safetensors has only one of the two matrices",
        "down_blocks.0.motion_modules.0.a_lora.up.weight": "nothing here. This project does not use this kind",
        "controlnet_cond_embedding.conv_in.weight": "nothing here. This project does not use this kind",
        "fc.weight": "first keys  fc.weight",
        motion: "nothing here. x.safetensors holds no attentions of motion modules",
        motion.replace("proj_in.weight", "attention_blocks.0.pos_encoder.pe"): "nothing here. ",
        "down_blocks.0.epi_modules.0.epi_transformer.proj_in.weight": "nothing here. ",
        "base_model.model.a.to_q.lora_A.weight": "adapter_config.json",
    }
    for key, expected in cases.items():
        save_file({key: torch.ones(2, 2)}, file)
        cvd("inspect", file)
        printed = capsys.readouterr().out
        assert expected in printed
        assert "goes into" not in printed


TO_K = "down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"


@pytest.mark.parametrize(
    ("name", "width", "expected"),
    [
        (f"lora_unet_{TO_K}", 768, "fits        Stable Diffusion 1.5\n"),
        ("lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k", 768, "fits        Stable Diffusion 1.5\n"),
        (f"lora_unet_{TO_K}", 2048, "have other shapes"),
    ],
)
def test_a_lora_fits_if_loading_would_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, width: int, expected: str
) -> None:
    file = tmp_path / "x.safetensors"
    save_file({f"{name}.lora_down.weight": torch.ones(4, width), f"{name}.lora_up.weight": torch.ones(640, 4)}, file)
    cvd("inspect", file)
    printed = capsys.readouterr().out
    assert expected in printed
    assert ("--lora" in printed) == expected.endswith("\n")


@pytest.mark.parametrize("name", ["motion", "camera", "sync", "base"])
def test_every_part_of_the_small_model_fits_it(capsys: pytest.CaptureFixture[str], name: str) -> None:
    file = mini.FOLDER / (name if name == "base" else f"{name}.safetensors")
    cvd("inspect", file)
    printed = capsys.readouterr().out
    assert printed.count("fits        the small model of the package\n") == (3 if name == "base" else 1)
    assert f"--{name}" in printed


def test_fits_is_not_said_of_files_that_would_not_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.safetensors"
    for name in ("motion", "camera", "sync"):
        whole = load_file(mini.FOLDER / f"{name}.safetensors")
        key = sorted(whole)[5]
        damaged: dict[str, Tensor]
        for damaged in (
            {k: v for k, v in whole.items() if k != key},
            whole | {key: whole[key] * float("nan")},
            whole | {key: whole[key].to(torch.int32)},
        ):
            save_file(damaged, file)
            cvd("inspect", file)
            printed = capsys.readouterr().out
            assert "fits        nothing here. " in printed
            assert ".".join(key.split(".")[-2:]) in printed
            assert f"--{name}" not in printed


def test_eight_bit_files_fit_like_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("motion", "camera", "sync"):
        for dtype in (torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16):
            state = load_file(mini.FOLDER / f"{name}.safetensors")
            save_file({key: value.to(dtype) for key, value in state.items()}, tmp_path / "x.safetensors")
            cvd("inspect", tmp_path / "x.safetensors")
            assert "fits        the small model of the package\n" in capsys.readouterr().out


@pytest.mark.slow
def test_a_full_size_sync_module_fits_sd15(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shapes = formula.key_list("full")["epi"]
    save_file(
        {key: torch.zeros(shape, dtype=torch.float8_e4m3fn) for key, shape in shapes.items()},
        tmp_path / "x.safetensors",
    )
    cvd("inspect", tmp_path / "x.safetensors")
    assert "fits        Stable Diffusion 1.5\n" in capsys.readouterr().out


def test_shards_are_one_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = tmp_path / "base"
    shutil.copytree(mini.FOLDER / "base", base)
    shard(base / "unet" / "diffusion_pytorch_model.safetensors")
    cvd("inspect", base)
    printed = capsys.readouterr().out
    assert printed.count("fits        the small model of the package\n") == 3
    assert "diffusion_pytorch_model.safetensors.index.json: a diffusers UNet\n" in printed


def shard(file: Path, count: int = 3) -> Path:
    """Split a safetensors file as Hugging Face's libraries do; the index."""
    state = load_file(file)
    index: dict[str, str] = {}
    for i in range(count):
        part = {key: value.clone() for key, value in list(state.items())[i::count]}
        name = f"{file.stem}-{i + 1:05}-of-{count:05}.safetensors"
        save_file(part, file.with_name(name))
        index |= dict.fromkeys(part, name)
    file.unlink()
    path = file.with_name(f"{file.name}.index.json")
    path.write_text(json.dumps({"metadata": {}, "weight_map": index}))
    return path


def test_sha256_on_demand(models: ModelFiles, capsys: pytest.CaptureFixture[str]) -> None:
    digest = sha256(models.sync)
    cvd("inspect", models.sync)
    assert digest not in capsys.readouterr().out
    cvd("inspect", "--sha256", models.sync)
    assert digest in capsys.readouterr().out


def test_convert(models: ModelFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "camera.safetensors"
    cvd("convert", models.camera, target)
    assert f"-> {target}, 3.6 MB" in capsys.readouterr().out
    assert load_file(target).keys() == load_file(models.camera_flat).keys()
    with pytest.raises(ValueError, match="name the output"):
        cvd("convert", models.camera, tmp_path / "camera.ckpt")
