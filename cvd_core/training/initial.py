"""The networks a training starts with: untrained ones, or those of an earlier model."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import UNetMotionModel

from cvd_core.camera_control.checkpoint import load_camera_control
from cvd_core.camera_control.injection import CameraMerges
from cvd_core.camera_control.pose_encoder import PoseEncoder
from cvd_core.engine.model_paths import MODEL_FILES
from cvd_core.engine.sd15.loading import BaseModel, load_base
from cvd_core.engine.sd15.motion import build_motion_unet, new_motion_unet
from cvd_core.engine.sd15.patch_autoencoder import PatchAutoencoder
from cvd_core.engine.sd15.unet import CollaborativeUNet
from cvd_core.output_folder import all_or_none
from cvd_core.scenes.world import vocabulary
from cvd_core.sync.checkpoint import load_sync_modules
from cvd_core.sync.module import SyncModules
from cvd_core.training.config import TrainConfig
from cvd_core.training.new_networks import new_text_encoder, new_unet
from cvd_core.training.precision import COMPUTED_IN, keep_as_computed
from cvd_core.training.processes import processes
from cvd_core.training.seeding import initial_weights
from cvd_core.training.tokenizer import TOKENIZER, load_tokenizer, write_tokenizer
from cvd_core.weights import motion_tensors, read_checkpoint


def new_base(config: TrainConfig) -> BaseModel:
    """An untrained base with the tokenizer of the output folder, written if there is none yet."""
    networks = config.networks
    folder = config.output / TOKENIZER
    with processes().main_process_first():
        if processes().is_main_process and not folder.exists():
            config.output.mkdir(parents=True, exist_ok=True)
            with all_or_none(config.output, [TOKENIZER]) as unfinished:
                write_tokenizer(unfinished / TOKENIZER, vocabulary(), networks.text_length)
    tokenizer = load_tokenizer(folder)
    with initial_weights(config.seed, "base"):
        unet = new_unet(networks)
        vae = PatchAutoencoder(networks.latent_channels, networks.autoencoder_width)
        text_encoder = new_text_encoder(networks, len(tokenizer))
    return BaseModel(unet, vae, text_encoder, tokenizer, config.noise.prediction)


def new_denoiser(base: BaseModel, config: TrainConfig) -> CollaborativeUNet:
    """A denoiser that copies the base's UNet; its added modules change nothing yet, or are untrained."""
    networks, frames = config.networks, config.data.frames
    with initial_weights(config.seed, "denoiser"):
        unet = new_motion_unet(base.unet, frames)
        encoder = PoseEncoder(networks.widths, frames)
        merges = CameraMerges(networks.widths, layers_per_block=networks.layers)
        sync = _new_sync(unet, config)
    return CollaborativeUNet(unet, encoder, merges, sync, base.prediction)


def load_networks(folder: Path, config: TrainConfig) -> tuple[BaseModel, CollaborativeUNet]:
    """The networks of a model that was exported; without its sync file, untrained sync modules.

    In float32, except for what :attr:`.TrainConfig.precision` says of matrices that are not trained.

    Raises:
        ValueError: a file is missing or does not fit, or the configuration is for another kind of prediction.
    """
    base = load_base(folder / MODEL_FILES.base)
    if base.prediction != config.noise.prediction:
        raise ValueError(
            f"the model in {folder} predicts {base.prediction!r}, the configuration says {config.noise.prediction!r}"
        )
    motion = motion_tensors(read_checkpoint(folder / MODEL_FILES.motion))
    unet = build_motion_unet(base.unet, motion, file=MODEL_FILES.motion)
    encoder, merges = load_camera_control(folder / MODEL_FILES.camera, dtype=torch.float32)
    if (folder / MODEL_FILES.sync).exists():
        sync = load_sync_modules(folder / MODEL_FILES.sync, dtype=torch.float32)
        if sync.attentions != config.sync.attentions:
            raise ValueError(
                f"the sync modules of the model in {folder} have {sync.attentions} attentions, the configuration says "
                f"{config.sync.attentions}; change it, or start new ones from a copy of the model without "
                f"{MODEL_FILES.sync}"
            )
    else:
        with initial_weights(config.seed, "denoiser"):
            sync = _new_sync(unet, config)
    denoiser = CollaborativeUNet(unet, encoder, merges, sync, base.prediction)
    denoiser.check_frames(config.data.frames)
    if config.precision != "no" and config.stages.keys() <= {"sync"}:
        _keep_as_computed(denoiser, base, COMPUTED_IN[config.precision])
    return base, denoiser


def _keep_as_computed(denoiser: CollaborativeUNet, base: BaseModel, dtype: torch.dtype) -> None:
    """:func:`keep_as_computed` what is around the sync modules."""
    for network in (denoiser.unet, denoiser.pose_encoder, denoiser.merges):
        if network is not None:
            keep_as_computed(network.parameters(), dtype)
    held = dict(denoiser.unet.named_parameters())
    for name, parameter in base.unet.named_parameters():  # it shares its tensors with the denoiser
        parameter.data = held[name].data


def _new_sync(unet: UNetMotionModel, config: TrainConfig) -> SyncModules:
    widths, layers = unet.config.block_out_channels, int(unet.config.layers_per_block)
    sync = SyncModules(widths, layers_per_block=layers, attentions=config.sync.attentions)
    sync.reset_parameters()
    return sync
