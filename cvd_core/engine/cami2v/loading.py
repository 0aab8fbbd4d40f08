"""DynamiCrafter with or without CamI2V's camera, from the whole file and what was trained on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizerFast, CLIPVisionModel

from cvd_core.cami2v.checkpoint import (
    AUTOENCODER,
    PICTURE_ENCODER,
    TEXT_ENCODER,
    PictureToVideo,
    load_picture_to_video,
)
from cvd_core.engine.cami2v.towers import picture_tower, text_tower
from cvd_core.engine.model_folder import reason
from cvd_core.engine.sd15.loading import CONFIG_REPOSITORY
from cvd_core.engine.tokenizer import load_tokenizer
from cvd_core.weights import identify_tensors, load_exact, read_checkpoint, tensors_under

LATENT_SCALE = 0.18215
_PARTS = {AUTOENCODER: "autoencoder", TEXT_ENCODER: "text encoder", PICTURE_ENCODER: "picture encoder"}


@dataclass
class PictureModel:
    """A picture-to-video model in parts, in evaluation mode, on the CPU."""

    networks: PictureToVideo
    text_encoder: CLIPTextModel
    picture_encoder: CLIPVisionModel
    vae: AutoencoderKL
    tokenizer: CLIPTokenizerFast


def load_picture_model(
    base: Path,
    trained: Path | None = None,
    *,
    config: Path | None = None,
    dtype: torch.dtype = torch.float32,
    allow_download: bool = False,
) -> PictureModel:
    """Load a model. Weights of the wanted dtype stay mapped to their file and take no memory until used.

    Args:
        base: CamI2V's or DynamiCrafter's whole file, with autoencoder, text and picture encoder.
        trained: what was trained on it, where it is apart.
        config: a folder with ``tokenizer/``: any diffusers folder of Stable Diffusion 1.5 or 2.
        dtype: of all weights.
        allow_download: fetch the tokenizer where there is no ``config``; nothing else is ever downloaded.

    Raises:
        ValueError: something is missing, damaged or of another kind; the message says what.
    """
    networks = load_picture_to_video(trained or base, base if trained else None, dtype=dtype)
    tensors = read_checkpoint(base).tensors
    parts = {prefix: tensors_under(tensors, prefix) for prefix in _PARTS}
    if lacking := [what for prefix, what in _PARTS.items() if not parts[prefix]]:
        raise ValueError(
            f"{base.name} has no {' and no '.join(lacking)}; give DynamiCrafter's whole file, model.ckpt, as `base` "
            "and this one as `camera`"
        )
    text_encoder = text_tower(parts[TEXT_ENCODER], file=base.name, dtype=dtype)
    if text_encoder.config.hidden_size != networks.unet.layout.context:
        raise ValueError(
            f"the text encoder of {base.name} makes tokens of width {text_encoder.config.hidden_size}, its network "
            f"takes {networks.unet.layout.context}; get the file again"
        )
    tokenizer = load_tokenizer(_tokenizer_folder(base, config, allow_download), text_encoder.config.vocab_size)
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(0)  # as OpenCLIP pads its texts
    return PictureModel(
        networks,
        text_encoder,
        picture_tower(parts[PICTURE_ENCODER], file=base.name, dtype=dtype),
        _autoencoder(parts[AUTOENCODER], base.name, dtype),
        tokenizer,
    )


def _autoencoder(state: Mapping[str, Tensor], file: str, dtype: torch.dtype) -> AutoencoderKL:
    """Stable Diffusion's, of the sizes that its tensors tell."""
    widths = identify_tensors(state).widths
    config: dict[str, Any] = {
        "block_out_channels": list(widths),
        "layers_per_block": sum(f"encoder.down.0.block.{i}.conv1.weight" in state for i in range(8)),
        "down_block_types": ["DownEncoderBlock2D"] * len(widths),
        "up_block_types": ["UpDecoderBlock2D"] * len(widths),
        "latent_channels": 4,
        "scaling_factor": LATENT_SCALE,
    }
    try:
        with init_empty_weights():
            vae = AutoencoderKL.from_config(config)
        converted = convert_ldm_vae_checkpoint({AUTOENCODER + key: value for key, value in state.items()}, config)
    except Exception as error:  # diffusers takes it that every layer is there and has its shape
        raise ValueError(
            f"the autoencoder in {file} cannot be read ({reason(error)}); the file is incomplete, get it again"
        ) from error
    load_exact(vae, converted, file=file, what="autoencoder", dtype=dtype)
    made: AutoencoderKL = vae.eval().requires_grad_(False)
    return made


def _tokenizer_folder(base: Path, config: Path | None, allow_download: bool) -> Path:
    if config is None and allow_download:
        from huggingface_hub import snapshot_download

        config = Path(snapshot_download(CONFIG_REPOSITORY, allow_patterns=["tokenizer/*"]))
    if config is None:
        raise ValueError(
            f"{base.name} carries no tokenizer; name a folder that has tokenizer/ as `config` - any diffusers folder "
            "of Stable Diffusion 1.5 or 2 - or allow downloading it (2 MB)"
        )
    if not (config / "tokenizer").is_dir():
        raise ValueError(f"{config} has no tokenizer/; expected a diffusers folder of Stable Diffusion 1.5 or 2")
    return config
