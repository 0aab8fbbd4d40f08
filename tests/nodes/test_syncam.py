"""SynCamMaster on the host's Wan: the recorded numbers through its samplers, and what a graph may get wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import comfy.model_management
import comfy.model_patcher
import pytest
import torch
from torch import Tensor, nn

from cvd_core.syncam.cameras import FRAME_STRIDE, camera_embedding
from tests import formula
from tests.golden.case import Case
from tests.nodes.host_process import Host
from tests.nodes.small_wan import CPU, DATA, apply, modules, noise, rig, run, sample, wan_model, weights, with_shift


def from_embedding(embedding: Tensor) -> Callable[..., Tensor]:
    """The recorded sampler has camera numbers that are no poses."""
    return lambda *_: embedding


@pytest.mark.parametrize("name", ["syncam_sampler_tiny", "syncam_sample_v2_static"])
def test_recorded_sampling(host: Host, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(DATA / f"{name}.npz")
    meta = json.loads(str(case.arrays["meta"]))
    tiny = "noise" in case
    state = {key[2:]: case.tensor(key) for key in case.arrays if key.startswith("w.")} if tiny else weights()
    embedding = case.tensor("cam_emb")
    monkeypatch.setattr(host.pack("nodes.host.wan"), "camera_embedding", from_embedding(embedding))
    cameras = rig(len(embedding), FRAME_STRIDE * (embedding.shape[1] - 1) + 1)
    model = apply(host, wan_model(state), cameras, modules(host, state))
    shape = meta.get("latent")
    start = case.tensor("noise") if tiny else formula.noise(f"{meta['tag']}/noise", shape)
    texts = [
        case.tensor(name) if tiny else formula.noise(f"{meta['tag']}/{name}", meta["context"])
        for name in ("context", "negative")
    ]
    sampled = with_shift(model)
    found = run(sampled, start, meta["steps"], meta["cfg"], *texts)
    expected = case.tensor("latents" if tiny else "final")
    # the host hands out latents in the VAE's scale
    found = model.model.process_latent_in(found)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("views", [1, 2, 3, 4, 5, 6])
def test_views_agree_with_the_module_and_not_without(host: Host, views: int) -> None:
    """The batch with a zero projector is plain Wan bit for bit; with the module, views of a scene change each other."""
    model = wan_model()
    plain = sample(model, noise(views))
    zero = {key: torch.zeros_like(value) if "projector" in key else value for key, value in weights().items()}
    assert torch.equal(sample(apply(host, model, rig(views), modules(host, zero)), noise(views)), plain)
    synced = sample(apply(host, model, rig(views)), noise(views))
    assert float((synced - plain).abs().max()) > 1e-3
    assert torch.equal(sample(model, noise(views)), plain)  # and leaves no trace


def test_strength_and_range(host: Host) -> None:
    model = wan_model()
    plain, full = sample(model, noise(2)), sample(apply(host, model, rig(2)), noise(2))
    assert torch.equal(sample(apply(host, model, rig(2), strength=0.0), noise(2)), plain)
    late = sample(apply(host, model, rig(2), start_percent=0.2), noise(2))
    assert not torch.equal(late, full)
    assert not torch.equal(late, plain)
    with pytest.raises(ValueError, match="never be active"):
        apply(host, model, rig(2), start_percent=0.6, end_percent=0.4)


def test_two_scenes_in_one_batch(host: Host) -> None:
    """Scenes are blocks of V rows; each comes out as if it were alone."""
    model = apply(host, wan_model(), rig(2))
    both = sample(model, noise(4))
    for scene in (slice(2), slice(2, 4)):
        torch.testing.assert_close(both[scene], sample(model, noise(4)[scene]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("size", "frames"), [((6, 14), 1), ((14, 6), 5), ((10, 10), 13), ((7, 9), 5)])
def test_sizes_and_lengths(host: Host, size: tuple[int, int], frames: int) -> None:
    """Rectangles, portraits, sides that are no multiple of the patch, a single picture, any 4n + 1 frames."""
    latent = noise(3, (frames - 1) // FRAME_STRIDE + 1, *size)
    model = wan_model()
    found = sample(apply(host, model, rig(3, frames)), latent, steps=1)
    assert found.shape == latent.shape
    assert bool(found.isfinite().all())
    assert float((found - sample(model, latent, steps=1)).abs().max()) > 1e-3


def test_pairs(host: Host) -> None:
    """With two views there is one pair; with four, pairs differ from joint, and memory limits change nothing."""
    model = wan_model()
    pair = sample(apply(host, model, rig(2), pair_strategy="partition"), noise(2))
    torch.testing.assert_close(pair, sample(apply(host, model, rig(2)), noise(2)), atol=1e-5, rtol=1e-5)
    four = {
        s: sample(apply(host, model, rig(4), pair_strategy=s), noise(4)) for s in ("joint", "partition", "exhaustive")
    }
    assert float((four["joint"] - four["partition"]).abs().max()) > 1e-4
    assert float((four["exhaustive"] - four["partition"]).abs().max()) > 1e-4
    limited = sample(apply(host, model, rig(4), pair_strategy="partition", views_per_pass=2), noise(4))
    torch.testing.assert_close(limited, four["partition"], atol=1e-4, rtol=1e-4)
    again = sample(apply(host, model, rig(4), pair_strategy="partition"), noise(4))
    assert torch.equal(again, four["partition"])


@pytest.mark.parametrize("views", [3, 5])
def test_odd_numbers_of_views_in_pairs(host: Host, views: int) -> None:
    """The odd view joins a pair, every view is made once, and the seed of the matchings decides."""
    model = wan_model()
    found = sample(apply(host, model, rig(views), pair_strategy="partition"), noise(views))
    assert bool(found.isfinite().all())
    limited = sample(apply(host, model, rig(views), pair_strategy="partition", views_per_pass=2), noise(views))
    torch.testing.assert_close(limited, found, atol=1e-4, rtol=1e-4)
    several = {"pair_strategy": "multi-partition", "partitions": 3}
    one, other = (sample(apply(host, model, rig(views), **several, pair_seed=seed), noise(views)) for seed in (0, 1))
    assert torch.equal(one, other) == (views == 3)  # three views have one matching


def test_pairs_are_averaged_predictions_of_two_views(host: Host) -> None:
    """One step of all pairs of three views: each view's mean over its two pairs, each relative to its first view."""
    model, cameras, latent = wan_model(), rig(3), noise(3)
    found = sample(apply(host, model, cameras, pair_strategy="exhaustive"), latent, steps=1)
    total = torch.zeros_like(latent)
    for pair in ([1, 2], [0, 2], [0, 1]):
        total[pair] += sample(apply(host, model, cameras.select(pair)), latent[pair], steps=1)
    torch.testing.assert_close(found, total / 2, atol=1e-4, rtol=1e-4)


