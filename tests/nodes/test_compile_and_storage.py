"""What the host offers for speed and memory around this pack's modules: torch.compile, and weights in float8."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from comfy_extras.nodes_torch_compile import TorchCompileModel

from tests.nodes import small_network as small
from tests.nodes.host_process import Host
from tests.nodes.runs import Scene, relative


@pytest.fixture(autouse=True)
def afresh() -> Iterator[None]:
    """Compiled code of other tests neither helps nor counts towards dynamo's limit."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def compiled(model: Any) -> Any:
    """What the node gives; its own backend needs a C++ compiler and minutes, and gets the same graphs as this one."""
    return TorchCompileModel.execute(model, backend="eager").args[0]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("native", [True, False], ids=["this pack's motion", "AnimateDiff-Evolved's"])
@pytest.mark.parametrize("after", [True, False], ids=["behind the sync modules", "before them"])
def test_compiled_is_the_same(host: Host, native: bool, after: bool) -> None:
    """Sync modules that act in the middle step alone: what of one step stays in compiled code shows in the next."""
    scene = Scene(host, size=64, steps=3, native=native)
    part: dict[str, Any] = {"start": 0.2, "end": 0.6}
    expected = scene.together(scene.synced(**part))
    always = scene.together(scene.synced())
    model = compiled(scene.synced(**part)) if after else scene.synced(**part, model=compiled(scene.with_motion()))
    found = scene.together(model)
    assert relative(found, expected) < 1e-4
    assert relative(always, expected) > 1e-2
    assert relative(scene.together(scene.synced(**part)), expected) < 1e-4, "the model afterwards"


@pytest.mark.parametrize("stored", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_float8_weights_are_rounded_weights(host: Host, stored: torch.dtype) -> None:
    """As Load Diffusion Model's weight_dtype leaves them, under sync modules and motion of full width."""
    scene = Scene(host, native=True)
    exact = scene.together(scene.synced())
    for weight in scene.base.model.diffusion_model.parameters():
        weight.copy_(weight.to(stored).float())
    rounded = scene.together(scene.synced())
    scene.base = small.base_model(stored)
    assert scene.base.model.diffusion_model.out[-1].weight.dtype == stored
    assert relative(scene.together(scene.synced()), rounded) < 1e-4
    assert relative(rounded, exact) > 1e-3
