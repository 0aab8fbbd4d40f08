"""What a graph may connect: each mistake is told before the host would stumble over it, or silently adapt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import comfy.model_sampling
import torch

from cvd_core.networks.sd15 import LATENT_STRIDE

from ..types import EpipolarSpec, PluckerRays

if TYPE_CHECKING:
    from torch import Tensor


def check_latent(latent: Tensor, rays: PluckerRays, channels: int) -> None:
    """Raise ValueError if a latent batch does not have the model's channels and the cameras' views, frames and size."""
    views, frames = rays.cameras.views, rays.cameras.frames
    if latent.is_nested:
        raise ValueError(
            "the latent holds several streams (such as video with sound); collaborative sampling takes pictures only - "
            "use Empty Multi-View Latent"
        )
    if latent.ndim != 4:
        raise ValueError(
            f"the latent has shape {tuple(latent.shape)}; expected (views x frames, {channels}, height / 8, width / 8) "
            "- use Empty Multi-View Latent, or images encoded with the checkpoint's VAE"
        )
    if latent.shape[1] != channels:
        raise ValueError(
            f"the latent has {latent.shape[1]} channels; expected {channels} - use Empty Multi-View Latent, or images "
            "encoded with the checkpoint's VAE"
        )
    if len(latent) != views * frames:
        raise ValueError(
            f"the latent holds {len(latent)} frames; the cameras are {views} views x {frames} frames = "
            f"{views * frames}. Set Empty Multi-View Latent to the cameras' numbers, or resample the trajectories"
        )
    width, height = latent.shape[-1] * LATENT_STRIDE, latent.shape[-2] * LATENT_STRIDE
    if (width, height) != (rays.width, rays.height):
        raise ValueError(
            f"the latent is for {width}x{height} pixels, the Plücker embedding for {rays.width}x{rays.height}; give "
            "both the same size"
        )


def check_whole(x: Tensor, rays: PluckerRays) -> None:
    """Raise ValueError if a network call sees only a part of the picture."""
    size = (x.shape[-2] * LATENT_STRIDE, x.shape[-1] * LATENT_STRIDE)
    if size != (rays.height, rays.width):
        raise ValueError(
            f"the network was called on {size[1]}x{size[0]} pixels, but the cameras and epipolar masks are for the "
            f"whole {rays.width}x{rays.height} picture; give the latent that size, and remove Conditioning (Set Area)"
        )


def check_model(model: Any) -> None:
    """Raise ValueError for a model whose sampling, devices or windows do not allow several views at once."""
    if isinstance(model.get_model_object("model_sampling"), comfy.model_sampling.CONST):
        raise ValueError(
            "the model's sampling is a rectified flow (CONST); collaborative sampling needs the diffusion of Stable "
            "Diffusion 1.5 - remove the ModelSampling node that changed it, or load another checkpoint"
        )
    if "multigpu_clones" in model.model_options or model.get_additional_models_with_key("multigpu"):
        raise ValueError(
            "the model is spread over several GPUs, which would split views that attend to each other; remove the "
            "MultiGPU node"
        )
    if model.model_options.get("context_handler") is not None:
        raise ValueError(
            "the model has ComfyUI's own context windows, which would cut through the views; remove Context Windows "
            "and set context_length of Apply Motion + Camera (or context options of AnimateDiff-Evolved)"
        )
    check_cache(model.model_options["transformer_options"])


def check_cache(transformer_options: dict[str, Any]) -> None:
    """Raise ValueError for a step cache of the host's that mixes the parts of a batch."""
    if _mixes_videos(transformer_options.get("easycache")):
        raise ValueError(
            "the model has EasyCache, which in this ComfyUI adds what it kept of one video to all videos of a batch; "
            "use LazyCache instead, or a newer ComfyUI"
        )


def _mixes_videos(cache: Any) -> bool:
    """Whether the host's EasyCache adds what it kept of one part of a batch to all of it, as that of 0.3.64 does."""
    if not hasattr(cache, "uuid_cache_diffs"):  # none, or LazyCache, which keeps whole batches
        return False
    probe = cache.clone()
    probe.uuid_cache_diffs = {"first": torch.ones(1, 1, 1, 1), "second": torch.full((1, 1, 1, 1), 2.0)}
    reused: list[float] = probe.apply_cache_diff(torch.zeros(2, 1, 1, 1), ["first", "second"]).flatten().tolist()
    return reused != [1.0, 2.0]


def check_epipolar(rays: PluckerRays, mask: EpipolarSpec) -> None:
    """Raise ValueError if an epipolar mask was made for other views, frames, sizes or cameras."""
    cameras = rays.cameras
    if (mask.cameras.views, mask.cameras.frames) != (cameras.views, cameras.frames):
        raise ValueError(
            f"the epipolar mask is for {mask.cameras.views} views x {mask.cameras.frames} frames, the Plücker "
            f"embedding for {cameras.views} x {cameras.frames}; make both from the same cameras"
        )
    if (mask.width, mask.height) != (rays.width, rays.height):
        raise ValueError(
            f"the epipolar mask is for {mask.width}x{mask.height} pixels, the Plücker embedding for {rays.width}x"
            f"{rays.height}; give both the same size"
        )
    if not mask.cameras.c2w.allclose(cameras.c2w) or not mask.cameras.intrinsics.allclose(cameras.intrinsics):
        raise ValueError(
            "the epipolar mask and the Plücker embedding are made from different cameras; connect both nodes to the "
            "same ones"
        )


def check_mask(mask: Tensor | None, views: int, frames: int) -> None:
    """Raise ValueError for a noise mask that the host would repeat over the wrong rows."""
    if mask is None:
        return
    batch = mask.shape[0] if mask.ndim > 2 else 1
    if batch not in (1, frames, views * frames):
        raise ValueError(
            f"the noise mask has a batch of {batch}; expected 1, one per frame ({frames}, the same in all views), or "
            f"one per view and frame ({views * frames})"
        )