def test_guidance_in_one_call_or_two(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host runs cond and uncond apart where memory is short."""
    model = apply(host, wan_model(), rig(2))
    together = sample(model, noise(2))
    monkeypatch.setattr(type(model), "memory_required", lambda *_: 1e30, raising=False)
    monkeypatch.setattr(type(model.model), "memory_required", lambda *_, **__: 1e30)
    torch.testing.assert_close(sample(model, noise(2)), together, atol=1e-5, rtol=1e-5)


def hooks(model: Any) -> int:
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.model.diffusion_model.modules()
    )


def test_an_exception_leaves_nothing_behind(host: Host) -> None:
    model = apply(host, wan_model(), rig(2))
    full = sample(model, noise(2))

    class StopError(Exception):
        pass

    def stop(args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        raise StopError

    broken = model.clone()
    broken.set_model_patch_replace(stop, "dit", "double_block", 2)
    with pytest.raises(StopError):
        sample(broken, noise(2))
    assert hooks(model) == 0
    assert torch.equal(sample(model, noise(2)), full)


@pytest.mark.parametrize("strategy", ["joint", "exhaustive"])
def test_cancel(host: Host, strategy: str) -> None:
    """Pressed in the middle of a step, it stops the run before the next network call and leaves the model clean."""
    model = apply(host, wan_model(), rig(3), pair_strategy=strategy)
    full = sample(model, noise(3))
    calls = 0

    def press(args: dict[str, Any], extra: dict[str, Any]) -> Any:
        nonlocal calls
        calls += 1
        comfy.model_management.interrupt_current_processing()
        return extra["original_block"](args)

    pressed = model.clone()
    pressed.set_model_patch_replace(press, "dit", "double_block", 0)
    try:
        with pytest.raises(comfy.model_management.InterruptProcessingException):
            sample(pressed, noise(3))
    finally:
        comfy.model_management.interrupt_current_processing(False)
    assert calls == 1
    assert hooks(model) == 0
    assert torch.equal(sample(model, noise(3)), full)


def test_modules_that_another_node_took_away_are_missed(host: Host) -> None:
    """Rather than videos that do not know of each other."""
    model = apply(host, wan_model(), rig(2))
    model.remove_injections("cvd syncam")
    with pytest.raises(ValueError, match="modules are not loaded"):
        sample(model, noise(2))


def test_bad_graphs(host: Host) -> None:
    model = wan_model()
    for latent in (noise(3), noise(2)[:, :4], noise(2)[:, :, 0], torch.cat([noise(2)] * 3, 1)):
        with pytest.raises(ValueError, match=r"one video of 16 channels for each of the 2 cameras"):
            sample(apply(host, model, rig(2)), latent)
    narrow = [torch.zeros(1, 9, 24) for _ in range(2)]
    with pytest.raises(ValueError, match=r"24 numbers per token, Wan takes 32; encode the prompt with UMT5-XXL"):
        run(apply(host, model, rig(2)), noise(2), 1, 5.0, *narrow)
    with pytest.raises(ValueError, match=r"3 latent frames \(9 frames of video\), but the cameras have 5 frames"):
        sample(apply(host, model, rig(2, 5)), noise(2))
    with pytest.raises(ValueError, match=r"8 frames; Wan makes 4n \+ 1"):
        apply(host, model, rig(2, 8))
    fewer = {key: value for key, value in weights().items() if not key.startswith("blocks.2.")}
    with pytest.raises(ValueError, match="3 blocks of 48 channels, but the SynCamMaster modules are for 2"):
        apply(host, model, rig(2), modules(host, fewer))
    other = comfy.model_patcher.ModelPatcher(nn.Module(), CPU, CPU)
    other.model.diffusion_model = nn.Linear(1, 1)
    with pytest.raises(ValueError, match=r"the model is a Linear; SynCamMaster runs on Wan 2\.1"):
        apply(host, other, rig(2))


def test_models_of_other_kinds_are_named(host: Host) -> None:
    model = wan_model()
    network = model.model.diffusion_model
    for change, message in (
        ({"model_type": "i2v"}, "the model is a Wan for i2v that takes 16 channels"),
        ({"patch_embedding": nn.Conv3d(48, 48, 1)}, r"for t2v that takes 48 channels, as image-to-video and Wan 2\.2"),
    ):
        kept = {name: getattr(network, name) for name in change}
        for name, value in change.items():
            setattr(network, name, value)
        with pytest.raises(ValueError, match=message):
            apply(host, model, rig(2))
        for name, value in kept.items():
            setattr(network, name, value)


def test_notes_on_the_node(host: Host) -> None:
    """What goes beyond the training, for the strategy at hand, and a limit that cannot be kept."""
    node = host.nodes.NODE_CLASS_MAPPINGS["CVD_ApplySynCam"].PREPARE_CLASS_CLONE({})

    def notes(strategy: str, views_per_pass: int = 0) -> str:
        model, syncam = wan_model(), modules(host)
        settings = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0, "partitions": 1, "pair_seed": 0}
        return "; ".join(
            node.execute(
                model=model,
                syncam=syncam,
                cameras=rig(4),
                pair_strategy=strategy,
                views_per_pass=views_per_pass,
                **settings,
            ).ui["text"]
        )

    assert "4 views attend to each other" in notes("joint")
    assert "4 views that attend to each other are never split" in notes("joint", 2)
    assert notes("partition", 2) == notes("star", 2) == ""


def test_nodes_around_it(host: Host) -> None:
    (cameras,) = host.call("CVD_SynCamCameras", preset="az", views=3, frames=9, amount=0.0)
    torch.testing.assert_close(camera_embedding(cameras), camera_embedding(rig(3)))
    (latent,) = host.call("CVD_EmptyMultiViewVideoLatent", views=3, frames=9, width=96, height=64)
    assert latent["samples"].shape == (3, 16, 3, 8, 12)
    for bad, message in (
        ({"frames": 10}, r"4n \+ 1"),
        ({"width": 104}, "width is 104 pixels; expected a multiple of 16"),
        ({"height": 72}, "height is 72 pixels"),
    ):
        with pytest.raises(ValueError, match=message):
            host.call("CVD_EmptyMultiViewVideoLatent", **{"views": 3, "frames": 9, "width": 96, "height": 64} | bad)
