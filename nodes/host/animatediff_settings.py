"""Settings of AnimateDiff-Evolved that one batch of several videos cannot follow; all others work as for one video.

What is set per frame is for the frames of one video and so the same in all views. Asked for by shape, as in
:mod:`.animatediff`; checked against AnimateDiff-Evolved 1.5.7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

_STEERED = {
    "orig_pia_images": "PIA's images",
    "orig_img_latents": "AnimateLCM-I2V's image",
    "orig_fancy_images": "FancyVideo's image",
    "orig_RT": "MotionCtrl's camera",
}
"""Attributes of a motion model's attachment that other adapters set: inputs of one video, spread over the batch."""


def check_motion_model(patcher: Any, attachment: Any, frames: int) -> None:
    """Raise ValueError for a motion model that cannot run on several videos, or has values for too many frames."""
    name = patcher.model.mm_info.mm_name
    for attribute, what in _STEERED.items():
        if getattr(attachment, attribute, None) is not None:
            raise ValueError(
                f"the motion module {name} is steered by {what}, which works on one video only; apply the motion "
                "module with Apply AnimateDiff+CameraCtrl Model alone"
            )
    if patcher.model.mm_info.mm_version == "v1":
        raise ValueError(
            f"the motion module {name} is of AnimateDiff v1, with which AnimateDiff-Evolved normalises over all frames "
            "at once, in the sync modules too; load v3_sd15_mm.ckpt, which CVD is trained with"
        )
    for what, value in _motion_values(attachment):
        _check_frames(f"the motion module's {what}", value, frames)


def check_sample_settings(settings: Any, frames: int) -> None:
    """Raise ValueError for sample settings that would be wrong for several videos.

    Args:
        settings: AnimateDiff-Evolved's, or None.
    """
    if settings is None:
        return
    if not settings.image_injection.is_empty():
        raise ValueError(
            "the sample settings inject images, which works on one video only; disconnect Image Injection from "
            "Sample Settings"
        )
    for layer in settings.noise_layers.layers:
        _check_frames("a noise layer's mask", layer.mask, frames)
    for keyframe in [] if settings.custom_cfg is None else settings.custom_cfg.keyframes:
        _check_one("Custom CFG", keyframe.cfg_multival)
        for extra in [] if keyframe.cfg_extras is None else keyframe.cfg_extras.extras:
            for value in _closed_over(extra.call_fn):
                _check_one("a CFG Extra", value)


def check_context(options: Any) -> None:
    """Raise ValueError for context options that mix up the views."""
    if options.extras.context_ref is not None:
        raise ValueError(
            "the context options have ContextRef, whose reference features belong to one video; disconnect it from "
            "Set Context Extras"
        )


def repeats_its_noise(model: Any) -> bool:
    """Whether the sample settings give every piece of a schedule the same noise: ancestral options fix its seed."""
    settings = model.get_attachment("ADE_sample_settings")
    return getattr(settings, "ancestral_opts", None) is not None


def _motion_values(attachment: Any) -> Iterator[tuple[str, Any]]:
    """Everything that may be a mask per frame."""
    for holder in (attachment, *attachment.keyframes.keyframes):
        for name in ("scale", "effect", "cameractrl"):
            yield f"{name}_multival", getattr(holder, f"{name}_multival", None)
        for block in holder.per_block_list or ():
            yield "per-block effect", block.effect
            for scale in block.scales or ():
                yield "per-block scale", scale


def _check_frames(what: str, value: Any, frames: int) -> None:
    if isinstance(value, Tensor) and value.ndim > 2 and len(value) > frames:
        raise ValueError(
            f"{what} has values for {len(value)} frames; expected at most {frames}, because all views use the same"
        )


def _check_one(what: str, value: Any) -> None:
    if isinstance(value, Tensor) and value.ndim > 2 and len(value) > 1:
        raise ValueError(
            f"{what} of the sample settings has values for {len(value)} frames, which AnimateDiff-Evolved counts "
            "through all views; use one value or mask for all frames (it may change from step to step)"
        )


def _closed_over(function: Callable[..., object]) -> Iterator[Any]:
    """What a function, and functions it holds, took along from where they were defined."""
    for cell in getattr(function, "__closure__", None) or ():
        value = cell.cell_contents
        if callable(value):
            yield from _closed_over(value)
        else:
            yield value
