"""LoRAs: against diffusers' own loader and against results by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from safetensors.torch import load_file, save_file
from torch import Tensor

from cvd_core.engine.sd15.loading import BaseModel, load_base
from cvd_core.engine.sd15.lora import apply_lora
from tests import formula
from tests.formula import LORA_ALPHA, LORA_RANK, ModelFiles

TO_K = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
TO_OUT = "mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0"
CONV = "mid_block.resnets.0.conv1"
PROJ_IN = "up_blocks.1.attentions.2.proj_in"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    return formula.write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def base(models: ModelFiles) -> BaseModel:
    return load_base(models.base_folder)


def weights(base: BaseModel) -> dict[str, Tensor]:
    """Copies of all weights a LoRA may change, the text encoder's as ``text.encoder...``."""
    text = {f"text.{key.removeprefix('text_model.')}": v for key, v in base.text_encoder.state_dict().items()}
    return {key: value.clone() for key, value in (base.unet.state_dict() | text).items()}


def assert_only_these_changed(base: BaseModel, before: dict[str, Tensor], changes: dict[str, Tensor]) -> None:
    for key, value in weights(base).items():
        if key in changes:
            torch.testing.assert_close(value, before[key] + changes[key], atol=1e-6, rtol=1e-5)
            assert changes[key].abs().max() > 1e-3
        else:
            assert torch.equal(value, before[key])


@pytest.mark.parametrize("scale", [1.0, 0.7, -0.5])
def test_kohya_by_hand(models: ModelFiles, base: BaseModel, tmp_path: Path, scale: float) -> None:
    """Linear, 1x1 and 3x3 convolutions, text encoder; alpha / rank = 1/2."""
    names = {
        "lora_unet_" + TO_K.replace(".", "_"): f"{TO_K}.weight",
        "lora_unet_" + TO_OUT.replace(".", "_"): f"{TO_OUT}.weight",
        "lora_unet_" + CONV.replace(".", "_"): f"{CONV}.weight",
        "lora_unet_" + PROJ_IN.replace(".", "_"): f"{PROJ_IN}.weight",
        "lora_te_text_model_encoder_layers_0_self_attn_out_proj": "text.encoder.layers.0.self_attn.out_proj.weight",
    }
    everything = load_file(models.lora_kohya)
    few = {key: value for key, value in everything.items() if key.split(".")[0] in names}
    assert len(few) == 3 * len(names)
    save_file(few, tmp_path / "few.safetensors")
    before = weights(base)
    changes = {}
    for name, key in names.items():
        product = torch.einsum(
            "or,r...->o...", few[f"{name}.lora_up.weight"].flatten(1), few[f"{name}.lora_down.weight"]
        )
        changes[key] = scale * LORA_ALPHA / LORA_RANK * product
    report = apply_lora(base, tmp_path / "few.safetensors", scale)
    assert (report.unet_layers, report.text_layers, report.unmatched) == (4, 1, ())
    assert_only_these_changed(base, before, changes)


def test_adapter_by_hand(models: ModelFiles, base: BaseModel) -> None:
    lora = torch.load(models.adapter, weights_only=True)
    before = weights(base)
    changes = {}
    for key in lora:
        if key.endswith("_lora.down.weight"):
            target = key.replace(".processor", "").replace("_lora.down.weight", "")
            target = target + ".0.weight" if target.endswith("to_out") else target + ".weight"
            changes[target] = lora[key.replace("_lora.down.", "_lora.up.")] @ lora[key]
    report = apply_lora(base, models.adapter)
    assert (report.unet_layers, report.text_layers) == (len(changes), 0)
    assert len(changes) == 128
    assert_only_these_changed(base, before, changes)


def pipeline(base: BaseModel) -> StableDiffusionPipeline:
    scheduler = DDIMScheduler(steps_offset=1, clip_sample=False)
    parts = (base.vae, base.text_encoder, base.tokenizer, base.unet, scheduler)
    return StableDiffusionPipeline(*parts, None, None, requires_safety_checker=False)


PEFT_SETTINGS = {
    "unet.r": LORA_RANK,
    "unet.lora_alpha": 8,
    "unet.alpha_pattern": {"mid_block.attentions.0.transformer_blocks.0.attn1.to_q": 2},
    "unet.rank_pattern": {},
    "unet.target_modules": ["to_q", "to_k", "to_v", "to_out.0"],
    "text_encoder.r": LORA_RANK,
    "text_encoder.lora_alpha": 2,
    "text_encoder.target_modules": ["q_proj", "v_proj"],
}


