"""SynCamMaster on the host's Wan: the recorded numbers through its samplers, and what a graph may get wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import comfy.model_base
import comfy.model_patcher
import comfy.sample
import comfy.samplers
import comfy.supported_models
import pytest
import torch
from torch import Tensor, nn

from cvd_core.geometry.cameras import Cameras
from cvd_core.syncam.cameras import FRAME_STRIDE, camera_embedding
from cvd_core.syncam.module import SynCamModules
from cvd_core.syncam.presets import preset_cameras
from cvd_core.weights import is_syncam_key
from tests import formula
from tests.golden.case import Case
from tests.nodes.host_process import Host

DATA = Path(__file__).parents[1] / "golden" / "data" / "syncam"
CPU = torch.device("cpu")
WIDTH, HEADS = 48, 2


def weight(key: str, shape: list[int]) -> Tensor:
    if "modulation" in key:
        return 0.3 * formula.noise(key, shape)
    return formula.weight(key, shape) * (0.5 if "head.head" in key and len(shape) > 1 else 1.0)


@cache
def weights() -> dict[str, Tensor]:
    keys = json.loads((DATA / "syncam_keys_reduced.json").read_text())
    return {key: weight(key, shape) for key, shape in keys.items()}


def wan_model(state: dict[str, Tensor] | None = None) -> Any:
    """A MODEL: the host's Wan at a small width, as a loader would return it."""
    state = weights() if state is None else state
    base = {key: value for key, value in state.items() if not is_syncam_key(key)}
    config = comfy.supported_models.WAN21_T2V(
        {
            "image_model": "wan2.1",
            "model_type": "t2v",
            "patch_size": (1, 2, 2),
            "dim": WIDTH,
            "ffn_dim": 64,
            "freq_dim": 256,
            "text_dim": 32,
            "in_dim": 16,
            "out_dim": 16,
            "num_heads": HEADS,
            "num_layers": sum(key.endswith(".ffn.0.weight") for key in base),
            "window_size": (-1, -1),
            "qk_norm": True,
            "cross_attn_norm": True,
            "eps": 1e-6,
        }
    )
    config.set_inference_dtype(torch.float32, None)
    model = comfy.model_base.WAN21(config)
    model.diffusion_model.load_state_dict(base)
    model.eval().requires_grad_(False)
    return comfy.model_patcher.ModelPatcher(model, load_device=CPU, offload_device=CPU)


def modules(host: Host, state: dict[str, Tensor] | None = None) -> Any:
    """A CVD_SYNCAM."""
    state = weights() if state is None else state
    extra = {key: value for key, value in state.items() if is_syncam_key(key)}
    blocks = sum(key.endswith(".projector.bias") for key in extra)
    made = SynCamModules(blocks, WIDTH, HEADS, ops=host.pack("nodes.host.wan").comfy.ops.manual_cast)
    made.load_state_dict(extra)
    return host.pack("nodes.host.blocks").managed(made.eval().requires_grad_(False))


def apply(host: Host, model: Any, cameras: Cameras, syncam: Any = None, **settings: Any) -> Any:
    inputs = {
        "strength": 1.0,
        "start_percent": 0.0,
        "end_percent": 1.0,
        "pair_strategy": "joint",
        "partitions": 1,
        "views_per_pass": 0,
        "pair_seed": 0,
    }
    syncam = modules(host) if syncam is None else syncam
    return host.call("CVD_ApplySynCam", model=model, syncam=syncam, cameras=cameras, **(inputs | settings))[0]


def sample(model: Any, noise: Tensor, steps: int = 3, cfg: float = 5.0) -> Tensor:
    """The host's KSampler as the released script samples: shift 5, euler, simple."""
    context, negative = (formula.noise(f"host/{name}", (1, 9, 32)) for name in ("context", "negative"))
    return run(with_shift(model), noise, steps, cfg, context, negative)


