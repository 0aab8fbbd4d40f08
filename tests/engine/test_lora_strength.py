"""How strong a LoRA is, wherever its file says so: against diffusers and peft, which wrote the files."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from peft import LoraConfig, get_peft_model
from peft.utils.other import get_pattern_key
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cvd_core.engine.sd15.loading import BaseModel, load_base
from cvd_core.engine.sd15.lora import apply_lora
from cvd_core.runs import mini
from cvd_core.weights import original_unet_path
from cvd_core.weights.lora_scale import _names
from tests.original_layout import _original_unet_key

TO_Q = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
CONV = "down_blocks.0.resnets.0.conv1"

CONFIGS: dict[str, dict[str, Any]] = {
    "alpha beside rank": {"r": 4, "lora_alpha": 16},
    "alpha below rank": {"r": 8, "lora_alpha": 2},
    "rank-stabilised": {"r": 4, "lora_alpha": 16, "use_rslora": True},
    "alpha of one layer": {"r": 4, "lora_alpha": 8, "alpha_pattern": {TO_Q: 1}},
    "patterns by the end of names": {
        "r": 4,
        "lora_alpha": 8,
        "alpha_pattern": {"to_q": 2, "attn1.to_v": 32},
        "rank_pattern": {"to_v": 2, f"^{TO_Q}": 6},
    },
    "the first pattern counts": {"r": 4, "lora_alpha": 8, "alpha_pattern": {"attn1.to_q": 2, "to_q": 32}},
    "convolutions": {"r": 4, "lora_alpha": 12, "target_modules": ["conv1", "conv_in", "proj_in", "to_out.0"]},
}


@pytest.fixture
def base() -> BaseModel:
    return load_base(mini.FOLDER / "base")


def adapted(unet: UNet2DConditionModel, options: dict[str, Any]) -> tuple[UNet2DConditionModel, LoraConfig]:
    """A copy of the UNet with a random adapter in it."""
    copied = copy.deepcopy(unet)
    config = LoraConfig(**{"target_modules": ["to_q", "to_v"], **options}, init_lora_weights=False)
    torch.manual_seed(0)
    copied.add_adapter(config)
    return copied, config


def merged(unet: UNet2DConditionModel) -> dict[str, Tensor]:
    """What peft makes of it, under the plain UNet's names."""
    for module in unet.modules():
        if isinstance(module, peft.tuners.lora.LoraLayer):
            module.merge()
    state = unet.state_dict()
    return {key.replace(".base_layer", ""): value for key, value in state.items() if ".lora_" not in key}


