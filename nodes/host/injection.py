"""Sync modules in a ComfyUI model: what Apply Sync attaches, and how the modules get into the UNet for a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import comfy.model_management
import comfy.model_patcher
import comfy.ops
from comfy.patcher_extension import PatcherInjection

from cvd_core.networks.layout import Site
from cvd_core.sync.checkpoint import load_sync_modules
from cvd_core.sync.context import SyncContext
from cvd_core.sync.module import SyncModule, SyncModules

if TYPE_CHECKING:
    import os

    from torch import Tensor, nn

    from ..types import EpipolarSpec

KEY = "cvd"
"""Name of everything that this pack puts into the host's dictionaries."""


@dataclass(frozen=True, eq=False)
class SyncSettings:
    """How Apply Sync wants the modules used.

    Attributes:
        epipolar: cameras and band of the attention mask.
        strength: factor on what the modules add; 1 as trained.
        start, end: share of the noise schedule, 0 its noisy end, in which they are active.
    """

    epipolar: EpipolarSpec
    strength: float
    start: float
    end: float


def load_sync(path: str | os.PathLike[str]) -> Any:
    """A CVD_SYNC: the modules of a file under the host's memory management.

    Raises:
        ValueError: the file is something else or incomplete; the message says what and where it belongs.
    """
    modules = load_sync_modules(path, ops=comfy.ops.manual_cast)
    wanted = comfy.model_management.unet_dtype()
    stored = next(modules.parameters()).dtype
    if wanted.itemsize == 2 < stored.itemsize:  # wider would only cost memory: manual_cast computes in the UNet's dtype
        modules.to(wanted)
    return sync_patcher(modules)


def sync_patcher(modules: nn.Module) -> Any:
    """Modules as one of the host's models: loaded, offloaded and cast like any other."""
    patcher = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
    return patcher(
        modules,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )


def apply_sync(model: Any, sync: Any, settings: SyncSettings) -> Any:
    """A MODEL with the sync modules attached; they act in a collaborative sampler and nowhere else.

    Raises:
        ValueError: the model is no Stable Diffusion 1.5 model of the modules' widths.
    """
    sites = _site_layers(_unet(model), sync.model)
    for site, layers in sites:
        channels = _output_channels(layers)
        if channels != site.channels:
            raise ValueError(
                f"the sync modules are made for {site.channels} channels where this model has {channels}; CVD runs on "
                "Stable Diffusion 1.5 models"
            )
    model = model.clone()
    model.set_additional_models(KEY, [sync.clone()])
    model.set_injections(KEY, [PatcherInjection(inject=_inject, eject=_eject)])
    model.set_attachments(KEY, settings)
    patches = model.model_options["transformer_options"].setdefault("patches", {})
    handlers = patches.setdefault("forward_timestep_embed_patch", [])
    patches["forward_timestep_embed_patch"] = [h for h in handlers if h[1] is not _run_module]
    model.set_model_forward_timestep_embed_patch((SyncModule, _run_module))
    return model


def sync_settings(model: Any) -> SyncSettings:
    """What Apply Sync attached to a model.

    Raises:
        ValueError: there is nothing.
    """
    settings = model.get_attachment(KEY)
    if settings is None:
        raise ValueError("the model has no sync modules: put an Apply Sync Module node before this one")
    found: SyncSettings = settings
    return found


def _run_module(layer: SyncModule, x: Tensor, _emb: Any, _text: Any, transformer_options: Any, *_: Any) -> Tensor:
    """The host's call of a sync module inside a block; outside a collaborative sampler it changes nothing."""
    context: SyncContext | None = transformer_options.get(KEY)
    return x if context is None else layer(x, context)


def _inject(patcher: Any) -> None:
    """Put the modules of ``patcher`` into its UNet; safe to call again, and over another model's modules."""
    unet = _unet(patcher)
    for layers in (*unet.input_blocks, *unet.output_blocks):
        _remove(layers, SyncModule)
    for sync in patcher.get_additional_models_with_key(KEY):
        for site, layers in _site_layers(unet, sync.model):
            layers.insert(_place(layers), sync.model.at(site))


def _eject(patcher: Any) -> None:
    """Take the modules of ``patcher`` out of its UNet; those of another model sharing the UNet stay."""
    own = {id(m) for sync in patcher.get_additional_models_with_key(KEY) for m in sync.model.modules()}
    unet = _unet(patcher)
    for layers in (*unet.input_blocks, *unet.output_blocks):
        _remove(layers, SyncModule, own)


def _remove(layers: Any, kind: type, only: set[int] | None = None) -> None:
    for index in reversed(range(len(layers))):
        if isinstance(layers[index], kind) and (only is None or id(layers[index]) in only):
            layers.pop(index)


def _place(layers: Any) -> int:
    """Behind resnet, attention and motion modules, before an upsampler.

    A motion module that is injected later goes directly behind the attention, so before the sync module.
    """
    last = len(layers)
    return last - 1 if type(layers[last - 1]).__name__ == "Upsample" else last


def _site_layers(unet: Any, modules: SyncModules) -> Iterator[tuple[Site, Any]]:
    """Each site with the UNet's list of layers that it belongs to."""
    for direction, blocks in (("down", unet.input_blocks), ("up", unet.output_blocks)):
        with_resnet = [layers for layers in blocks if any(type(layer).__name__ == "ResBlock" for layer in layers)]
        sites = [site for site in modules.sites if site.direction == direction]
        if len(with_resnet) != len(sites):
            raise ValueError(
                f"the model's UNet has {len(with_resnet)} {direction} layers where Stable Diffusion 1.5 has "
                f"{len(sites)}; CVD runs on Stable Diffusion 1.5 models"
            )
        yield from zip(sites, with_resnet, strict=True)


def _output_channels(layers: Any) -> int:
    resnet = next(layer for layer in layers if type(layer).__name__ == "ResBlock")
    return int(resnet.out_channels)


def _unet(model: Any) -> Any:
    unet = model.model.diffusion_model
    if not hasattr(unet, "input_blocks") or not hasattr(unet, "output_blocks"):
        raise ValueError(
            f"the model is a {type(unet).__name__}, not a Stable Diffusion 1.5 UNet; load a Stable Diffusion 1.5 "
            "checkpoint"
        )
    return unet
