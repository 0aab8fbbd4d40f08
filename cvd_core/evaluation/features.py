"""Features of pictures and videos by networks whose files the user has: Inception for FID and KID, I3D for FVD, CLIP.

Nothing is downloaded. Inception and I3D are the TorchScript files that StyleGAN2-ADA and StyleGAN-V published for this
purpose, so that numbers compare with the literature. A TorchScript file is a program: take it from a source you trust.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from cvd_core.evaluation.objects import check_videos

INCEPTION = "inception-2015-12-05.pt, the TorchScript Inception network of StyleGAN2-ADA"
I3D = "i3d_torchscript.pt, the TorchScript I3D network of StyleGAN-V"
CLIP = "a folder with a CLIP model of transformers, such as openai/clip-vit-base-patch16"
I3D_SIDE = 224
FEWEST_I3D_FRAMES = 9
"""Fewer vanish in I3D's temporal strides."""
CLIP_FRAMES = 16
"""Of the clips that FVD-V compares."""
FEWEST_CUT_FRAMES = CLIP_FRAMES + CLIP_FRAMES // 2
_BATCH = 16


def load_network(path: Path, what: str) -> torch.jit.ScriptModule:
    """A TorchScript network on the CPU; ``what`` says what is expected.

    Raises:
        ValueError: no such file, or no TorchScript file.
    """
    if not path.is_file():
        raise ValueError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}; expected {what}")
    try:
        return torch.jit.load(str(path), map_location="cpu").eval()
    except RuntimeError as error:
        raise ValueError(f"{path} cannot be read as TorchScript; expected {what}") from error


@torch.no_grad()
def inception_features(network: torch.jit.ScriptModule, videos: Tensor) -> Tensor:
    """``(V * F, D)`` features of all pictures of ``(V, F, H, W, 3)`` uint8 videos; the network resizes by itself."""
    check_videos(videos)
    pictures = videos.flatten(0, 1).movedim(-1, 1)
    return torch.cat([network(part, return_features=True) for part in pictures.split(_BATCH)]).double()


@torch.no_grad()
def i3d_features(network: torch.jit.ScriptModule, videos: Tensor) -> Tensor:
    """``(V, D)`` features of ``(V, F, H, W, 3)`` uint8 videos, resized to 224 x 224 pixels.

    Raises:
        ValueError: fewer than nine frames.
    """
    check_videos(videos)
    if videos.shape[1] < FEWEST_I3D_FRAMES:
        raise ValueError(f"videos of {videos.shape[1]} frames; FVD needs {FEWEST_I3D_FRAMES} or more")
    features = []
    for video in videos:
        pictures = video.movedim(-1, 1).float() / 127.5 - 1
        small = interpolate(pictures, (I3D_SIDE, I3D_SIDE), mode="bilinear", align_corners=False)
        features.append(network(small.transpose(0, 1)[None], rescale=False, resize=False, return_features=True))
    return torch.cat(features).double()


def cut_clips(videos: Tensor) -> Tensor:
    """``(V, n, 16, H, W, 3)`` clips of ``(V, F, H, W, 3)`` videos, each half over the one before.

    Raises:
        ValueError: fewer than two clips.
    """
    check_videos(videos)
    if videos.shape[1] < FEWEST_CUT_FRAMES:
        raise ValueError(f"videos of {videos.shape[1]} frames; FVD-V needs {FEWEST_CUT_FRAMES} or more")
    return videos.unfold(1, CLIP_FRAMES, CLIP_FRAMES // 2).movedim(-1, 2)


class Clip:
    """CLIP embeddings of length 1.

    Args:
        path: folder as ``save_pretrained`` of transformers writes it, with tokenizer and image processor.

    Raises:
        ValueError: no such folder, or no CLIP model in it.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise ValueError(f"{path} {'is a file' if path.exists() else 'does not exist'}; expected {CLIP}")
        from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizerFast

        try:
            self._model: Any = CLIPModel.from_pretrained(path, local_files_only=True).eval()
            self._tokenizer: Any = CLIPTokenizerFast.from_pretrained(path, local_files_only=True)
            self._processor: Any = CLIPImageProcessor.from_pretrained(path, local_files_only=True)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ValueError(f"{path} holds no complete CLIP model ({reason}); expected {CLIP}") from error

    @torch.no_grad()
    def pictures(self, videos: Tensor) -> Tensor:
        """``(V, F, D)`` embeddings of ``(V, F, H, W, 3)`` uint8."""
        check_videos(videos)
        parts = []
        for part in videos.flatten(0, 1).split(_BATCH):
            pixels = self._processor(list(part.movedim(-1, 1)), return_tensors="pt").pixel_values
            parts.append(self._model.visual_projection(self._model.vision_model(pixel_values=pixels).pooler_output))
        return normalize(torch.cat(parts), dim=-1).unflatten(0, videos.shape[:2])

    @torch.no_grad()
    def texts(self, prompts: Sequence[str]) -> Tensor:
        """``(N, D)`` embeddings."""
        tokens = self._tokenizer(list(prompts), padding=True, truncation=True, return_tensors="pt")
        return normalize(self._model.text_projection(self._model.text_model(**tokens).pooler_output), dim=-1)


def clip_t(pictures: Tensor, texts: Tensor) -> float:
    """CLIP-T: mean cosine between frames ``(V, F, D)`` and their view's prompt ``(V, D)``, both of length 1."""
    return float((pictures * texts[:, None]).sum(-1).mean())


def clip_f(pictures: Tensor) -> float:
    """Mean cosine between adjacent frames (CLIP-F of SynCamMaster)."""
    return float((pictures[:, 1:] * pictures[:, :-1]).sum(-1).mean())


def clip_v(pictures: Tensor) -> float:
    """Mean cosine between views at the same time: CLIP-V of SynCamMaster, called CLIP-F in CVD's paper."""
    views = len(pictures)
    a, b = torch.triu_indices(views, views, 1)
    return float((pictures[a] * pictures[b]).sum(-1).mean())
