"""The golden formula: weights, latents and draws as functions of a name, and official-format files made from it.

No checkpoint is stored: a tensor is a function of its key, drawn from numpy's frozen legacy generator, so any
implementation can rebuild the networks the goldens were recorded with.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.original_layout import original_layout

Shapes = dict[str, list[int]]
Size = Literal["reduced", "full"]

DATA = Path(__file__).parent / "golden" / "data"
LORA_RANK = 4
LORA_ALPHA = 2.0


def noise(name: str, shape: tuple[int, ...] | list[int]) -> Tensor:
    """Float32 standard normal numbers that depend on ``name`` alone."""
    generator = np.random.RandomState(zlib.crc32(name.encode()))
    return torch.from_numpy(generator.standard_normal(tuple(shape)).astype(np.float32))


def uniform(name: str, shape: tuple[int, ...] | list[int]) -> Tensor:
    """Float32 numbers uniform in [0, 1) that depend on ``name`` alone."""
    generator = np.random.RandomState(zlib.crc32(name.encode()))
    return torch.from_numpy(generator.random_sample(tuple(shape)).astype(np.float32))


def weight(key: str, shape: tuple[int, ...] | list[int]) -> Tensor:
    """The parameter ``key`` of the golden networks; position tables are sinusoids, everything else is noise."""
    if key.endswith("pos_encoder.pe"):
        return sinusoids(shape[1], shape[2])
    if len(shape) == 1:
        return 1 + 0.1 * noise(key, shape) if key.endswith("weight") else 0.05 * noise(key, shape)
    gain = 0.7 if "qkv_merge" in key or "transformer.proj_out" in key else 1.0
    return gain / math.sqrt(math.prod(shape[1:])) * noise(key, shape)


def sinusoids(frames: int, channels: int) -> Tensor:
    """``(1, frames, channels)`` sinusoidal position table: sines in the even channels, cosines in the odd ones."""
    angles = np.arange(frames)[:, None] * np.exp(np.arange(0, channels, 2) * (-math.log(10000.0) / channels))
    table = np.stack([np.sin(angles), np.cos(angles)], -1).reshape(1, frames, channels)
    return torch.from_numpy(table.astype(np.float32))


def key_list(size: Size) -> dict[str, Shapes]:
    """Every key and shape of the official files, by origin: base, mm, epi, attention_processor, pose_encoder."""
    name = {"reduced": "keys_reduced.json", "full": "keys_full_size.json"}[size]
    loaded: dict[str, Shapes] = json.loads((DATA / name).read_text())
    return loaded


def tensors(shapes: Shapes, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Formula weights for a key list."""
    return {key: weight(key, shape).to(dtype) for key, shape in shapes.items()}


def unet_config(size: Size) -> dict[str, Any]:
    """Config of the base as a diffusers ``UNet2DConditionModel``."""
    config: dict[str, Any] = json.loads((DATA / "unet_config_reduced.json").read_text())
    config["_class_name"] = "UNet2DConditionModel"
    for side in ("down_block_types", "up_block_types"):
        config[side] = [name.replace("3D", "2D") for name in config[side]]
    if size == "full":
        config |= {"block_out_channels": [320, 640, 1280, 1280], "cross_attention_dim": 768}
    return config


@dataclass(frozen=True)
class ModelFiles:
    """Paths of one set of official-format files."""

    base_folder: Path
    base_file: Path
    motion: Path
    camera: Path
    camera_flat: Path
    sync: Path
    lora_kohya: Path
    lora_peft: Path
    adapter: Path


def write_models(folder: Path, size: Size = "reduced", dtype: torch.dtype = torch.float32) -> ModelFiles:
    """Write the whole set into ``folder``: about 50 MB reduced, 12.6 GB at full size in float32 (half in float16)."""
    folder.mkdir(parents=True, exist_ok=True)
    files = ModelFiles(
        base_folder=folder / "base",
        base_file=folder / "base.safetensors",
        motion=folder / "v3_sd15_mm.ckpt",
        camera=folder / "CameraCtrl.ckpt",
        camera_flat=folder / "CameraCtrl_flat.safetensors",
        sync=folder / "CVD.ckpt",
        lora_kohya=folder / "lora_kohya.safetensors",
        lora_peft=folder / "lora_peft.safetensors",
        adapter=folder / "v3_sd15_adapter.ckpt",
    )
    keys = key_list(size)
    write_base(files.base_folder, files.base_file, size, dtype)
    torch.save(tensors(keys["mm"], dtype), files.motion)
    pose = tensors(keys["pose_encoder"], dtype)
    merge = tensors(keys["attention_processor"], dtype)
    torch.save({"epoch": 3, "pose_encoder_state_dict": pose, "attention_processor_state_dict": merge}, files.camera)
    save_file(pose | merge, files.camera_flat)
    torch.save({"unet_trainable_dict": tensors(keys["epi"], dtype)}, files.sync)
    save_file(kohya_lora(keys["base"], dtype), files.lora_kohya)
    save_file(peft_lora(keys["base"], dtype), files.lora_peft)
    torch.save(adapter_lora(keys["base"], dtype), files.adapter)
    return files


