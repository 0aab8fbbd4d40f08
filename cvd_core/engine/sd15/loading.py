"""The base model - Stable Diffusion 1.5 or a fine-tune of it - from a diffusers folder or a single-file checkpoint."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizerFast

from cvd_core.engine.model_folder import read_config
from cvd_core.engine.prediction import Prediction
from cvd_core.engine.sd15.components import build_component, fill_component, split_original
from cvd_core.engine.sd15.folder import SD15_FOLDER
from cvd_core.engine.sd15.patch_autoencoder import PatchAutoencoder
from cvd_core.engine.tokenizer import load_tokenizer
from cvd_core.networks.sd15 import LATENT_CHANNELS
from cvd_core.weights import Checkpoint, Kind, identify, read_checkpoint, require_kind

CONFIG_REPOSITORY = "stable-diffusion-v1-5/stable-diffusion-v1-5"
"""Where configs and tokenizer come from when downloading them is allowed."""


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
            another shape than the config says, or the model is not an SD1.5 text-to-image model.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(
            f"{path} does not exist; give {SD15_FOLDER.description}, or a single-file SD1.5 checkpoint (models are not "
            "downloaded by name)"
        )
    if path.is_dir():
        SD15_FOLDER.check(path, with_weights=True)
        folder, states = path, _folder_states(path)
    else:
        folder, states = _single_file_states(path, config, allow_download)
    unet, vae, text_encoder = (
        fill_component(
            c, build_component(c, config, f"{folder / c}/config.json"), states[c], file=path.name, dtype=dtype
        )
        for c, config in SD15_FOLDER.read_configs(folder).items()
    )
    _check_together(path, unet, vae, text_encoder)
    tokenizer = load_tokenizer(folder, text_encoder.config.vocab_size)
    return BaseModel(unet, vae, text_encoder, tokenizer, _prediction(folder))


def _check_together(path: Path, unet: Any, vae: Any, text_encoder: Any) -> None:
    """Refuse components that do not fit each other."""
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
        checkpoint = read_checkpoint(SD15_FOLDER.weights_file(folder, component))
        name = str(checkpoint.path.relative_to(folder.parent))
        require_kind(identify(checkpoint), [kind], file=name, wanted=f"the {component} of an SD1.5 model")
        states[component] = checkpoint.tensors
    return states


def _single_file_states(
    path: Path, config: str | os.PathLike[str] | None, allow_download: bool
) -> tuple[Path, dict[str, dict[str, Tensor]]]:
    """The config folder to build from, and each component's tensors under diffusers' keys."""
    checkpoint = read_checkpoint(path)
    require_single_file(checkpoint)
    folder = _config_folder(path, config, allow_download)
    return folder, split_original(checkpoint, SD15_FOLDER.read_configs(folder))


def require_single_file(checkpoint: Checkpoint) -> None:
    """Check that a file is a whole SD1.5 text-to-image model.

    Raises:
        ValueError: it is something else, or lacks a part.
    """
    info, name = identify(checkpoint), checkpoint.path.name
    require_kind(info, [Kind.BASE], file=name, wanted="a Stable Diffusion 1.5 checkpoint")
    if info.in_channels not in (None, LATENT_CHANNELS):  # None: the layer is missing, which is told of later
        raise ValueError(_input_channels_error(checkpoint.path, info.in_channels))
    if lacking := [part for part in ("VAE", "text encoder") if part not in info.parts]:
        raise ValueError(
            f"{name} has no {' and no '.join(lacking)}; use a version of the checkpoint that includes them, or a "
            "diffusers folder"
        )


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
    SD15_FOLDER.check(folder, with_weights=False)
    return folder


def _input_channels_error(path: Path, channels: int | None) -> str:
    return (
        f"{path.name} takes {channels} input channels, as inpainting and editing models do; expected an SD1.5 "
        f"text-to-image model with {LATENT_CHANNELS}"
    )
