"""Loading CamI2V, DynamiCrafter and what lies between: whole files, or trained parts over DynamiCrafter's."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from cvd_core.cami2v.camera import CameraBranch
from cvd_core.cami2v.ddim import Predicts
from cvd_core.cami2v.network import Camera, DynamiCrafterUNet, Layout
from cvd_core.cami2v.resampler import HEADS, Resampler
from cvd_core.cami2v.transformers import GROUPS
from cvd_core.weights import (
    Checkpoint,
    Kind,
    identify,
    identify_tensors,
    load_exact,
    read_checkpoint,
    require_kind,
    tensors_under,
)

TEXT_ENCODER, PICTURE_ENCODER, AUTOENCODER = "cond_stage_model.model.", "embedder.model.visual.", "first_stage_model."
"""Before the tensors of the models that DynamiCrafter takes as they are, in files that hold everything."""
_UNET, _POSES, _PICTURE = "model.diffusion_model.", "pose_encoder.", "image_proj_model."
_PREFIXES = (_UNET, _POSES, _PICTURE)
_CAMERAS: Mapping[Kind, Camera] = {
    Kind.DYNAMICRAFTER: "none",
    Kind.CAMERACTRL_I2V: "plucker",
    Kind.CAMI2V: "epipolar",
}
_TRAINED = (Kind.CAMI2V_PARTS, Kind.CAMI2V, Kind.CAMERACTRL_I2V)
_NAMES: Mapping[Camera, str] = {"none": "DynamiCrafter", "plucker": "CameraCtrl on DynamiCrafter", "epipolar": "CamI2V"}
_SIZES: Mapping[Predicts, int] = {"noise": 256, "velocity": 512}
"""The models by what they predict."""
_LEVEL = re.compile(r"input_blocks\.(?:1|4|7|10)\.0\.in_layers\.2\.weight")
_SIZING = ("proj_in", "proj_out", "layers.0.0.to_q")
"""Linear layers that tell a resampler's sizes."""
_LAYER = re.compile(r"layers\.\d+\.0\.to_q\.weight")


@dataclass(frozen=True)
class PictureToVideo:
    """The networks of a file that are not other models' (text and picture encoders, autoencoder).

    Attributes:
        unet: the denoiser.
        resampler: the picture's tokens to those of every frame.
        camera: None in DynamiCrafter.
        predicts: noise (256 model) or velocity (512 model).
    """

    unet: DynamiCrafterUNet
    resampler: Resampler
    camera: CameraBranch | None
    predicts: Predicts

    @property
    def label(self) -> str:
        """What the file is."""
        return f"{_NAMES[self.unet.layout.camera]} {_SIZES[self.predicts]}"


def load_picture_to_video(
    path: str | os.PathLike[str],
    base: str | os.PathLike[str] | None = None,
    *,
    dtype: torch.dtype | None = None,
    ops: Any = nn,
    head_width: int = 64,
) -> PictureToVideo:
    """Read a model file; text encoder, picture encoder and autoencoder in it are left alone.

    Args:
        path: ``256_cami2v.pt``, ``512_cami2v_50k.pt``, DynamiCrafter's ``model.ckpt`` ..., read without running code.
        base: DynamiCrafter's file where ``path`` holds the trained parts alone.
        dtype: of the parameters; None keeps the file's.
        ops: namespace of the layers; a host may bring its own.
        head_width: channels of an attention head, which the tensors do not tell.

    Raises:
        ValueError: the file is something else, holds parts of another model than ``base``, or tensors are missing,
            unexpected or of another shape (the message names them).
    """
    checkpoint = read_checkpoint(path)
    state = _state(checkpoint)
    if base is not None:
        wanted = "what CamI2V trained on DynamiCrafter"
        require_kind(identify(checkpoint), _TRAINED, file=str(path), wanted=wanted)
        state = _over(_state(read_checkpoint(base)), state, str(path), str(base))
    return networks_of(state, file=str(path), dtype=dtype, ops=ops, head_width=head_width)