def write_base(folder: Path, single_file: Path | None, size: Size, dtype: torch.dtype = torch.float32) -> None:
    """The base model as a diffusers folder and, if named, with the same tensors as one file in the original layout."""
    from diffusers import AutoencoderKL

    unet = tensors(key_list(size)["base"], dtype)
    _write_component(folder / "unet", unet_config(size), unet, "diffusion_pytorch_model.safetensors")
    vae_config = {
        "_class_name": "AutoencoderKL",
        "act_fn": "silu",
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": 4,
        "norm_num_groups": 32,
        "scaling_factor": 0.18215,
        "block_out_channels": [128, 256, 512, 512] if size == "full" else [32, 32, 32, 32],
        "layers_per_block": 2 if size == "full" else 1,
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
    }
    with torch.device("meta"):
        vae_shapes = shapes_of(AutoencoderKL.from_config(vae_config))
    vae = _prefixed_weights("vae", vae_shapes, dtype)
    _write_component(folder / "vae", vae_config, vae, "diffusion_pytorch_model.safetensors")
    text_config, text = _text_encoder(size, dtype)
    _write_component(folder / "text_encoder", text_config, text, "model.safetensors")
    write_tokenizer(folder / "tokenizer")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    if single_file is not None:
        save_file(original_layout(unet, vae, text), single_file)


def write_tokenizer(folder: Path) -> None:
    """A CLIP tokenizer without merges: every byte is a token, so any text has one, and prompts get long quickly."""
    folder.mkdir(parents=True, exist_ok=True)
    characters = _byte_characters()
    vocabulary = [*characters, *(c + "</w>" for c in characters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "pad_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def kohya_lora(base: Shapes, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """A kohya LoRA on the UNet's transformers, one 3x3 convolution and the text encoder, alpha half the rank."""
    lora: dict[str, Tensor] = {}

    def add(name: str, shape: list[int]) -> None:
        kernel = shape[2:]
        lora[f"{name}.lora_down.weight"] = weight(f"{name}.lora_down", [LORA_RANK, shape[1], *kernel]).to(dtype)
        lora[f"{name}.lora_up.weight"] = weight(f"{name}.lora_up", [shape[0], LORA_RANK, *(1 for _ in kernel)]).to(
            dtype
        )
        lora[f"{name}.alpha"] = torch.tensor(LORA_ALPHA, dtype=dtype)

    for key, shape in base.items():
        module = key.removesuffix(".weight")
        if (".attentions." in key and len(shape) > 1) or module == "mid_block.resnets.0.conv1":
            add("lora_unet_" + module.replace(".", "_"), shape)
    width = _text_width(base)
    for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
        add(f"lora_te_text_model_encoder_layers_0_self_attn_{projection}", [width, width])
    return lora


def peft_lora(base: Shapes, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """A diffusers/PEFT LoRA on the UNet's attention and the text encoder; no alpha, so the scale is 1."""
    lora: dict[str, Tensor] = {}

    def add(name: str, shape: list[int]) -> None:
        lora[f"{name}.lora_A.weight"] = weight(f"{name}.lora_A", [LORA_RANK, shape[1]]).to(dtype)
        lora[f"{name}.lora_B.weight"] = weight(f"{name}.lora_B", [shape[0], LORA_RANK]).to(dtype)

    for key, shape in base.items():
        if _is_attention_matrix(key):
            add("unet." + key.removesuffix(".weight"), shape)
    width = _text_width(base)
    for projection in ("q_proj", "v_proj"):
        add(f"text_encoder.text_model.encoder.layers.1.self_attn.{projection}", [width, width])
    return lora


def adapter_lora(base: Shapes, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """An AnimateDiff v3 adapter: a LoRA in the processors of every spatial attention."""
    lora: dict[str, Tensor] = {}
    for key, shape in base.items():
        if _is_attention_matrix(key):
            attention, projection = key.removesuffix(".0.weight").removesuffix(".weight").rsplit(".", 1)
            name = f"{attention}.processor.{projection}_lora"
            lora[f"{name}.down.weight"] = weight(f"{name}.down", [LORA_RANK, shape[1]]).to(dtype)
            lora[f"{name}.up.weight"] = weight(f"{name}.up", [shape[0], LORA_RANK]).to(dtype)
    return lora


def _is_attention_matrix(key: str) -> bool:
    return (".attn1.to_" in key or ".attn2.to_" in key) and key.endswith("weight")


def _text_width(base: Shapes) -> int:
    return base["down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"][1]


def _text_encoder(size: Size, dtype: torch.dtype) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Config and tensors, the latter with the prefix ``text_model.`` that every published SD1.5 text encoder has."""
    from transformers import CLIPTextConfig, CLIPTextModel

    full = size == "full"
    config = CLIPTextConfig(
        architectures=["CLIPTextModel"],
        vocab_size=514,
        hidden_size=768 if full else 64,
        intermediate_size=3072 if full else 128,
        num_hidden_layers=12 if full else 2,
        num_attention_heads=12 if full else 4,
        projection_dim=768 if full else 64,
        bos_token_id=512,
        eos_token_id=513,
    )
    with torch.device("meta"):
        shapes = shapes_of(CLIPTextModel(config))
    text = _prefixed_weights("text_encoder", shapes, dtype)
    return config.to_dict(), {f"text_model.{key.removeprefix('text_model.')}": value for key, value in text.items()}


def _prefixed_weights(prefix: str, shapes: Shapes, dtype: torch.dtype) -> dict[str, Tensor]:
    """Formula weights named ``prefix.key``: the VAE's and the text encoder's keys alone are not unique."""
    return {key: weight(f"{prefix}.{key}", shape).to(dtype) for key, shape in shapes.items()}


def shapes_of(module: torch.nn.Module) -> Shapes:
    """Keys and shapes of a module, which may be on the meta device."""
    return {key: list(value.shape) for key, value in module.state_dict().items()}


def _write_component(folder: Path, config: Mapping[str, Any], state: dict[str, Tensor], name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, default=str))
    save_file(state, folder / name, metadata={"format": "pt"})


def _byte_characters() -> list[str]:
    """The 256 printable characters that byte-level BPE writes bytes with: printable ones stand for themselves."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    spare = iter(range(256, 512))
    return [chr(byte if byte in printable else next(spare)) for byte in range(256)]
