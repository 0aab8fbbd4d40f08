"""Merging LoRAs into the base model: kohya and diffusers files, and AnimateDiff's adapters."""

from __future__ import annotations

import json
import math
import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cvd_core.engine.sd15.loading import BaseModel
from cvd_core.weights import Kind, describe_keys, identify, read_checkpoint, require_kind

ACCEPTED = (Kind.LORA_KOHYA, Kind.LORA_DIFFUSERS, Kind.ADAPTER)

_UNSUPPORTED = {"dora_scale": "DoRA", "hada_": "LoHa", "lokr_": "LoKr", "lora_mid": "Tucker-decomposed LoCon"}

_KEY = re.compile(
    r"""^(?P<layer>.+?)
    (?: \.processor\.(?P<projection>to_(?:q|k|v|out))_lora\.(?P<processor_side>down|up)\.weight
      | \.lora(?:[._]|_linear_layer\.)(?P<side>down|up|A|B)(?:\.default)?\.weight
      | (?P<alpha>\.alpha) )$""",
    re.VERBOSE,
)
_SIDES = {"A": "down", "B": "up"}
_PARTS = {"lora_unet_": "unet", "unet.": "unet", "lora_te_": "text_encoder", "text_encoder.": "text_encoder"}
_METADATA = "lora_adapter_metadata"
"""Where diffusers writes the PEFT configuration into a safetensors header."""


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


@dataclass
class _Layer:
    """One layer's low-rank change: ``down`` (r, in, ...), ``up`` (out, r, ...)."""

    down: Tensor | None = None
    up: Tensor | None = None
    alpha: float | None = None


@dataclass(frozen=True)
class _Change:
    """``weight += factor * up @ down`` in one layer of the network ``part``."""

    part: str
    module: nn.Linear | nn.Conv2d
    down: Tensor
    up: Tensor
    factor: float


def apply_lora(base: BaseModel, file: str | os.PathLike[str], scale: float = 1.0) -> LoraReport:
    """Merge a LoRA into the base's UNet and text encoder in place: ``W += scale * alpha / rank * up @ down``.

    Without an alpha, in the file or its metadata, alpha is the rank. Sums are taken in float32. Merge before
    :func:`cvd_core.engine.sd15.motion.build_motion_unet`.

    Args:
        base: changed in place, unless an error is raised.
        file: kohya's format (``lora_unet_...``), diffusers' formats (``unet. ... .lora_A``, ``.processor.to_q_lora``),
            or AnimateDiff's v3 adapter and CameraCtrl's RealEstate10K LoRA (no ``unet.`` in front).
        scale: strength; 1 as trained.

    Returns:
        What was merged. If some layers found no counterpart, a UserWarning says how many.

    Raises:
        ValueError: the file is no LoRA for SD1.5, no layer of it is in the base, a layer has another shape, or it is of
            a kind that is no plain low-rank product (DoRA, LoHa, LoKr).
    """
    if not math.isfinite(scale):
        raise ValueError(f"LoRA strength is {scale}; expected a number such as 0.8")
    checkpoint = read_checkpoint(file)
    name = Path(file).name
    info = identify(checkpoint)
    require_kind(info, ACCEPTED, file=name, wanted="a LoRA for SD1.5")
    layers = _parse(checkpoint.tensors, name)
    settings = json.loads(checkpoint.metadata.get(_METADATA, "{}"))
    changes, unmatched, misshaped = _match(layers, base, settings, name)
    if misshaped or not changes:
        example = f"e.g. {unmatched[0]} is not in it" if unmatched else ""
        found = f"{len(misshaped)} have other shapes ({describe_keys(misshaped)})" if misshaped else example
        raise ValueError(
            f"{name} does not fit the base model: {len(changes)} of its {len(layers)} layers do, {found}; it looks "
            f"like {info.label} - use a LoRA made for SD1.5"
        )
    if unmatched:
        warnings.warn(
            f"{name}: {len(unmatched)} of {len(layers)} LoRA layers have no counterpart in the base model and are left "
            f"out: {describe_keys(unmatched)}",
            stacklevel=2,
        )
    for change in changes:
        _merge(change, scale)
    in_unet = sum(change.part == "unet" for change in changes)
    return LoraReport(name, in_unet, len(changes) - in_unet, tuple(unmatched))


