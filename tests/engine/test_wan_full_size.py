"""Wan 2.1 1.3B and SynCamMaster at their full size: every key both ways, and `cvd generate` in small pictures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from safetensors.torch import save_file
from torch import nn
from transformers import T5TokenizerFast, UMT5Config, UMT5EncoderModel

from cvd_core.engine.wan.lora import SIZES, released_path
from cvd_core.syncam.module import SynCamModules
from cvd_core.video.files import read_video
from cvd_core.weights import is_syncam_key

ROOT = Path(__file__).parents[2]
KEYS = ROOT / "tests" / "golden" / "data" / "syncam" / "syncam_keys_1p3b.json"
SIDE, FRAMES, VIEWS = 128, 5, 2


def transformer() -> WanTransformer3DModel:
    """Without data."""
    with init_empty_weights():
        return WanTransformer3DModel(**SIZES)


def released_key(key: str) -> str:
    """A parameter's name in the released file from that in diffusers."""
    if key == "scale_shift_table":
        return "head.modulation"
    path, _, leaf = key.rpartition(".")
    if leaf == "scale_shift_table":
        return f"{path}.modulation"
    released = released_path(path)
    for ours, theirs in (("attn1", "self_attn"), ("attn2", "cross_attn")):
        released = released.replace(f".{ours}.", f".{theirs}.")
    swapped = {"norm2": "norm3", "norm3": "norm2"}
    head, _, last = released.rpartition(".")
    return f"{head}.{swapped[last]}.{leaf}" if last in swapped else f"{released}.{leaf}"


def test_every_key_both_ways() -> None:
    released = json.loads(KEYS.read_text())
    state = transformer().state_dict()
    names = {released_key(key): value for key, value in state.items()}
    assert len(names) == released["base_keys"]
    assert sum(value.numel() for value in names.values()) == released["base_params"]
    assert not any(is_syncam_key(name) for name in names)
    back = convert_wan_transformer_to_diffusers(dict(names))
    assert {key: value.shape for key, value in back.items()} == {key: value.shape for key, value in state.items()}
    with torch.device("meta"):
        extra = SynCamModules().state_dict()
    assert len(extra) == released["extra_keys"]
    assert all(is_syncam_key(name) for name in extra)


def fill(network: nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """Random weights of a network without data, in bfloat16, that keep activations near 1."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, value in network.state_dict().items():
        fan_in = value[0].numel() if value.ndim > 1 else 1
        made = torch.randn(value.shape, generator=generator, dtype=torch.float32) / fan_in**0.5
        state[key] = (1 + 0.1 * made if value.ndim == 1 and key.endswith(("weight", "gamma")) else made).bfloat16()
    return state


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A diffusers folder of full size but for the depth and the words of its text encoder (4 GB)."""
    folder = tmp_path_factory.mktemp("wan")
    words = ["<pad>", "</s>", "<unk>", "\u2581a", "\u2581red", "\u2581ball", "\u2581"]
    text = UMT5Config(vocab_size=len(words), d_model=4096, d_kv=64, d_ff=10240, num_layers=1, num_heads=64)
    with init_empty_weights():
        vae, encoder, modules = AutoencoderKLWan(), UMT5EncoderModel(text), SynCamModules()
    parts = {"transformer": transformer(), "vae": vae}
    for seed, (name, network) in enumerate(parts.items()):
        network.save_config(folder / name)
        save_file(fill(network, seed), folder / name / "diffusion_pytorch_model.safetensors")
    (folder / "text_encoder").mkdir()
    text.save_pretrained(folder / "text_encoder")
    state = fill(encoder, 2)
    state.pop("encoder.embed_tokens.weight", None)
    save_file(state, folder / "text_encoder" / "model.safetensors")
    T5TokenizerFast(vocab=[(word, -float(i)) for i, word in enumerate(words)], extra_ids=0).save_pretrained(
        folder / "tokenizer"
    )
    save_file(fill(modules, 3), folder / "syncam.safetensors")
    return folder


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_generate(folder: Path, tmp_path: Path) -> None:
    words = ["generate", "--base", folder, "--sync", folder / "syncam.safetensors", "--rig", "az", "--views", VIEWS]
    words += ["--frames", FRAMES, "--width", SIDE, "--height", SIDE, "--steps", 2, "--prompt", "a red ball"]
    words += ["--dtype", "bfloat16", "--device", "cpu", "--offload", "--out", tmp_path / "run"]
    process = subprocess.Popen([sys.executable, "-m", "cvd_core.cli", *map(str, words)], cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    for view in range(VIEWS):
        video, _ = read_video(tmp_path / "run" / f"view{view}.mp4")
        assert video.shape == (FRAMES, SIDE, SIDE, 3)
        assert float(video.float().std()) > 1
    print(f"cvd generate: peak {usage.ru_maxrss * 1024 / 1e9:.1f} GB")