def assert_equal_weights(network: nn.Module, expected: dict[str, Tensor], before: dict[str, Tensor]) -> None:
    found = network.state_dict()
    assert found.keys() == expected.keys()
    assert any((expected[key] - before[key]).abs().max() > 1e-3 for key in expected)
    for key, value in found.items():
        torch.testing.assert_close(value, expected[key], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("options", CONFIGS.values(), ids=CONFIGS.keys())
@pytest.mark.parametrize("form", ["save_lora_adapter", "save_lora_weights", "peft folder"])
def test_every_writer_and_setting_merges_as_in_peft(
    base: BaseModel, tmp_path: Path, options: dict[str, Any], form: str
) -> None:
    before = {key: value.clone() for key, value in base.unet.state_dict().items()}
    theirs, config = adapted(base.unet, options)
    if form == "save_lora_adapter":
        theirs.save_lora_adapter(tmp_path)
    elif form == "save_lora_weights":
        layers = peft.get_peft_model_state_dict(theirs)
        StableDiffusionPipeline.save_lora_weights(
            tmp_path, unet_lora_layers=layers, unet_lora_adapter_metadata=config.to_dict()
        )
    else:
        torch.manual_seed(0)
        get_peft_model(copy.deepcopy(base.unet), config).save_pretrained(tmp_path)
    expected = merged(theirs)
    report = apply_lora(base, tmp_path)
    assert report.unet_layers > 1
    assert_equal_weights(base.unet, expected, before)


def test_the_text_encoder_of_a_peft_folder(base: BaseModel, tmp_path: Path) -> None:
    before = {key: value.clone() for key, value in base.text_encoder.state_dict().items()}
    config = LoraConfig(r=4, lora_alpha=16, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    theirs = get_peft_model(copy.deepcopy(base.text_encoder), config)
    theirs.save_pretrained(tmp_path)
    assert apply_lora(base, tmp_path).text_layers == 4
    assert_equal_weights(base.text_encoder, theirs.merge_and_unload().state_dict(), before)


def plain(rank: int = 4, alpha: Tensor | None = None) -> dict[str, Tensor]:
    """A LoRA of one layer of the mini model, in kohya's names."""
    name = f"lora_unet_{TO_Q.replace('.', '_')}"
    generator = torch.Generator().manual_seed(rank)
    down, up = (torch.randn(shape, generator=generator) for shape in ((rank, 96), (96, rank)))
    return {
        f"{name}.lora_down.weight": down,
        f"{name}.lora_up.weight": up,
        **({} if alpha is None else {f"{name}.alpha": alpha}),
    }


def strength(base: BaseModel, file: Path) -> float:
    """The factor of ``up @ down`` that a LoRA of :func:`plain` was merged with."""
    weight = base.unet.get_submodule(TO_Q).weight
    before = weight.clone()
    apply_lora(base, file)
    state = load_file(file)
    down, up = (next(v for k, v in state.items() if f"lora_{side}" in k) for side in ("down", "up"))
    product = up @ down
    factor = float(((weight - before) * product).sum() / product.square().sum())
    torch.testing.assert_close(weight, before + factor * product, atol=1e-4, rtol=1e-3)
    return round(factor, 4)


@pytest.mark.parametrize(
    ("header", "tensors", "expected"),
    [
        ({}, {}, 1.0),
        ({}, {"alpha": torch.tensor(2.0)}, 0.5),
        ({}, {"alpha": torch.tensor(2, dtype=torch.int64)}, 0.5),
        ({"ss_network_alpha": "2.0", "ss_network_dim": "4"}, {}, 0.5),
        ({"ss_network_alpha": "None", "ss_network_dim": "Dynamic"}, {}, 1.0),
        ({"ss_network_alpha": "2", "ss_network_args": '{"conv_dim": "8", "conv_alpha": "1"}'}, {}, 0.5),
        ({"ss_network_alpha": "2", "ss_network_args": '{"rs_lora": "True"}'}, {}, 1.0),
        ({"lora_alpha": "12", "r": "4"}, {}, 3.0),
        ({"lora_alpha": "12", "rank": "4", "use_rslora": "true"}, {}, 6.0),
        ({"lora_alpha": "12", "ss_network_alpha": "12.0"}, {}, 3.0),
        ({"peft_config": json.dumps({"lora_alpha": 8, "r": 4})}, {}, 2.0),
    ],
)
def test_headers_and_tensors(
    base: BaseModel, tmp_path: Path, header: dict[str, str], tensors: dict[str, Tensor], expected: float
) -> None:
    save_file(plain(alpha=tensors.get("alpha")), tmp_path / "x.safetensors", metadata=header or None)
    assert strength(base, tmp_path / "x.safetensors") == expected


def test_a_tensor_counts_and_a_header_that_contradicts_it_is_named(base: BaseModel, tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    save_file(plain(alpha=torch.tensor(2.0)), file, metadata={"ss_network_alpha": "4", "ss_network_dim": "8"})
    with pytest.warns(UserWarning, match="counts?$") as said:
        assert strength(base, file) == 0.5
    texts = "\n".join(str(warning.message) for warning in said)
    assert "ss_network_alpha in the header says alpha 4, the tensor" in texts
    assert "ss_network_dim in the header says rank 8, the matrices" in texts


SHAPES = {"down": (4, 96), "up": (96, 4)}
PATTERN = {"unet.lora_alpha": 4, "unet.alpha_pattern": {}}


@pytest.mark.parametrize(
    ("state", "header", "message"),
    [
        (plain(), {"ss_network_alpha": "4", "lora_alpha": "8"}, r"itself: alpha of .* 4 \(ss_network_alpha .* 8"),
        (plain(), {"ss_network_alpha": "4", "ss_network_dim": "8"}, "says rank 8, the matrices of .* have rank 4"),
        (plain(), {"ss_network_alpha": "inf"}, "ss_network_alpha in the header is 'inf'; expected a number"),
        (plain(), {"ss_network_alpha": "0"}, "alpha 0"),
        (plain(), {"ss_network_args": "{"}, "ss_network_args in the header is not valid JSON"),
        (plain(), {"lora_adapter_metadata": "[1]"}, "an array of 1; expected a JSON object"),
        (plain(), {"lora_adapter_metadata": "[" * 100_000}, "not valid JSON"),
        (plain(), {"lora_adapter_metadata": '{"unet.lora_alpha": null}'}, "does not state lora_alpha"),
        (plain(), {"lora_adapter_metadata": '{"lora_alpha": ' + "9" * 400 + "}"}, "lora_alpha in .* too many digits"),
        (plain(), {"lora_adapter_metadata": '{"lora_alpha": true}'}, "lora_alpha in .* is True; expected a number"),
        (plain(), {"lora_adapter_metadata": json.dumps(PATTERN | {"unet.alpha_pattern": [1]})}, "an array of 1"),
        (plain(), {"lora_adapter_metadata": json.dumps(PATTERN | {"unet.alpha_pattern": {"(": 1}})}, "regular exp"),
        (
            plain(),
            {"lora_adapter_metadata": json.dumps(PATTERN | {"unet.rank_pattern": {"(([a-z0-9_.]+)+)+!": 1}})},
            "regular expression",
        ),
        (plain(), {"lora_adapter_metadata": '{"lora_alpha": 4, "use_dora": true}'}, "DoRA"),
        (plain(), {"lora_adapter_metadata": '{"lora_alpha": 4, "peft_type": "LOHA"}'}, "'LOHA' adapter"),
        (plain(), {"lora_adapter_metadata": '{"lora_alpha": 4, "init_lora_weights": "pissa"}'}, "changed before"),
        (plain(alpha=torch.ones(3)), {}, r"alpha of shape \(3,\)"),
        (plain(alpha=torch.tensor(float("inf"))), {}, "NaN or infinite"),
        (plain(0), {}, r"shapes \(96, 0\) x \(0, 96\)"),
        ({key: value * float("nan") for key, value in plain().items()}, {}, "NaN or infinite"),
        ({key: value.to(torch.int8) for key, value in plain().items()}, {}, "int8 numbers"),
        ({key: value.reshape(4, 24, 4).contiguous() for key, value in plain().items()}, {}, "it is damaged"),
        ({key: value * 1e30 for key, value in plain().items()}, {}, "would make infinite weights"),
        (plain() | {f"unet.{TO_Q}.lora_{side}.weight": torch.ones(s) for side, s in SHAPES.items()}, {}, "twice"),
        ({f"base_model.model.{TO_Q}.lora_A.weight": torch.ones(4, 96)}, {}, "adapter_config.json"),
    ],
)  # fmt: skip
def test_damage_and_contradictions_are_refused_and_change_nothing(
    base: BaseModel, tmp_path: Path, state: dict[str, Tensor], header: dict[str, str], message: str
) -> None:
    save_file(
        {key: value.contiguous() for key, value in state.items()}, tmp_path / "x.safetensors", metadata=header or None
    )
    before = {key: value.clone() for key, value in base.unet.state_dict().items()}
    with pytest.raises(ValueError, match=message) as error:
        apply_lora(base, tmp_path / "x.safetensors")
    assert "x.safetensors" in str(error.value)
    assert len(str(error.value)) < 600
    assert all(torch.equal(value, before[key]) for key, value in base.unet.state_dict().items())


NAMES = ["to_q", "attn1.to_q", "^to_q", f"^{TO_Q}", TO_Q, "o_q", r"attn1\.to_q", "attn1.to.q", r"attn1\.to\.q", "to_q$"]


@pytest.mark.parametrize("pattern", NAMES)
@pytest.mark.parametrize("layer", [TO_Q, "to_q", "a.to_q.b", "xto_q", "attn1_to_q"])
def test_patterns_match_as_in_peft(pattern: str, layer: str) -> None:
    marker = object()
    theirs = {pattern: marker}.get(get_pattern_key([pattern], layer)) is marker
    assert _names(pattern, layer) == theirs


@pytest.mark.parametrize("name", [TO_Q, CONV, "up_blocks.1.upsamplers.0.conv", "mid_block.resnets.1.time_emb_proj"])
@pytest.mark.parametrize("prefix", ["lora_unet_", "diffusion_model."])
def test_original_names_are_the_same_layers(base: BaseModel, tmp_path: Path, name: str, prefix: str) -> None:
    weight = base.unet.get_submodule(name).weight
    before = weight.clone()
    original = original_unet_path(name, int(base.unet.config["layers_per_block"]))
    key = prefix + (original.replace(".", "_") if prefix == "lora_unet_" else original)
    kernel = weight.shape[2:]
    down, up = torch.randn(2, weight.shape[1], *kernel), torch.randn(weight.shape[0], 2, *(1 for _ in kernel))
    save_file({f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up}, tmp_path / "x.safetensors")
    apply_lora(base, tmp_path / "x.safetensors")
    change = torch.einsum("or,r...->o...", up.flatten(1), down)
    torch.testing.assert_close(weight, before + change, atol=1e-5, rtol=1e-4)


def test_original_names_of_the_whole_network() -> None:
    """Every layer with a matrix, against the mapping of keys that the tests write single files with."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8)
    names = [name for name, module in unet.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    assert len(names) > 200
    for name in names:
        assert f"{original_unet_path(name, 2)}.weight" == _original_unet_key(f"{name}.weight")


def test_tucker_decomposed_kernels_are_three_convolutions(base: BaseModel, tmp_path: Path) -> None:
    """LyCORIS' layer computes up(mid(down(x))), a 1x1, a 3x3 and a 1x1 convolution, times alpha / rank."""
    module = base.unet.get_submodule(CONV)
    channels_out, channels_in = module.weight.shape[:2]
    down, mid, up = torch.randn(3, channels_in, 1, 1), torch.randn(3, 3, 3, 3), torch.randn(channels_out, 3, 1, 1)
    name = f"lora_unet_{CONV.replace('.', '_')}"
    save_file(
        {
            f"{name}.lora_down.weight": down,
            f"{name}.lora_mid.weight": mid,
            f"{name}.lora_up.weight": up,
            f"{name}.alpha": torch.tensor(6.0),
        },
        tmp_path / "x.safetensors",
    )
    x = torch.randn(1, channels_in, 5, 6)
    conv = nn.functional.conv2d
    with torch.no_grad():
        expected = module(x) + 2 * conv(conv(conv(x, down), mid, padding=1), up)
        apply_lora(base, tmp_path / "x.safetensors")
        torch.testing.assert_close(module(x), expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16])
def test_types_for_storage_are_read(base: BaseModel, tmp_path: Path, dtype: torch.dtype) -> None:
    state = {key: (value / 4).to(dtype) for key, value in plain(alpha=torch.tensor(2.0)).items()}
    save_file(state, tmp_path / "x.safetensors")
    weight = base.unet.get_submodule(TO_Q).weight
    before = weight.clone()
    apply_lora(base, tmp_path / "x.safetensors")
    down, up, _ = (value.float() for value in state.values())
    torch.testing.assert_close(weight, before + 0.5 / 4 * up @ down, atol=1e-5, rtol=1e-5)


def test_an_adapter_without_its_folder_says_what_is_missing(base: BaseModel, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"folder without adapter_model\.safetensors or pytorch_lora_weights"):
        apply_lora(base, tmp_path)
