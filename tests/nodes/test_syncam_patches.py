"""SynCamMaster among patches of other nodes: those that wrap, replace or skip blocks, and those of attention."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.nodes.host_process import NEWEST, Host
from tests.nodes.small_wan import (
    apply,
    denoised,
    modules,
    noise,
    rig,
    sample,
    text,
    wan_model,
    weights,
    with_shift,
)

SIGMA, CFG = 0.9, 5.0
SKIPPED = 1
"""Of the small model's blocks 0, 1 and 2."""
POSITIVE, NEGATIVE = text("context"), text("negative")
RANGE = {"start_percent": 0.0, "end_percent": 1.0}
LAYERS = {"double_layers": str(SKIPPED), "single_layers": ""}


def shorter(host: Host) -> Any:
    """A synchronised model that never had the block."""
    state = {key: value for key, value in weights().items() if not key.startswith(f"blocks.{SKIPPED}.")}
    state = {re.sub(r"^blocks\.2\.", f"blocks.{SKIPPED}.", key): value for key, value in state.items()}
    return apply(host, wan_model(state), rig(2), modules(host, state))


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [record.getMessage() for record in caplog.records if "SynCamMaster" in record.getMessage()]
    caplog.clear()
    return found


def test_a_wrapped_block_keeps_its_module(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    model = apply(host, wan_model(), rig(2))
    full = sample(model, noise(2))
    wrapped = model.clone()
    wrapped.set_model_patch_replace(lambda args, extra: extra["original_block"](args), "dit", "double_block", SKIPPED)
    assert torch.equal(sample(wrapped, noise(2)), full)
    assert warnings_of(caplog) == []


def test_a_skipped_block_takes_its_module_along_and_every_run_says_so_once(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    skipped = apply(host, wan_model(), rig(4), pair_strategy="partition")
    skipped.set_model_patch_replace(lambda args, extra: args, "dit", "double_block", SKIPPED)
    for _ in range(2):
        sample(skipped, noise(4))
        (found,) = warnings_of(caplog)
        assert f"skips or replaces blocks {SKIPPED} of the model" in found
    pair = apply(host, wan_model(), rig(2))
    pair.set_model_patch_replace(lambda args, extra: args, "dit", "double_block", SKIPPED)
    assert torch.equal(sample(pair, noise(2)), sample(shorter(host), noise(2)))
    for i in (0, 2):
        pair.set_model_patch_replace(lambda args, extra: args, "dit", "double_block", i)
    caplog.clear()
    sample(pair, noise(2))
    assert ["skips or replaces all blocks of the model" in found for found in warnings_of(caplog)] == [True]


def test_a_block_that_is_replaced_leaves_its_module_out_and_says_so(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """A replacement that computes the block's layers itself, cross-attention without the norm before it."""
    model = wan_model()
    block = model.model.diffusion_model.blocks[SKIPPED]

    def replacement(args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Tensor]:
        return {"img": args["img"] + block.cross_attn(args["img"], args["txt"])}

    replaced, plain = apply(host, model, rig(2), modules(host, zero_projectors())), model.clone()
    for patched in (replaced, plain):
        patched.set_model_patch_replace(replacement, "dit", "double_block", SKIPPED)
    assert torch.equal(sample(replaced, noise(2)), sample(plain, noise(2)))
    assert len(warnings_of(caplog)) == 1


def zero_projectors(but: int = SKIPPED) -> dict[str, Tensor]:
    """Modules that add nothing except that of one block."""
    kept = f"blocks.{but}."
    return {
        key: torch.zeros_like(value) if "projector" in key and not key.startswith(kept) else value
        for key, value in weights().items()
    }


def test_skip_layer_guidance(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    """The host's node: away from what a network without the block and its module would predict."""
    model, x = with_shift(apply(host, wan_model(), rig(2))), noise(2)
    (guided,) = host.call("SkipLayerGuidanceDiT", model=model, scale=3.0, rescaling_scale=0.0, **LAYERS, **RANGE)
    found = denoised(guided, x, SIGMA, POSITIVE, NEGATIVE, CFG)
    assert [f"blocks {SKIPPED}" in line for line in warnings_of(caplog)] == [True]
    cond, without = (denoised(m, x, SIGMA, POSITIVE) for m in (model, with_shift(shorter(host))))
    expected = denoised(model, x, SIGMA, POSITIVE, NEGATIVE, CFG) + 3 * (cond - without)
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-4)


def test_skip_layer_guidance_of_the_negative_prediction(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    model, x = with_shift(apply(host, wan_model(), rig(2))), noise(2)
    (guided,) = host.call("SkipLayerGuidanceDiTSimple", model=model, **LAYERS, **RANGE)
    found = denoised(guided, x, SIGMA, POSITIVE, NEGATIVE, CFG)
    assert len(warnings_of(caplog)) == 1
    negative = denoised(with_shift(shorter(host)), x, SIGMA, NEGATIVE)
    expected = negative + CFG * (denoised(model, x, SIGMA, POSITIVE) - negative)
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-4)


@pytest.mark.skipif(not NEWEST, reason="older hosts have no such patches for Wan")
def test_attention_patches_see_the_models_own_attention_alone(host: Host) -> None:
    """A patch on self-attention is called as often with the modules as without, and acts in both."""
    calls: list[int] = []

    def patch(args: dict[str, Any]) -> Tensor:
        calls.append(args["x"].shape[1])
        halved: Tensor = args["x"] * 0.5
        return halved

    found = {}
    for name, model in {"plain": wan_model(), "synced": apply(host, wan_model(), rig(2))}.items():
        patched = model.clone()
        patched.set_model_attn1_patch(patch)
        found[name] = (sample(patched, noise(2)), len(calls), sample(model, noise(2)))
        calls.clear()
    assert found["plain"][1] == found["synced"][1] > 0
    assert all(not torch.equal(patched, without) for patched, _, without in found.values())
