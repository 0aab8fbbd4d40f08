"""This pack's own motion backend against AnimateDiff-Evolved on the same weights, and on its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import comfy.model_management
import pytest
import torch
from safetensors.torch import save_file

from cvd_core.motion.module import MotionModule
from cvd_core.networks.layout import Site
from cvd_core.sync.module import SyncModule
from tests import formula
from tests.golden import host as golden
from tests.golden.case import Case
from tests.nodes import small_network as small
from tests.nodes.fresh_process import run_fresh
from tests.nodes.host_process import Host
from tests.nodes.runs import Scene, plain_results, relative
from tests.nodes.test_injection import cancel, out_of_memory, wrong
from tests.nodes.test_parity import GOLDENS

BOTH = r"Apply Motion \+ Camera and \w+ AnimateDiff-Evolved"

OPTIONS: list[dict[str, Any]] = [
    {"views": 3},
    {"cfg": 1.0},
    {"sync_first": True, "sampler": "dpmpp_2m"},
    {"sampler": "ddim", "scheduler": "ddim_uniform"},
    {"frames": 6, "context": (4, 2)},
    {"frames": 7, "context": (3, 1), "views": 1},
    {"size": (192, 128)},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equal_to_animatediff_evolved(host: Host, options: dict[str, Any]) -> None:
    """A collaborative run with real sync modules."""
    evolved = Scene(host, **options)
    native = replace(evolved, native=True)
    expected = evolved.together(evolved.synced())
    assert relative(native.together(native.synced()), expected) < 1e-4


@pytest.mark.parametrize("sampler", ["euler_ancestral", "uni_pc", "heun", "lcm"])
def test_collaborative_runs_of_other_samplers(host: Host, sampler: str) -> None:
    evolved = Scene(host, sampler=sampler, steps=3)
    native = replace(evolved, native=True)
    expected = evolved.together(evolved.synced())
    assert relative(native.together(native.synced()), expected) < 1e-4


@pytest.mark.parametrize("options", [{}, {"frames": 6, "context": (4, 2)}], ids=str)
def test_plain_samplers_make_a_video_per_view(host: Host, options: dict[str, Any]) -> None:
    """The host's own guider on one batch of all views, against one AnimateDiff-Evolved run per view."""
    scene = Scene(host, size=64, views=3, native=True, **options)
    assert relative(scene.plain_batch(scene.with_motion()), scene.apart()) < 1e-4


def test_a_middle_module(host: Host) -> None:
    """As v2 has it, against AnimateDiff-Evolved."""
    scene = Scene(host, size=64, views=1)
    motion = small.motion_model(host, middle=True)
    poses = small.pose_rows(scene.cameras, 0, scene.size)
    expected = scene.plain(small.evolved(host, scene.base, motion, poses), 0)
    native = small.native(
        host, scene.base, small.native_motion(host, middle=True), small.native_camera(host), scene.rays
    )
    assert relative(scene.plain_batch(native), expected) < 1e-4
    assert relative(scene.plain_batch(native), scene.plain(scene.evolved(), 0)) > 1e-3


def test_without_camera_control(host: Host) -> None:
    scene = Scene(host, size=64, views=1)
    motion = small.motion_model(host, camera=False)
    expected = scene.plain(small.evolved(host, scene.base, motion, None), 0)
    found = scene.plain_batch(small.native(host, scene.base, small.native_motion(host), None, scene.rays))
    assert relative(found, expected) < 1e-4
    zero = small.native(host, scene.base, *Scene(host, native=True).own_motion, scene.rays, camera_strength=0.0)
    assert relative(scene.plain_batch(zero), expected) < 1e-4


