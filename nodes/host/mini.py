"""The small model of the package in the host's own classes: its UNet, CLIP and VAE, read without diffusers.

It differs from Stable Diffusion 1.5 in sizes that the host derives or fixes: a width of 1.5 times the first, norms of 8
groups, latents of 8 channels, predictions of v, a vocabulary of 256 tokens, prompts of 20.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any, ClassVar

import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.ops
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models
import comfy.utils
import torch
from torch import Tensor

from cvd_core.motion.noise_schedule import BETA_END, BETA_START, TIMESTEPS
from cvd_core.networks.patch_autoencoder import PatchAutoencoder
from cvd_core.runs.mini import MODEL
from cvd_core.weights import load_exact, read_checkpoint

from .blocks import managed
from .injection import load_sync
from .native import load_camera, load_motion

_CLIP_TOKENS = 49408
"""Rows of every token table in the host."""


@dataclass(frozen=True)
class MiniModel:
    """The host's objects, as the outputs of loader nodes."""

    model: Any
    clip: Any
    vae: Any
    motion: Any
    camera: Any
    sync: Any


def load_mini() -> MiniModel:
    """Every part of the small model; all come from the package."""
    assert MODEL.motion is not None
    assert MODEL.camera is not None
    assert MODEL.sync is not None
    unet = _config("unet")
    groups = int(unet["norm_num_groups"])
    return MiniModel(
        model=_model(unet),
        clip=_clip(),
        vae=_MiniVAE(_config("vae")),
        motion=load_motion(MODEL.motion, groups=groups),
        camera=load_camera(MODEL.camera),
        sync=load_sync(MODEL.sync),
    )


def _config(part: str) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((MODEL.base / part / "config.json").read_text(encoding="utf-8"))
    return config


def _tensors(file: str) -> dict[str, Tensor]:
    return read_checkpoint(MODEL.base / file).tensors


class _Width(Fraction):
    """A factor on a number of channels: the product is a number of channels."""

    def __rmul__(self, channels: Any) -> int:  # type: ignore[override]
        return int(channels * Fraction(self))

    def __mul__(self, channels: Any) -> int:  # type: ignore[override]
        return int(Fraction(self) * channels)


def _operations(groups: int) -> type[comfy.ops.manual_cast]:
    """The host's layers, with norms of ``groups`` groups wherever it asks for 32."""

    class Operations(comfy.ops.manual_cast):  # type: ignore[misc]
        class GroupNorm(comfy.ops.manual_cast.GroupNorm):  # type: ignore[misc]
            def __init__(self, num_groups: int, *args: Any, **kwargs: Any) -> None:
                super().__init__(groups, *args, **kwargs)

    return Operations


def _latent_format(channels: int, scaling: float) -> Any:
    latents = comfy.latent_formats.LatentFormat()
    latents.latent_channels = channels
    latents.scale_factor = scaling
    return latents


def _model(unet: dict[str, Any]) -> Any:
    """The UNet as a MODEL, from its diffusers config and tensors."""
    return managed(_base_model(unet), partial(_base_model, unet))


