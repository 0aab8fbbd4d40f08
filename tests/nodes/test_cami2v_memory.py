"""CamI2V where memory runs out: what the artist is told, and what the host does then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.model_management
import pytest
import torch

from tests.golden.cami2v_host import small_model
from tests.nodes.host_process import Host
from tests.nodes.test_cami2v import Run, apply, rig
from tests.nodes.test_injection import out_of_memory

ADVICE = "not enough memory; make width and height of Picture To Video Conditioning smaller, or its videos fewer ("


def allocate(*_: Any) -> None:
    torch.empty(2**50)


def graph(host: Host, run: Run) -> dict[str, Any]:
    """A run as a prompt."""
    sampler, sigmas = run.sampler()
    given = {"guider": run.guider(), "sampler": sampler, "sigmas": sigmas}
    given |= {"latent_image": {"samples": torch.zeros_like(run.noise)}}
    types = {"latent_image": "LATENT"}
    provided = {name: host.provide(types.get(name, name.upper()), value) for name, value in given.items()}
    inputs = {name: [name, 0] for name in ["noise", *given]}
    noise = {"class_type": "RandomNoise", "inputs": {"noise_seed": 5}}
    return {**provided, "noise": noise, "sample": {"class_type": "SamplerCustomAdvanced", "inputs": inputs}}


@pytest.mark.parametrize("failure", [allocate, out_of_memory])
@pytest.mark.parametrize("place", ["unet.middle_block.0", "camera.pose_encoder"])
def test_want_of_memory_says_what_to_make_smaller(host: Host, failure: Callable[..., None], place: str) -> None:
    """In a line; the host knows its own exception again and unloads; the model then works as before."""
    run = Run(host, apply(host, small_model(host), rig()))
    before = run()
    hook = run.model.model.diffusion_model.get_submodule(place).register_forward_pre_hook(failure)
    done = host.run(graph(host, run), outputs=["sample"])
    hook.remove()
    assert not done.validation, done
    assert done.failed_node == "sample"
    told, *more = done.error.splitlines()
    assert told.startswith(ADVICE)
    if failure is out_of_memory:
        assert told.endswith("stub: no memory left)")
        assert more  # the host's own words
        assert not comfy.model_management.current_loaded_models
    else:
        assert "can't allocate memory" in told
        assert not more
    assert torch.equal(run(), before)


def test_other_errors_are_left_as_they_are(host: Host) -> None:
    run = Run(host, small_model(host))

    def fail(*_: Any) -> None:
        raise RuntimeError("shapes")

    run.model.model.diffusion_model.unet.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match=r"^shapes$"):
        run()
