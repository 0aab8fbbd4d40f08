"""CamI2V's and DynamiCrafter's files as the host's models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import comfy.clip_vision
import comfy.model_management
import comfy.ops
import comfy.sd
import folder_paths

from cvd_core.cami2v.checkpoint import AUTOENCODER, PICTURE_ENCODER, TEXT_ENCODER, load_picture_to_video
from cvd_core.weights import read_checkpoint, tensors_under

from .blocks import managed
from .dynamicrafter import ModelConfig, as_host_model

if TYPE_CHECKING:
    from torch import Tensor, nn

_PARAMETERS = 1_700_000_000
"""Of the released models, by which the host chooses between 16 and 32 bits on old cards."""


def load_model(path: str, base: str | None = None, *, head_width: int = 64) -> Any:
    """A MODEL from a file, under the host's memory management.

    Args:
        path, base, head_width: see :func:`load_picture_to_video`.

    Raises:
        ValueError: the file is something else or incomplete; the message says what and where it belongs.
    """

    def load() -> nn.Module:
        device = comfy.model_management.get_torch_device()
        dtypes = ModelConfig.supported_inference_dtypes
        dtype = comfy.model_management.unet_dtype(device=device, model_params=_PARAMETERS, supported_dtypes=dtypes)
        parts = load_picture_to_video(path, base, dtype=dtype, ops=comfy.ops.manual_cast, head_width=head_width)
        return as_host_model(parts, dtype, comfy.model_management.unet_manual_cast(dtype, device, dtypes))

    return managed(load(), load)


class OtherModels(NamedTuple):
    """CLIP, CLIP_VISION and VAE of a file that holds everything; None where it does not."""

    clip: Any
    vision: Any
    vae: Any


def load_other_models(*paths: str) -> OtherModels:
    """Text encoder, picture encoder and autoencoder; of several files, those of the last that holds them."""
    tensors: dict[str, Tensor] = {}
    for path in paths:
        tensors |= read_checkpoint(path).tensors
    text, vision, vae = (tensors_under(tensors, prefix) for prefix in (TEXT_ENCODER, PICTURE_ENCODER, AUTOENCODER))
    embeddings = folder_paths.get_folder_paths("embeddings")
    return OtherModels(
        comfy.sd.load_text_encoder_state_dicts([text], embedding_directory=embeddings) if text else None,
        comfy.clip_vision.load_clipvision_from_sd({f"visual.{k}": v for k, v in vision.items()}, "visual.", True)
        if vision
        else None,
        comfy.sd.VAE(sd=vae) if vae else None,
    )
