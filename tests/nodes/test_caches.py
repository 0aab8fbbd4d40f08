"""The host's step caches in a collaborative run: nothing of one view, pair or window is put into another."""

from __future__ import annotations

from typing import Any, Literal
from uuid import uuid4

import comfy.samplers
import comfy_extras.nodes_easycache as easycache
import pytest
from torch import Tensor

from tests.golden.cami2v_host import small_model
from tests.nodes import test_cami2v as cami2v
from tests.nodes.host_process import NEWEST, Host
from tests.nodes.runs import Scene, relative
from tests.nodes.test_camera_guidance import guided

REUSE_ALL = {"reuse_threshold": 1e9, "start_percent": 0.0, "end_percent": 1.0, "verbose": False}
"""Every step is skipped that can be: all but the first two. (By smaller thresholds the first view decides for all.)"""

KINDS = ["EasyCache", "LazyCache"] if NEWEST else ["LazyCache"]
"""Caches that keep the parts of a batch apart; EasyCache of 0.3.64 does not."""


def cached(model: Any, kind: str, **settings: Any) -> Any:
    """A MODEL behind the host's EasyCache or LazyCache node."""
    (model,) = getattr(easycache, f"{kind}Node").execute(model=model, **REUSE_ALL | settings).args
    return model


@pytest.fixture
def skipped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Filled with a cache's name whenever it answers instead of the network."""
    found: list[str] = []
    for holder in (easycache.EasyCacheHolder, easycache.LazyCacheHolder):
        original = holder.apply_cache_diff

        def record(self: Any, x: Tensor, *args: Any, original: Any = original, **kwargs: Any) -> Tensor:
            if x.shape[-1] > 1:  # not the guider's own look at how the cache works
                found.append(self.name)
            out: Tensor = original(self, x, *args, **kwargs)
            return out

        monkeypatch.setattr(holder, "apply_cache_diff", record)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_views_keep_their_own(host: Host, kind: str, skipped: list[str]) -> None:
    """With modules that add nothing and the most steps skipped, each view is what it is in a run of its own."""
    scene = Scene(host, steps=5)
    found = scene.together(cached(scene.synced(identity=True), kind))
    together = len(skipped)
    apart = [scene.plain(cached(scene.evolved(view), kind), view) for view in range(scene.views)]
    assert together == 3
    assert len(skipped) == 3 * together
    for view, expected in enumerate(apart):
        assert relative(found[view * scene.frames : (view + 1) * scene.frames], expected) < 1e-3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("native", [False, True])
def test_a_cache_that_reuses_nothing_changes_nothing(host: Host, kind: str, native: bool, skipped: list[str]) -> None:
    scene = Scene(host, views=3, frames=4, size=64, context=(2, 1), native=native)
    plain = scene.together(scene.synced(), strategy="exhaustive")
    found = scene.together(cached(scene.synced(), kind, reuse_threshold=0.0), strategy="exhaustive")
    assert not skipped
    assert relative(found, plain) < 1e-5


@pytest.mark.skipif(not NEWEST, reason="EasyCache of older hosts is refused")
def test_the_branch_without_camera_keeps_its_own(host: Host) -> None:
    """Camera guidance next to none, in a run that reuses all it can, is none: it takes nothing from other branches."""
    scene = Scene(host, size=64, steps=4, native=True)
    plain = scene.together(cached(scene.synced(), "EasyCache"))
    model = scene.synced(model=guided(host, scene.with_motion(), 1 + 1e-5))
    assert relative(scene.together(cached(model, "EasyCache")), plain) < 1e-3


