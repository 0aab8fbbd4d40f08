"""The base model - Stable Diffusion 1.5 or a fine-tune of it - from a diffusers folder or a single-file checkpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizerFast

from cvd_core.engine.prediction import Prediction
from cvd_core.engine.sd15.patch_autoencoder import PatchAutoencoder
from cvd_core.networks.sd15 import LATENT_CHANNELS
from cvd_core.weights import Kind, identify, load_exact, read_checkpoint, require_kind

CONFIG_REPOSITORY = "stable-diffusion-v1-5/stable-diffusion-v1-5"
"""Where configs and tokenizer come from when downloading them is allowed."""

_AUTOENCODERS: dict[str, Any] = {"AutoencoderKL": AutoencoderKL, "PatchAutoencoder": PatchAutoencoder}

WEIGHT_NAMES = {
    "unet": ("diffusion_pytorch_model", "diffusion_pytorch_model"),
    "vae": ("diffusion_pytorch_model", "diffusion_pytorch_model"),
    "text_encoder": ("model", "pytorch_model"),
}
"""Names of a component's weights: as safetensors, as pickle."""

_OLD_ATTENTION_NAMES = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}
"""The VAE's attention in diffusers folders from before 2023, today's names."""

_FOLDER = "a diffusers folder with unet/, vae/, text_encoder/ and tokenizer/"


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
            f"{path} does not exist; give {_FOLDER}, or a single-file SD1.5 checkpoint (models are not downloaded by "
            "name)"
        )
    if path.is_dir():
        _check_folder(path, with_weights=True)
        folder, states = path, _folder_states(path)
    else:
        folder, states = _single_file_states(path, config, allow_download)
    unet = _build_diffusers(UNet2DConditionModel, folder / "unet", states["unet"], path, dtype)
    vae_class = _AUTOENCODERS[AutoencoderKL.load_config(folder / "vae").get("_class_name", "AutoencoderKL")]
    vae = _build_diffusers(vae_class, folder / "vae", states["vae"], path, dtype)
    if unet.config["in_channels"] != vae.config["latent_channels"]:
        raise ValueError(_input_channels_error(path, unet.config["in_channels"]))
    text_encoder = _build_text_encoder(folder / "text_encoder", states["text_encoder"], path, dtype)
    tokenizer = CLIPTokenizerFast.from_pretrained(folder / "tokenizer", local_files_only=True)
    if len(tokenizer) > text_encoder.config.vocab_size:
        raise ValueError(
            f"the tokenizer in {folder} has {len(tokenizer)} tokens, the text encoder of {path} knows "
            f"{text_encoder.config.vocab_size}; use the tokenizer the model was trained with"
        )
    return BaseModel(unet, vae, text_encoder, tokenizer, _prediction(folder))


def _prediction(folder: Path) -> Prediction:
    """What the UNet predicts: the scheduler's config says so where a folder has one; SD1.5 predicts noise."""
    file = folder / "scheduler" / "scheduler_config.json"
    if not file.is_file():
        return "epsilon"
    kind = DDIMScheduler.load_config(file.parent).get("prediction_type", "epsilon")
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
    tensors = checkpoint.tensors
    unet_config = UNet2DConditionModel.load_config(folder / "unet")
    vae_config = AutoencoderKL.load_config(folder / "vae")
    prefix = "cond_stage_model.transformer."
    return folder, {
        "unet": convert_ldm_unet_checkpoint(tensors, unet_config),
        "vae": convert_ldm_vae_checkpoint(tensors, vae_config),
        "text_encoder": {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)},
    }


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
    _check_folder(folder, with_weights=False)
    return folder


def _check_folder(folder: Path, *, with_weights: bool) -> None:
    """Raise with everything that is missing in a diffusers folder."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; expected {_FOLDER}")
    missing = [f"{c}/config.json" for c in WEIGHT_NAMES if not (folder / c / "config.json").is_file()]
    tokenizer = folder / "tokenizer"
    has_vocabulary = (tokenizer / "vocab.json").is_file() and (tokenizer / "merges.txt").is_file()
    if not has_vocabulary and not (tokenizer / "tokenizer.json").is_file():
        missing.append("tokenizer/vocab.json with tokenizer/merges.txt")
    if with_weights:
        missing += [f"the weights of {c}/" for c in WEIGHT_NAMES if not _weights_candidates(folder, c)]
    if missing:
        hint = "; it is a component, give the folder above it" if (folder / "config.json").is_file() else ""
        raise ValueError(f"{folder} lacks {', '.join(missing)}; expected {_FOLDER} of an SD1.5 model{hint}")


def _weights_candidates(folder: Path, component: str) -> list[Path]:
    """Existing weight files of a component, best first."""
    safe, pickled = WEIGHT_NAMES[component]
    names = [f"{safe}.safetensors", f"{safe}.fp16.safetensors", f"{pickled}.bin", f"{pickled}.fp16.bin"]
    return [file for name in names if (file := folder / component / name).is_file()]


def weights_file(folder: Path, component: str) -> Path:
    """The file with the weights of a component of a complete diffusers folder, safetensors first."""
    return _weights_candidates(folder, component)[0]


def _build_diffusers(cls: Any, folder: Path, state: Mapping[str, Tensor], path: Path, dtype: torch.dtype) -> Any:
    if cls is AutoencoderKL:
        state = {_current_attention_name(key): value for key, value in state.items()}
    with init_empty_weights():
        module = cls.from_config(cls.load_config(folder))
    return _fill(module, state, path, folder.name, dtype)


def _build_text_encoder(folder: Path, state: Mapping[str, Tensor], path: Path, dtype: torch.dtype) -> CLIPTextModel:
    with init_empty_weights():
        module = CLIPTextModel(CLIPTextConfig.from_pretrained(folder, local_files_only=True))
    # transformers moved the model out of `text_model.` in 5.6; checkpoints have it both ways, and a table of positions
    prefix = "text_model." if any(key.startswith("text_model.") for key in module.state_dict()) else ""
    named = {prefix + key.removeprefix("text_model."): value for key, value in state.items()}
    named.pop(f"{prefix}embeddings.position_ids", None)
    return _fill(module, named, path, folder.name, dtype)


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
