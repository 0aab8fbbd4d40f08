"""The training of CamI2V's camera branch on DynamiCrafter."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import cast

import torch
from torch import nn

from cvd_core.cami2v.camera import CameraBranch
from cvd_core.cami2v.checkpoint import PictureToVideo
from cvd_core.cami2v.ddim import Predicts
from cvd_core.cami2v.epipolar import EpipolarAttention
from cvd_core.cami2v.transformers import TemporalTransformer
from cvd_core.engine.cami2v.loading import PictureModel, load_picture_model
from cvd_core.engine.model_paths import MODEL_FILES
from cvd_core.engine.prediction import Prediction
from cvd_core.training.cami2v_stage import CamI2VStage, camera_parameters
from cvd_core.training.config_parts import StageName
from cvd_core.training.data.guided_clips import GuidedClips
from cvd_core.training.new_networks import save_tensors
from cvd_core.training.precision import COMPUTED_IN, keep_as_computed
from cvd_core.training.seeding import initial_weights
from cvd_core.training.stage import Stage
from cvd_core.training.trainer import Trainer

BASE = "model.ckpt"
"""DynamiCrafter's whole file, under its released name."""
_PREDICTIONS: dict[Predicts, Prediction] = {"noise": "epsilon", "velocity": "v_prediction"}


class CamI2VTrainer(Trainer):
    """The stage "cami2v".

    ``start_from`` holds DynamiCrafter's ``model.ckpt``, a ``tokenizer`` of Stable Diffusion and, to go on from a camera
    branch, ``camera.safetensors``.
    """

    def stage(self, name: StageName) -> Stage:
        folders, data = self.config.folders, self.config.data
        assert folders is not None
        assert folders.realestate10k is not None
        size = (data.frames, data.size, data.height or data.size)
        clips = GuidedClips(folders.realestate10k, *size, self.config.cami2v.longest_stride, self.config.seed)
        return CamI2VStage(self.model, self.config, clips)

    def exported(self, trained: Collection[StageName]) -> list[str]:
        self.check_exportable(trained, "cami2v")
        return [MODEL_FILES.camera]

    def write(self, folder: Path, trained: Collection[StageName], dtype: torch.dtype) -> None:
        """Write the camera branch under its released names; DynamiCrafter stays as it is, where it is."""
        networks = self.model.networks
        assert networks.camera is not None
        state = {f"model.diffusion_model.{name}": value.detach() for name, value in camera_parameters(networks.unet)}
        state |= networks.camera.state_dict()
        save_tensors(state, folder / MODEL_FILES.camera, dtype)

    @cached_property
    def model(self) -> PictureModel:
        """DynamiCrafter, its matrices in the type of its arithmetic, with a camera branch in float32."""
        start = self.config.start_from
        assert start is not None
        trained = start / MODEL_FILES.camera
        model = load_picture_model(start / BASE, trained if trained.exists() else None, config=start)
        networks = model.networks
        if (found := _PREDICTIONS[networks.predicts]) != self.config.noise.prediction:
            raise ValueError(
                f"the model in {start} predicts {found!r}, the configuration says {self.config.noise.prediction!r}"
            )
        if networks.camera is None:
            model = replace(model, networks=with_camera(networks, self.config.seed))
        if (dtype := COMPUTED_IN.get(self.config.precision)) is not None:
            added = {id(parameter) for _, parameter in camera_parameters(model.networks.unet)}
            keep_as_computed((p for p in model.networks.unet.parameters() if id(p) not in added), dtype)
            for network in (model.networks.resampler, model.text_encoder, model.picture_encoder, model.vae):
                keep_as_computed(network.parameters(), dtype)
        return model


def with_camera(networks: PictureToVideo, seed: int) -> PictureToVideo:
    """DynamiCrafter with a camera branch that changes nothing yet: what it adds is multiplied by zero."""
    unet = networks.unet
    layout = replace(unet.layout, camera="epipolar")
    with initial_weights(seed, "camera"):
        first = {id(module) for module in unet.init_attn.modules()}
        for transformer in unet.modules():
            if isinstance(transformer, TemporalTransformer) and id(transformer) not in first:
                _add_camera(transformer.transformer_blocks[0], layout.head_width)
        camera = CameraBranch(layout.widths)
    unet.layout = layout
    return replace(networks, camera=camera)


def _add_camera(block: nn.Module, head_width: int) -> None:
    channels = block.get_parameter("norm1.weight").shape[0]
    projection, epipolar = nn.Linear(channels, channels), EpipolarAttention(channels, head_width)
    nn.init.normal_(epipolar.epipolar_attn.register_tokens, std=channels**-0.5)
    for layer in (projection, cast(nn.Linear, epipolar.epipolar_attn.to_out[0])):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    block.pluker_projection, block.epipolar = projection, epipolar