def test_a_motion_lora(host: Host, tmp_path: Path) -> None:
    """As a patch of the host, against one that AnimateDiff-Evolved merges; taken off again afterwards."""
    keys = formula.key_list("reduced")["mm"]
    lora = {}
    for key, shape in keys.items():
        base, _, last = key.removesuffix(".weight").removesuffix(".0").rpartition(".")
        if last in ("to_q", "to_k", "to_v", "to_out") and key.endswith("weight"):
            name = f"{base}.processor.{last}_lora"
            lora[f"{name}.down.weight"] = formula.weight(f"{name}.down", [4, shape[1]])
            lora[f"{name}.up.weight"] = formula.weight(f"{name}.up", [shape[0], 4])
    file = tmp_path / "lora.safetensors"
    save_file(lora, file)
    scene = Scene(host, size=64, views=1)
    motion = small.motion_model(host)
    before = {key: value.clone() for key, value in motion.model.state_dict().items()}
    merged = {}
    for key, value in before.items():
        base, _, last = key.removesuffix(".weight").removesuffix(".0").rpartition(".")
        name = f"{base}.processor.{last}_lora"
        if key.endswith("weight") and f"{name}.up.weight" in lora:
            merged[key] = value + 0.5 * lora[f"{name}.up.weight"] @ lora[f"{name}.down.weight"]
    assert len(merged) == 160
    motion.model.load_state_dict(before | merged)
    poses = small.pose_rows(scene.cameras, 0, scene.size)
    expected = scene.plain(small.evolved(host, scene.base, motion, poses), 0)
    own, camera = small.native_motion(host), small.native_camera(host)
    weights = {key: value.clone() for key, value in own.model.state_dict().items()}
    patched = host.pack("nodes.host.native").with_motion_lora(own, file, 0.5)
    model = small.native(host, scene.base, patched, camera, scene.rays)
    assert relative(scene.plain_batch(model), expected) < 1e-4
    plain = scene.plain_batch(small.native(host, scene.base, own, camera, scene.rays))
    assert relative(plain, expected) > 1e-3
    assert relative(plain, scene.plain(scene.evolved(), 0)) < 1e-4
    for patcher in (patched, own):
        patcher.detach()
    assert all(torch.equal(value, weights[key]) for key, value in own.model.state_dict().items())


def test_order_in_every_block(host: Host) -> None:
    """Resnet, attention, motion, sync, upsampler, whichever node came first, and nothing left behind."""
    for sync_first in (False, True):
        scene = Scene(host, size=64, steps=1, sync_first=sync_first, native=True)
        model = scene.synced()
        scene.together(model)
        unet = model.model.diffusion_model
        blocks = [[type(layer).__name__ for layer in layers] for layers in (*unet.input_blocks, *unet.output_blocks)]
        order = ["ResBlock", "SpatialTransformer", "MotionModule", "SyncModule", "Upsample"]
        for names in blocks:
            if "ResBlock" in names:
                assert names == [name for name in order if name in names]
                assert names.count("SyncModule") == names.count("MotionModule") == 1
        model.detach()
        assert not any(isinstance(layer, MotionModule | SyncModule) for layer in unet.modules())


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """Plain runs of a host that has done nothing else."""
    results: dict[str, torch.Tensor] = run_fresh("plain_runs", tmp_path_factory.mktemp("fresh"))
    return results


@pytest.mark.parametrize("failure", [cancel, out_of_memory, wrong])
@pytest.mark.parametrize("where", ["module", "callback"])
def test_host_stays_usable_after_a_failure(
    host: Host, fresh: dict[str, torch.Tensor], failure: Callable[..., None], where: str
) -> None:
    scene = Scene(host, size=64, native=True)
    together = scene.together(scene.synced())
    model = scene.synced()
    guider = scene.guider(model)
    options: dict[str, Any] = {}
    if where == "module":
        module = model.get_additional_models_with_key("cvd motion")[0].model.at(Site("up", 1, 1, 64, 2))
        handle = module.register_forward_pre_hook(failure)
    else:
        options["callback"] = failure
    with pytest.raises((RuntimeError, comfy.model_management.InterruptProcessingException)):
        scene.sample(guider, **options)
    if where == "module":
        handle.remove()
    assert guider.model_options is model.model_options
    assert not model.get_attachment("cvd motion")._features
    for name, found in plain_results(scene).items():
        assert torch.equal(found, fresh[name]), name
    assert torch.equal(scene.together(scene.synced()), together)
    model.detach()


