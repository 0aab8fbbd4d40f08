"""Merging LoRAs into the networks of a base model."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from cvd_core.weights import LoraFile, LowRank, describe_keys, lora_file, plain_path

Layer = nn.Linear | nn.Conv2d
Layers = Mapping[tuple[str, str], Layer]
"""Layers that a LoRA may change, by network (``unet`` for what denoises, ``text_encoder``) and by every path that files
may have for them, see :func:`cvd_core.weights.plain_path`."""


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


def lora_files(path: Path) -> list[Path]:
    """All that is read of a LoRA in a folder of its own."""
    return [lora_file(path), *sorted(path.glob("*.json"))]


def merge_lora(layers: Layers, lora: LoraFile, scale: float, *, family: str) -> LoraReport:
    """Merge a LoRA in place: ``W += scale * alpha / rank * up @ down``, summed in float32.

    Where alpha and rank come from: :mod:`cvd_core.weights.lora_scale`.

    Args:
        layers: of the base; changed unless an error is raised.
        lora: from :func:`cvd_core.weights.read_lora`.
        scale: strength; 1 as trained.
        family: of the base, for messages: ``SD1.5``.

    Returns:
        What was merged. A UserWarning says how many layers found no counterpart, and what contradicts itself.

    Raises:
        ValueError: no layer of it is in the base, a layer has another shape, or the merged weights would leave the
            range of their dtype.
    """
    if not math.isfinite(scale):
        raise ValueError(f"LoRA strength is {scale}; expected a number such as 0.8")
    changes, unmatched = match_lora(layers, lora, family=family)
    for layer, module in changes:
        _check_range(layer, module, scale, lora.name)
    for text in lora.notes:
        warnings.warn(f"{lora.name}: {text}", stacklevel=3)
    if unmatched:
        warnings.warn(
            f"{lora.name}: {len(unmatched)} of {len(lora.layers)} LoRA layers have no counterpart in the base model "
            f"and are left out: {describe_keys(unmatched)}",
            stacklevel=3,
        )
    for layer, module in changes:
        _merge(layer, module, scale)
    in_unet = sum(layer.part == "unet" for layer, _ in changes)
    return LoraReport(lora.name, in_unet, len(changes) - in_unet, tuple(unmatched))


def match_lora(layers: Layers, lora: LoraFile, *, family: str) -> tuple[list[tuple[LowRank, Layer]], list[str]]:
    """The layers of a base model that a LoRA changes, with the changes, and its layers that the base does not have.

    Nothing is changed; the networks may be without data (on the meta device).

    Raises:
        ValueError: no layer of the LoRA is in the base, one has another shape, or two change the same.
    """
    changes: dict[int, tuple[LowRank, Layer]] = {}
    unmatched, misshaped = [], []
    for layer in lora.layers:
        module = layers.get((layer.part, plain_path(layer.path)))
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
            f"looks like {lora.info.label} - use a LoRA made for {family}"
        )
    return list(changes.values()), unmatched


def _fits(module: Layer, layer: LowRank) -> bool:
    return _without_points(layer.shape) == _without_points(tuple(module.weight.shape))


def _without_points(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without a kernel of 1x1: writers differ in whether such a layer is linear."""
    return shape[:2] if shape[2:] == (1, 1) else shape


@torch.no_grad()
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
