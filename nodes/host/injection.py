"""Sync modules in a ComfyUI model: what Apply Sync attaches, and how the modules get into the UNet for a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import comfy.ops
import torch
from comfy.patcher_extension import PatcherInjection

from cvd_core.networks.tiles import AttentionKind
from cvd_core.sync.checkpoint import load_sync_modules
from cvd_core.sync.context import SyncBranches, SyncContext
from cvd_core.sync.module import SyncModule

from .blocks import check_fit, end, in_unet_dtype, managed, remove, site_layers, unet_of

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
        start, end: fractions of the noise schedule, 0 its noisy end, between which they are active.
        attention: see :class:`cvd_core.sync.context.SyncContext`.
    """

    epipolar: EpipolarSpec
    strength: float
    start: float
    end: float
    attention: AttentionKind = "auto"
    branches: SyncBranches = "both"


def load_sync(path: str | os.PathLike[str]) -> Any:
    """A CVD_SYNC: the modules of a file under the host's memory management.

    Raises:
        ValueError: the file is something else or incomplete; the message says what and where it belongs.
    """

    def load() -> nn.Module:
        return in_unet_dtype(load_sync_modules(path, ops=comfy.ops.manual_cast))

    return managed(load(), load)


def apply_sync(model: Any, sync: Any, settings: SyncSettings) -> Any:
    """A MODEL with the sync modules attached; they act in a collaborative sampler and nowhere else.

    Raises:
        ValueError: the model is no Stable Diffusion 1.5 model of the modules' widths.
    """
    check_fit(model, sync.model, "sync modules")
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


@torch.compiler.disable  # type: ignore[untyped-decorator] # compiled by the host, the first call's partners would stay
def _run_module(layer: SyncModule, x: Tensor, _emb: Any, _text: Any, transformer_options: Any, *_: Any) -> Tensor:
    """The host's call of a sync module inside a block; outside a collaborative sampler it changes nothing."""
    context: SyncContext | None = transformer_options.get(KEY)
    return x if context is None else layer(x, context)


def _inject(patcher: Any) -> None:
    """Put the modules of ``patcher`` into its UNet; safe to call again, and over another model's modules."""
    unet = unet_of(patcher)
    remove(unet, SyncModule)
    for sync in patcher.get_additional_models_with_key(KEY):
        for site, layers in site_layers(unet, sync.model.sites):
            layers.insert(end(layers), sync.model.at(site))


def _eject(patcher: Any) -> None:
    """Take the modules of ``patcher`` out of its UNet; those of another model sharing the UNet stay."""
    own = {id(m) for sync in patcher.get_additional_models_with_key(KEY) for m in sync.model.modules()}
    remove(unet_of(patcher), SyncModule, own)
