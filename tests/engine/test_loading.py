"""Loading base models and putting motion modules into them."""

from __future__ import annotations

import json
import re
import shutil
import socket
from pathlib import Path
from typing import Any, NoReturn

import huggingface_hub
import pytest
import torch
from diffusers import AutoencoderKL, MotionAdapter, UNet2DConditionModel, UNetMotionModel
from diffusers.loaders.single_file_utils import convert_animatediff_checkpoint_to_diffusers
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPTextModel

from cvd_core.engine.prompts import encode_prompts
from cvd_core.engine.sd15.loading import CONFIG_REPOSITORY, BaseModel, load_base
from cvd_core.engine.sd15.motion import PerFrameGroupNorm, build_motion_unet
from cvd_core.runs import mini
from cvd_core.weights import motion_tensors, read_checkpoint
from tests import formula
from tests.formula import ModelFiles


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    return formula.write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> NoReturn:
        raise AssertionError("something tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def folder(models: ModelFiles, tmp_path: Path) -> Path:
    """A copy of the base folder to spoil."""
    return Path(shutil.copytree(models.base_folder, tmp_path / "base"))


def assert_same_model(found: BaseModel, expected: BaseModel) -> None:
    for part in ("unet", "vae", "text_encoder"):
        state, reference = getattr(found, part).state_dict(), getattr(expected, part).state_dict()
        assert state.keys() == reference.keys()
        assert all(torch.equal(state[key], reference[key]) for key in reference)


# base models


def test_a_folder_loads_as_its_libraries_load_it(models: ModelFiles) -> None:
    base = load_base(models.base_folder)
    for part, cls in (("unet", UNet2DConditionModel), ("vae", AutoencoderKL), ("text_encoder", CLIPTextModel)):
        module = getattr(base, part)
        state = module.state_dict()
        reference = cls.from_pretrained(models.base_folder, subfolder=part, local_files_only=True).state_dict()
        assert state.keys() == reference.keys()
        assert all(torch.equal(state[key], reference[key]) for key in reference)
        assert not module.training
        assert not any(parameter.requires_grad for parameter in module.parameters())
        assert not any(tensor.is_meta for tensor in [*module.parameters(), *module.buffers()])


@pytest.mark.parametrize("form", ["safetensors", "ckpt", "older text keys"])
def test_a_single_file_equals_the_folder(models: ModelFiles, tmp_path: Path, form: str) -> None:
    file = models.base_file
    tensors = load_file(file)
    if form == "older text keys":
        file = tmp_path / "base.safetensors"
        save_file({key.replace(".text_model.", "."): value for key, value in tensors.items()}, file)
    elif form == "ckpt":
        file = tmp_path / "base.ckpt"
        torch.save({"state_dict": tensors, "global_step": 1}, file)
    single = load_base(file, config=models.base_folder)
    assert_same_model(single, load_base(models.base_folder))


def test_config_folder_needs_no_weights(models: ModelFiles, folder: Path) -> None:
    for weights in folder.rglob("*.safetensors"):
        weights.unlink()
    assert_same_model(load_base(models.base_file, config=folder), load_base(models.base_folder))


def test_dtype(models: ModelFiles) -> None:
    base = load_base(models.base_file, config=models.base_folder, dtype=torch.bfloat16)
    assert {base.unet.dtype, base.vae.dtype, base.text_encoder.dtype} == {torch.bfloat16}


def test_folder_variants(models: ModelFiles, folder: Path) -> None:
    """Half-precision names, pickles, and the VAE's attention names of 2022, as published folders have them."""
    unet = folder / "unet" / "diffusion_pytorch_model.safetensors"
    unet.rename(folder / "unet" / "diffusion_pytorch_model.fp16.safetensors")
    text = folder / "text_encoder" / "model.safetensors"
    positions = {"text_model.embeddings.position_ids": torch.arange(77)[None]}
    torch.save(load_file(text) | positions, folder / "text_encoder" / "pytorch_model.bin")
    text.unlink()
    vae = folder / "vae" / "diffusion_pytorch_model.safetensors"
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = {key: value.clone() for key, value in load_file(vae).items()}
    for now, then in old.items():
        state = {key.replace(f".{now}.", f".{then}."): value for key, value in state.items()}
    save_file(state, vae)
    assert_same_model(load_base(folder), load_base(models.base_folder))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("motion", r"v3_sd15_mm\.ckpt is not .* AnimateDiff motion module \(v3\).*`motion`"),
        ("camera", r"CameraCtrl\.ckpt is not .* CameraCtrl checkpoint.*`camera`"),
        ("sync", r"CVD\.ckpt is not .* CVD sync module.*`sync`"),
        ("lora_kohya", r"lora_kohya\.safetensors is not .* LoRA in kohya format.*`loras`"),
        ("adapter", r"v3_sd15_adapter\.ckpt is not .* AnimateDiff adapter LoRA.*`loras`"),
        ("base_file", r"base\.safetensors is a single file.*unet/config\.json.*tokenizer/"),
    ],
)
def test_wrong_files_in_the_base_slot(models: ModelFiles, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_base(getattr(models, name))


def test_wrong_folders_in_the_base_slot(models: ModelFiles, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"does not exist.*not downloaded"):
        load_base("stable-diffusion-v1-5/stable-diffusion-v1-5")
    with pytest.raises(ValueError, match="it is a component, give the folder above"):
        load_base(models.base_folder / "unet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"lacks unet/config\.json, vae/config\.json, text_encoder/config\.json, tok"):
        load_base(tmp_path / "empty")
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ValueError, match="lacks the weights of vae/;"):
        load_base(folder)


@pytest.mark.parametrize("spoilt", ["vocab.json", "merges.txt"])
def test_a_tokenizer_without_vocabulary_is_refused(folder: Path, spoilt: str) -> None:
    (folder / "tokenizer" / spoilt).unlink()
    with pytest.raises(ValueError, match=r"lacks tokenizer/vocab\.json with tokenizer/merges\.txt"):
        load_base(folder)


def test_a_foreign_tokenizer_is_refused(folder: Path) -> None:
    file = folder / "tokenizer" / "vocab.json"
    vocabulary = json.loads(file.read_text())
    file.write_text(json.dumps(vocabulary | {f"new{i}": 514 + i for i in range(10)}))
    with pytest.raises(ValueError, match=r"has 524 tokens, the text encoder knows 514"):
        load_base(folder)


def test_incomplete_and_foreign_weights_are_named(folder: Path) -> None:
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    state = {key: value.clone() for key, value in load_file(file).items()}  # not mapped from the file to be rewritten
    missing = state.pop("conv_out.weight")
    save_file(state, file)
    with pytest.raises(ValueError, match=r"base holds 683 of 684 unet tensors; missing 1: conv_out\.weight"):
        load_base(folder)
    save_file(state | {"conv_out.weight": missing, "add_embedding.linear_1.weight": missing[:1].clone()}, file)
    with pytest.raises(ValueError, match=r"Stable Diffusion XL.*CVD runs on Stable Diffusion 1\.5"):
        load_base(folder)


def test_single_files_that_are_no_text_to_image_sd15(models: ModelFiles, tmp_path: Path) -> None:
    tensors = load_file(models.base_file)
    file = tmp_path / "x.safetensors"
    first = "model.diffusion_model.input_blocks.0.0.weight"
    cases = {
        "takes 9 input channels": tensors | {first: torch.zeros(32, 9, 3, 3)},
        "has no VAE;": {k: v for k, v in tensors.items() if not k.startswith("first_stage")},
        "has no VAE and no text encoder;": {k: v for k, v in tensors.items() if k.startswith("model.")},
        "Stable Diffusion XL": tensors | {"conditioner.embedders.0.x": torch.zeros(1)},
        r"683 of 684 unet tensors; missing 1: conv_in\.weight": {k: v for k, v in tensors.items() if k != first},
    }
    for message, state in cases.items():
        save_file(state, file)
        with pytest.raises(ValueError, match=message):
            load_base(file, config=models.base_folder)
    save_file(tensors, file)
    other = json.loads((models.base_folder / "unet" / "config.json").read_text()) | {"cross_attention_dim": 768}
    config = Path(shutil.copytree(models.base_folder, tmp_path / "config"))
    (config / "unet" / "config.json").write_text(json.dumps(other))
    with pytest.raises(ValueError, match=r"of another shape 32: .*attn2\.to_k\.weight .* instead of .*other widths"):
        load_base(file, config=config)


def edited(file: Path, **entries: Any) -> str:
    return json.dumps(json.loads(file.read_text()) | entries)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("unet/config.json", "[" * 100_000, "nested too deeply"),
        ("unet/config.json", "[]", "holds a JSON array; expected an object"),
        ("unet/config.json", '{"a": ' + "9" * 5000 + "}", "is not valid JSON"),
        ("unet/config.json", {"layers_per_block": 10**12}, r"layers_per_block is 1000000000000; expected at most 64"),
        ("unet/config.json", {"layers_per_block": None}, "does not describe the unet"),
        ("unet/config.json", {"norm_num_groups": 0}, "does not describe the unet"),
        ("unet/config.json", {"norm_eps": float("nan")}, "norm_eps is nan"),
        ("unet/config.json", {"down_block_types": ["DownBlock2D"] * 1000}, "down_block_types has 1000 entries"),
        ("vae/config.json", {"_class_name": ["x"]}, r"has .* as _class_name; expected AutoencoderKL or PatchAuto"),
        ("vae/config.json", {"scaling_factor": None}, "scaling_factor is None; expected a positive number"),
        ("text_encoder/config.json", {"num_hidden_layers": 10**12}, "num_hidden_layers is 1000000000000"),
        ("text_encoder/config.json", {"max_position_embeddings": 10**9}, "max_position_embeddings is 1000000000"),
        ("text_encoder/config.json", {"hidden_act": "none"}, "does not describe the text_encoder"),
        ("scheduler/scheduler_config.json", "null", "holds a JSON null"),
        ("scheduler/scheduler_config.json", '{"prediction_type": ["x"]}', "the model predicts"),
        ("tokenizer/vocab.json", "", "is not valid JSON"),
        ("tokenizer/vocab.json", '{"a": -1}', "vocab.json is damaged"),
        ("tokenizer/vocab.json", '{"a": 1, "b": 1}', "vocab.json is damaged"),
        ("tokenizer/vocab.json", {"new": 1_000}, "has 1001 tokens, the text encoder knows 514"),
        ("tokenizer/merges.txt", "a\nb c d\n", r"merges\.txt, line 1: expected two tokens"),
        ("tokenizer/merges.txt", "#version: 0.2\nqq zz\n", r"merges\.txt, line 2: expected two tokens"),
        ("tokenizer/tokenizer_config.json", "[]", "holds a JSON array"),
        ("tokenizer/tokenizer_config.json", '{"pad_token": 5}', "the tokenizer in"),
        ("tokenizer/tokenizer.json", "{}", "cannot be read"),
    ],
)
def test_damaged_folders_name_the_file_at_once(folder: Path, name: str, text: Any, message: str) -> None:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text if isinstance(text, str) else edited(file, **text))
    with pytest.raises(ValueError, match=message) as error:
        load_base(folder)
    assert name.split("/")[0] in str(error.value)
    assert len(str(error.value)) < 600


