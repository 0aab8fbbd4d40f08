"""Untrained networks, and the files of trained ones: those of a full-size model, read by the same engine."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from cvd_core.camera_control.checkpoint import merge_checkpoint_key
from cvd_core.engine.model_paths import MODEL_FILES
from cvd_core.engine.sd15.loading import BaseModel
from cvd_core.engine.sd15.unet import CollaborativeUNet
from cvd_core.engine.solvers import NOISE_SCHEDULE
from cvd_core.files import atomic_path
from cvd_core.training.config_parts import NetworkConfig

NORM_GROUPS = 8
SPATIAL_HEADS = 4
TEXT_HEADS = 4


def new_unet(config: NetworkConfig) -> UNet2DConditionModel:
    """Stable Diffusion's UNet, small: no spatial attention at the finest level, where the original has none at the
    coarsest - small maps are cheap at the bottom."""
    levels = len(config.widths)
    return UNet2DConditionModel(
        in_channels=config.latent_channels,
        out_channels=config.latent_channels,
        block_out_channels=config.widths,
        layers_per_block=config.layers,
        down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * (levels - 1)),
        up_block_types=(*["CrossAttnUpBlock2D"] * (levels - 1), "UpBlock2D"),
        cross_attention_dim=config.text_width,
        attention_head_dim=SPATIAL_HEADS,
        norm_num_groups=NORM_GROUPS,
    )


def new_text_encoder(config: NetworkConfig, vocabulary: int) -> CLIPTextModel:
    """A CLIP text encoder of a few narrow layers."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=config.text_width,
            intermediate_size=2 * config.text_width,
            num_hidden_layers=config.text_layers,
            num_attention_heads=TEXT_HEADS,
            max_position_embeddings=config.text_length,
            bos_token_id=vocabulary - 2,
            eos_token_id=vocabulary - 1,
            pad_token_id=vocabulary - 1,
        )
    )


def save_base(base: BaseModel, folder: Path, dtype: torch.dtype) -> None:
    """Write a base model as the diffusers folder that :func:`cvd_core.engine.sd15.loading.load_base` reads.

    The tokenizer's files must be there already.
    """
    for name, module, weights in (
        ("unet", base.unet, "diffusion_pytorch_model"),
        ("vae", base.vae, "diffusion_pytorch_model"),
        ("text_encoder", base.text_encoder, "model"),
    ):
        (folder / name).mkdir(parents=True, exist_ok=True)
        if name == "text_encoder":
            module.config.save_pretrained(folder / name)
        else:
            module.save_config(folder / name)
        save_tensors(module.state_dict(), folder / name / f"{weights}.safetensors", dtype)
    DDIMScheduler(**NOISE_SCHEDULE, prediction_type=base.prediction).save_config(folder / "scheduler")


def save_tensors(state: dict[str, Tensor], path: Path, dtype: torch.dtype) -> None:
    """Safetensors of ``state``, floating-point tensors in ``dtype``, whole or not at all."""
    cast = {k: (v.to(dtype) if v.is_floating_point() else v).cpu().contiguous() for k, v in state.items()}
    with atomic_path(path) as temporary:
        save_file(cast, temporary)


def save_denoiser(denoiser: CollaborativeUNet, base: BaseModel, folder: Path, dtype: torch.dtype) -> None:
    """Write a trained denoiser without its sync modules as files of a full-size model, named as in
    :data:`.assemble.MODEL_FILES`.

    ``base.unet`` is given the denoiser's weights. The tokenizer's files must be in the base folder already.
    """
    state = denoiser.unet.state_dict()
    # The hooks of CameraCtrl are attention processors, which hold the merges too; those have their own file.
    motion = {key: value for key, value in state.items() if ".motion_modules." in key and ".processor." not in key}
    base.unet.load_state_dict({key: value for key, value in state.items() if ".motion_modules." not in key})
    save_base(base, folder / MODEL_FILES.base, dtype)
    save_tensors(motion, folder / MODEL_FILES.motion, dtype)
    if denoiser.pose_encoder is not None and denoiser.merges is not None:
        merges = {merge_checkpoint_key(key): value for key, value in denoiser.merges.state_dict().items()}
        save_tensors(denoiser.pose_encoder.state_dict() | merges, folder / MODEL_FILES.camera, dtype)
