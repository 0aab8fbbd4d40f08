"""The base model - Stable Diffusion 1.5 or a fine-tune of it - from a diffusers folder or a single-file checkpoint."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizerFast

from cvd_core.engine.prediction import Prediction
from cvd_core.engine.sd15.folder import (
    DIFFUSERS_FOLDER,
    check_folder,
    load_tokenizer,
    read_config,
    reason,
    weights_file,
)
from cvd_core.engine.sd15.patch_autoencoder import PatchAutoencoder
from cvd_core.networks.sd15 import LATENT_CHANNELS
from cvd_core.weights import Checkpoint, Kind, identify, load_exact, read_checkpoint, require_kind

CONFIG_REPOSITORY = "stable-diffusion-v1-5/stable-diffusion-v1-5"
"""Where configs and tokenizer come from when downloading them is allowed."""

_AUTOENCODERS: dict[str, Any] = {"AutoencoderKL": AutoencoderKL, "PatchAutoencoder": PatchAutoencoder}

_OLD_ATTENTION_NAMES = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}
"""The VAE's attention in diffusers folders from before 2023, today's names."""


@dataclass
class BaseModel:
    """A text-to-image model in parts, in evaluation mode, on the CPU."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL | PatchAutoencoder
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizerFast
    prediction: Prediction = "epsilon"


def load_base(
    path: str | os.PathLike[str],
    *,
    config: str | os.PathLike[str] | None = None,
    dtype: torch.dtype = torch.float32,
    allow_download: bool = False,
) -> BaseModel:
    """Load an SD1.5 model. Weights of the wanted dtype stay mapped to their file and take no memory until used.

    Args:
        path: a diffusers folder, or a ``.safetensors`` or ``.ckpt`` file in the original layout (what model sites
            offer as a checkpoint), VAE and text encoder included.
        config: for a single file, a folder that supplies configs and tokenizer: ``unet/config.json``,
            ``vae/config.json``, ``text_encoder/config.json`` and ``tokenizer/``. Any SD1.5 diffusers folder will do;
            its weights are not read.
        dtype: of all weights.
        allow_download: for a single file without ``config``, fetch those small files from
            :data:`CONFIG_REPOSITORY`. Nothing else is ever downloaded.

    Raises:
        ValueError: ``path`` is something else (the message says what), parts are missing, a key is missing or has
            another shape than the config says, or the model is no SD1.5 text-to-image model.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(
            f"{path} does not exist; give {DIFFUSERS_FOLDER}, or a single-file SD1.5 checkpoint (models are not "
            "downloaded by name)"
        )
    if path.is_dir():
        check_folder(path, with_weights=True)
        folder, states = path, _folder_states(path)
    else:
        folder, states = _single_file_states(path, config, allow_download)
    unet = _build_diffusers(UNet2DConditionModel, folder / "unet", states["unet"], path, dtype)
    vae = _build_diffusers(_autoencoder_class(folder / "vae"), folder / "vae", states["vae"], path, dtype)
    text_encoder = _build_text_encoder(folder / "text_encoder", states["text_encoder"], path, dtype)
    _check_together(path, unet, vae, text_encoder)
    tokenizer = load_tokenizer(folder, text_encoder.config.vocab_size)
    return BaseModel(unet, vae, text_encoder, tokenizer, _prediction(folder))


def _check_together(path: Path, unet: Any, vae: Any, text_encoder: Any) -> None:
    """Refuse components that are not made for each other."""
    if unet.config["in_channels"] != vae.config["latent_channels"]:
        raise ValueError(_input_channels_error(path, unet.config["in_channels"]))
    if unet.config["out_channels"] != vae.config["latent_channels"]:
        raise ValueError(
            f"the UNet of {path} makes {unet.config['out_channels']} channels, its VAE takes "
            f"{vae.config['latent_channels']}; use components of one SD1.5 model"
        )
    if unet.config["cross_attention_dim"] != text_encoder.config.hidden_size:
        raise ValueError(
            f"the UNet of {path} takes text of width {unet.config['cross_attention_dim']}, its text encoder makes "
            f"{text_encoder.config.hidden_size}; use components of one SD1.5 model"
        )
    scale = vae.config.get("scaling_factor")
    if not isinstance(scale, (int, float)) or isinstance(scale, bool) or scale <= 0:
        raise ValueError(f"vae/config.json of {path} says scaling_factor is {scale!r}; expected a positive number")


def _autoencoder_class(folder: Path) -> Any:
    name = read_config(folder / "config.json").get("_class_name", "AutoencoderKL")
    if not isinstance(name, str) or name not in _AUTOENCODERS:
        raise ValueError(
            f"{folder / 'config.json'} describes {str(name)[:60]!r}; expected {' or '.join(_AUTOENCODERS)} as "
            "_class_name"
        )
    return _AUTOENCODERS[name]


def _prediction(folder: Path) -> Prediction:
    """What the UNet predicts: the scheduler's config says so where a folder has one; SD1.5 predicts noise."""
    file = folder / "scheduler" / "scheduler_config.json"
    if not file.is_file():
        return "epsilon"
    kind = read_config(file).get("prediction_type", "epsilon")
    if kind not in get_args(Prediction):
        raise ValueError(f"{file} says the model predicts {kind!r}; expected one of {', '.join(get_args(Prediction))}")
    return cast(Prediction, kind)