def test_components_of_different_models_are_refused(folder: Path) -> None:
    shutil.rmtree(folder / "vae")
    shutil.copytree(mini.FOLDER / "base" / "vae", folder / "vae")
    with pytest.raises(ValueError, match="takes 4 input channels"):
        load_base(folder)


@pytest.mark.parametrize("names", [("model.safetensors", ""), ("pytorch_model.bin", ".fp16")])
def test_a_sharded_folder_equals_the_whole(models: ModelFiles, folder: Path, names: tuple[str, str]) -> None:
    for component, stem in (("unet", "diffusion_pytorch_model"), ("text_encoder", names[0].split(".")[0])):
        whole = next((folder / component).glob("*.safetensors"))
        state = {key: value.clone() for key, value in load_file(whole).items()}
        whole.unlink()
        ending = names[0].split(".")[1]
        weight_map: dict[str, str] = {}
        for i in range(3):
            part = dict(list(state.items())[i::3])
            name = f"{stem}-{i + 1:05}-of-00003.{ending}"
            save = save_file if ending == "safetensors" else torch.save
            save(part, folder / component / name)
            weight_map |= dict.fromkeys(part, name)
        index = folder / component / f"{stem}.{ending}.index{names[1]}.json"
        index.write_text(json.dumps({"weight_map": weight_map}))
    assert_same_model(load_base(folder), load_base(models.base_folder))


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_eight_bit_files_load_like_any_other(models: ModelFiles, tmp_path: Path, dtype: torch.dtype) -> None:
    tensors = load_file(models.base_file)
    cast = {key: value.to(dtype) if value.is_floating_point() else value for key, value in tensors.items()}
    save_file(cast, tmp_path / "base.safetensors")
    base = load_base(tmp_path / "base.safetensors", config=models.base_folder)
    expected = load_base(models.base_folder).unet.state_dict()
    for key, value in base.unet.state_dict().items():
        assert torch.equal(value, expected[key].to(dtype).float())
    state = {key: value.to(dtype) for key, value in motion_tensors(read_checkpoint(models.motion)).items()}
    unet = build_motion_unet(base.unet, state, file="mm")
    assert {value.dtype for value in unet.state_dict().values()} == {torch.float32}


