"""Model files: safetensors, pickles, shards, LoRAs, added modules, and a base model's configs and tokenizer."""

from __future__ import annotations

import json
import pickle
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save, save_file
from torch import Tensor

from cvd_core.camera_control.checkpoint import load_camera_control
from cvd_core.motion.checkpoint import load_motion_modules
from cvd_core.runs import mini
from cvd_core.sync.checkpoint import load_sync_modules
from cvd_core.weights import identify, read_checkpoint, read_lora
from tests.fuzz import Target
from tests.fuzz.damage import damaged_bytes, damaged_json, damaged_state, damaged_value, pick, random_tensor

KEYS = (
    "down_blocks.0.motion_modules.0.temporal_transformer.proj_in.weight",
    "down_blocks.0.epi_modules.0.epi_transformer.proj_in.weight",
    "module.encoder_down_conv_blocks.0.0.block1.weight",
    "model.diffusion_model.input_blocks.0.0.weight",
    "lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight",
    "conv_in.weight",
    "blocks.0.mvs_attn.q.weight",
)
"""One of each kind of file."""

LAYER = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
CONFIG = {
    "r": 4,
    "lora_alpha": 16,
    "use_rslora": False,
    "alpha_pattern": {"to_q": 2},
    "rank_pattern": {},
    "peft_type": "LORA",
}
KOHYA = {"ss_network_dim": "4", "ss_network_alpha": "2.0", "ss_network_args": '{"conv_dim": "4", "conv_alpha": "1"}'}


def _tensors(rng: np.random.Generator) -> dict[str, Tensor]:
    return {pick(rng, KEYS): random_tensor(rng) for _ in range(int(rng.integers(1, 5)))}


def _safetensors(rng: np.random.Generator, folder: Path) -> None:
    """A file whose header, or any byte, is damaged."""
    content = save(_tensors(rng), {"format": "pt", "note": "x"})
    if rng.random() < 0.5:
        length = int.from_bytes(content[:8], "little")
        header = json.dumps(damaged_value(rng, json.loads(content[8 : 8 + length]))).encode()
        content = len(header).to_bytes(8, "little") + header + content[8 + length :]
    else:
        content = damaged_bytes(rng, content)
    file = folder / "x.safetensors"
    file.write_bytes(content)
    identify(read_checkpoint(file))


def _odd(rng: np.random.Generator) -> Any:
    """Values that a pickle of tensors may hold besides."""
    deep: dict[str, Any] = {"w": torch.zeros(1)}
    for _ in range(int(pick(rng, [1, 3, 40, 200]))):
        deep = {"a": deep}
    itself: dict[str, Any] = {"w": torch.zeros(2)}
    itself["again"] = itself
    bush: dict[str, Any] = {"w": torch.zeros(1)}
    for _ in range(30):
        bush = {"a": bush, "b": bush}
    return pick(
        rng,
        [
            deep,
            itself,
            bush,
            torch.zeros(1).expand(10**11),
            torch.zeros(3).to_sparse(),
            torch.zeros(2, device="meta"),
            torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.quint8),
            [torch.zeros(2)],
            {(1, 2): torch.zeros(1)},
            {10**400: torch.zeros(1)},
            10**5000,
            {"module.a": torch.zeros(1), "a": torch.zeros(2)},
            None,
            "text",
            float("nan"),
        ],
    )


def _pickle(rng: np.random.Generator, folder: Path) -> None:
    """A pickle with odd values, damaged bytes, or an object that would run code."""
    file = folder / "x.ckpt"
    content: Any = {"state_dict": _tensors(rng), "epoch": 3}
    match int(rng.integers(4)):
        case 0:
            content["state_dict"]["odd"] = _odd(rng)
        case 1:
            content[pick(rng, ["ema", "optimizer", "state_dict"])] = _odd(rng)
        case 2:
            marker = folder / "it ran"
            file.write_bytes(pickle.dumps({"a": _Runs(marker)}, protocol=int(rng.integers(2, 6))))
            try:
                read_checkpoint(file)
            finally:
                assert not marker.exists()
            raise AssertionError("a pickle that runs code was read")
    torch.save(content, file, _use_new_zipfile_serialization=bool(rng.random() < 0.7))
    if rng.random() < 0.5:
        file.write_bytes(damaged_bytes(rng, file.read_bytes()))
    identify(read_checkpoint(file))


class _Runs:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.marker,)