def run(model: Any, noise: Tensor, steps: int, cfg: float, context: Tensor, negative: Tensor) -> Tensor:
    conds = [[[c, {}]] for c in (context, negative)]
    latent = torch.zeros_like(noise)
    found: Tensor = comfy.sample.sample(model, noise, steps, cfg, "euler", "simple", *conds, latent, seed=0)
    return found


def noise(views: int, frames: int = 3, height: int = 8, width: int = 10) -> Tensor:
    return formula.noise("host/noise", (views, 16, frames, height, width))


def rig(views: int, frames: int = 9) -> Cameras:
    return preset_cameras("az", frames, views)


def from_embedding(embedding: Tensor, host: Host) -> Callable[..., Tensor]:
    """The recorded sampler has camera numbers that are no poses."""
    return lambda *_: embedding


@pytest.mark.parametrize("name", ["syncam_sampler_tiny", "syncam_sample_v2_static"])
def test_recorded_sampling(host: Host, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(DATA / f"{name}.npz")
    meta = json.loads(str(case.arrays["meta"]))
    tiny = "noise" in case
    state = {key[2:]: case.tensor(key) for key in case.arrays if key.startswith("w.")} if tiny else weights()
    embedding = case.tensor("cam_emb")
    monkeypatch.setattr(host.pack("nodes.host.wan"), "camera_embedding", from_embedding(embedding, host))
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


def with_shift(model: Any) -> Any:
    model = model.clone()
    sampling = comfy.model_base.model_sampling(model.model.model_config, comfy.model_base.ModelType.FLOW)
    sampling.set_parameters(shift=5.0, multiplier=1000)
    model.add_object_patch("model_sampling", sampling)
    return model


@pytest.mark.parametrize("views", [1, 2, 3, 4, 6])
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
    alone = sample(model, noise(4)[:2])
    torch.testing.assert_close(both[:2], alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("size", [(6, 14), (14, 6), (10, 10)])
def test_rectangles_and_portraits(host: Host, size: tuple[int, int]) -> None:
    found = sample(apply(host, wan_model(), rig(3, 5)), noise(3, 2, *size), steps=1)
    assert bool(found.isfinite().all())


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


def test_guidance_in_one_call_or_two(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host runs cond and uncond apart where memory is short."""
    model = apply(host, wan_model(), rig(2))
    together = sample(model, noise(2))
    monkeypatch.setattr(type(model), "memory_required", lambda *_: 1e30, raising=False)
    monkeypatch.setattr(type(model.model), "memory_required", lambda *_, **__: 1e30)
    torch.testing.assert_close(sample(model, noise(2)), together, atol=1e-5, rtol=1e-5)


def test_foreign_block_replacements_still_run(host: Host) -> None:
    """A node that skips a block (skip layer guidance) skips its module too; one that wraps it keeps it."""
    model = apply(host, wan_model(), rig(2))
    full = sample(model, noise(2))
    wrapped = model.clone()
    wrapped.set_model_patch_replace(lambda args, extra: extra["original_block"](args), "dit", "double_block", 1)
    assert torch.equal(sample(wrapped, noise(2)), full)
    skipped = model.clone()
    skipped.set_model_patch_replace(lambda args, extra: args, "dit", "double_block", 1)
    assert not torch.equal(sample(skipped, noise(2)), full)


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


def test_bad_graphs(host: Host) -> None:
    model = wan_model()
    with pytest.raises(ValueError, match=r"one video for each of the 2 cameras"):
        sample(apply(host, model, rig(2)), noise(3))
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


def test_nodes_around_it(host: Host) -> None:
    (cameras,) = host.call("CVD_SynCamCameras", preset="az", views=3, frames=9, amount=0.0)
    torch.testing.assert_close(camera_embedding(cameras), camera_embedding(rig(3)))
    (latent,) = host.call("CVD_EmptyMultiViewVideoLatent", views=3, frames=9, width=96, height=64)
    assert latent["samples"].shape == (3, 16, 3, 8, 12)
    with pytest.raises(ValueError, match=r"4n \+ 1"):
        host.call("CVD_EmptyMultiViewVideoLatent", views=3, frames=10, width=96, height=64)
