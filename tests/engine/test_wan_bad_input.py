"""Mistakes in a request or in files of Wan 2.1 and SynCamMaster: each is named in a line, before anything is made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

import cvd_core
from cvd_core.runs.make import Pipeline
from cvd_core.syncam.presets import preset_cameras
from tests.engine.command import plan_of
from tests.engine.test_wan import SIZE, pipe, wan  # noqa: F401
from tests.wan_folder import released_layout


def words(wan: Path, *more: object) -> list[str]:  # noqa: F811
    """Options of ``cvd generate``."""
    sizes = [word for name, value in SIZE.items() for word in (f"--{name}", value)]
    base = ["--base", wan, "--sync", wan / "syncam.safetensors", "--rig", "az", "--frames", 5, "--prompt", "a red ball"]
    return [*map(str, [*base, *sizes, *more])]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--motion", "x.ckpt"], "motion goes with Stable Diffusion 1.5, the base is Wan 2.1"),
        (["--camera", "x.ckpt"], "camera goes with Stable Diffusion 1.5, the base is Wan 2.1"),
        (["--image", "x.png"], "image goes with CamI2V and DynamiCrafter, the base is Wan 2.1"),
        (["--camera-guidance", 2], "camera guidance goes with CameraCtrl and CamI2V"),
        (["--attention", "sparse"], "attention goes with epipolar lines"),
        (["--sampler", "unipc"], "sampler is 'unipc'; Wan 2.1 is a rectified flow, expected 'euler'"),
        (["--height", 40], "height is 40 pixels"),
        (["--height", 72], "height is 72 pixels; Wan 2.1 makes multiples of 16"),
        (["--frames", 8], r"8 frames; Wan makes 4n \+ 1 of them - the nearest numbers are 5 and 9"),
        (["--partitions", 2], "choose 'multi-partition'"),
        (["--prompt", "another ball", "--views", 3], "2 prompts for 3 views; give one for all views or one per view"),
        (["--rig-distance", 2], "the cameras of `rig` az stand still; leave out its other parameters"),
    ],
)
def test_requests_that_wan_cannot_serve(wan: Path, more: list[object], message: str) -> None:  # noqa: F811
    """Before anything is loaded, in a line that says what to do."""
    with pytest.raises(ValueError, match=message) as refused:
        plan_of(*words(wan, *more))
    assert "\n" not in str(refused.value)


def test_options_without_effect_are_named(wan: Path) -> None:  # noqa: F811
    options = ["--band", "hard", "--threshold", 2, "--views", 4, "--views-per-pass", 2]
    hints = plan_of(*words(wan, *options)).hints
    assert [hint for hint in hints if "changes nothing" in hint] == [
        "`band` with this `base` changes nothing",
        "`threshold` with this `base` changes nothing",
        "`views_per_pass` with `strategy` joint, which never splits the views, changes nothing",
    ]
    pairs = plan_of(*words(wan, *options[4:], "--strategy", "star")).hints
    assert not [hint for hint in pairs if "changes nothing" in hint]


def test_files_that_do_not_fit(wan: Path, tmp_path: Path) -> None:  # noqa: F811
    """Whatever stands in the place of modules, base or configs is named for what it is."""
    transformer = released_layout(load_file(wan / "transformer" / "diffusion_pytorch_model.safetensors"))
    modules = load_file(wan / "syncam.safetensors")
    save_file(transformer, tmp_path / "wan.safetensors")
    alike = {key: value for key, value in modules.items() if "mvs" not in key}
    save_file(transformer | alike, tmp_path / "recam.safetensors")
    save_file({k: v for k, v in modules.items() if "blocks.1." not in k}, tmp_path / "one.safetensors")
    (tmp_path / "sd").mkdir()
    (tmp_path / "web.ckpt").write_text("<!DOCTYPE html>")
    for paths, message in (
        (
            {"sync": tmp_path / "wan.safetensors"},
            "keys look like a Wan 2 video model. Give it to `base`",
        ),
        ({"sync": tmp_path / "recam.safetensors"}, "ReCamMaster.* SynCamMaster's own file is step20000.ckpt"),
        ({"sync": tmp_path / "one.safetensors"}, "made for 1 blocks of 256 channels; this Wan model has 2"),
        ({"sync": tmp_path / "web.ckpt"}, "it is a web page"),
        ({"sync": tmp_path / "none.ckpt"}, "none.ckpt does not exist"),
        ({"base": tmp_path / "wan.safetensors"}, "name the diffusers folder of Wan 2.1 T2V 1.3B as `config`"),
        ({"base": tmp_path / "wan.safetensors", "config": tmp_path / "sd"}, r"sd lacks transformer/config.json"),
        ({"loras": [wan / "syncam.safetensors"]}, "LoRA"),
    ):
        given: dict[str, Any] = {"base": wan, "sync": wan / "syncam.safetensors"} | paths
        with pytest.raises(ValueError, match=message) as refused:
            cvd_core.load_pipeline(given.pop("base"), device="cpu", **given)
        assert "\n" not in str(refused.value)


def test_python_is_told_the_same(pipe: Pipeline) -> None:  # noqa: F811
    for frames, changes, message in (
        (5, {"sampler": "ddim"}, "Wan 2.1 is a rectified flow"),
        (5, {"width": 72}, "width is 72 pixels; Wan 2.1 makes multiples of 16"),
        (8, {}, r"8 frames; Wan makes 4n \+ 1"),
    ):
        with pytest.raises(ValueError, match=message):
            pipe(preset_cameras("az", frames), "a red ball", progress=False, **{**SIZE, **changes})


@pytest.mark.parametrize(
    ("component", "name", "value", "message"),
    [
        ("transformer", "in_channels", 36, "in_channels is 36, but 16 in Wan 2.1 text-to-video"),
        ("transformer", "patch_size", [2, 2, 2], r"patch_size is \[2, 2, 2\], but \(1, 2, 2\)"),
        ("transformer", "num_layers", "30", "num_layers is '30'; expected a positive whole number"),
        ("transformer", "num_layers", 3, r"holds \d+ of \d+ transformer tensors; missing"),
        ("vae", "z_dim", 48, "z_dim is 48, but 16 in Wan 2.1 text-to-video"),
        ("vae", "latents_mean", [0.0], r"latents_mean is \[0\.0\], but"),
        ("text_encoder", "feed_forward_proj", "relu", "feed_forward_proj is 'relu', but 'gated-gelu'"),
    ],
)
def test_configs_of_other_models(
    wan: Path,  # noqa: F811
    tmp_path: Path,
    component: str,
    name: str,
    value: object,
    message: str,
) -> None:
    """Image-to-video, Wan 2.2 5B, damage: told before a network of other sizes meets the weights, or after."""
    shutil.copytree(wan, tmp_path / "wan")
    file = tmp_path / "wan" / component / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {name: value}))
    with pytest.raises(ValueError, match=message) as refused:
        cvd_core.load_pipeline(tmp_path / "wan", device="cpu")
    assert "\n" not in str(refused.value)
