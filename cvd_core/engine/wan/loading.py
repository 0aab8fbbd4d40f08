"""Wan 2.1 text-to-video from a diffusers folder, or its transformer from a single file."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from torch import Tensor
from transformers import T5TokenizerFast, UMT5Config, UMT5EncoderModel

from cvd_core.declared import short
from cvd_core.engine.model_folder import DIFFUSION_WEIGHTS, TRANSFORMERS_WEIGHTS, FolderLayout, read_config, reason
from cvd_core.engine.tokenizer import require_known_tokens
from cvd_core.engine.wan.texts import tokenize
from cvd_core.weights import Checkpoint, Kind, identify, is_syncam_key, load_exact, read_checkpoint, require_kind

WAN_FOLDER = FolderLayout(
    "Wan 2.1",
    {"transformer": DIFFUSION_WEIGHTS, "vae": DIFFUSION_WEIGHTS, "text_encoder": TRANSFORMERS_WEIGHTS},
    tokenizers=(("tokenizer.json",), ("spiece.model",)),
)
_SIZES = {
    "transformer": ("num_attention_heads", "attention_head_dim", "num_layers", "ffn_dim", "text_dim", "freq_dim"),
    "vae": ("base_dim", "decoder_base_dim", "num_res_blocks"),
    "text_encoder": ("vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads"),
}
"""By component, what is taken from its config, as models of the family differ in it."""
_ALIKE = {
    "transformer": (
        *("patch_size", "in_channels", "out_channels", "cross_attn_norm", "qk_norm", "eps"),
        *("image_dim", "added_kv_proj_dim", "rope_max_seq_len", "pos_embed_seq_len"),
    ),
    "vae": (
        *("z_dim", "in_channels", "out_channels", "dim_mult", "attn_scales", "temperal_downsample", "patch_size"),
        *("latents_mean", "latents_std", "is_residual", "scale_factor_temporal", "scale_factor_spatial"),
    ),
    "text_encoder": (
        *("relative_attention_num_buckets", "relative_attention_max_distance", "layer_norm_epsilon"),
        "feed_forward_proj",
    ),
}
"""What no model of the family differs in, as the libraries' defaults have it; a config may repeat it."""
_CONFIGURED = {"transformer": WanTransformer3DModel, "vae": AutoencoderKLWan, "text_encoder": UMT5Config}
_MAKE: Mapping[str, Callable[..., Any]] = {
    "transformer": WanTransformer3DModel,
    "vae": AutoencoderKLWan,
    "text_encoder": lambda **sizes: UMT5EncoderModel(UMT5Config(**sizes)),
}
_TIED = ("shared.weight", "encoder.embed_tokens.weight")
"""Two names of the text encoder's table of tokens; files hold one or both."""


@dataclass
class WanModel:
    """A text-to-video model in parts, in evaluation mode, on the CPU."""

    transformer: WanTransformer3DModel
    vae: AutoencoderKLWan
    text_encoder: UMT5EncoderModel
    tokenizer: T5TokenizerFast


def load_wan(path: Path, *, config: Path | None = None, dtype: torch.dtype = torch.float32) -> WanModel:
    """Load a model. Weights of the wanted dtype stay mapped to their file and take no memory until used.

    Args:
        path: a diffusers folder, or a file with the transformer under its released names - SynCamMaster's own will do,
            whose modules are left alone here.
        config: for a single file, the diffusers folder that brings everything else.
        dtype: of all weights.

    Raises:
        ValueError: something is missing, damaged or of another kind; the message says what.
    """
    folder = path if path.is_dir() else config
    if folder is None:
        raise ValueError(
            f"{path.name} holds Wan's transformer alone; name the diffusers folder of Wan 2.1 T2V 1.3B as `config`: "
            "it brings VAE, text encoder and tokenizer"
        )
    WAN_FOLDER.check(folder, with_weights=True)
    states = {c: read_checkpoint(WAN_FOLDER.weights_file(folder, c)).tensors for c in WAN_FOLDER.components}
    if not path.is_dir():
        states["transformer"] = released_transformer(read_checkpoint(path))
    transformer, vae, text_encoder = (_network(folder / name, states[name], path.name, dtype) for name in _SIZES)
    return WanModel(transformer, vae, text_encoder, _tokenizer(folder, text_encoder.config.vocab_size))


def released_transformer(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The transformer of a file with released names, under those of diffusers; SynCamMaster's modules are left out.

    Raises:
        ValueError: the file is something else.
    """
    kinds = [Kind.WAN, Kind.SYNCAM]
    require_kind(identify(checkpoint), kinds, file=checkpoint.path.name, wanted="a Wan 2.1 video model")
    prefix = "model.diffusion_model."
    tensors = {key.removeprefix(prefix): value for key, value in checkpoint.tensors.items()}
    converted: dict[str, Tensor] = convert_wan_transformer_to_diffusers(
        {key: value for key, value in tensors.items() if not is_syncam_key(key)}
    )
    return converted


def _network(folder: Path, state: Mapping[str, Tensor], file: str, dtype: torch.dtype) -> Any:
    sizes = _sizes(folder / "config.json", folder.name)
    try:
        with init_empty_weights():
            network = _MAKE[folder.name](**sizes)
    except Exception as error:  # what a damaged config makes the libraries raise is of every type
        raise ValueError(
            f"{folder / 'config.json'} does not describe a part of Wan 2.1 ({reason(error)}); get it again"
        ) from error
    state = dict(state)
    names = [name for name in _TIED if name in network.state_dict()]
    if known := [name for name in _TIED if name in state]:
        state |= dict.fromkeys(names, state[known[0]])
    load_exact(network, state, file=file, what=folder.name, dtype=dtype)
    return network.eval().requires_grad_(False)


def _sizes(file: Path, component: str) -> dict[str, int]:
    """What a config says of sizes; nothing else in it may contradict what Wan 2.1 text-to-video is.

    Raises:
        ValueError: it is damaged, or of another model.
    """
    sizes, known = {}, inspect.signature(_CONFIGURED[component]).parameters
    for name, value in read_config(file).items():
        if name in _ALIKE[component]:
            expected = known[name].default
            if value != (list(expected) if isinstance(expected, tuple) else expected):
                raise ValueError(
                    f"{file}: {name} is {short(value)}, but {short(expected)} in Wan 2.1 text-to-video; it is damaged "
                    "or another model's - get the folder of Wan2.1-T2V-1.3B-Diffusers"
                )
        if name in _SIZES[component] and value is not None:
            if type(value) is not int or value < 1:
                raise ValueError(f"{file}: {name} is {short(value)}; expected a positive whole number - get it again")
            sizes[name] = value
    return sizes


def _tokenizer(folder: Path, known: int) -> T5TokenizerFast:
    place = folder / "tokenizer"
    try:
        tokenizer = T5TokenizerFast.from_pretrained(place, local_files_only=True)
        tokenize(tokenizer, ["a"])  # some damage shows only then
    except Exception as error:  # transformers and tokenizers raise of every type
        raise ValueError(f"the tokenizer in {place} cannot be read ({reason(error)}); get its files again") from error
    require_known_tokens(tokenizer, known, place)
    return tokenizer
