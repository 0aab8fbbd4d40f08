"""The three networks of a base model: built from their configs without data, then filled from files of any layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from cvd_core.engine.model_folder import reason
from cvd_core.engine.sd15.patch_autoencoder import PatchAutoencoder
from cvd_core.weights import Checkpoint, load_exact, tensors_under

SD15_CONFIGS: Mapping[str, dict[str, Any]] = {
    "unet": {"cross_attention_dim": 768, "attention_head_dim": 8},
    "vae": {
        "block_out_channels": [128, 256, 512, 512],
        "layers_per_block": 2,
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "latent_channels": 4,
        "scaling_factor": 0.18215,
    },
    "text_encoder": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "hidden_act": "quick_gelu",
    },
}
"""What Stable Diffusion 1.5's configs say where they leave the libraries' defaults."""

_AUTOENCODERS: dict[str, Any] = {"AutoencoderKL": AutoencoderKL, "PatchAutoencoder": PatchAutoencoder}

_OLD_ATTENTION_NAMES = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}
"""The VAE's attention in diffusers folders from before 2023, today's names."""


def build_component(component: str, config: Mapping[str, Any], where: str) -> Any:
    """A network without data.

    Args:
        component: ``unet``, ``vae`` or ``text_encoder``.
        config: what its ``config.json`` holds.
        where: the config's place, for messages.

    Raises:
        ValueError: the config does not describe such a network.
    """
    cls = _autoencoder_class(config, where) if component == "vae" else UNet2DConditionModel
    try:
        with init_empty_weights():
            if component == "text_encoder":
                inner = config.get("text_config") if config.get("model_type") == "clip" else config
                return CLIPTextModel(CLIPTextConfig.from_dict(dict(inner or {})))
            return cls.from_config(dict(config))
    except Exception as error:  # what a damaged config makes the libraries raise is of every type
        raise ValueError(
            f"{where} does not describe the {component} of an SD1.5 model ({reason(error)}); get it again"
        ) from error


def fill_component(
    component: str, network: Any, state: Mapping[str, Tensor], *, file: str, dtype: torch.dtype | None = None
) -> Any:
    """Load a network's tensors, under the names any version of its library gave them; returns it, ready for use.

    Raises:
        ValueError: see :func:`cvd_core.weights.load_exact`.
    """
    if component == "vae" and isinstance(network, AutoencoderKL):
        state = {_current_attention_name(key): value for key, value in state.items()}
    if component == "text_encoder":
        # transformers moved the model out of `text_model.` in 5.6; files have it both ways, and a table of positions
        prefix = "text_model." if any(key.startswith("text_model.") for key in network.state_dict()) else ""
        state = {prefix + key.removeprefix("text_model."): value for key, value in state.items()}
        state.pop(f"{prefix}embeddings.position_ids", None)
    load_exact(network, state, file=file, what=component, dtype=dtype)
    return network.eval().requires_grad_(False)


def split_original(checkpoint: Checkpoint, configs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Tensor]]:
    """Each component's tensors of a single-file checkpoint (the original layout) under diffusers' keys.

    Args:
        checkpoint: the file.
        configs: of ``unet`` and ``vae``.

    Raises:
        ValueError: the file lacks tensors without which the others cannot be named.
    """
    tensors = checkpoint.tensors
    try:
        return {
            "unet": convert_ldm_unet_checkpoint(tensors, configs["unet"]),
            "vae": convert_ldm_vae_checkpoint(tensors, configs["vae"]),
            "text_encoder": tensors_under(tensors, "cond_stage_model.transformer."),
        }
    except Exception as error:  # diffusers takes it that every layer is there and has its shape
        raise ValueError(
            f"{checkpoint.path.name} cannot be read as a Stable Diffusion 1.5 checkpoint ({reason(error)}); it is "
            "incomplete or of another version - get it again"
        ) from error


def _autoencoder_class(config: Mapping[str, Any], where: str) -> Any:
    name = config.get("_class_name", "AutoencoderKL")
    if not isinstance(name, str) or name not in _AUTOENCODERS:
        raise ValueError(f"{where} has {str(name)[:60]!r} as _class_name; expected {' or '.join(_AUTOENCODERS)}")
    return _AUTOENCODERS[name]


def _current_attention_name(key: str) -> str:
    for old, new in _OLD_ATTENTION_NAMES.items():
        key = key.replace(old, new)
    return key
