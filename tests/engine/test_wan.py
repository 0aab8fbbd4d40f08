"""SynCamMaster through the engine: a small Wan folder as diffusers writes it, from files to videos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import init_empty_weights
from diffusers import WanPipeline, WanTransformer3DModel
from safetensors.torch import load_file, save_file

import cvd_core
from cvd_core.cli import main
from cvd_core.engine.fit import try_alone
from cvd_core.engine.wan.lora import SIZES
from cvd_core.runs.make import Pipeline
from cvd_core.syncam.module import SynCamModules
from cvd_core.syncam.presets import preset_cameras
from cvd_core.video.files import read_video
from cvd_core.weights import Checkpoint, identify
from tests.wan_folder import BLOCKS, HEADS, WIDTH, released_layout, write_wan

SIZE: dict[str, Any] = {"width": 64, "height": 64, "steps": 2}


@pytest.fixture(scope="session")
def wan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A diffusers folder with all parts small, and SynCamMaster's modules beside it."""
    folder = tmp_path_factory.mktemp("wan")
    write_wan(folder)
    modules = SynCamModules(BLOCKS, WIDTH, HEADS)
    for name, value in modules.named_parameters():
        torch.nn.init.normal_(value, 0, 0.3 if "modulation" in name else 0.05)
    save_file(modules.state_dict(), folder / "syncam.safetensors")
    return folder


@pytest.fixture(scope="session")
def pipe(wan: Path) -> Pipeline:
    return cvd_core.load_pipeline(wan, sync=wan / "syncam.safetensors", device="cpu")


def test_views_see_each_other_through_the_modules_alone(wan: Path, pipe: Pipeline) -> None:
    rig = preset_cameras("az", 5, 2, aspect=1)
    run = pipe(rig, "a red ball", progress=False, **SIZE)
    assert run.frames.shape == (2, 5, 64, 64, 3)
    off = pipe(rig, "a red ball", progress=False, sync_strength=0, **SIZE)
    plain = cvd_core.load_pipeline(wan, device="cpu")(rig, "a red ball", progress=False, **SIZE)
    assert torch.equal(off.frames, plain.frames)
    assert not torch.equal(run.frames, plain.frames)
    assert torch.equal(run.cameras.c2w, rig.c2w)  # where they stand, not moved to a common start


def test_a_single_view_is_diffusers_own_pipeline(wan: Path) -> None:
    """The same prompt embeddings, noise levels and decoding: diffusers' WanPipeline is the oracle."""
    pipe = cvd_core.load_pipeline(wan, device="cpu")
    networks = pipe.networks
    embedded = networks.encode(["a red ball", ""])  # type: ignore[attr-defined]
    theirs = WanPipeline(
        tokenizer=networks.model.tokenizer,  # type: ignore[attr-defined]
        text_encoder=networks.model.text_encoder,  # type: ignore[attr-defined]
        vae=networks.model.vae,  # type: ignore[attr-defined]
        scheduler=None,
        transformer=networks.model.transformer,  # type: ignore[attr-defined]
    )
    expected = theirs._get_t5_prompt_embeds(["a red ball", ""], max_sequence_length=512, device=torch.device("cpu"))
    torch.testing.assert_close(embedded, expected, atol=1e-5, rtol=1e-5)


def test_pairs_and_more_views(pipe: Pipeline) -> None:
    rig = preset_cameras("az", 5, 3, aspect=1)
    joint = pipe(rig, "a red ball", progress=False, **SIZE)
    pairs = pipe(rig, "a red ball", progress=False, pairing=cvd_core.Pairing("exhaustive"), **SIZE)
    assert joint.frames.shape == pairs.frames.shape == (3, 5, 64, 64, 3)
    assert not torch.equal(joint.frames, pairs.frames)


def test_command_and_repeat(wan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["generate", "--base", wan, "--sync", wan / "syncam.safetensors", "--rig", "az", "--views", 2]
    words += ["--frames", 5, "--prompt", "a red ball", "--width", 64, "--height", 64, "--steps", 2]
    assert main([*map(str, words), "--out", str(tmp_path / "one")]) == 0
    assert main(["generate", "--from", str(tmp_path / "one" / "run.json"), "--out", str(tmp_path / "two")]) == 0
    first, second = (read_video(tmp_path / name / "view0.mp4")[0] for name in ("one", "two"))
    assert torch.equal(first, second)
    settings = json.loads((tmp_path / "one" / "run.json").read_text())["settings"]
    assert (settings["sampler"], settings["strategy"], settings["guidance"]) == ("euler", "joint", 5.0)
    wide = ["--rig", "az", "--views", "3", "--frames", "5", "--width", "64", "--height", "64", "--steps", "1"]
    command = ["generate", "--base", str(wan), "--sync", str(wan / "syncam.safetensors"), "--prompt", "a ball", *wide]
    assert main([*command, "--out", str(tmp_path / "three")]) == 0
    assert "3 views attend to each other; the released weights were trained with 2" in capsys.readouterr().err


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_a_single_file_is_the_folder_it_was_made_from(wan: Path, pipe: Pipeline, tmp_path: Path, prefix: str) -> None:
    """Released names, alone or as in ComfyUI's files; step20000.ckpt holds both the transformer and the modules."""
    weights = "diffusion_pytorch_model.safetensors"
    state = released_layout(load_file(wan / "transformer" / weights)) | load_file(wan / "syncam.safetensors")
    file = tmp_path / "step20000.ckpt"
    torch.save({f"{prefix}{key}": value for key, value in state.items()}, file)
    sync = wan / "syncam.safetensors" if prefix else file
    single = cvd_core.load_pipeline(file, config=wan, sync=sync, device="cpu")
    rig = preset_cameras("az", 5, 2, aspect=1)
    found, expected = (p(rig, "a red ball", progress=False, **SIZE).frames for p in (single, pipe))
    assert torch.equal(found, expected)


def test_what_a_single_file_fits_is_told_without_loading_it(
    wan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with init_empty_weights():
        transformer = WanTransformer3DModel(**SIZES)
    full = Checkpoint(Path("wan.safetensors"), {"": released_layout(transformer.state_dict())})
    found = try_alone(full, identify(full))
    assert found is not None
    assert found.startswith("Wan 2.1 T2V 1.3B; ")
    small = tmp_path / "wan.safetensors"
    save_file(released_layout(load_file(wan / "transformer" / "diffusion_pytorch_model.safetensors")), small)
    assert main(["inspect", str(small)]) == 0
    said = capsys.readouterr().out
    assert "a Wan 2 video model" in said
    assert "made for a network of other widths" in said


def test_a_single_file_takes_the_rest_from_a_folder(wan: Path, tmp_path: Path) -> None:
    released = {"blocks.0.self_attn.norm_q.weight": torch.ones(WIDTH)}
    save_file(released, tmp_path / "wan.safetensors")
    with pytest.raises(ValueError, match="name the diffusers folder of Wan"):
        cvd_core.load_pipeline(tmp_path / "wan.safetensors", device="cpu")
    with pytest.raises(ValueError, match=r"holds \d+ of \d+ transformer tensors"):
        cvd_core.load_pipeline(tmp_path / "wan.safetensors", config=wan, device="cpu")
