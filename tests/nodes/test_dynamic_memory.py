"""Runs under the newest hosts' dynamic VRAM, driven on the CPU: its patcher as on a GPU, its pinned buffers stubbed."""

from __future__ import annotations

from typing import Any

import comfy.model_patcher
import pytest
import torch

from tests.golden.cami2v_host import small_model
from tests.nodes import small_network as small
from tests.nodes import small_wan
from tests.nodes.host_process import NEWEST, OLDER, Host
from tests.nodes.runs import Scene
from tests.nodes.test_cami2v import Run, apply, rig

pytestmark = pytest.mark.skipif(not NEWEST, reason=OLDER)


class NoBuffer:
    """Stands for pinned memory of the driver, which a CPU has not; nothing is ever put into it."""

    size = 0

    def __init__(self, *_sizes: int) -> None:
        pass

    def truncate(self, *_args: Any, **_options: Any) -> None:
        pass


@pytest.fixture
def dynamic(monkeypatch: pytest.MonkeyPatch) -> type:
    """The host's ModelPatcherDynamic, not rerouted to the plain one for being on a CPU."""
    import comfy_aimdo.host_buffer

    kind: type = comfy.model_patcher.ModelPatcherDynamic
    monkeypatch.setattr(comfy_aimdo.host_buffer, "HostBuffer", NoBuffer)
    monkeypatch.setattr(kind, "__new__", lambda cls, *_args, **_options: object.__new__(cls))
    return kind


@pytest.mark.parametrize("native", [False, True])
def test_schedules_of_models_on_one_network_stay_apart(host: Host, dynamic: Any, native: bool) -> None:
    """The checkpoint alone, then with motion modules of another schedule, then alone again (ComfyUI issue 16490)."""
    scene = Scene(host, size=64, steps=4, native=native)  # two steps have the first and the last level of any schedule
    alone, together = scene.plain(scene.base, 0), scene.together(scene.synced())
    models = (scene.base, scene.with_motion())
    schedules = [float(model.get_model_object("model_sampling").sigma_max) for model in models]
    assert schedules[1] > 1.5 * schedules[0]

    scene = Scene(host, size=64, steps=4, native=native)
    scene.base = dynamic(scene.base.model, small.CPU, small.CPU)
    assert torch.equal(scene.plain(scene.base, 0), alone)
    assert torch.equal(scene.together(scene.synced()), together)
    assert torch.equal(scene.plain(scene.base, 0), alone)
    for model, schedule in zip((scene.base, scene.with_motion()), schedules, strict=True):
        assert float(model.get_model_object("model_sampling").sigma_max) == schedule


@pytest.mark.parametrize("part", ["model", "motion", "camera", "sync"])
def test_models_are_made_anew_where_the_host_asks(host: Host, part: str) -> None:
    """For another GPU, or a run without dynamic VRAM; nothing is shared with the first."""
    first = getattr(host.pack("nodes.host.mini").load_mini(), part)
    load, arguments = first.cached_patcher_init
    for again in (load(*arguments), load(*arguments, disable_dynamic=True), first.clone(force_deepcopy=True)):
        assert again.model is not first.model
        assert type(again) is comfy.model_patcher.ModelPatcher
        found, expected = again.model.state_dict(), first.model.state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_free_memory_is_what_the_host_would_take(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The patcher's answer counts what can be taken back, the device's does not."""
    base = small.base_model()
    monkeypatch.setattr(base, "get_free_memory", lambda _device: 12345)
    assert host.pack("nodes.host.memory").free_memory(base) == 12345


def test_sync_modules_with_dynamic_weights(host: Host, dynamic: Any) -> None:
    scene = Scene(host, size=64)
    static = scene.together(scene.synced())
    injection = host.pack("nodes.host.injection")
    scene = Scene(host, size=64)
    scene.base = dynamic(scene.base.model, small.CPU, small.CPU)
    settings = scene.synced().get_attachment(injection.KEY)
    sync = dynamic(small.sync_modules(), small.CPU, small.CPU)
    assert torch.equal(scene.together(injection.apply_sync(scene.evolved(), sync, settings)), static)


def test_syncam_modules_with_dynamic_weights(host: Host, dynamic: Any) -> None:
    latent, cameras = small_wan.noise(2), small_wan.rig(2)
    static = small_wan.sample(small_wan.apply(host, small_wan.wan_model(), cameras), latent)
    model = dynamic(small_wan.wan_model().model, small.CPU, small.CPU)
    syncam = dynamic(small_wan.modules(host).model, small.CPU, small.CPU)
    assert torch.equal(small_wan.sample(small_wan.apply(host, model, cameras, syncam), latent), static)


def test_picture_to_video_with_dynamic_weights(host: Host, dynamic: Any) -> None:
    """CamI2V's network, pose encoder and register tokens, loaded for a run as on a GPU."""
    dynamically = dynamic(small_model(host).model, small.CPU, small.CPU)
    found, expected = (
        Run(host, apply(host, model, rig()))(camera_cfg=2.0) for model in (dynamically, small_model(host))
    )
    assert torch.equal(found, expected)