def _folder_states(folder: Path) -> dict[str, dict[str, Tensor]]:
    """Tensors of each component of a diffusers folder."""
    wanted = {"unet": Kind.UNET, "vae": Kind.VAE, "text_encoder": Kind.TEXT_ENCODER}
    states = {}
    for component, kind in wanted.items():
        checkpoint = read_checkpoint(weights_file(folder, component))
        name = str(checkpoint.path.relative_to(folder.parent))
        require_kind(identify(checkpoint), [kind], file=name, wanted=f"the {component} of an SD1.5 model")
        states[component] = checkpoint.tensors
    return states


def _single_file_states(
    path: Path, config: str | os.PathLike[str] | None, allow_download: bool
) -> tuple[Path, dict[str, dict[str, Tensor]]]:
    """The config folder to build from, and each component's tensors under diffusers' keys."""
    checkpoint = read_checkpoint(path)
    info = identify(checkpoint)
    require_kind(info, [Kind.BASE], file=path.name, wanted="a Stable Diffusion 1.5 checkpoint")
    if info.in_channels not in (None, LATENT_CHANNELS):  # None: the layer is missing, which is told of later
        raise ValueError(_input_channels_error(path, info.in_channels))
    if lacking := [part for part in ("VAE", "text encoder") if part not in info.parts]:
        raise ValueError(
            f"{path.name} has no {' and no '.join(lacking)}; use a version of the checkpoint that includes them, or a "
            "diffusers folder"
        )
    folder = _config_folder(path, config, allow_download)
    return folder, diffusers_states(checkpoint, {c: read_config(folder / c / "config.json") for c in ("unet", "vae")})


def diffusers_states(checkpoint: Checkpoint, configs: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Tensor]]:
    """Each component's tensors of a single-file checkpoint under diffusers' keys.

    Args:
        checkpoint: in the original layout.
        configs: of ``unet`` and ``vae``.

    Raises:
        ValueError: the file lacks tensors without which the others cannot be named.
    """
    tensors = checkpoint.tensors
    prefix = "cond_stage_model.transformer."
    try:
        return {
            "unet": convert_ldm_unet_checkpoint(tensors, configs["unet"]),
            "vae": convert_ldm_vae_checkpoint(tensors, configs["vae"]),
            "text_encoder": {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)},
        }
    except Exception as error:  # diffusers takes it that every layer is there and has its shape
        raise ValueError(
            f"{checkpoint.path.name} cannot be read as a Stable Diffusion 1.5 checkpoint ({reason(error)}); it is "
            "incomplete or of another version - get it again"
        ) from error


def _config_folder(path: Path, config: str | os.PathLike[str] | None, allow_download: bool) -> Path:
    if config is not None:
        folder = Path(config)
    elif allow_download:
        from huggingface_hub import snapshot_download

        folder = Path(snapshot_download(CONFIG_REPOSITORY, allow_patterns=["*/config.json", "tokenizer/*"]))
    else:
        raise ValueError(
            f"{path.name} is a single file and carries no configs and no tokenizer; name a folder that has "
            "unet/config.json, vae/config.json, text_encoder/config.json and tokenizer/ - any SD1.5 diffusers folder - "
            "or allow downloading them (a few MB)"
        )
    check_folder(folder, with_weights=False)
    return folder


def _build_diffusers(cls: Any, folder: Path, state: Mapping[str, Tensor], path: Path, dtype: torch.dtype) -> Any:
    if cls is AutoencoderKL:
        state = {_current_attention_name(key): value for key, value in state.items()}
    config = read_config(folder / "config.json")
    return _fill(_build(lambda: cls.from_config(config), folder), state, path, folder.name, dtype)


def _build_text_encoder(folder: Path, state: Mapping[str, Tensor], path: Path, dtype: torch.dtype) -> CLIPTextModel:
    read_config(folder / "config.json")
    module = _build(lambda: CLIPTextModel(CLIPTextConfig.from_pretrained(folder, local_files_only=True)), folder)
    # transformers moved the model out of `text_model.` in 5.6; checkpoints have it both ways, and a table of positions
    prefix = "text_model." if any(key.startswith("text_model.") for key in module.state_dict()) else ""
    named = {prefix + key.removeprefix("text_model."): value for key, value in state.items()}
    named.pop(f"{prefix}embeddings.position_ids", None)
    return _fill(module, named, path, folder.name, dtype)


def _build(make: Callable[[], Any], folder: Path) -> Any:
    """A network from the config in ``folder``, without data."""
    try:
        with init_empty_weights():
            return make()
    except Exception as error:  # what a damaged config makes the libraries raise is of every type
        raise ValueError(
            f"{folder / 'config.json'} does not describe a network of SD1.5 ({reason(error)}); get it again"
        ) from error


def _fill(module: Any, state: Mapping[str, Tensor], path: Path, component: str, dtype: torch.dtype) -> Any:
    load_exact(module, state, file=path.name, what=component, dtype=dtype)
    assert isinstance(module, nn.Module)
    return module.eval().requires_grad_(False)


def _current_attention_name(key: str) -> str:
    for old, new in _OLD_ATTENTION_NAMES.items():
        key = key.replace(old, new)
    return key


def _input_channels_error(path: Path, channels: int | None) -> str:
    return (
        f"{path.name} takes {channels} input channels, as inpainting and editing models do; expected an SD1.5 "
        f"text-to-image model with {LATENT_CHANNELS}"
    )
