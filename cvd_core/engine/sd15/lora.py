"""LoRAs for Stable Diffusion 1.5: its layers by all the names that files have for them."""

from __future__ import annotations

import os

from diffusers import UNet2DConditionModel
from torch import nn

from cvd_core.engine.lora import Layers, LoraReport, merge_lora
from cvd_core.engine.sd15.loading import BaseModel
from cvd_core.weights import original_unet_path, plain_path, read_lora

FAMILY = "SD1.5"


def apply_lora(base: BaseModel, file: str | os.PathLike[str], scale: float = 1.0) -> LoraReport:
    """Merge a LoRA into the base's UNet and text encoder, see :func:`cvd_core.engine.lora.merge_lora`.

    Merge before :func:`cvd_core.engine.sd15.motion.build_motion_unet`.

    Args:
        base: changed in place, unless an error is raised.
        file: anything :func:`cvd_core.weights.read_lora` reads; UNet layers under diffusers' or the original names.
        scale: strength; 1 as trained.

    Raises:
        ValueError: the file is not a LoRA for SD1.5 or damaged, does not fit the base, would make infinite weights, or
            is of a kind that is not a plain low-rank product (DoRA, LoHa, LoKr).
    """
    return merge_lora(sd15_layers(base.unet, base.text_encoder), read_lora(file), scale, family=FAMILY)


def sd15_layers(unet: UNet2DConditionModel, text_encoder: nn.Module) -> Layers:
    """Everything that a LoRA may change."""
    per_block = unet.config["layers_per_block"]
    layers = per_block if isinstance(per_block, int) else max(per_block)
    return {
        (part, name): module
        for part, network in (("unet", unet), ("text_encoder", text_encoder))
        for path, module in network.named_modules()
        if isinstance(module, (nn.Linear, nn.Conv2d))
        for name in _names(part, path, layers)
    }


def _names(part: str, path: str, layers: int) -> set[str]:
    """Under which plain paths files may know a layer of a network with so many layers per block."""
    return (
        {plain_path(path)}
        if part == "text_encoder"
        else {plain_path(path), plain_path(original_unet_path(path, layers))}
    )
