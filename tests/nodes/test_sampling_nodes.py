"""The sampling nodes on the small network."""

from __future__ import annotations

from collections import Counter
from typing import Any

import comfy.samplers
import comfy.utils
import comfy_extras.nodes_custom_sampler as custom
import numpy as np
import pytest
import torch
from torch import Tensor

from cvd_core.sampling.recurrence import Recurrence
from tests import formula
from tests.nodes import small_network as small
from tests.nodes.host_process import Host
from tests.nodes.runs import Scene, relative

DEFAULTS: dict[str, Any] = {
    "seed": 3,
    "steps": 2,
    "cfg": 4.0,
    "sampler_name": "ddim",
    "scheduler": "ddim_uniform",
    "denoise": 1.0,
    "pair_strategy": "partition",
    "partitions": 1,
    "recurrence": 1,
    "recurrence_start": 0.0,
    "recurrence_end": 1.0,
    "views_per_pass": 0,
}


@pytest.fixture
def scene(host: Host) -> Scene:
    return Scene(host, size=64)


def ksampler(scene: Scene, model: Any = None, latent: dict[str, Tensor] | None = None, **changes: Any) -> Tensor:
    """``(V * F, 4, h, w)`` from CVD_CollaborativeKSampler."""
    with torch.inference_mode():
        (out,) = scene.host.call(
            "CVD_CollaborativeKSampler",
            model=model or scene.synced(),
            plucker=scene.rays,
            positive=scene.positive,
            negative=scene.negative,
            latent_image=latent or {"samples": scene.latent},
            **DEFAULTS | changes,
        )
    found: Tensor = out["samples"]
    return found


def test_empty_latent(host: Host) -> None:
    (latent,) = host.call("CVD_EmptyMultiViewLatent", views=3, frames=5, width=128, height=64)
    assert latent["samples"].shape == (15, 4, 8, 16)
    assert not latent["samples"].any()
    with pytest.raises(ValueError, match="width is 100 pixels; expected a multiple of 8"):
        host.call("CVD_EmptyMultiViewLatent", views=1, frames=1, width=100, height=64)