def _match(
    layers: dict[str, _Layer], base: BaseModel, settings: dict[str, Any], name: str
) -> tuple[list[_Change], list[str], list[str]]:
    """Changes to make, names of layers the base does not have, and descriptions of those of another shape."""
    modules = {
        (part, _plain(path)): module
        for part, network in (("unet", base.unet), ("text_encoder", base.text_encoder))
        for path, module in network.named_modules()
        if isinstance(module, (nn.Linear, nn.Conv2d))
    }
    changes, unmatched, misshaped = [], [], []
    for key, layer in layers.items():
        part, path = _part(key)
        module = modules.get((part, _plain(path)))
        if module is None:
            unmatched.append(key)
            continue
        if layer.down is None or layer.up is None:
            raise ValueError(f"{name} has only one of the two matrices of {key}; it is incomplete - get it again")
        if _fits(module, layer.down, layer.up):
            factor = _scaling(layer.alpha, layer.down.shape[0], settings, part, path, name)
            changes.append(_Change(part, module, layer.down, layer.up, factor))
        else:
            shapes = f"{tuple(layer.up.shape)} x {tuple(layer.down.shape)} for {tuple(module.weight.shape)}"
            misshaped.append(f"{key} {shapes}")
    return changes, unmatched, misshaped


def _parse(tensors: dict[str, Tensor], name: str) -> dict[str, _Layer]:
    """Layers by their name in the file, prefix included."""
    for mark, method in _UNSUPPORTED.items():
        if any(mark in key for key in tensors):
            raise ValueError(_unsupported(name, method))
    layers: dict[str, _Layer] = {}
    unknown = []
    for key, value in tensors.items():
        match = _KEY.match(key)
        if match is None:
            unknown.append(key)
            continue
        path = match["layer"]
        if match["projection"]:
            path += ".to_out.0" if match["projection"] == "to_out" else f".{match['projection']}"
        layer = layers.setdefault(path, _Layer())
        if match["alpha"]:
            layer.alpha = float(value)
        else:
            side = match["processor_side"] or match["side"]
            setattr(layer, _SIDES.get(side, side), value)
    if unknown:
        raise ValueError(f"{name} holds {len(unknown)} tensors that are no LoRA tensors: {describe_keys(unknown)}")
    return layers


def _part(key: str) -> tuple[str, str]:
    """Network and path in it of a layer's name; names without a prefix are the UNet's."""
    for prefix, part in _PARTS.items():
        if key.startswith(prefix):
            return part, key.removeprefix(prefix)
    return "unet", key


def _plain(path: str) -> str:
    """A path without what differs between writers: dots or underscores, `text_model` or none."""
    return path.replace(".", "_").removeprefix("text_model_")


def _fits(module: nn.Linear | nn.Conv2d, down: Tensor, up: Tensor) -> bool:
    weight = module.weight
    rank = down.shape[0]
    return up.shape[:2] == (weight.shape[0], rank) and up.numel() * down.numel() == weight.numel() * rank * rank


def _scaling(alpha: float | None, rank: int, settings: dict[str, Any], part: str, path: str, name: str) -> float:
    """alpha / rank, from the tensors or from PEFT's settings in the header."""
    if alpha is not None:
        return alpha / rank
    if settings.get(f"{part}.use_dora"):
        raise ValueError(_unsupported(name, "DoRA"))
    alpha = float(settings.get(f"{part}.lora_alpha", rank))
    for pattern, value in settings.get(f"{part}.alpha_pattern", {}).items():
        if re.match(rf"(.*\.)?({pattern})$", path):
            alpha = float(value)
    return alpha / (math.sqrt(rank) if settings.get(f"{part}.use_rslora") else rank)


def _unsupported(name: str, method: str) -> str:
    return f"{name} is a {method} file; only plain LoRA can be merged - merge it in its own tool first"


@torch.no_grad()
def _merge(change: _Change, scale: float) -> None:
    weight = change.module.weight
    up, down = (matrix.to(weight.device, torch.float32).flatten(1) for matrix in (change.up, change.down))
    merged = torch.addmm(weight.float().flatten(1), up, down, alpha=scale * change.factor)
    weight.copy_(merged.view(weight.shape))