def test_partly_loaded_modules_give_the_same(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a card without memory to spare: the weights stay away and are cast where they are used."""
    whole = Scene(host, size=64, native=True)
    expected = whole.together(whole.synced())
    scene = Scene(host, size=64, native=True)
    model = scene.synced()
    parts = model.get_additional_models_with_key("cvd motion")
    with monkeypatch.context() as patch:
        patch.setattr(comfy.model_management, "vram_state", comfy.model_management.VRAMState.NO_VRAM)
        patch.setattr(comfy.model_management, "is_device_cpu", lambda _device: False)
        comfy.model_management.load_models_gpu(parts)
    assert all(part.model.model_lowvram for part in parts)
    assert torch.equal(scene.together(model), expected)


def test_what_does_not_fit(host: Host) -> None:
    scene = Scene(host, size=64, frames=20, native=True)
    with pytest.raises(ValueError, match="20 frames without windows: the CameraCtrl pose encoder"):
        scene.with_motion()
    with pytest.raises(ValueError, match="context windows of 17 frames"):
        small.native(host, scene.base, *scene.own_motion, scene.rays, context=(17, 4))
    other = Scene(host, size=64, views=3)
    guider = host.pack("nodes.host.guider").CollaborativeGuider
    scene = Scene(host, size=64, native=True)
    with pytest.raises(ValueError, match="have different cameras or sizes"):
        guider(scene.synced(), other.rays)
    with pytest.raises(ValueError, match="already has motion modules of AnimateDiff-Evolved"):
        small.native(host, scene.evolved(), *scene.own_motion, scene.rays)
    both = scene.evolved(model=scene.with_motion())
    with pytest.raises(ValueError, match=BOTH):
        guider(both, scene.rays)
    with pytest.raises(ValueError, match=BOTH):
        scene.plain_batch(both)
    short = Scene(host, size=64, frames=3, native=True)
    with pytest.raises(ValueError, match=r"holds 6 frames; the cameras .* are 2 views x 2 frames = 4"):
        short.plain_batch(scene.with_motion())


def test_the_noise_schedule(host: Host) -> None:
    """AnimateDiff's, as AnimateDiff-Evolved chooses it - or the model's own."""
    scene = Scene(host, size=64, native=True)
    evolved = scene.evolved().get_model_object("model_sampling").sigmas
    assert torch.allclose(scene.with_motion().get_model_object("model_sampling").sigmas, evolved, rtol=1e-5)
    kept = small.native(host, scene.base, *scene.own_motion, scene.rays, linear_betas=False)
    own = scene.base.get_model_object("model_sampling").sigmas
    assert torch.equal(kept.get_model_object("model_sampling").sigmas, own)
    assert not torch.allclose(own, evolved, rtol=0.1)


def test_a_distilled_models_timesteps_are_kept(host: Host) -> None:
    """ModelSamplingDiscrete "lcm" in front: the same 50 timesteps, at the noise that AnimateDiff has there."""
    from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete

    scene = Scene(host, size=64, views=1, native=True)
    (distilled,) = ModelSamplingDiscrete().patch(scene.base, "lcm", False)
    before = distilled.get_model_object("model_sampling")
    after = small.native(host, distilled, *scene.own_motion, scene.rays).get_model_object("model_sampling")
    linear = scene.with_motion().get_model_object("model_sampling").sigmas
    expected = torch.arange(19, 1000, 20)
    assert torch.equal(before.timestep(before.sigmas), expected)
    assert torch.equal(after.timestep(after.sigmas), expected)
    assert torch.equal(after.sigmas, linear[expected])


def test_position_tables_that_a_file_leaves_out(host: Host, tmp_path: Path) -> None:
    """AnimateLCM's files, through the loader of the pack: as with AnimateDiff's tables, for up to 64 frames."""
    state = formula.tensors(formula.key_list("reduced")["mm"])
    path = tmp_path / "lcm.safetensors"
    save_file({key: value.clone() for key, value in state.items() if not key.endswith(".pe")}, path)
    motion = host.pack("nodes.host.native").load_motion(path)
    assert motion.model.positions == 64
    scene = Scene(host, size=64, views=1, native=True, cfg=1.0)
    found = scene.plain_batch(small.native(host, scene.base, motion, small.native_camera(host), scene.rays))
    assert relative(found, scene.plain_batch(scene.with_motion())) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.stem)
def test_goldens(host: Host, path: Path) -> None:
    case = Case(path)
    outcome = (golden.replay_unet if case.kind == "unet" else golden.replay_sample)(host, case, native=True)
    if outcome is None:
        pytest.skip("the host makes no such call")
    assert outcome.ok, f"off by {outcome.error:.2e}, tolerance {outcome.tolerance:.1e}"


def test_golden_pair(host: Host) -> None:
    outcome = golden.replay_unet(host, Case(formula.DATA / "unet_pair128_16x16.npz"), native=True)
    assert outcome is not None
    assert outcome.error < 1e-3