def _base_model(unet: dict[str, Any]) -> Any:
    widths = unet["block_out_channels"]
    layers = unet["layers_per_block"]
    down = [int("CrossAttn" in kind) for kind in unet["down_block_types"] for _ in range(layers)]
    up = [int("CrossAttn" in kind) for kind in unet["up_block_types"] for _ in range(layers + 1)]
    config = comfy.supported_models.SD15(
        {
            "use_checkpoint": False,
            "image_size": 32,
            "in_channels": unet["in_channels"],
            "out_channels": unet["out_channels"],
            "use_spatial_transformer": True,
            "legacy": False,
            "adm_in_channels": None,
            "model_channels": widths[0],
            "channel_mult": [_Width(width, widths[0]) for width in widths],
            "num_res_blocks": [layers] * len(widths),
            "transformer_depth": down,
            "transformer_depth_middle": 1,
            "transformer_depth_output": up[::-1],
            "use_linear_in_transformer": unet["use_linear_projection"],
            "context_dim": unet["cross_attention_dim"],
            "use_temporal_attention": False,
            "use_temporal_resblock": False,
        }
    )
    config.unet_config["num_heads"] = unet["attention_head_dim"]  # SD1's diffusers configs call it so
    config.sampling_settings = {
        "beta_schedule": "sqrt_linear",  # the host's word for linear betas
        "linear_start": BETA_START,
        "linear_end": BETA_END,
        "timesteps": TIMESTEPS,
    }
    vae = _config("vae")
    config.latent_format = _latent_format(vae["latent_channels"], vae["scaling_factor"])
    config.custom_operations = _operations(unet["norm_num_groups"])
    device = comfy.model_management.get_torch_device()
    dtype = comfy.model_management.unet_dtype(device=device, supported_dtypes=config.supported_inference_dtypes)
    config.unet_config["dtype"] = dtype
    config.set_inference_dtype(dtype, comfy.model_management.unet_manual_cast(dtype, device))
    scheduler = json.loads((MODEL.base / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
    kind = {
        "epsilon": comfy.model_base.ModelType.EPS,
        "v_prediction": comfy.model_base.ModelType.V_PREDICTION,
    }[scheduler["prediction_type"]]
    model = comfy.model_base.BaseModel(config, kind)
    names = comfy.utils.unet_to_diffusers(config.unet_config)
    file = "unet/diffusion_pytorch_model.safetensors"
    state = {names[key]: value for key, value in _tensors(file).items()}
    load_exact(model.diffusion_model, state, file=file, what="UNet", dtype=dtype)
    model.eval().requires_grad_(False)
    return model


class _TextEncoder(comfy.sd1_clip.SDClipModel):  # type: ignore[misc]
    def __init__(self, device: Any = "cpu", dtype: Any = None, model_options: Any = None) -> None:
        config = _config("text_encoder")
        super().__init__(
            device=device,
            max_length=config["max_position_embeddings"],
            textmodel_json_config=config,
            dtype=dtype,
            special_tokens={
                "start": config["bos_token_id"],
                "end": config["eos_token_id"],
                "pad": config["pad_token_id"],
            },
            model_options=model_options or {},
        )


class _ClipModel(comfy.sd1_clip.SD1ClipModel):  # type: ignore[misc]
    def __init__(self, device: Any = "cpu", dtype: Any = None, model_options: Any = None) -> None:
        super().__init__(device=device, dtype=dtype, model_options=model_options or {}, clip_model=_TextEncoder)


class _WordTokenizer(comfy.sd1_clip.SDTokenizer):  # type: ignore[misc]
    def __init__(self, embedding_directory: Any = None, tokenizer_data: Any = None) -> None:
        config = _config("text_encoder")
        super().__init__(
            tokenizer_path=str(MODEL.base / "tokenizer"),
            max_length=config["max_position_embeddings"],
            embedding_directory=embedding_directory,
            embedding_size=config["hidden_size"],
            tokenizer_data=tokenizer_data or {},
        )


class _Tokenizer(comfy.sd1_clip.SD1Tokenizer):  # type: ignore[misc]
    def __init__(self, embedding_directory: Any = None, tokenizer_data: Any = None) -> None:
        super().__init__(
            embedding_directory=embedding_directory, tokenizer_data=tokenizer_data or {}, tokenizer=_WordTokenizer
        )


class _ClipTarget:
    """What the host's CLIP is built from."""

    clip = _ClipModel
    tokenizer = _Tokenizer
    params: ClassVar[dict[str, Any]] = {}


def _clip() -> Any:
    state = {f"text_model.{key}": value.float() for key, value in _tensors("text_encoder/model.safetensors").items()}
    table = "text_model.embeddings.token_embedding.weight"
    known = state[table]
    state[table] = torch.zeros(_CLIP_TOKENS, known.shape[1])
    state[table][: len(known)] = known
    # The pooled text of CLIP, which this architecture does not use: not left to uninitialised memory.
    state["text_projection.weight"] = torch.eye(known.shape[1])
    clip = comfy.sd.CLIP(_ClipTarget, embedding_directory=None)
    clip.cond_stage_model.clip_l.transformer.load_state_dict(state)
    return clip


class _MiniVAE(comfy.sd.VAE):  # type: ignore[misc]
    """The patch autoencoder as a VAE."""

    def __init__(self, config: dict[str, Any]) -> None:
        with _without_warnings():  # "no VAE weights detected": what is asked for here are the host's defaults
            super().__init__(sd={})
        network = PatchAutoencoder(config["latent_channels"], config["width"], config["blocks"])
        file = "vae/diffusion_pytorch_model.safetensors"
        load_exact(network, _tensors(file), file=file, what="VAE", dtype=torch.float32)
        self.first_stage_model = network.eval().requires_grad_(False)
        self.latent_channels = config["latent_channels"]
        self.working_dtypes = [torch.float32]
        self.vae_dtype = torch.float32
        self.device = comfy.model_management.vae_device()
        self.output_device = comfy.model_management.intermediate_device()
        self.patcher = managed(
            network, load_device=self.device, offload_device=comfy.model_management.vae_offload_device()
        )


@contextmanager
def _without_warnings() -> Iterator[None]:
    def quiet(record: logging.LogRecord) -> bool:
        return record.levelno > logging.WARNING

    log = logging.getLogger()
    log.addFilter(quiet)
    try:
        yield
    finally:
        log.removeFilter(quiet)
