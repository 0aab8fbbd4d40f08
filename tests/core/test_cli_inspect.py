"""``cvd inspect`` and ``cvd convert`` as an artist runs them."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from cvd_core.cli import convert, inspect
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
        ("base_file", ["Stable Diffusion 1.x", "--base", "models/checkpoints", "UNet, VAE, text encoder"]),
        ("lora_kohya", ["LoRA in kohya format", "--lora", "text width  64", "SD1.5 has 768"]),
        ("adapter", ["AnimateDiff adapter LoRA", "--lora", "float32"]),
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
    with pytest.raises(ValueError, match="holds no model files"):
        cvd("inspect", tmp_path)


def test_inspect_says_what_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.safetensors"
    cases = {
        "conditioner.embedders.0.x": "nothing here: CVD runs on Stable Diffusion 1.5",
        "lora_te2_x.lora_up.weight": "nothing here: CVD runs on Stable Diffusion 1.5",
        "down_blocks.0.motion_modules.0.a_lora.up.weight": "fits        nothing here\n",
        "fc.weight": "first keys  fc.weight",
    }
    for key, expected in cases.items():
        save_file({key: torch.ones(2, 2)}, file)
        cvd("inspect", file)
        assert expected in capsys.readouterr().out


def test_full_size_files_fit_sd15(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = [f"down_blocks.{i}.epi_modules.0.epi_transformer.proj_in.weight" for i in range(4)]
    save_file(
        {key: torch.ones(c, 1) for key, c in zip(keys, (320, 640, 1280, 1280), strict=True)}, tmp_path / "x.safetensors"
    )
    cvd("inspect", tmp_path / "x.safetensors")
    assert "fits        Stable Diffusion 1.5\n" in capsys.readouterr().out


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
