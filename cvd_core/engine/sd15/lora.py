"""Merging LoRAs into the base model's UNet and text encoder."""

from __future__ import annotations

import math
import os
import warnings
from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from cvd_core.engine.sd15.loading import BaseModel
from cvd_core.weights import LoraFile, LowRank, describe_keys, original_unet_path, plain_path, read_lora

Layer = nn.Linear | nn.Conv2d


@dataclass(frozen=True)
class LoraReport:
    """What a LoRA changed.

    Args:
        file: its name.
        unet_layers, text_layers: how many layers of each it was merged into.
        unmatched: names in the file of layers the base does not have.
    """

    file: str
    unet_layers: int
    text_layers: int
    unmatched: tuple[str, ...] = ()


def apply_lora(base: BaseModel, file: str | os.PathLike[str], scale: float = 1.0) -> LoraReport:
    """Merge a LoRA into the base's UNet and text encoder in place: ``W += scale * alpha / rank * up @ down``.

    Where alpha and rank come from: :mod:`cvd_core.weights.lora_scale`. Sums are taken in float32. Merge before
    :func:`cvd_core.engine.sd15.motion.build_motion_unet`.

    Args:
        base: changed in place, unless an error is raised.
        file: anything :func:`cvd_core.weights.read_lora` reads; UNet layers under diffusers' or the original names.
        scale: strength; 1 as trained.

    Returns:
        What was merged. A UserWarning says how many layers found no counterpart, and what contradicts itself.

    Raises:
        ValueError: the file is not a LoRA for SD1.5 or damaged, no layer of it is in the base, a layer has another
            shape, the merged weights would leave the range of their dtype, or it is of a kind that is not a plain
            low-rank product (DoRA, LoHa, LoKr).
    """
    if not math.isfinite(scale):
        raise ValueError(f"LoRA strength is {scale}; expected a number such as 0.8")
    lora = read_lora(file)
    changes, unmatched = match_lora(base.unet, base.text_encoder, lora)
    for layer, module in changes:
        _check_range(layer, module, scale, lora.name)
    for text in lora.notes:
        warnings.warn(f"{lora.name}: {text}", stacklevel=2)
    if unmatched:
        warnings.warn(
            f"{lora.name}: {len(unmatched)} of {len(lora.layers)} LoRA layers have no counterpart in the base model "
            f"and are left out: {describe_keys(unmatched)}",
            stacklevel=2,
        )
    for layer, module in changes:
        _merge(layer, module, scale)
    in_unet = sum(layer.part == "unet" for layer, _ in changes)
    return LoraReport(lora.name, in_unet, len(changes) - in_unet, tuple(unmatched))


def match_lora(
    unet: UNet2DConditionModel, text_encoder: nn.Module, lora: LoraFile
) -> tuple[list[tuple[LowRank, Layer]], list[str]]:
    """The layers of a base model that a LoRA changes, with the changes, and its layers that the base does not have.

    Nothing is changed; the networks may be without data (on the meta device).

    Raises:
        ValueError: no layer of the LoRA is in the base, one has another shape, or two change the same.
    """
    per_block = unet.config["layers_per_block"]
    layers = per_block if isinstance(per_block, int) else max(per_block)
    modules = {
        (part, name): module
        for part, network in (("unet", unet), ("text_encoder", text_encoder))
        for path, module in network.named_modules()
        if isinstance(module, (nn.Linear, nn.Conv2d))
        for name in _names(part, path, layers)
    }
    changes: dict[int, tuple[LowRank, Layer]] = {}
    unmatched, misshaped = [], []
    for layer in lora.layers:
        module = modules.get((layer.part, plain_path(layer.path)))
        if module is None:
            unmatched.append(layer.name)
        elif not _fits(module, layer):
            misshaped.append(f"{layer.name} {_without_points(layer.shape)} for {tuple(module.weight.shape)}")
        elif id(module) in changes:
            first = changes[id(module)][0].name
            raise ValueError(f"{lora.name} holds one layer twice, as {first} and {layer.name}; save one of them alone")
        else:
            changes[id(module)] = layer, module
    if misshaped or not changes:
        example = f"e.g. {unmatched[0]} is not in it" if unmatched else ""
        found = f"{len(misshaped)} have other shapes ({describe_keys(misshaped)})" if misshaped else example
        raise ValueError(
            f"{lora.name} does not fit the base model: {len(changes)} of its {len(lora.layers)} layers do, {found}; it "
            f"looks like {lora.info.label} - use a LoRA made for SD1.5"
        )
    return list(changes.values()), unmatched


def _names(part: str, path: str, layers: int) -> set[str]:
    """Under which plain paths files may know a layer of a network with so many layers per block."""
    return (
        {plain_path(path)}
        if part == "text_encoder"
        else {plain_path(path), plain_path(original_unet_path(path, layers))}
    )


def _fits(module: Layer, layer: LowRank) -> bool:
    return _without_points(layer.shape) == _without_points(tuple(module.weight.shape))


def _without_points(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without a kernel of 1x1: writers differ in whether such a layer is linear."""
    return shape[:2] if shape[2:] == (1, 1) else shape


def _check_range(layer: LowRank, module: Layer, scale: float, file: str) -> None:
    """Refuse a change that makes infinite weights; the sum itself is taken only where a bound does not rule it out."""
    weight = module.weight
    inner = math.prod(size for matrix in (layer.down, layer.mid) if matrix is not None for size in matrix.shape[:1])
    largest = [float(m.float().abs().max()) for m in (layer.up, layer.mid, layer.down) if m is not None]
    bound = abs(scale * layer.scale) * inner * math.prod(largest) + float(weight.abs().max())
    if bound < torch.finfo(weight.dtype).max:
        return
    if not torch.isfinite(_merged(layer, module, scale).to(weight.dtype)).all():
        raise ValueError(
            f"{file} would make infinite weights in {layer.name}, in {str(weight.dtype).removeprefix('torch.')} and at "
            f"strength {scale:g}; it is damaged, or needs a smaller strength"
        )


@torch.no_grad()
def _merge(layer: LowRank, module: Layer, scale: float) -> None:
    module.weight.copy_(_merged(layer, module, scale))


@torch.no_grad()
def _merged(layer: LowRank, module: Layer, scale: float) -> Tensor:
    weight = module.weight
    change = layer.product(weight.device)
    return torch.add(weight.float().flatten(1), change, alpha=scale * layer.scale).view(weight.shape)