@pytest.mark.parametrize("form", ["kohya", "peft", "peft with settings", "peft with rslora"])
def test_merging_equals_diffusers(models: ModelFiles, base: BaseModel, tmp_path: Path, form: str) -> None:
    file = models.lora_kohya if form == "kohya" else models.lora_peft
    if form.startswith("peft with"):
        chosen = PEFT_SETTINGS | ({"unet.use_rslora": True} if "rslora" in form else {})
        file = tmp_path / "lora.safetensors"
        metadata = {"format": "pt", "lora_adapter_metadata": json.dumps(chosen)}
        save_file(load_file(models.lora_peft), file, metadata=metadata)
    reference = load_base(models.base_folder)
    theirs = pipeline(reference)
    theirs.load_lora_weights(str(file.parent), weight_name=file.name)
    theirs.fuse_lora(lora_scale=0.7)
    theirs.unload_lora_weights()
    before = weights(base)
    apply_lora(base, file, 0.7)
    expected = weights(reference)
    changed = 0
    for key, value in weights(base).items():
        torch.testing.assert_close(value, expected[key], atol=1e-6, rtol=1e-5)
        changed += not torch.equal(value, before[key])
    assert changed == (197 if form == "kohya" else 130)


def test_half_precision_is_summed_in_float32(models: ModelFiles) -> None:
    half = load_base(models.base_folder, dtype=torch.float16)
    full = load_base(models.base_folder)
    full.unet.load_state_dict(half.unet.state_dict())
    apply_lora(half, models.lora_peft)
    apply_lora(full, models.lora_peft)
    expected = full.unet.state_dict()
    for key, value in half.unet.state_dict().items():
        assert torch.equal(value, expected[key].half())


def test_two_loras_add_up(models: ModelFiles, base: BaseModel) -> None:
    before = weights(base)
    apply_lora(base, models.lora_peft, 0.3)
    apply_lora(base, models.lora_peft, -0.3)
    for key, value in weights(base).items():
        torch.testing.assert_close(value, before[key], atol=1e-6, rtol=1e-5)


def test_merging_leaves_the_file_as_it_is(models: ModelFiles, base: BaseModel) -> None:
    """The weights are mapped from the file; changing them must not write it."""
    file = models.base_folder / "unet" / "diffusion_pytorch_model.safetensors"
    before = file.read_bytes()
    apply_lora(base, models.lora_peft)
    assert file.read_bytes() == before


def linear(name: str, rank: int = 4, rows: int = 32, columns: int = 32) -> dict[str, Tensor]:
    return {f"{name}.lora_down.weight": torch.ones(rank, columns), f"{name}.lora_up.weight": torch.ones(rows, rank)}


FITTING = linear("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q")


def test_a_partial_match_is_merged_and_told(base: BaseModel, tmp_path: Path) -> None:
    save_file(FITTING | linear("lora_unet_no_such_layer"), tmp_path / "part.safetensors")
    with pytest.warns(UserWarning, match=r"part\.safetensors: 1 of 2 LoRA layers .*lora_unet_no_such_layer"):
        report = apply_lora(base, tmp_path / "part.safetensors")
    assert report.unmatched == ("lora_unet_no_such_layer",)
    assert report.unet_layers == 1


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (linear("lora_unet_input_blocks_4_1_transformer_blocks_1_attn1_to_q"), "0 of its 1 layers .*for SDXL"),
        (linear("lora_unet_nowhere"), "0 of its 1 layers do, e.g. lora_unet_nowhere is not"),
        (linear("lora_unet_" + TO_K.replace(".", "_"), columns=2048), r"1 have other shapes .*\(32, 2048\).*for SDXL"),
        (FITTING | linear("lora_unet_" + TO_K.replace(".", "_")), "1 of its 2 layers do, 1 have other shapes"),
        (dict(list(FITTING.items())[:1]), "only one of the two matrices"),
        (FITTING | {"lora_unet_a.dora_scale": torch.ones(1)}, "DoRA"),
        ({"lora_unet_a.hada_w1_a": torch.ones(1, 1)}, "LoHa"),
        (FITTING | {"alien": torch.ones(1)}, "1 tensors that are not LoRA tensors: alien"),
        ({"down_blocks.0.motion_modules.0.a.processor.to_q_lora.down.weight": torch.ones(1, 1)}, "motion LoRA"),
    ],
)
def test_loras_that_do_not_fit_change_nothing(
    base: BaseModel, tmp_path: Path, state: dict[str, Tensor], message: str
) -> None:
    save_file(state, tmp_path / "bad.safetensors")
    before = weights(base)
    with pytest.raises(ValueError, match=message) as error:
        apply_lora(base, tmp_path / "bad.safetensors")
    assert "bad.safetensors" in str(error.value)
    assert_only_these_changed(base, before, {})


@pytest.mark.parametrize("name", ["sync", "motion", "base_file", "camera_flat"])
def test_other_files_in_the_lora_slot(models: ModelFiles, base: BaseModel, name: str) -> None:
    with pytest.raises(ValueError, match=r"is not a LoRA: its keys look like .*Give it to `"):
        apply_lora(base, getattr(models, name))


def test_a_strength_must_be_a_number(models: ModelFiles, base: BaseModel) -> None:
    with pytest.raises(ValueError, match="strength is nan"):
        apply_lora(base, models.lora_peft, math.nan)