def networks_of(
    state: Mapping[str, Tensor],
    *,
    file: str,
    dtype: torch.dtype | None = None,
    ops: Any = nn,
    head_width: int = 64,
) -> PictureToVideo:
    """The networks of tensors under the released names; see :func:`load_picture_to_video`."""
    layout, predicts = _layout(state, file, head_width)
    with torch.device("meta"):
        unet, resampler = DynamiCrafterUNet(layout, ops), _resampler(state, file, ops)
        camera = None if layout.camera == "none" else CameraBranch(layout.widths, ops)
    parts: list[tuple[nn.Module, str, str]] = [(unet, _UNET, "UNet"), (resampler, _PICTURE, "picture")]
    if camera is not None:
        parts.append((camera.pose_encoder, _POSES, "pose encoder"))
    for module, prefix, what in parts:
        load_exact(module, tensors_under(state, prefix), file=file, what=what, dtype=dtype)
        module.eval().requires_grad_(False)
    return PictureToVideo(unet, resampler, camera, predicts)


def _state(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Tensors of the three networks under DynamiCrafter's names, whatever wraps them."""
    renamed = {key.replace("framestride_embed", "fps_embedding"): value for key, value in checkpoint.tensors.items()}
    return {key: value for key, value in renamed.items() if key.startswith(_PREFIXES)}


def _over(base: dict[str, Tensor], trained: dict[str, Tensor], path: str, base_path: str) -> dict[str, Tensor]:
    for key in trained.keys() & base.keys():
        if trained[key].shape != base[key].shape:
            raise ValueError(
                f"{path} was not trained on {base_path}: {key} has shape {tuple(trained[key].shape)} in one and "
                f"{tuple(base[key].shape)} in the other; take the DynamiCrafter of the same size"
            )
    if any(key.endswith(".attn2.to_k_ip.weight") for key in trained) and _predicts(trained) != _predicts(base):
        raise ValueError(
            f"{path} goes with the {_SIZES[_predicts(trained)]} model, {base_path} is the {_SIZES[_predicts(base)]} "
            "model; take both of one size"
        )
    return base | trained


def _layout(state: Mapping[str, Tensor], path: str, head_width: int) -> tuple[Layout, Predicts]:
    kind = identify_tensors(state).kind
    if kind is Kind.CAMI2V_PARTS:
        raise ValueError(
            f"{path} is only the camera's part of a CamI2V file: it lacks {_UNET}init_attn; give DynamiCrafter's file "
            "as the base"
        )
    if kind not in _CAMERAS:
        raise ValueError(f"{path} is no DynamiCrafter or CamI2V file; expected e.g. 256_cami2v.pt or model.ckpt")
    unet = tensors_under(state, _UNET)
    convolutions = (value for key, value in sorted(unet.items(), key=_block) if _LEVEL.fullmatch(key))
    widths = tuple(value.shape[0] if value.ndim == 4 else 0 for value in convolutions)
    keys = next((value for key, value in unet.items() if key.endswith("attn2.to_k_ip.weight")), None)
    if not widths or any(not width or width % GROUPS for width in widths) or keys is None or keys.ndim != 2:
        raise ValueError(f"{path} lacks parts of DynamiCrafter's network, or their shapes are others; get it again")
    return Layout(widths, head_width, keys.shape[1], _learned_scale(unet), _CAMERAS[kind]), _predicts(state)


def _predicts(tensors: Mapping[str, Tensor]) -> Predicts:
    return "noise" if _learned_scale(tensors) else "velocity"


def _learned_scale(tensors: Mapping[str, Tensor]) -> bool:
    return any(key.endswith(".attn2.alpha") for key in tensors)


def _block(item: tuple[str, Tensor]) -> int:
    match = re.match(r"input_blocks\.(\d+)\.", item[0])
    return int(match[1]) if match else -1


def _resampler(state: Mapping[str, Tensor], path: str, ops: Any) -> Resampler:
    tensors = tensors_under(state, _PICTURE)
    matrices = [tensors.get(f"{name}.weight") for name in _SIZING]
    for name, matrix in zip(_SIZING, matrices, strict=True):
        if matrix is None or matrix.ndim != 2:
            raise ValueError(f"{path} lacks {_PICTURE}{name}.weight, of the picture's part; use the whole file")
    (channels, picture), (outputs, _), (inner, _) = (cast(Tensor, matrix).shape for matrix in matrices)
    layers = sum(bool(_LAYER.fullmatch(key)) for key in tensors)
    return Resampler(picture, channels, outputs, HEADS, inner // HEADS, layers, ops)