@pytest.mark.parametrize(("kind", "calls"), [(kind, {"EasyCache": 6, "LazyCache": 3}[kind]) for kind in KINDS])
def test_cami2v_reuses_every_branch_for_itself(host: Host, kind: str, calls: int, skipped: list[str]) -> None:
    """Text, picture and camera guided apart, three of five steps skipped, in all branches alike."""
    model = cached(cami2v.apply(host, small_model(host), cami2v.rig()), kind)
    found = cami2v.Run(host, model)(settings={"steps": 5}, camera_cfg=2.0)
    assert len(skipped) == calls
    reused: Literal["branches", "guided"] = "branches" if kind == "EasyCache" else "guided"
    expected = cami2v.expected("256", cami2v.rig(), camera_cfg=2.0, steps=5, reused=reused)
    assert cami2v.deviation(found, expected) < 1e-2


@pytest.fixture
def mixing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's EasyCache as that of 0.3.64 is."""
    if NEWEST:

        def add_to_all(self: Any, x: Tensor, uuids: list[Any], **_options: Any) -> Tensor:
            return x + sum(self.uuid_cache_diffs[uuid] for uuid in uuids)

        monkeypatch.setattr(easycache.EasyCacheHolder, "apply_cache_diff", add_to_all)


MIXES = "adds what it kept of one video to all videos of a batch; use LazyCache"


def test_a_cache_that_mixes_videos_is_refused(host: Host, mixing: None) -> None:
    scene = Scene(host, size=64)
    with pytest.raises(ValueError, match=MIXES):
        scene.guider(cached(scene.synced(), "EasyCache"))


def test_a_cache_that_mixes_branches_is_refused_by_cami2v_in_any_sampler(host: Host, mixing: None) -> None:
    run = cami2v.Run(host, cached(small_model(host), "EasyCache"))
    with pytest.raises(ValueError, match=MIXES):
        run()
    guider = comfy.samplers.CFGGuider(run.model)
    guider.set_conds(run.positive, run.negative)
    sampler, sigmas = run.sampler()
    with pytest.raises(ValueError, match=MIXES):
        guider.sample(run.noise, run.noise, sampler, sigmas, disable_pbar=True, seed=0)


@pytest.mark.parametrize("native", [False, True])
def test_names_come_again_for_the_same_call_only(host: Host, native: bool) -> None:
    """Over a run of three pairs, two windows and two branches: one name for what is kept of each call."""
    scene = Scene(host, views=3, frames=4, size=64, context=(2, 0), steps=2, native=native)
    calls: list[tuple[Any, ...]] = []

    def record(executor: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(tuple(args[5]["uuids"]))
        return executor(*args, **kwargs)

    model = scene.synced()
    model.add_wrapper_with_key("diffusion_model", "test", record)
    scene.together(model, strategy="exhaustive")
    names = {name for call in calls for name in call}
    assert all(len(set(call)) == len(call) for call in calls)
    first, second = calls[: len(calls) // 2], calls[len(calls) // 2 :]
    assert sorted(first) == sorted(second)
    assert len(names) == sum(map(len, first))


def test_windows_of_a_plain_run_have_names_of_their_own(host: Host) -> None:
    """The pack's own motion modules under any other sampler."""
    scene = Scene(host, views=2, frames=4, size=64, context=(2, 0), steps=1, native=True)
    calls: list[tuple[Any, ...]] = []

    def record(executor: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(tuple(args[5]["uuids"]))
        return executor(*args, **kwargs)

    model = scene.with_motion()
    model.add_wrapper_with_key("diffusion_model", "test", record)
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(scene.positive, scene.negative)
    guider.set_cfg(scene.cfg)
    scene.sample(guider)
    assert len({name for call in calls for name in call}) == sum(map(len, calls)) == 2 * 2


def test_names_are_told_apart_by_everything(host: Host) -> None:
    names = host.pack("nodes.host.names")
    cond, uncond = uuid4(), uuid4()
    calls = [((0, 1),), ((0, 2),), ((0, 1), (2, 3))]
    found = [
        name
        for groups in calls
        for frames in (None, (0, 1), (1, 2))
        for name in names.named_apart(names.named([cond, uncond], groups, frames), 2)
    ]
    assert len(set(found)) == len(found) == 3 * 3 * 4
    assert names.named([cond], calls[0], None) == names.named([cond], calls[0], None)
