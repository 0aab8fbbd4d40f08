"""The sync modules under the host's memory management: inside its estimate, and loaded in parts where it is short."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import comfy.model_management
import comfy.ops
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from cvd_core.camera_control.injection import CameraAtPixels, CameraMerge
from cvd_core.geometry.rigs import make_rig
from cvd_core.motion.module import MotionModule
from cvd_core.sync.bias import EpipolarBias
from cvd_core.sync.cache import BiasCache
from cvd_core.sync.context import SyncContext, groups_to_partners
from cvd_core.sync.module import SyncModule
from tests import formula
from tests.nodes import small_network as small
from tests.nodes.host_process import Host
from tests.nodes.runs import Scene, relative

SKIPS = 6
"""What the UNet holds beside the modules at the widest level, in maps of that level: its skip connections."""


class Peak(TorchDispatchMode):
    """Bytes of the tensors made inside that are alive at once, at most."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for x in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(x, Tensor):
                self._count(x)
        self.peak = max(self.peak, sum(self.alive.values()))
        return out

    def _count(self, x: Tensor) -> None:
        storage = x.untyped_storage()
        key = storage.data_ptr()
        if key and key not in self.alive:
            self.alive[key] = storage.nbytes()
            weakref.finalize(storage, self.alive.pop, key, None)


@pytest.mark.parametrize(("groups", "cached"), [([(0, 1)], True), ([(0, 1)], False), ([(0, 1, 2, 3)], False)])
def test_the_hosts_estimate_covers_them(
    monkeypatch: pytest.MonkeyPatch, groups: Sequence[tuple[int, ...]], cached: bool
) -> None:
    """A module of the widest maps, its masks and the skip connections need less than the host keeps free for a call."""
    views, branches, frames, side, channels = sum(map(len, groups)), 2, 2, 32, 320
    module = SyncModule(channels, comfy.ops.manual_cast).requires_grad_(False)
    cameras = make_rig("circle", views, frames)
    bias, cache = EpipolarBias.from_cameras(cameras, 8 * side, 8 * side), BiasCache() if cached else None
    partners = groups_to_partners(groups)
    context = SyncContext(tuple(range(views)), partners, lambda shape: torch.rand(shape), bias, branches, cache=cache)
    x = torch.zeros(views * branches * frames, channels, side, side)
    with torch.inference_mode(), Peak() as peak:
        module(x, context)
    monkeypatch.setattr(comfy.model_management, "pytorch_attention_flash_attention", lambda: True)  # the lower estimate
    estimate = small.base_model().model.memory_required([len(x), 4, side, side])
    assert peak.peak > 3 * x.nbytes
    assert peak.peak + SKIPS * x.nbytes < 0.75 * estimate


def test_the_hosts_estimate_covers_motion_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the widest maps with its cameras, which two branches share."""
    views, branches, frames, side, channels = 2, 2, 8, 32, 320
    module = MotionModule(channels, frames, comfy.ops.manual_cast).requires_grad_(False)
    merge = CameraMerge(channels, comfy.ops.manual_cast).requires_grad_(False)
    camera = CameraAtPixels(merge, torch.zeros(views * side * side, frames, channels))
    x = torch.zeros(views * branches * frames, channels, side, side)
    with torch.inference_mode(), Peak() as peak:
        module(x, frames, camera)
    monkeypatch.setattr(comfy.model_management, "pytorch_attention_flash_attention", lambda: True)  # the lower estimate
    estimate = small.base_model().model.memory_required([len(x), 4, side, side])
    assert peak.peak > 3 * x.nbytes
    assert peak.peak + SKIPS * x.nbytes < 0.75 * estimate


def test_partly_loaded_modules_give_the_same(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a card without memory to spare: the weights stay away and are cast where they are used."""
    scene = Scene(host, size=64)
    whole = scene.together(scene.synced())
    scene = Scene(host, size=64)
    model = scene.synced()
    (sync,) = model.get_additional_models_with_key(host.pack("nodes.host.injection").KEY)
    with monkeypatch.context() as patch:
        patch.setattr(comfy.model_management, "vram_state", comfy.model_management.VRAMState.NO_VRAM)
        patch.setattr(comfy.model_management, "is_device_cpu", lambda _device: False)
        comfy.model_management.load_models_gpu([sync])
    assert sync.model.model_lowvram
    assert sync.loaded_size() < 0.01 * sync.model_size()
    assert torch.equal(scene.together(model), whole)


def test_patched_modules_are_patched_when_partly_loaded(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A weight patch reaches a module that is loaded whole and one that is not."""
    scene = Scene(host, size=64, steps=1)
    plain = scene.together(scene.synced())
    results = []
    for low in (False, True):
        model = scene.synced()
        (sync,) = model.get_additional_models_with_key(host.pack("nodes.host.injection").KEY)
        key = "up_blocks.3.epi_modules.2.epi_transformer.proj_out.weight"
        weight = sync.model.state_dict()[key]
        sync.add_patches({key: ("diff", (formula.noise("patch", tuple(weight.shape)),))})
        with monkeypatch.context() as patch:
            if low:
                patch.setattr(comfy.model_management, "vram_state", comfy.model_management.VRAMState.NO_VRAM)
                patch.setattr(comfy.model_management, "is_device_cpu", lambda _device: False)
            comfy.model_management.load_models_gpu([sync])
        assert sync.model.model_lowvram == low
        results.append(scene.together(model))
        sync.detach()
    assert relative(results[0], plain) > 1e-3
    assert relative(results[1], results[0]) < 1e-6