def test_configs_are_fetched_only_on_demand(models: ModelFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def fetch(repository: str, allow_patterns: list[str]) -> str:
        asked.append((repository, allow_patterns))
        return str(models.base_folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    with pytest.raises(ValueError, match="allow downloading"):
        load_base(models.base_file)
    load_base(models.base_file, config=models.base_folder, allow_download=True)
    assert asked == []
    base = load_base(models.base_file, allow_download=True)
    assert asked == [(CONFIG_REPOSITORY, ["*/config.json", "tokenizer/*"])]
    assert_same_model(base, load_base(models.base_folder))


# motion modules


@pytest.fixture(scope="module")
def base(models: ModelFiles) -> BaseModel:
    return load_base(models.base_folder)


@pytest.fixture(scope="module")
def motion(models: ModelFiles) -> dict[str, Tensor]:
    return motion_tensors(read_checkpoint(models.motion))


def diffusers_motion_unet(base: BaseModel, motion: dict[str, Tensor]) -> UNetMotionModel:
    """The same network built by diffusers' own converters: its motion modules normalise whole clips."""
    adapter = MotionAdapter(block_out_channels=(32, 64, 64, 64), use_motion_mid_block=False)
    faults = adapter.load_state_dict(convert_animatediff_checkpoint_to_diffusers(motion), strict=False)
    assert not faults.unexpected_keys
    assert all(key.endswith("pos_embed.pe") for key in faults.missing_keys)
    return UNetMotionModel.from_unet2d(base.unet, adapter).eval()


def run(unet: nn.Module, frames: int) -> Tensor:
    latents = formula.noise("loading/latents", (1, 4, frames, 8, 8))
    text = formula.noise("loading/text", (1, 77, 64)).expand(frames, -1, -1)
    with torch.no_grad():
        output: Tensor = unet(latents, 961, text, return_dict=False)[0]
    return output


def test_one_frame_equals_diffusers_and_more_differ_by_the_norm(base: BaseModel, motion: dict[str, Tensor]) -> None:
    ours, theirs = build_motion_unet(base.unet, motion, file="mm"), diffusers_motion_unet(base, motion)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    state = ours.state_dict()
    for key, value in theirs.state_dict().items():  # position tables: the file's against diffusers' own
        torch.testing.assert_close(state[key], value, atol=5e-6, rtol=0)
    torch.testing.assert_close(run(ours, 1), run(theirs, 1), atol=1e-5, rtol=1e-5)
    assert (run(ours, 3) - run(theirs, 3)).abs().max() > 1e-3
    for module in theirs.modules():
        if isinstance(module, AnimateDiffTransformer3D):
            norm = PerFrameGroupNorm(32, module.norm.num_channels, module.norm.eps)
            norm.load_state_dict(module.norm.state_dict())
            module.norm = norm
    torch.testing.assert_close(run(ours, 3), run(theirs, 3), atol=1e-5, rtol=1e-5)


def test_per_frame_norm_is_a_group_norm_of_each_frame() -> None:
    clip = formula.noise("clip", (2, 64, 5, 3, 7))
    plain, per_frame = nn.GroupNorm(32, 64), PerFrameGroupNorm(32, 64)
    for norm in (plain, per_frame):
        norm.load_state_dict({"weight": formula.weight("weight", [64]), "bias": formula.weight("bias", [64])})
    expected = torch.stack([plain(clip[:, :, frame]) for frame in range(5)], 2)
    torch.testing.assert_close(per_frame(clip), expected)


def test_nothing_is_copied(base: BaseModel, motion: dict[str, Tensor]) -> None:
    unet = build_motion_unet(base.unet, motion, file="mm")
    shared = base.unet.state_dict()
    for key, value in unet.state_dict().items():
        if key in shared:
            assert value.data_ptr() == shared[key].data_ptr()
    key = "down_blocks.1.motion_modules.0.temporal_transformer.proj_in.weight"
    assert unet.down_blocks[1].motion_modules[0].proj_in.weight.data_ptr() == motion[key].data_ptr()


def test_dtype_follows_the_base(models: ModelFiles, motion: dict[str, Tensor]) -> None:
    half = load_base(models.base_folder, dtype=torch.float16)
    unet = build_motion_unet(half.unet, motion, file="mm")
    assert {value.dtype for value in unet.state_dict().values()} == {torch.float16}


def test_a_middle_block_module_is_used_if_there_is_one(base: BaseModel, motion: dict[str, Tensor]) -> None:
    block = "down_blocks.3.motion_modules.0."
    middle = {f"mid_block.motion_modules.0.{key.removeprefix(block)}": v for key, v in motion.items() if block in key}
    unet = build_motion_unet(base.unet, motion | middle, file="mm")
    assert isinstance(unet.mid_block.motion_modules[0].norm, PerFrameGroupNorm)
    assert run(unet, 2).shape == (1, 4, 2, 8, 8)


@pytest.mark.parametrize("frames", [16, 64])
def test_the_file_decides_how_many_frames(base: BaseModel, motion: dict[str, Tensor], frames: int) -> None:
    state = {
        key: formula.sinusoids(frames, value.shape[2]) if key.endswith(".pe") else value
        for key, value in motion.items()
    }
    unet = build_motion_unet(base.unet, state, file="mm")
    assert unet.config["motion_max_seq_length"] == frames


def test_motion_modules_that_do_not_fit(base: BaseModel, motion: dict[str, Tensor]) -> None:
    full = {key: torch.zeros(()).expand(shape) for key, shape in formula.key_list("full")["mm"].items()}
    with pytest.raises(ValueError, match=re.escape("mm.ckpt has motion modules for a network of widths (320, 640")):
        build_motion_unet(base.unet, full, file="mm.ckpt")
    key = "up_blocks.2.motion_modules.1.temporal_transformer.proj_out.bias"
    with pytest.raises(
        ValueError, match=r"mm\.ckpt holds .*missing 1: up_blocks\.2\.motion_modules\.1\.proj_out\.bias"
    ):
        build_motion_unet(base.unet, {k: v for k, v in motion.items() if k != key}, file="mm.ckpt")
    table = next(key for key in motion if "attention_blocks.1.pos_encoder.pe" in key)
    with pytest.raises(ValueError, match="different position tables"):
        build_motion_unet(base.unet, motion | {table: motion[table] + 1}, file="mm.ckpt")
    with pytest.raises(ValueError, match="no position tables"):
        build_motion_unet(base.unet, {k: v for k, v in motion.items() if not k.endswith(".pe")}, file="mm.ckpt")


def test_the_full_size_network_takes_every_official_key() -> None:
    keys = formula.key_list("full")
    with torch.device("meta"):
        base = UNet2DConditionModel.from_config(formula.unet_config("full"))
    assert {key: list(value.shape) for key, value in base.state_dict().items()} == keys["base"]
    hollow = {key: torch.zeros(()).expand(shape) for key, shape in (keys["base"] | keys["mm"]).items()}
    base.load_state_dict({key: hollow[key] for key in keys["base"]}, assign=True)
    unet = build_motion_unet(base, {key: hollow[key] for key in keys["mm"]}, file="mm")
    tables = sum(key.endswith(".pe") for key in keys["mm"])
    assert len(unet.state_dict()) == len(keys["base"]) + len(keys["mm"]) - tables // 2


# prompts


def test_prompts_embed_as_in_stable_diffusion(base: BaseModel) -> None:
    prompts = ["A Cat, on a mat", "", "漢字 and 🎉"]
    tokens = base.tokenizer(prompts, padding="max_length", max_length=77, truncation=True, return_tensors="pt")
    with torch.no_grad():
        expected = base.text_encoder(tokens.input_ids)[0]
    found = encode_prompts(base, prompts)
    assert found.shape == (3, 77, 64)
    assert torch.equal(found, expected)


def test_a_long_prompt_is_refused_with_the_part_that_does_not_fit(base: BaseModel) -> None:
    fitting = "abcd " * 15 + "abcde " * 3  # one token a letter: 75 in all
    assert encode_prompts(base, [fitting]).shape == (1, 77, 64)
    with pytest.raises(ValueError, match=r"has 81 tokens, the text encoder takes 75.*does not fit: 'sunset'"):
        encode_prompts(base, ["short", fitting + "sunset"])
    with pytest.raises(ValueError, match="does not fit: 'abcdef sunset'"):  # a word that starts in time but ends late
        encode_prompts(base, ["abcd " * 15 + "abcde " * 2 + "abcdef sunset"])
    with pytest.raises(ValueError, match="no prompts"):
        encode_prompts(base, [])
