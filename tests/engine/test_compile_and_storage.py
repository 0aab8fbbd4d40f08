"""What PyTorch and diffusers offer for speed and memory keeps working around sync modules: compilation and float8."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from cvd_core.engine.sd15.denoise import denoise
from cvd_core.engine.sd15.unet import CollaborativeUNet
from cvd_core.sampling.draws import SeededDraws
from cvd_core.sampling.pairs import Pairing
from cvd_core.sampling.settings import Settings
from tests import formula
from tests.core.strategies import random_rig
from tests.golden.networks import golden_unet

VIEWS, FRAMES = 3, 2


@pytest.fixture(autouse=True)
def afresh() -> Iterator[None]:
    torch.compiler.reset()
    with torch.no_grad():
        yield
    torch.compiler.reset()


def latents(network: CollaborativeUNet, **changes: object) -> Tensor:
    """Of a run whose groups, and with them shapes and partners, change from call to call."""
    values = {"width": 128, "height": 128, "steps": 3, "guidance": 3.0, "pairing": Pairing("exhaustive")} | changes
    text = formula.noise("test_compile/text", (VIEWS, 2, 77, 64))
    rig = random_rig(3, VIEWS, FRAMES, "shared start")
    return denoise(network, rig, text, Settings(("a",), **values), SeededDraws(1))  # type: ignore[arg-type]


def off(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_compiled_is_the_same() -> None:
    """Traced by dynamo and run as it is: what dynamo takes for constant could be wrong, whatever the backend."""
    network = copy.deepcopy(golden_unet())
    part = {"sync_start": 0.3, "sync_end": 0.7}
    expected, always = latents(network, **part), latents(network)
    network.unet.compile(backend="eager")
    assert off(latents(network, **part), expected) < 1e-4
    assert off(latents(network), always) < 1e-4
    assert off(always, expected) > 1e-3


def test_float8_storage_is_the_network_with_rounded_weights() -> None:
    """Diffusers' layerwise casting of the UNet with its motion modules; sync modules and camera stay as they are."""
    storage, small = torch.float8_e4m3fn, {"width": 64, "height": 64, "steps": 1}
    network = copy.deepcopy(golden_unet())
    exact = latents(network, **small)
    network.unet.enable_layerwise_casting(storage_dtype=storage, compute_dtype=torch.float32)
    stored = {name for name, value in network.unet.named_parameters() if value.dtype == storage}
    assert any("motion_modules" in name for name in stored)
    assert any("resnets" in name for name in stored)
    found = latents(network, **small)
    rounded = copy.deepcopy(golden_unet())
    for name, value in rounded.unet.named_parameters():
        if name in stored:
            value.copy_(value.to(storage).float())
    assert off(found, latents(rounded, **small)) < 1e-5
    assert off(found, exact) > 1e-3