def test_the_preview_shows_all_views(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three views of 8 x 8 latents, one latent pixel apart, in a grid of two columns."""
    from comfy.cli_args import LatentPreviewMethod, args

    shown = []
    monkeypatch.setattr(args, "preview_method", LatentPreviewMethod.Latent2RGB)
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", lambda *given, **_: shown.append(given[2]))
    ksampler(Scene(host, views=3, frames=3, size=64), steps=2)
    pictures = [preview[1] for preview in shown if preview]
    assert [picture.size for picture in pictures] == [(17, 17)] * 2
    pixels = torch.from_numpy(np.array(pictures[-1].convert("RGB")))
    assert len({tuple(pixels[y, 8].tolist()) for y in range(17)}) == 1, "a gap between the columns"
    assert not torch.equal(pixels[:8, :8], pixels[:8, 9:])
    assert not torch.equal(pixels[:8, :8], pixels[9:, :8])


def test_noise_of_a_view_does_not_depend_on_the_others(host: Host) -> None:
    noises = []
    for views in (2, 4):
        scene = Scene(host, views=views, frames=3, size=64)
        noises.append(scene.guider(scene.synced()).make_noise(scene.latent, 5))
    assert torch.equal(noises[0], noises[1][:6])
    assert not torch.equal(noises[1][:3], noises[1][3:6])


def test_seed_decides(scene: Scene) -> None:
    one = ksampler(scene)
    torch.manual_seed(99)
    assert torch.equal(ksampler(scene), one)
    assert not torch.equal(ksampler(scene, seed=4), one)


class OwnNoise:
    """A NOISE as Collaborative KSampler draws it."""

    seed = DEFAULTS["seed"]

    def __init__(self, guider: Any) -> None:
        self.guider = guider

    def generate_noise(self, latent: dict[str, torch.Tensor]) -> torch.Tensor:
        noise: torch.Tensor = self.guider.make_noise(latent["samples"], self.seed)
        return noise


def test_custom_sampler_is_the_same_run(host: Host) -> None:
    """SamplerCustomAdvanced with our guider and sampler, recurrence included, against the all-in-one node."""
    scene = Scene(host, views=4, size=64)
    settings: dict[str, Any] = {"pair_strategy": "multi-partition", "partitions": 2}
    model = scene.synced()
    expected = ksampler(scene, model, recurrence=2, steps=3, **settings)
    shared = {"positive": scene.positive, "negative": scene.negative, "cfg": DEFAULTS["cfg"], "views_per_pass": 0}
    (guider,) = host.call("CVD_CollaborativeGuider", model=model, plucker=scene.rays, **shared, **settings)
    (sampler,) = host.call(
        "CVD_RecurrentSampler",
        sampler=comfy.samplers.sampler_object("ddim"),
        recurrence=2,
        recurrence_start=0.0,
        recurrence_end=1.0,
    )
    sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "ddim_uniform", 3)
    with torch.inference_mode():
        found, _ = custom.SamplerCustomAdvanced().sample(
            OwnNoise(guider), guider, sampler, sigmas, {"samples": scene.latent}
        )
    assert torch.equal(found["samples"], expected)


@pytest.mark.parametrize(
    ("strategy", "partitions", "together", "sizes"),
    [
        ("partition", 1, 0, {4: 1}),
        ("partition", 1, 2, {2: 2}),
        ("multi-partition", 2, 0, {4: 2}),
        ("exhaustive", 1, 0, {4: 3}),
        ("joint", 1, 0, {4: 1}),
        ("star", 1, 0, {2: 3}),
    ],
)
def test_network_calls_of_a_step(
    host: Host, strategy: str, partitions: int, together: int, sizes: dict[int, int]
) -> None:
    """How many views are in the calls of one step, and how many of them see each other."""
    scene = Scene(host, views=4, size=64)
    seen: Counter[int] = Counter()
    partners: Counter[int] = Counter()
    original = host.pack("nodes.host.collaboration").CollaborativeCalls._context

    def record(self: Any, frames: Any, branches: int, synced: Any) -> Any:
        context = original(self, frames, branches, synced)
        seen[len(context.views)] += 1
        partners.update(len(p) for p in context.partners.values())
        return context

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host.pack("nodes.host.collaboration").CollaborativeCalls, "_context", record)
        ksampler(scene, steps=1, pair_strategy=strategy, partitions=partitions, views_per_pass=together)
    assert seen == sizes
    assert set(partners) == ({3} if strategy == "joint" else {1})


def test_views_per_pass_changes_nothing(host: Host) -> None:
    scene = Scene(host, views=4)
    whole = ksampler(scene, steps=1)
    assert relative(ksampler(scene, steps=1, views_per_pass=2), whole) < 1e-4


def none_free(_device: Any = None, torch_free_too: bool = False) -> Any:
    return (0, 0) if torch_free_too else 0


def test_one_branch_at_a_time_sees_the_same_slopes(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short of memory the host runs cond and uncond apart."""
    scene = Scene(host)
    whole = ksampler(scene, steps=1)
    calls: list[int] = []
    run = host.pack("nodes.host.collaboration").CollaborativeCalls
    original = run._context

    def record(self: Any, frames: Any, branches: int, synced: Any) -> Any:
        calls.append(branches)
        return original(self, frames, branches, synced)

    monkeypatch.setattr(run, "_context", record)
    monkeypatch.setattr(comfy.model_management, "get_free_memory", none_free)
    assert relative(ksampler(scene, steps=1), whole) < 1e-4
    assert calls == [1, 1]


@pytest.mark.parametrize("native", [True, False], ids=["this pack's motion", "AnimateDiff-Evolved's"])
def test_the_conditional_branch_alone(host: Host, monkeypatch: pytest.MonkeyPatch, native: bool) -> None:
    """One step, linear in the predictions: of views apart for the negative prompt, of a pair for the positive one."""
    scene = Scene(host, native=native, steps=1, cfg=4.0)
    found = scene.together(scene.synced(branches="conditional"))
    assert relative(scene.together(scene.synced()), found) > 1e-3
    alone = Scene(host, native=native, steps=1, cfg=1.0)
    positive = alone.together(alone.synced(branches="conditional"))
    assert torch.equal(alone.together(alone.synced()), positive)
    alone.positive = alone.negative
    negative = alone.together(alone.synced(strength=0.0))
    assert relative(negative + scene.cfg * (positive - negative), found) < 1e-3
    monkeypatch.setattr(comfy.model_management, "get_free_memory", none_free)
    assert relative(scene.together(scene.synced(branches="conditional")), found) < 1e-4, "one branch at a time"


def test_inactive_modules_are_absent(scene: Scene) -> None:
    absent = ksampler(scene, scene.synced(strength=0.0))
    active = ksampler(scene)
    assert relative(active, absent) > 1e-2
    assert torch.equal(ksampler(scene, scene.synced(start=0.0, end=0.0)), absent)
    assert torch.equal(ksampler(scene, scene.synced(start=1.0, end=1.0)), absent)
    first_half = ksampler(scene, scene.synced(end=0.5))
    assert not torch.equal(first_half, absent)
    assert not torch.equal(first_half, active)


def test_one_view_is_a_plain_run(host: Host) -> None:
    scene = Scene(host, views=1)
    assert relative(scene.together(scene.synced()), scene.apart()) < 1e-5


def test_three_views_make_a_triple(host: Host) -> None:
    scene = Scene(host, views=3, size=64)
    assert ksampler(scene, steps=1, pair_strategy="exhaustive").isfinite().all()
    assert ksampler(scene, steps=1).isfinite().all()


@pytest.mark.parametrize("name", comfy.samplers.KSampler.SAMPLERS)
def test_every_sampler_runs_recurrently(host: Host, name: str) -> None:
    """On a denoiser of our own: finite, on the right levels, reporting each step once with its outer number."""
    levels = torch.tensor([10.0, 6.0, 3.0, 1.0, 0.0])
    sampler = host.pack("nodes.host.recurrence").recurrent_sampler(
        comfy.samplers.sampler_object(name), Recurrence(3, 0.0, 0.6)
    )
    base = small.base_model()
    called: list[float] = []
    reported: list[int] = []

    class Guider:
        cfg = 1.0  # newer hosts log it
        model_patcher = base
        inner_model = base.model

        def __call__(
            self, x: Tensor, sigma: Tensor, model_options: dict[str, Any] | None = None, seed: Any = None
        ) -> Tensor:
            called.append(float(sigma.max()))
            out = x / (1 + sigma.view(-1, 1, 1, 1) ** 2)
            for function in (model_options or {}).get("sampler_post_cfg_function", []):
                out = function({"denoised": out, "uncond_denoised": out, "cond_denoised": out, "model": None})
            return out

    def report(step: int, _x0: Tensor, _x: Tensor, total: int) -> None:
        assert total == 4
        reported.append(step)

    noise = formula.noise("recurrence", (2, 4, 8, 8))
    options = {"transformer_options": {"sample_sigmas": levels}}
    with torch.inference_mode():
        out = sampler.sample(
            Guider(), levels, {"seed": 5, "model_options": options}, report, noise, torch.zeros_like(noise), None, True
        )
    assert out.isfinite().all()
    assert reported == sorted(reported)
    assert set(reported) >= {0, 1, 2}  # dpm_adaptive has nothing left to do at the end, as in a plain run
    assert max(called) <= 10.001
    if name in ("euler", "ddim"):
        assert called == [10.0] * 3 + [6.0] * 3 + [3.0] * 3 + [1.0]


def test_video_to_video_starts_from_the_latents(scene: Scene) -> None:
    encoded = small.latent(2, 2, 64, "clip")
    assert torch.equal(ksampler(scene, latent=encoded, denoise=0.0), encoded["samples"])
    little, much = (relative(ksampler(scene, latent=encoded, denoise=d), encoded["samples"]) for d in (0.05, 1.0))
    assert little < much


def test_noise_mask_keeps_what_it_covers(scene: Scene) -> None:
    mask = torch.zeros(4, 1, 64, 64)
    mask[2:, :, :32] = 1  # the upper half of the second view is made anew
    encoded = small.latent(2, 2, 64, "clip")
    out = ksampler(scene, latent={**encoded, "noise_mask": mask})
    kept = torch.ones(4, 4, 8, 8, dtype=torch.bool)
    kept[2:, :, :4] = False
    torch.testing.assert_close(out[kept], encoded["samples"][kept], rtol=0, atol=1e-4)
    assert not torch.isclose(out[~kept], encoded["samples"][~kept], atol=1e-2).all()


@pytest.mark.parametrize("context", [None, (2, 1)])
@pytest.mark.parametrize("batch", ["view", "frame", "both"])
def test_prompts_of_their_own(host: Host, batch: str, context: tuple[int, int] | None) -> None:
    """A batch of prompts reaches the views and frames it is for: with modules that add nothing, as in separate runs."""
    scene = Scene(host, frames=4, steps=1, context=context)
    count = {"view": 2, "frame": 4, "both": 8}[batch]
    scene.positive = small.prompt("many", count)
    text = scene.positive[0][0]
    found = scene.together(scene.synced(identity=True))
    apart = []
    for view in range(2):
        own = {"view": text[view : view + 1], "frame": text, "both": text[view * 4 : view * 4 + 4]}[batch]
        scene.positive = [[own, {}]]
        apart.append(scene.plain(scene.evolved(view), view))
    assert relative(found, torch.cat(apart)) < 1e-5


@pytest.mark.parametrize("count", [1, 2, 4])
def test_control_hints_of_their_own(host: Host, count: int) -> None:
    """Hints for everything, for every frame, for every view and frame; chained, and with views run one by one."""
    scene = Scene(host, steps=1)
    hints = formula.noise("hints", (count, 3, 128, 128)).sigmoid()
    text = scene.positive[0][0]

    def conditioned(rows: slice) -> Any:
        control = small.control_net(hints[rows] if count == 4 else hints)
        control.set_previous_controlnet(small.control_net(hints[:1], 0.2))
        return [[text, {"control": control, "control_apply_to_uncond": True}]]

    scene.positive = conditioned(slice(None))
    model = scene.synced(identity=True)
    found = scene.together(model)
    apart = []
    for view in range(2):
        scene.positive = conditioned(slice(view * 2, view * 2 + 2))
        apart.append(scene.plain(scene.evolved(view), view))
    assert relative(found, torch.cat(apart)) < 1e-5
    scene.positive = [[text, {}]]
    assert relative(found, scene.together(model)) > 1e-3


def test_previews_and_progress_get_whole_videos(scene: Scene) -> None:
    seen: list[tuple[int, torch.Size]] = []
    scene.sample(scene.guider(scene.synced()), callback=lambda step, x0, x, total: seen.append((step, x0.shape)))
    assert seen == [(0, scene.latent.shape), (1, scene.latent.shape)]
