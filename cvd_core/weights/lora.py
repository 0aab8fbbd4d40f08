"""LoRA files of every common writer as one list of low-rank changes: kohya, diffusers, PEFT, AnimateDiff's adapters."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from cvd_core.files import read_json_object
from cvd_core.weights.checkpoint import Checkpoint, read_checkpoint
from cvd_core.weights.exact import is_float, require_finite
from cvd_core.weights.kinds import CheckpointInfo, Kind, describe_keys, identify, require_kind
from cvd_core.weights.lora_scale import (
    ONLY_PLAIN,
    Statement,
    header_statements,
    layer_scale,
    peft_statements,
    speaking_of,
)

LORA_KINDS = (Kind.LORA_KOHYA, Kind.LORA_DIFFUSERS, Kind.LORA_PEFT, Kind.ADAPTER)

Part = Literal["unet", "text_encoder"]

_PEFT_CONFIG = "adapter_config.json"
_FOLDER_NAMES = (
    "adapter_model.safetensors",
    "adapter_model.bin",
    "pytorch_lora_weights.safetensors",
    "pytorch_lora_weights.bin",
)
"""What PEFT's ``save_pretrained`` and diffusers' ``save_lora_weights`` call the file in a folder of its own."""

_OTHER_METHODS = {
    "dora_scale": "DoRA",
    "lora_magnitude_vector": "DoRA",
    "hada_": "LoHa",
    "lokr_": "LoKr",
    "oft_": "OFT",
    "glora_": "GLoRA",
    ".a1.weight": "GLoRA",
    ".on_input": "IA3",
    "ia3_l": "IA3",
    "vera_lambda": "VeRA",
    ".diff": "full-difference",
}
"""Parts of keys by which methods are known that are more than a low-rank product."""

_KEY = re.compile(
    r"""^(?P<layer>.+?)
    (?: \.processor\.(?P<projection>to_(?:q|k|v|out))_lora\.(?P<processor_side>down|up)\.weight
      | \.lora(?:[._]|_linear_layer\.)(?P<side>down|up|mid|A|B)(?:\.default)?\.weight
      | (?P<alpha>\.alpha) )$""",
    re.VERBOSE,
)
_SIDES = {"A": "down", "B": "up"}
_PREFIXES: tuple[tuple[str, Part | None], ...] = (
    ("base_model.model.", None),
    ("lora_unet_", "unet"),
    ("unet.", "unet"),
    ("model.diffusion_model.", "unet"),
    ("diffusion_model.", "unet"),
    ("transformer.", "unet"),
    ("lora_te_", "text_encoder"),
    ("text_encoder.", "text_encoder"),
    ("text_model.", "text_encoder"),
    ("encoder.layers.", "text_encoder"),
)
"""What writers put in front of a layer's path, and the network that it names; what denoises is the ``unet``."""
_CLIP_PATHS = ("text_model.", "encoder.layers.")
"""Beginnings of the text encoder's own paths, which belong to them."""


@dataclass(frozen=True)
class LowRank:
    """One layer's change ``W += scale * up @ down``, or ``scale * up @ mid @ down`` for Tucker-decomposed kernels.

    Args:
        name: the layer as the file calls it.
        part: the network it belongs to.
        path: its path in that network as the file writes it, with dots or underscores.
        down: ``(r, in)`` or ``(r, in, kh, kw)``.
        up: ``(out, r)`` or ``(out, r, 1, 1)``.
        mid: ``(r, r, kh, kw)`` between two 1x1 convolutions, else None.
        scale: alpha / rank, see :mod:`cvd_core.weights.lora_scale`.
    """

    name: str
    part: Part
    path: str
    down: Tensor
    up: Tensor
    mid: Tensor | None
    scale: float

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weight it changes; a linear layer's may also be ``(out, in, 1, 1)``."""
        kernel = self.down.shape[2:] if self.mid is None else self.mid.shape[2:]
        return (self.up.shape[0], self.down.shape[1], *kernel)

    def product(self, device: torch.device | str) -> Tensor:
        """``up @ down`` in float32, unscaled, flattened to ``(out, in * kh * kw)``."""
        up, down = (matrix.to(device, torch.float32).flatten(1) for matrix in (self.up, self.down))
        if self.mid is None:
            return up @ down
        mid = self.mid.to(device, torch.float32)
        return torch.einsum("oi,ijhw,jc->ochw", up, mid, down).flatten(1)


