"""Modules added to the host's UNet: where they sit, how they get in and out, and how the host keeps their weights.

The host keeps a UNet as lists of layers. An added module is a layer of its own in the list of the resnet that it
belongs to; a run's injections put it there and take it away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import comfy.model_management
import comfy.model_patcher
from torch import nn

from cvd_core.networks.layout import PerSite, Site

_RESNET, _UPSAMPLER = "ResBlock", "Upsample"


def managed(
    module: nn.Module,
    again: Callable[[], nn.Module] | None = None,
    *,
    load_device: Any = None,
    offload_device: Any = None,
    dynamic: bool = True,
) -> Any:
    """A module as one of the host's models: loaded, offloaded and cast like any other.

    Args:
        module: with the host's layers.
        again: makes the module anew; newer hosts ask for it to put a model on another device, or to take it out of
            dynamic VRAM.
        load_device, offload_device: None is where the host's UNets go.
        dynamic: with dynamic VRAM, where the host has it.
    """
    kind = comfy.model_patcher.ModelPatcher
    if dynamic:
        kind = getattr(comfy.model_patcher, "CoreModelPatcher", kind)
    patcher = kind(
        module,
        load_device=load_device or comfy.model_management.get_torch_device(),
        offload_device=offload_device or comfy.model_management.unet_offload_device(),
    )
    if again is not None:

        def load_again(disable_dynamic: bool = False) -> Any:
            devices = {"load_device": load_device, "offload_device": offload_device}
            return managed(again(), again, **devices, dynamic=not disable_dynamic)

        patcher.cached_patcher_init = (load_again, ())
    return patcher


def in_unet_dtype(module: nn.Module) -> nn.Module:
    """A loaded module in 16 bits where the host's UNet is: wider would only cost memory, as its layers cast anyway."""
    wanted = comfy.model_management.unet_dtype()
    stored = next(module.parameters()).dtype
    return module.to(wanted) if wanted.itemsize == 2 < stored.itemsize else module


def unet_of(model: Any) -> Any:
    """The UNet of a MODEL.

    Raises:
        ValueError: it is of another architecture.
    """
    unet = model.model.diffusion_model
    if not hasattr(unet, "input_blocks") or not hasattr(unet, "output_blocks"):
        raise ValueError(
            f"the model is a {type(unet).__name__}, not a Stable Diffusion 1.5 UNet; load a Stable Diffusion 1.5 "
            "checkpoint"
        )
    return unet


def check_fit(model: Any, modules: PerSite[Any], what: str) -> None:
    """Raise ValueError if ``modules`` ("sync modules") were made for a network of another shape than the model's."""
    for site, layers in site_layers(unet_of(model), modules.sites):
        channels = _output_channels(layers)
        if channels != site.channels:
            raise ValueError(
                f"the {what} expect {site.channels} channels where this model has {channels}; CVD runs on "
                "Stable Diffusion 1.5 models"
            )


def site_layers(unet: Any, sites: Sequence[Site]) -> Iterator[tuple[Site, Any]]:
    """Each site with the UNet's list of layers that it belongs to.

    Raises:
        ValueError: the UNet has another number of layers.
    """
    for direction, blocks in (("down", unet.input_blocks), ("up", unet.output_blocks)):
        with_resnet = [layers for layers in blocks if any(_is(layer, _RESNET) for layer in layers)]
        wanted = [site for site in sites if site.direction == direction]
        if len(with_resnet) != len(wanted):
            raise ValueError(
                f"the model's UNet has {len(with_resnet)} {direction} layers where Stable Diffusion 1.5 has "
                f"{len(wanted)}; CVD runs on Stable Diffusion 1.5 models"
            )
        yield from zip(wanted, with_resnet, strict=True)


def remove(unet: Any, kind: type[nn.Module], only: set[int] | None = None) -> None:
    """Take the layers of class ``kind`` out of a UNet; with ``only``, those with one of these ids."""
    middle = [] if unet.middle_block is None else [unet.middle_block]
    for layers in (*unet.input_blocks, *middle, *unet.output_blocks):
        for index in reversed(range(len(layers))):
            if isinstance(layers[index], kind) and (only is None or id(layers[index]) in only):
                layers.pop(index)


def end(layers: Any) -> int:
    """The place behind resnet, attention and motion module, before an upsampler."""
    last = len(layers)
    return last - 1 if _is(layers[last - 1], _UPSAMPLER) else last


def behind_attention(layers: Any) -> int:
    """The place directly behind the spatial attention, or the resnet where there is none: before a sync module."""
    return max(i for i, layer in enumerate(layers) if _is(layer, _RESNET) or _is(layer, "SpatialTransformer")) + 1


def _is(layer: nn.Module, name: str) -> bool:
    return type(layer).__name__ == name


def _output_channels(layers: Any) -> int:
    resnet = next(layer for layer in layers if _is(layer, _RESNET))
    return int(resnet.out_channels)
