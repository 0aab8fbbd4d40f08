"""The host's torch.compile around this pack's modules: nothing of one step may be baked into the compiled network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from comfy_extras.nodes_torch_compile import TorchCompileModel

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
@pytest.mark.parametrize("native", [True, False], ids=["this pack's motion", "AnimateDiff-Evolved's"])
@pytest.mark.parametrize("after", [True, False], ids=["behind the sync modules", "before them"])
def test_compiled_is_the_same(host: Host, native: bool, after: bool) -> None:
    """Sync modules that act in the middle step alone: what dynamo took from one step would show in the next."""
    scene = Scene(host, steps=3, native=native)
    part = {"start": 0.2, "end": 0.6}
    expected = scene.together(scene.synced(**part))
    always = scene.together(scene.synced())
    model = compiled(scene.synced(**part)) if after else scene.synced(**part, model=compiled(scene.with_motion()))
    found = scene.together(model)
    assert relative(found, expected) < 1e-4
    assert relative(always, expected) > 1e-2
    assert relative(scene.together(scene.synced(**part)), expected) < 1e-4, "the model afterwards"
