"""LoRAs on Wan: every writer's names reach the same layers, with diffusers + PEFT as the oracle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from safetensors.torch import save_file
from torch import Tensor, nn

from cvd_core.cli import main
from cvd_core.engine.wan.lora import apply_lora, released_path
from cvd_core.weights import identify, read_checkpoint
from tests.engine.test_wan import SIZE, wan  # noqa: F401

RANK, ALPHA = 4, 2.0
HEADS, HEAD_WIDTH, TEXT = 2, 12, 16


def transformer() -> WanTransformer3DModel:
    torch.manual_seed(0)
    return WanTransformer3DModel(
        num_attention_heads=HEADS,
        attention_head_dim=HEAD_WIDTH,
        text_dim=TEXT,
        freq_dim=16,
        ffn_dim=40,
        num_layers=2,
    ).eval()


def matrices(network: nn.Module, where: str = "blocks.") -> dict[str, tuple[Tensor, Tensor]]:
    """Down and up of every linear layer below a path, by diffusers' names."""
    generator = torch.Generator().manual_seed(1)
    return {
        path: (
            torch.randn(RANK, layer.in_features, generator=generator),
            torch.randn(layer.out_features, RANK, generator=generator),
        )
        for path, layer in network.named_modules()
        if isinstance(layer, nn.Linear) and path.startswith(where)
    }


def write(layers: dict[str, tuple[Tensor, Tensor]], path: Path, writer: str) -> Path:
    state: dict[str, Tensor] = {}
    for name, (down, up) in layers.items():
        if writer == "kohya":
            key = f"lora_unet_{released_path(name).replace('.', '_')}"
            state |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up, f"{key}.alpha": torch.tensor(ALPHA)}
            continue
        key = {"diffusers": f"transformer.{name}", "released": f"diffusion_model.{released_path(name)}"}[writer]
        state |= {f"{key}.lora_A.weight": down, f"{key}.lora_B.weight": up * (ALPHA / RANK)}
    save_file(state, path)
    return path


@pytest.mark.parametrize("writer", ["kohya", "diffusers", "released"])
def test_every_linear_layer_by_every_writer(tmp_path: Path, writer: str) -> None:
    network, plain = transformer(), transformer()
    layers = matrices(network, "")
    report = apply_lora(network, write(layers, tmp_path / "x.safetensors", writer), 0.5)
    assert (report.unet_layers, report.text_layers, report.unmatched) == (len(layers), 0, ())
    for path, (down, up) in layers.items():
        expected = plain.get_submodule(path).weight + 0.5 * ALPHA / RANK * up @ down
        torch.testing.assert_close(network.get_submodule(path).weight, expected, atol=1e-5, rtol=1e-5)


def test_diffusers_loads_the_same(tmp_path: Path) -> None:
    network, theirs = transformer(), transformer()
    file = write(matrices(network), tmp_path / "x.safetensors", "released")
    apply_lora(network, file)
    pipeline = WanPipeline(tokenizer=None, text_encoder=None, vae=None, scheduler=None, transformer=theirs)
    pipeline.load_lora_weights(tmp_path, weight_name=file.name)
    inputs = torch.randn(1, 16, 2, 4, 6), torch.tensor([500.0]), torch.randn(1, 5, TEXT)
    with torch.no_grad():
        ours, expected, plain = (n(*inputs, return_dict=False)[0] for n in (network, theirs, transformer()))
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)
    assert float((ours - plain).abs().max()) > 1e-2


def test_released_names_are_those_that_diffusers_converts() -> None:
    network = transformer()
    names = [f"{path}.weight" for path, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    released = {f"{released_path(name.removesuffix('.weight'))}.weight": torch.empty(0) for name in names}
    assert set(convert_wan_transformer_to_diffusers(released)) == set(names)


def test_a_lora_for_another_network(tmp_path: Path) -> None:
    file = write(
        {"mid_block.attentions.0.to_q": (torch.ones(4, 8), torch.ones(8, 4))}, tmp_path / "x.safetensors", "diffusers"
    )
    with pytest.raises(ValueError, match=r"does not fit the base model: 0 of its 1 layers.*made for Wan 2\.1"):
        apply_lora(transformer(), file)


def test_inspect_knows_what_it_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for width, fits in ((1536, "Wan 2.1 T2V 1.3B"), (24, "nothing here. x.safetensors does not fit")):
        layers = {"blocks.29.attn1.to_q": (torch.ones(4, width), torch.ones(width, 4))}
        assert main(["inspect", str(write(layers, tmp_path / "x.safetensors", "diffusers"))]) == 0
        assert f"fits        {fits}" in capsys.readouterr().out


def test_on_the_command_line(wan: Path, tmp_path: Path) -> None:  # noqa: F811
    network = WanTransformer3DModel.from_pretrained(wan / "transformer")
    file = write(matrices(network), tmp_path / "style.safetensors", "released")
    assert identify(read_checkpoint(file)).variant == "for Wan"
    words = ["generate", "--base", wan, "--rig", "az", "--frames", 5, "--prompt", "a ball", "--lora", f"{file}:0.5"]
    words += [word for name, value in SIZE.items() for word in (f"--{name}", value)]
    assert main([*map(str, words), "--out", str(tmp_path / "one")]) == 0
    (lora,) = (m for m in json.loads((tmp_path / "one" / "run.json").read_text())["models"] if m["role"] == "lora")
    assert (lora["path"], lora["scale"]) == (str(file), 0.5)
    assert main(["generate", "--from", str(tmp_path / "one" / "run.json"), "--out", str(tmp_path / "two")]) == 0
    same = [(tmp_path / run / "view0.mp4").read_bytes() for run in ("one", "two")]
    assert same[0] == same[1]