@dataclass(frozen=True)
class LoraFile:
    """A LoRA that was read.

    Args:
        name: the file's name.
        info: what it is.
        layers: its changes in the order of the file.
        notes: contradictions that do not hinder.
    """

    name: str
    info: CheckpointInfo
    layers: tuple[LowRank, ...]
    notes: tuple[str, ...] = ()


def lora_file(path: str | os.PathLike[str]) -> Path:
    """The file with the matrices: ``path`` itself, or the one that PEFT or diffusers write into a folder.

    Raises:
        ValueError: a folder without such a file.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    found = [path / name for name in _FOLDER_NAMES if (path / name).is_file()]
    if not found:
        raise ValueError(f"{path} is a folder without {' or '.join(_FOLDER_NAMES[::2])}; name the LoRA file itself")
    return found[0]


def read_lora(path: str | os.PathLike[str]) -> LoraFile:
    """Read a LoRA for a UNet and its text encoder, or for a video transformer.

    Args:
        path: a file in kohya's format (``lora_unet_...``), one of diffusers' (``unet. ... .lora_A``,
            ``.processor.to_q_lora``) or PEFT's (``base_model.model. ...`` with ``adapter_config.json`` beside it),
            AnimateDiff's v3 adapter or CameraCtrl's RealEstate10K LoRA; or the folder that PEFT or diffusers wrote.

    Raises:
        ValueError: the file is not a LoRA, is damaged or contradicts itself, lacks what its strength depends on, or is
            of a method that is more than a low-rank product (DoRA, LoHa, LoKr ...); the message says which.
    """
    path = lora_file(path)
    checkpoint = read_checkpoint(path)
    info = identify(checkpoint)
    require_kind(info, LORA_KINDS, file=path.name, wanted="a LoRA")
    tensors = checkpoint.tensors
    for mark, method in _OTHER_METHODS.items():
        if any(mark in key for key in tensors):
            raise ValueError(f"{path.name} is a {method} file; {ONLY_PLAIN}")
    statements = _statements(checkpoint, info)
    notes: set[str] = set()
    layers = [
        _layer(name, matrices, statements, file=path.name, notes=notes)
        for name, matrices in _by_layer(tensors, path.name).items()
    ]
    _refuse_twice_the_same(layers, path.name)
    return LoraFile(path.name, info, tuple(layers), tuple(sorted(notes)))


def plain_path(path: str) -> str:
    """A layer's path without what differs between writers: dots or underscores, ``text_model`` or none."""
    return path.replace(".", "_").removeprefix("text_model_")


def _statements(checkpoint: Checkpoint, info: CheckpointInfo) -> list[Statement]:
    """What the file's header and, for PEFT, the configuration beside it say about ranks and alphas."""
    name = checkpoint.path.name
    statements = header_statements(checkpoint.metadata, file=name)
    config = checkpoint.path.with_name(_PEFT_CONFIG)
    if info.kind is Kind.LORA_PEFT and config.is_file():
        statements += peft_statements(read_json_object(config), where=_PEFT_CONFIG, file=name)
    elif info.kind is Kind.LORA_PEFT and not any(statement.alpha is not None for statement in statements):
        raise ValueError(
            f"{name} is {info.label}, whose strength stands in {_PEFT_CONFIG}; that file is not in "
            f"{checkpoint.path.parent} - put it there, or give the whole folder PEFT wrote"
        )
    return statements