def _shards(rng: np.random.Generator, folder: Path) -> None:
    """A model of two files with a damaged index."""
    index: dict[str, str] = {}
    for i in range(2):
        name = f"model-{i}.safetensors"
        state = {f"{key}{i}": torch.zeros(2) for key in KEYS[:2]}
        save_file(state, folder / name)
        index |= dict.fromkeys(state, name)
    file = folder / "model.safetensors.index.json"
    file.write_bytes(damaged_json(rng, {"metadata": {"total_size": 32}, "weight_map": index}))
    read_checkpoint(file)


def _added(rng: np.random.Generator, folder: Path, name: str, load: Any) -> None:
    """The mini model's added modules, damaged."""
    file = folder / f"{name}.safetensors"
    save_file(damaged_state(rng, load_file(mini.FOLDER / file.name)), file)
    load(file, dtype=pick(rng, [None, torch.float32, torch.float16]))


def _lora(rng: np.random.Generator, folder: Path) -> None:
    """A LoRA with damage in its tensors, its header, or the configuration beside it."""
    prefix, up, down = pick(
        rng, [("", "lora_B", "lora_A"), ("lora_unet_", "lora_up", "lora_down"), ("unet.", "lora_B", "lora_A")]
    )
    form = pick(rng, ["tensors", "header", "kohya", "folder"])
    prefix = "base_model.model." if form == "folder" else prefix
    state = {f"{prefix}{LAYER}.{up}.weight": torch.ones(96, 4), f"{prefix}{LAYER}.{down}.weight": torch.ones(4, 96)}
    state |= {f"{prefix}{LAYER}.alpha": torch.tensor(2.0)} if rng.random() < 0.3 else {}
    header = {"format": "pt"}
    if form == "tensors":
        state = damaged_state(rng, state)
    elif form == "header":
        header["lora_adapter_metadata"] = damaged_json(rng, CONFIG).decode("utf-8", "replace")
    elif form == "kohya":
        found = damaged_value(rng, KOHYA) if rng.random() < 0.5 else KOHYA
        header |= {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}
        header["ss_network_args"] = damaged_json(rng, {"conv_dim": "4"}).decode("utf-8", "replace")
    else:
        (folder / "adapter_config.json").write_bytes(damaged_json(rng, CONFIG))
    header = {_text(key): _text(value) for key, value in header.items()}
    file = folder / "adapter_model.safetensors"
    save_file(state, file, metadata=header)
    for layer in read_lora(file if form != "folder" or rng.random() < 0.5 else folder).layers:
        assert np.isfinite(layer.scale)


def _text(value: str) -> str:
    """The text without what UTF-8 cannot hold."""
    return value.encode("utf-8", "replace").decode()


def _base_config(rng: np.random.Generator, folder: Path) -> None:
    """A config of the mini model's networks, damaged, and the network built from it."""
    from cvd_core.engine.model_folder import read_config
    from cvd_core.engine.sd15.components import build_component
    from cvd_core.engine.sd15.folder import SD15_FOLDER

    component = pick(rng, list(SD15_FOLDER.components))
    file = folder / "config.json"
    good = json.loads((mini.FOLDER / "base" / component / "config.json").read_text())
    file.write_bytes(damaged_json(rng, good))
    build_component(component, read_config(file), str(file))


def _tokenizer(rng: np.random.Generator, folder: Path) -> None:
    """The mini model's tokenizer with one of its files damaged."""
    from cvd_core.engine.tokenizer import load_tokenizer

    place = folder / "tokenizer"
    shutil.copytree(mini.FOLDER / "base" / "tokenizer", place)
    file = pick(rng, sorted(place.iterdir()))
    if file.suffix == ".json" and rng.random() < 0.6:
        file.write_bytes(damaged_json(rng, json.loads(file.read_text())))
    else:
        file.write_bytes(damaged_bytes(rng, file.read_bytes()))
    load_tokenizer(folder, 256)


TARGETS = (
    Target("safetensors", _safetensors),
    Target("pickle", _pickle),
    Target("shards", _shards),
    Target("lora", _lora),
    Target("sync module", partial(_added, name="sync", load=load_sync_modules)),
    Target("camera control", partial(_added, name="camera", load=load_camera_control)),
    Target("motion module", partial(_added, name="motion", load=load_motion_modules)),
    Target("base config", _base_config),
    Target("tokenizer", _tokenizer),
)
