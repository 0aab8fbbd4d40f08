"""Sync modules go into a model for a run and leave no trace in any other."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import comfy.model_management
import comfy.samplers
import pytest
import torch

from cvd_core.sync.module import SyncModule, SyncModules
from tests import formula
from tests.nodes import small_network as small
from tests.nodes.fresh_process import run_fresh
from tests.nodes.host_process import Host
from tests.nodes.runs import Scene, plain_results, relative


@pytest.fixture
def scene(host: Host) -> Scene:
    return Scene(host, size=64, frames=2, steps=2)


def layer_names(model: Any) -> list[list[str]]:
    unet = model.model.diffusion_model
    return [[type(layer).__name__ for layer in layers] for layers in (*unet.input_blocks, *unet.output_blocks)]


@pytest.mark.parametrize("sync_first", [False, True])
def test_place_in_every_block(host: Host, sync_first: bool) -> None:
    """Resnet, attention, motion, sync, upsampler, whichever node came first; none in the middle."""
    scene = Scene(host, size=64, steps=1, sync_first=sync_first)
    model = scene.synced()
    scene.together(model)
    blocks = layer_names(model)
    with_resnet = [names for names in blocks if "ResBlock" in names]
    assert len(with_resnet) == 20
    order = ["ResBlock", "SpatialTransformer", "VanillaTemporalModule", "SyncModule", "Upsample"]
    for names in with_resnet:
        assert names == [name for name in order if name in names]
        assert names.count("SyncModule") == names.count("VanillaTemporalModule") == 1
    assert not any("SyncModule" in names for names in blocks if "ResBlock" not in names)
    assert not any(isinstance(layer, SyncModule) for layer in model.model.diffusion_model.middle_block)
    model.detach()
    assert not any("SyncModule" in names or "VanillaTemporalModule" in names for names in layer_names(model))


def test_plain_sampler_ignores_them(scene: Scene) -> None:
    plain = scene.plain(scene.evolved(), 0)
    model = scene.synced()
    assert torch.equal(scene.plain(model, 0), plain)
    scene.together(model)
    assert torch.equal(scene.plain(model, 0), plain)
    assert torch.equal(scene.plain(scene.evolved(), 0), plain)


def test_runs_do_not_depend_on_what_ran_before(scene: Scene) -> None:
    model = scene.synced()
    first = scene.together(model)
    scene.plain(scene.evolved(1), 1)
    assert torch.equal(scene.together(model), first)
    assert torch.equal(scene.together(scene.synced()), first)


def test_a_dropped_clone_takes_nothing_along(scene: Scene) -> None:
    """Clones share the network and believe that they injected it; dropping one ejects."""
    model = scene.synced()
    first = scene.together(model)
    model.clone()
    gc.collect()
    assert torch.equal(scene.together(model), first)


def test_two_sync_models_in_one_graph(scene: Scene) -> None:
    other_modules = SyncModules(small.WIDTHS, comfy.ops.manual_cast)
    halved = {k: v / 2 if k.endswith("proj_out.weight") else v for k, v in small.sync_modules().state_dict().items()}
    other_modules.load_state_dict(halved)
    injection = scene.host.pack("nodes.host.injection")
    one = scene.synced()
    settings = one.get_attachment(injection.KEY)
    two = injection.apply_sync(scene.evolved(), injection.managed(other_modules.eval()), settings)
    first, second = scene.together(one), scene.together(two)
    assert relative(second, first) > 1e-2
    assert torch.equal(scene.together(one), first)
    assert torch.equal(scene.together(two), second)
    # Applied on top of another, the last one counts.
    stacked = injection.apply_sync(one, injection.managed(other_modules), settings)
    assert torch.equal(scene.together(stacked), second)


def test_modules_are_the_hosts_to_load(scene: Scene) -> None:
    model = scene.synced()
    (sync,) = model.get_additional_models_with_key(scene.host.pack("nodes.host.injection").KEY)
    scene.together(model)
    assert sync.model in [m.model.model for m in comfy.model_management.current_loaded_models if m.model is not None]


def test_half_precision_modules_compute_in_the_unets(scene: Scene) -> None:
    injection = scene.host.pack("nodes.host.injection")
    modules = SyncModules(small.WIDTHS, comfy.ops.manual_cast)
    modules.load_state_dict(small.sync_modules().state_dict())
    settings = scene.synced().get_attachment(injection.KEY)
    half = injection.apply_sync(scene.evolved(), injection.managed(modules.half().eval()), settings)
    out = scene.together(half)
    assert out.isfinite().all()
    assert next(modules.parameters()).dtype == torch.float16


def test_weight_patches_meet_their_layers(host: Host) -> None:
    """A LoRA on an upsampler, whose place in its block the injected modules shift."""
    scene = Scene(host, steps=1)
    key = "diffusion_model.output_blocks.5.2.conv.weight"
    weight = scene.base.model.state_dict()[key].clone()
    unpatched = scene.apart()
    patched = scene.base.clone()
    patched.add_patches({key: ("diff", (0.3 * formula.noise("lora", tuple(weight.shape)),))})
    scene.base = patched
    together = scene.together(scene.synced(identity=True))
    assert relative(together, scene.apart()) < 1e-5
    assert relative(together, unpatched) > 1e-3
    patched.detach()
    assert torch.equal(scene.base.model.state_dict()[key], weight)


def cancel(*_: Any) -> None:
    comfy.model_management.interrupt_current_processing()
    comfy.model_management.throw_exception_if_processing_interrupted()


def out_of_memory(*_: Any) -> None:
    raise comfy.model_management.OOM_EXCEPTION("stub: no memory left")


def wrong(*_: Any) -> None:
    raise RuntimeError("stub: something is wrong")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """Plain runs of a host that has done nothing else."""
    results: dict[str, torch.Tensor] = run_fresh("plain_runs", tmp_path_factory.mktemp("fresh"))
    return results


@pytest.mark.parametrize("failure", [cancel, out_of_memory, wrong])
@pytest.mark.parametrize("where", ["module", "callback"])
def test_host_stays_usable_after_a_failure(
    scene: Scene, fresh: dict[str, torch.Tensor], failure: Callable[..., None], where: str
) -> None:
    together = scene.together(scene.synced())
    sampling_function = comfy.samplers.sampling_function
    model = scene.synced()
    guider = scene.guider(model)
    options: dict[str, Any] = {}
    if where == "module":
        modules = model.get_additional_models_with_key("cvd")[0].model
        handle = modules.up_blocks[1].epi_modules[1].register_forward_pre_hook(failure)
    else:
        options["callback"] = failure
    with pytest.raises((RuntimeError, comfy.model_management.InterruptProcessingException)) as told:
        scene.sample(guider, **options)
    if failure is out_of_memory and where == "module":
        assert str(told.value).startswith(
            "not enough memory; set views_per_pass to 2, or make width and height smaller ("
        )
    if where == "module":
        handle.remove()
    assert comfy.samplers.sampling_function is sampling_function
    assert guider.model_options is model.model_options
    for name, found in plain_results(scene).items():
        assert torch.equal(found, fresh[name]), name
    assert torch.equal(scene.plain(model, 0), fresh["animatediff"])
    assert torch.equal(scene.together(scene.synced()), together)
    model.detach()
    assert not any("SyncModule" in names for names in layer_names(model))


def test_memory_is_asked_for_the_views_that_run_together(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(host, views=4, frames=6, size=64, steps=1, context=(4, 2))
    asked: list[int] = []
    model = scene.synced()
    original = type(model.model).memory_required

    def record(self: Any, input_shape: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append(input_shape[0])
        return original(self, input_shape, *args, **kwargs)

    monkeypatch.setattr(type(model.model), "memory_required", record)
    scene.together(model, views_per_pass=2)
    assert asked[:2] == [2 * 2 * 4, 2 * 4]  # with both branches, and at least
    assert max(asked) == 2 * 2 * 4
    asked.clear()
    scene.together(model)
    assert asked[:2] == [2 * 4 * 4, 4 * 4]