def _by_layer(tensors: Mapping[str, Tensor], file: str) -> dict[str, dict[str, Tensor]]:
    """Matrices and alpha (``down``, ``up``, ``mid``, ``alpha``) by the layer's name in the file, prefix included."""
    layers: dict[str, dict[str, Tensor]] = {}
    unknown = []
    for key, value in tensors.items():
        match = _KEY.match(key)
        if match is None:
            unknown.append(key)
            continue
        name = match["layer"]
        if match["projection"]:
            name += ".to_out.0" if match["projection"] == "to_out" else f".{match['projection']}"
        side = "alpha" if match["alpha"] else match["processor_side"] or match["side"]
        side = _SIDES.get(side, side)
        layer = layers.setdefault(name, {})
        if side in layer:
            raise ValueError(f"{file} holds the {side} matrix of {name} twice, under two names; save one of them alone")
        layer[side] = value
    if unknown:
        raise ValueError(f"{file} holds {len(unknown)} tensors that are not LoRA tensors: {describe_keys(unknown)}")
    return layers


def _layer(
    name: str, tensors: Mapping[str, Tensor], statements: list[Statement], *, file: str, notes: set[str]
) -> LowRank:
    down, up, mid = (tensors.get(side) for side in ("down", "up", "mid"))
    if down is None or up is None:
        raise ValueError(f"{file} has only one of the two matrices of {name}; it is incomplete - get it again")
    for matrix in (down, up, mid):
        if matrix is not None and not is_float(matrix):
            raise ValueError(f"{file} holds {matrix.dtype} numbers in {name}; expected floating-point ones")
        if matrix is not None:
            require_finite(matrix, key=name, file=file)
    rank = _rank(name, down, up, mid, file)
    part, path = _part(name)
    alpha = _alpha(tensors["alpha"], name, file) if "alpha" in tensors else None
    kernel = (down if mid is None else mid).shape[2:]
    said = speaking_of(statements, part, has_kernel=any(size > 1 for size in kernel))
    return LowRank(name, part, path, down, up, mid, layer_scale(path, rank, alpha, said, file=file, notes=notes))


def _rank(name: str, down: Tensor, up: Tensor, mid: Tensor | None, file: str) -> int:
    """The rank of matrices whose shapes go together."""
    rank = down.shape[0] if down.ndim else 0
    points = up.ndim in (2, 4) and up.numel() == up.shape[0] * up.shape[1]
    fits = down.ndim in (2, 4) and rank > 0 and points and up.shape[1] == rank and up.numel() > 0 and down.numel() > 0
    if mid is not None:
        fits = fits and mid.ndim == 4 and mid.shape[:2] == (rank, rank) and down.numel() == rank * down.shape[1]
    if not fits:
        shapes = " x ".join(str(tuple(m.shape)) for m in (up, mid, down) if m is not None)
        raise ValueError(
            f"{file} has matrices of shapes {shapes} in {name}; expected (out, rank) x (rank, in), or kernels of one "
            "rank - it is damaged, get it again"
        )
    return rank


def _alpha(value: Tensor, name: str, file: str) -> float:
    if value.numel() != 1 or value.is_complex() or value.dtype == torch.bool:
        raise ValueError(
            f"{file} has an alpha of shape {tuple(value.shape)} and type {value.dtype} in {name}; expected one number"
        )
    require_finite(value, key=f"{name}.alpha", file=file)
    return float(value.float())


def _part(name: str) -> tuple[Part, str]:
    """Network and path in it of a layer's name; names that say nothing are the UNet's."""
    part: Part = "unet"
    path = name
    for prefix, named in _PREFIXES:
        if path.startswith(prefix):
            part = named or part
            if prefix not in _CLIP_PATHS:
                path = path.removeprefix(prefix)
    return part, path


def _refuse_twice_the_same(layers: list[LowRank], file: str) -> None:
    names: dict[tuple[str, str], str] = {}
    for layer in layers:
        first = names.setdefault((layer.part, plain_path(layer.path)), layer.name)
        if first != layer.name:
            raise ValueError(f"{file} holds one layer twice, as {first} and {layer.name}; save one of them alone")
