"""Model files: reading, recognising, loading by name, converting."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cvd_core.camera_control.checkpoint import load_camera_control
from cvd_core.sync.checkpoint import load_sync_modules
from cvd_core.weights import (
    Kind,
    camera_tensors,
    convert_checkpoint,
    diffusers_motion_key,
    identify,
    identify_tensors,
    load_exact,
    motion_tensors,
    read_checkpoint,
    require_kind,
    sha256,
    sync_tensors,
)
from tests import formula
from tests.formula import ModelFiles, Shapes

SD15 = (320, 640, 1280, 1280)
REDUCED = (32, 64, 64, 64)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    return formula.write_models(tmp_path_factory.mktemp("models"))


def hollow(shapes: Shapes) -> dict[str, Tensor]:
    """Tensors of these shapes that take no memory."""
    return {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


# what a file is


@pytest.mark.parametrize(
    ("name", "kind", "variant", "widths"),
    [
        ("base_file", Kind.BASE, "", REDUCED),
        ("motion", Kind.MOTION, "v3", REDUCED),
        ("camera", Kind.CAMERA, "nested", REDUCED),
        ("camera_flat", Kind.CAMERA, "flat", REDUCED),
        ("sync", Kind.SYNC, "", REDUCED),
        ("lora_kohya", Kind.LORA_KOHYA, "", ()),
        ("lora_peft", Kind.LORA_DIFFUSERS, "", ()),
        ("adapter", Kind.ADAPTER, "", ()),
    ],
)
def test_every_official_file_is_recognised(
    models: ModelFiles, name: str, kind: Kind, variant: str, widths: tuple[int, ...]
) -> None:
    info = identify(read_checkpoint(getattr(models, name)))
    assert (info.kind, info.variant, info.widths) == (kind, variant, widths)
    assert info.dtypes[0] == "float32"


def test_components_of_a_diffusers_folder_are_recognised(models: ModelFiles) -> None:
    files = {
        "unet/diffusion_pytorch_model.safetensors": Kind.UNET,
        "vae/diffusion_pytorch_model.safetensors": Kind.VAE,
        "text_encoder/model.safetensors": Kind.TEXT_ENCODER,
    }
    for name, kind in files.items():
        assert identify(read_checkpoint(models.base_folder / name)).kind is kind


def test_full_size_facts() -> None:
    keys = formula.key_list("full")
    sync = identify_tensors(hollow(keys["epi"]))
    assert (sync.kind, sync.tensors, sync.parameters, sync.widths) == (Kind.SYNC, 520, 417_137_600, SD15)
    motion = identify_tensors(hollow(keys["mm"]))
    assert (motion.kind, motion.variant, motion.frames, motion.widths) == (Kind.MOTION, "v3", 32, SD15)
    camera = identify_tensors(hollow(keys["pose_encoder"] | keys["attention_processor"]))
    assert (camera.kind, camera.frames, camera.widths) == (Kind.CAMERA, 16, SD15)
    base = identify_tensors(hollow(keys["base"]))
    assert (base.kind, base.text_width, base.in_channels, base.widths) == (Kind.UNET, 768, 4, SD15)


def test_single_file_facts_come_from_the_unet_not_from_the_vae(models: ModelFiles) -> None:
    tensors = load_file(models.base_file)
    key = "model.diffusion_model.input_blocks.0.0.weight"
    tensors[key] = torch.zeros(32, 9, 3, 3)
    info = identify_tensors(tensors)
    assert (info.in_channels, info.text_width, info.parts) == (9, 64, ("VAE", "text encoder"))
    without_vae = {key: value for key, value in tensors.items() if not key.startswith("first_stage_model.")}
    assert identify_tensors(without_vae).parts == ("text encoder",)


def test_motion_module_versions() -> None:
    v3 = formula.key_list("full")["mm"]
    v1 = {key: [1, 24, shape[2]] if key.endswith(".pe") else shape for key, shape in v3.items()}
    middle = {
        key.replace("down_blocks.3", "mid_block"): shape
        for key, shape in v3.items()
        if key.startswith("down_blocks.3.motion_modules.0")
    }
    sdxl = {key: shape for key, shape in v3.items() if ".3.motion" not in key}
    for shapes, version in ((v1, "v1"), (v3 | middle, "v2"), (sdxl, "for SDXL")):
        assert identify_tensors(hollow(shapes)).variant == version


@pytest.mark.parametrize(
    ("shapes", "kind", "variant"),
    [
        ({"conditioner.embedders.0.transformer.x": [1], "model.diffusion_model.label_emb.0.0.weight": [1]}, "SDXL", ""),
        ({"down_blocks.0.resnets.0.conv1.weight": [1], "add_embedding.linear_1.weight": [1]}, "SDXL", ""),
        ({"model.diffusion_model.input_blocks.1.1.attn2.to_k.weight": [320, 1024]}, "SD2", ""),
        ({"model.diffusion_model.input_blocks.0.0.weight": [1], "cond_stage_model.model.x": [1]}, "SD2", ""),
        ({"lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": [4, 4]}, "LORA_KOHYA", "for SDXL"),
        ({"unet.a.attn2.to_k.lora_A.weight": [4, 2048]}, "LORA_DIFFUSERS", "for SDXL"),
        ({"unet.a.attn2.to_k.lora_A.default.weight": [4, 1024]}, "LORA_DIFFUSERS", "for SD2"),
        ({"unet.a.attn2.processor.to_k_lora.down.weight": [4, 768]}, "LORA_DIFFUSERS", "for SD1.5"),
        ({"text_encoder.x.q_proj.lora_linear_layer.up.weight": [4, 4]}, "LORA_DIFFUSERS", ""),
        ({"down_blocks.0.motion_modules.0.a.processor.to_q_lora.down.weight": [4, 4]}, "MOTION_LORA", ""),
        ({"base_model.model.a.attn2.to_k.lora_A.weight": [4, 768]}, "LORA_PEFT", "for SD1.5"),
        ({"lora_unet_input_blocks_1_1_a_attn2_to_k.lora_down.weight": [4, 768]}, "LORA_KOHYA", "for SD1.5"),
        (
            {"lora_unet_input_blocks_4_1_transformer_blocks_1_a.lora_up.weight": [4, 4]},
            "LORA_KOHYA",
            "for SDXL",
        ),
        (
            {"lora_unet_double_blocks_0.lora_up.weight": [4, 4]},
            "LORA_KOHYA",
            "for a diffusion transformer",
        ),
        ({"lora_unet_down_blocks_0_motion_modules_0_proj_in.lora_up.weight": [4, 4]}, "MOTION_LORA", ""),
        ({"unet.down_blocks.0.motion_modules.0.attn1.to_q.lora_A.weight": [4, 4]}, "MOTION_LORA", ""),
        ({"lora_unet_a.oft_blocks": [4, 4, 4]}, "LORA_KOHYA", ""),
        (
            {"controlnet_cond_embedding.conv_in.weight": [1], "down_blocks.0.motion_modules.0.x": [1]},
            "SPARSECTRL",
            "",
        ),
        (
            {"controlnet_cond_embedding.conv_in.weight": [16, 3, 3, 3], "down_blocks.0.resnets.0.x": [1]},
            "CONTROLNET",
            "",
        ),
        ({"control_model.input_blocks.0.0.weight": [320, 4, 3, 3]}, "CONTROLNET", ""),
        ({"conv_in.weight": [320, 9, 3, 3], "down_blocks.0.motion_modules.0.x": [1]}, "PIA", ""),
        ({"down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": [320]}, "ANIMATELCM", ""),
        ({"img_encoder.x": [1], "down_blocks.0.motion_modules.0.x": [1]}, "ANIMATELCM_I2V", ""),
        ({"down_blocks.0.temporal_attentions.0.pos_encoder.positional_encoding": [1, 8, 320]}, "HOTSHOTXL", ""),
        ({"fps_embedding.linear.weight": [1], "down_blocks.0.motion_modules.0.x": [1]}, "FANCYVIDEO", ""),
        ({"image_proj.proj.weight": [1], "ip_adapter.1.to_k_ip.weight": [1]}, "IP_ADAPTER", ""),
        ({"adapter.body.0.resnets.0.block1.weight": [1]}, "T2I_ADAPTER", ""),
        ({"emb_params": [3, 768]}, "EMBEDDING", ""),
        ({"model.diffusion_model.init_attn.0.norm.weight": [320]}, "DYNAMICRAFTER", ""),
        (
            {
                "model.diffusion_model.init_attn.0.norm.weight": [1],
                "model.diffusion_model.a.pluker_projection.weight": [1],
                "model.diffusion_model.a.epipolar.epipolar_attn.to_q.weight": [1],
                "model.diffusion_model.a.attn2.to_k_ip.weight": [1],
                "model.diffusion_model.a.attn2.alpha": [],
            },
            "CAMI2V",
            "256",
        ),
        (
            {
                "model.diffusion_model.init_attn.0.norm.weight": [1],
                "model.diffusion_model.a.pluker_projection.weight": [1],
                "model.diffusion_model.a.attn2.to_k_ip.weight": [1],
            },
            "CAMERACTRL_I2V",
            "512",
        ),
        (
            {"pose_encoder.x": [1], "model.diffusion_model.a.pluker_projection.weight": [1]},
            "CAMI2V_PARTS",
            "",
        ),
        (
            {
                "model.diffusion_model.input_blocks.0.0.weight": [320, 9, 3, 3],
                "model.diffusion_model.out.2.weight": [4, 1],
            },
            "BASE",
            "for inpainting",
        ),
        (
            {
                "down_blocks.0.resnets.0.conv1.weight": [1],
                "time_embedding.linear_1.weight": [1],
                "conv_in.weight": [320, 8, 3, 3],
                "conv_out.weight": [4, 320, 3, 3],
            },
            "UNET",
            "for editing by instruction",
        ),
        ({"encoder.down.0.block.0.conv1.weight": [128, 128, 3, 3]}, "VAE", ""),
        ({"fc.weight": [10, 10]}, "UNKNOWN", ""),
    ],
)
def test_other_kinds(shapes: Shapes, kind: str, variant: str) -> None:
    info = identify_tensors(hollow(shapes))
    assert (info.kind.name, info.variant) == (kind, variant)


def test_a_wrong_pick_is_told_where_it_belongs(models: ModelFiles) -> None:
    checkpoint = read_checkpoint(models.motion)
    with pytest.raises(ValueError, match=r"v3_sd15_mm.ckpt .* an AnimateDiff motion module \(v3\).*`motion`"):
        sync_tensors(checkpoint)
    for kind in (Kind.SDXL, Kind.UNKNOWN, Kind.UNET, Kind.VAE):
        info = identify_tensors({}).__class__(kind, 1, 1, ())
        with pytest.raises(ValueError, match=re.escape(kind.value)):
            require_kind(info, [Kind.SYNC], file="x.ckpt", wanted="a CVD sync module")


@pytest.mark.parametrize("slot", ["sync", "motion", "camera"])
@pytest.mark.parametrize("name", ["base_file", "motion", "camera", "camera_flat", "sync", "lora_kohya", "adapter"])
def test_every_slot_refuses_every_other_file(models: ModelFiles, slot: str, name: str) -> None:
    take = {"sync": sync_tensors, "motion": motion_tensors, "camera": camera_tensors}[slot]
    checkpoint = read_checkpoint(getattr(models, name))
    if name.startswith(slot):
        assert take(checkpoint)
    else:
        with pytest.raises(ValueError, match=rf"{checkpoint.path.name} is not .*Give it to `"):
            take(checkpoint)


# reading


@pytest.mark.parametrize("wrapper", ["", "state_dict", "unet_trainable_dict", "model.state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("zipped", [True, False])
def test_any_wrapping_gives_the_same_tensors(
    models: ModelFiles, tmp_path: Path, wrapper: str, prefix: str, zipped: bool
) -> None:
    expected = sync_tensors(read_checkpoint(models.sync))
    few = dict(list(expected.items())[:26])
    content: dict[str, Any] = {prefix + key: value for key, value in few.items()}
    for name in reversed(wrapper.split(".") if wrapper else []):
        content = {name: content, "epoch": 7, "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}}}
    file = tmp_path / "x.ckpt"
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    checkpoint = read_checkpoint(file)
    assert_same(sync_tensors(checkpoint), few)
    assert list(checkpoint.sections) == [wrapper]
    if wrapper:
        assert checkpoint.metadata["epoch"] == "7"


def test_the_content_decides_not_the_ending(models: ModelFiles, tmp_path: Path) -> None:
    renamed = tmp_path / "camera.ckpt"
    renamed.write_bytes(models.camera_flat.read_bytes())
    assert identify(read_checkpoint(renamed)).variant == "flat"
    disguised = tmp_path / "sync.safetensors"
    disguised.write_bytes(models.sync.read_bytes())
    with pytest.raises(ValueError, match=r"sync\.safetensors is a PyTorch pickle.*rename it"):
        read_checkpoint(disguised)


def test_the_same_key_in_two_wrappers_is_refused(tmp_path: Path) -> None:
    torch.save({"model": {"a": torch.ones(1)}, "ema": {"a": torch.zeros(1)}}, tmp_path / "x.pt")
    with pytest.raises(ValueError, match=r"x\.pt holds a twice, in 'model' and in 'ema'"):
        _ = read_checkpoint(tmp_path / "x.pt").tensors


class _Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("form", ["zip", "legacy", "plain protocol 2", "plain protocol 5"])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path: Path, form: str) -> None:
    marker = tmp_path / "it ran"
    file = tmp_path / "evil.ckpt"
    content = {"state_dict": {"a": torch.ones(1)}, "x": _Payload(marker)}
    if form.startswith("plain"):
        file.write_bytes(pickle.dumps(_Payload(marker), protocol=int(form[-1])))
    else:
        torch.save(content, file, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(ValueError, match=r"evil\.ckpt .*safetensors"):
        read_checkpoint(file)
    assert not marker.exists()
    if form in ("zip", "legacy"):  # the same file does run where it is allowed to
        torch.load(file, weights_only=False)
        assert marker.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html><body>Log in</body></html>", "web page"),
        (b"just some text that is not a model at all", "neither safetensors nor"),
    ],
)
def test_files_that_are_no_models(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        read_checkpoint(file)
    assert str(file) in str(error.value)


def test_missing_folder_and_empty_dict(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        read_checkpoint(tmp_path / "nothing.ckpt")
    with pytest.raises(ValueError, match="is a folder"):
        read_checkpoint(tmp_path)
    torch.save({"epoch": 3}, tmp_path / "x.pt")
    with pytest.raises(ValueError, match="holds no tensors"):
        read_checkpoint(tmp_path / "x.pt")
    torch.save([torch.ones(1)], tmp_path / "x.pt")
    with pytest.raises(ValueError, match="holds a list"):
        read_checkpoint(tmp_path / "x.pt")


def _nested(depth: int) -> dict[str, Any]:
    content: dict[str, Any] = {"w": torch.zeros(1)}
    for _ in range(depth):
        content = {"a": content}
    return content


def _itself() -> dict[str, Any]:
    content: dict[str, Any] = {"w": torch.ones(2)}
    content["again"] = content
    return content


def _bush() -> dict[str, Any]:
    """2**60 paths to one tensor."""
    content: dict[str, Any] = {"w": torch.ones(2)}
    for _ in range(60 // 2):
        content = {"a": content, "b": content}
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_nested(100), "nested more than 32 deep"),
        ({"w": torch.zeros(1).expand(10**11)}, r"its tensors claim 400,000,000,000"),
        ({"w": torch.zeros(3).to_sparse()}, "w as a sparse_coo tensor"),
        ({"w": torch.nested.nested_tensor([torch.zeros(2)], layout=torch.jagged)}, "x.pt"),
        ({"a": {"w": torch.zeros(2, device="meta")}}, r"a\.w as a meta"),
        ({"w": torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.quint8)}, "w as a quantised"),
        ({(1, 2): torch.zeros(1)}, "a tuple as a key"),
        ({"module.a": torch.zeros(1), "a": torch.zeros(1)}, "holds a twice"),
    ],
)
def test_pickles_of_anything_but_plain_tensors_by_name_are_refused(
    tmp_path: Path, content: dict[Any, Any], message: str
) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(ValueError, match=message):
        read_checkpoint(tmp_path / "x.pt")


@pytest.mark.parametrize("content", [_itself(), _bush()], ids=["itself", "many paths"])
def test_a_dict_met_again_is_read_once(tmp_path: Path, content: dict[str, Any]) -> None:
    torch.save(content, tmp_path / "x.pt")
    (tensors,) = read_checkpoint(tmp_path / "x.pt").sections.values()
    assert torch.equal(tensors["w"], torch.ones(2))


def test_a_compressed_archive_is_not_unpacked(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(10)}, tmp_path / "x.pt")
    with (
        zipfile.ZipFile(tmp_path / "x.pt") as plain,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    with pytest.raises(ValueError, match=r"bomb\.pt .*is compressed"):
        read_checkpoint(tmp_path / "bomb.pt")


def _sharded(folder: Path) -> Path:
    for i in range(2):
        save_file({f"{i}.weight": torch.full((2,), float(i))}, folder / f"part{i}.safetensors")
    index = folder / "model.safetensors.index.json"
    weight_map = {f"{i}.weight": f"part{i}.safetensors" for i in range(2)}
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return index


def test_shards_are_read_by_their_index(tmp_path: Path) -> None:
    tensors = read_checkpoint(_sharded(tmp_path)).tensors
    assert_same(tensors, {"0.weight": torch.zeros(2), "1.weight": torch.ones(2)})


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        ({"0.weight": "../part0.safetensors"}, "expected the name of a file beside it"),
        ({"0.weight": 3}, "expected the name of a file beside it"),
        ({"0.weight": "part7.safetensors"}, "names part7.safetensors, which is not in"),
        ({"0.weight": "part1.safetensors"}, "holds 1 tensors, 0 of the 1"),
        ({"0.weight": "model.safetensors.index.json"}, "which is not in"),
        ([], "has no weight_map"),
        ({"0.weight": "a" * 5000}, "expected the name of a file beside it"),
    ],
)
def test_a_damaged_index_is_explained(tmp_path: Path, weight_map: Any, message: str) -> None:
    index = _sharded(tmp_path)
    index.write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(ValueError, match=message):
        read_checkpoint(index)


@pytest.fixture(scope="module")
def small_files(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("small")
    tensors = {"a": torch.arange(12.0), "b": torch.ones(2, 3)}
    save_file(tensors, folder / "x.safetensors")
    torch.save(tensors, folder / "x.ckpt")
    torch.save(tensors, folder / "x.pt", _use_new_zipfile_serialization=False)
    return [(folder / name).read_bytes() for name in ("x.safetensors", "x.ckpt", "x.pt")]


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_any_cut_is_told_as_a_damaged_file(
    small_files: list[bytes], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = small_files[data.draw(st.integers(0, 2))]
    cut = data.draw(st.integers(0, len(whole) - 1))
    file = tmp_path_factory.getbasetemp() / "cut.model"
    file.write_bytes(whole[:cut])
    with pytest.raises(ValueError, match=r"cut\.model"):
        read_checkpoint(file)


def test_sha256(models: ModelFiles) -> None:
    assert sha256(models.sync) == hashlib.sha256(models.sync.read_bytes()).hexdigest()


# tensors of each kind


def test_camera_parts_from_both_layouts(models: ModelFiles) -> None:
    nested = camera_tensors(read_checkpoint(models.camera))
    flat = camera_tensors(read_checkpoint(models.camera_flat))
    keys = formula.key_list("reduced")
    for part, other, shapes in zip(nested, flat, (keys["pose_encoder"], keys["attention_processor"]), strict=True):
        assert_same(part, other)
        assert_same(part, formula.tensors(shapes))


@pytest.mark.parametrize("part", ["pose_encoder", "attention_processor"])
def test_half_a_cameractrl_is_refused(tmp_path: Path, part: str) -> None:
    save_file(formula.tensors(formula.key_list("reduced")[part]), tmp_path / "half.safetensors")
    with pytest.raises(ValueError, match=r"half\.safetensors holds .* needs both"):
        camera_tensors(read_checkpoint(tmp_path / "half.safetensors"))


def test_foreign_tensors_are_refused(models: ModelFiles, tmp_path: Path) -> None:
    for name, source, take in (("sync", models.sync, sync_tensors), ("motion", models.motion, motion_tensors)):
        file = tmp_path / f"{name}.safetensors"
        save_file(read_checkpoint(source).tensors | {"time_proj.weight": torch.ones(1)}, file)
        with pytest.raises(ValueError, match=rf"{name}\.safetensors holds 1 tensors .*time_proj\.weight"):
            take(read_checkpoint(file))


def test_motion_tensors_from_a_diffusers_adapter(models: ModelFiles, tmp_path: Path) -> None:
    original = motion_tensors(read_checkpoint(models.motion))
    adapter = {
        diffusers_motion_key(key): value for key, value in original.items() if ".attention_blocks.1.pos" not in key
    }
    assert not any("temporal_transformer" in key or "norms." in key for key in adapter)
    save_file(adapter, tmp_path / "adapter.safetensors")
    checkpoint = read_checkpoint(tmp_path / "adapter.safetensors")
    assert identify(checkpoint).widths == REDUCED
    assert identify(checkpoint).frames == 32
    assert_same(motion_tensors(checkpoint), original)


# loading by name


def _network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.GroupNorm(2, 4))


def test_load_exact_takes_tensors_over() -> None:
    with torch.device("meta"):
        network = _network()
    state = _network().state_dict()
    load_exact(network, state, file="x", what="toy")
    assert_same(network.state_dict(), state)
    assert network.state_dict()["0.weight"].data_ptr() == state["0.weight"].data_ptr()
    load_exact(network, state, file="x", what="toy", dtype=torch.float16)
    assert_same(network.state_dict(), {key: value.half() for key, value in state.items()})


def test_load_exact_names_every_difference_and_changes_nothing() -> None:
    network = _network()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = {"0.weight": torch.ones(3, 4), "0.bias": torch.ones(4), "1.weight": torch.ones(4), "2.extra": torch.ones(1)}
    with pytest.raises(ValueError, match=r"x\.ckpt holds 2 of 4 toy tensors") as error:
        load_exact(network, state, file="x.ckpt", what="toy")
    for part in ("missing 1: 1.bias", "unexpected 1: 2.extra", "0.weight (3, 4) instead of (4, 3)"):
        assert part in str(error.value)
    assert_same(network.state_dict(), before)


def test_load_exact_says_what_the_keys_look_like(models: ModelFiles) -> None:
    motion = read_checkpoint(models.motion).tensors
    with pytest.raises(ValueError, match=r"mm.ckpt holds 0 of 4 sync-module tensors.* and 557 more.*motion module"):
        load_exact(_network(), motion, file="mm.ckpt", what="sync-module")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.full((4, 3), float("nan")), "x.ckpt holds NaN or infinite numbers in 0.weight"),
        (torch.full((4, 3), float("-inf"), dtype=torch.bfloat16), "x.ckpt holds NaN or infinite numbers in 0.weight"),
        (torch.full((4, 3), float("nan")).to(torch.float8_e5m2), "x.ckpt holds NaN or infinite numbers in 0.weight"),
        (torch.full((4, 3), 1e6), "x.ckpt holds numbers in 0.weight that float16 cannot hold"),
        (torch.ones(4, 3, dtype=torch.int8), r"of another type 1: 0\.weight int8 instead of float32"),
        (torch.ones(4, 3, dtype=torch.complex64), r"of another type 1: 0\.weight complex64 instead of float32"),
    ],
)
def test_load_exact_refuses_what_is_no_weight_and_changes_nothing(value: Tensor, message: str) -> None:
    network = _network()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        load_exact(network, before | {"0.weight": value}, file="x.ckpt", what="toy", dtype=torch.float16)
    assert_same(network.state_dict(), before)


@pytest.mark.parametrize("key", ["down_blocks.0.epi_modules.0.epi_transformer.attention_blocks.999999999999.x"])
def test_numbers_in_keys_build_nothing(tmp_path: Path, key: str) -> None:
    save_file({key: torch.ones(1)}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match="missing"):
        load_sync_modules(tmp_path / "x.safetensors")


# converting


def test_nested_camera_becomes_the_flat_file(models: ModelFiles, tmp_path: Path) -> None:
    target = tmp_path / "out" / "camera.safetensors"
    assert convert_checkpoint(models.camera, target).variant == "nested"
    assert_same(load_file(target), load_file(models.camera_flat))
    with safe_open(target, "pt") as file:
        metadata = file.metadata()
    assert metadata["kind"] == "camera"
    assert metadata["epoch"] == "3"
    assert metadata["source_sha256"] == sha256(models.camera)


@pytest.mark.parametrize("name", ["sync", "motion", "adapter", "base_file", "lora_kohya"])
def test_conversion_keeps_every_tensor(models: ModelFiles, tmp_path: Path, name: str) -> None:
    source = getattr(models, name)
    target = tmp_path / "x.safetensors"
    info = convert_checkpoint(source, target)
    expected = read_checkpoint(source)
    assert_same(load_file(target), expected.tensors)
    assert identify(read_checkpoint(target)) == info


def test_conversion_separates_shared_and_strided_tensors(tmp_path: Path) -> None:
    table = torch.arange(12.0).view(3, 4)
    state = {
        "a.epi_modules.x": table,
        "a.epi_modules.y": table,
        "a.epi_modules.t": table.T,
        "a.epi_modules.r": table[1],
    }
    torch.save(state, tmp_path / "x.ckpt")
    convert_checkpoint(tmp_path / "x.ckpt", tmp_path / "x.safetensors")
    assert_same(load_file(tmp_path / "x.safetensors"), state)


def test_conversion_keeps_metadata(tmp_path: Path) -> None:
    source = tmp_path / "lora.safetensors"
    save_file({"lora_unet_a.lora_up.weight": torch.ones(1, 1)}, source, metadata={"ss_network_alpha": "4"})
    convert_checkpoint(source, tmp_path / "x.safetensors")
    with safe_open(tmp_path / "x.safetensors", "pt") as file:
        assert file.metadata()["ss_network_alpha"] == "4"


def test_conversion_refuses(models: ModelFiles, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name the output"):
        convert_checkpoint(models.sync, tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match="onto itself"):
        convert_checkpoint(models.camera_flat, models.camera_flat)
    torch.save({"fc.weight": torch.ones(1)}, tmp_path / "x.pt")
    target = tmp_path / "x.safetensors"
    target.write_bytes(b"before")
    with pytest.raises(ValueError, match=r"x\.pt is no kind of model known here.*fc\.weight"):
        convert_checkpoint(tmp_path / "x.pt", target)
    assert target.read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("part", "gone"),
    [
        ("epi", "down_blocks.0.epi_modules.0.epi_transformer.proj_in.weight"),
        ("camera", "encoder_down_conv_blocks.0.0."),
    ],
)
def test_a_file_without_the_tensors_that_tell_its_widths_is_still_explained(
    tmp_path: Path, part: str, gone: str
) -> None:
    keys = formula.key_list("reduced")
    shapes = keys["epi"] if part == "epi" else keys["pose_encoder"] | keys["attention_processor"]
    path = tmp_path / "incomplete.safetensors"
    save_file({key: torch.zeros(shape) for key, shape in shapes.items() if not key.startswith(gone)}, path)
    load = load_sync_modules if part == "epi" else load_camera_control
    with pytest.raises(ValueError, match=r"incomplete\.safetensors holds \d+ of \d+ .* tensors; .*missing"):
        load(path)
