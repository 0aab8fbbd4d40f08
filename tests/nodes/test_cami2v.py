"""CamI2V on the host: the recorded numbers, and the core's own loop, through its samplers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import comfy.model_management
import comfy.sample
import comfy.samplers
import pytest
import torch
from torch import Tensor

from cvd_core.cami2v.camera import SMALLEST_STEPS, relative_path
from cvd_core.cami2v.ddim import DDIM, NoiseSchedule
from cvd_core.cami2v.guidance import camera_weight, guide_text_and_camera
from cvd_core.cami2v.network import FRAMES, TRAINED_RATES
from cvd_core.cami2v.transformers import CameraFeatures
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.rigs import make_rig
from cvd_core.sampling.draws import SeededDraws
from tests import formula
from tests.golden import cami2v
from tests.golden.cami2v_host import conditioning, replay_cami2v, rows, small_model
from tests.golden.case import Case
from tests.nodes import small_network as small
from tests.nodes.host_process import Host

DATA = Path(__file__).parents[1] / "golden" / "data" / "cami2v"
STEPS, GUIDANCE, SEED = 2, 7.5, 3


@pytest.mark.parametrize("path", sorted(DATA.glob("cami2v_[us]*.npz")), ids=lambda path: path.stem)
def test_recorded_numbers(host: Host, path: Path) -> None:
    outcome = replay_cami2v(host, Case(path))
    if outcome is None:
        assert path.stem == "cami2v_schedule"
    else:
        assert outcome.ok, f"off by {outcome.error:.2e}, tolerance {outcome.tolerance:.1e}"


def rig(views: int = 1, frames: int = FRAMES) -> Cameras:
    return make_rig("circle", max(views, 2), frames).select(range(views))


def context(name: str) -> Tensor:
    return formula.noise(f"host/{name}", (1, 77 + FRAMES * 16, cami2v.CONTEXT))


def picture(width: int, height: int, count: int = 1) -> Tensor:
    """Latents in the network's scale."""
    return 0.5 * formula.noise("host/picture", (count, 4, height // 8, width // 8))


def noise(videos: int, width: int, height: int) -> Tensor:
    return formula.noise("host/noise", (videos, 4, FRAMES, height // 8, width // 8))


def apply(host: Host, model: Any, cameras: Cameras, **settings: Any) -> Any:
    inputs = {
        "reference_frame": 0,
        "trace_scale": 1.0,
        "strength": 1.0,
        "start_percent": 0.0,
        "end_percent": 1.0,
        "line_seed": 0,
    }
    return host.call("CVD_ApplyCamI2V", model=model, cameras=cameras, **(inputs | settings))[0]


class Run:
    """A graph on the small network: what its nodes are given, and what comes out."""

    def __init__(
        self,
        host: Host,
        model: Any,
        size: tuple[int, int] = (64, 64),
        videos: int = 1,
        *,
        pictures: int = 1,
        rate: int = 0,
    ) -> None:
        self.host, self.model, self.videos = host, model, videos
        self.noise = rows(noise(videos, *size))
        latent = model.model.process_latent_out(picture(*size, pictures))
        self.positive, self.negative = (conditioning(host, context(n), latent, rate) for n in ("context", "uncond"))

    def guider(self, cfg: float = GUIDANCE, camera_cfg: float = 1.0, schedule: str = "constant") -> Any:
        return self.host.call(
            "CVD_CamI2VGuider",
            model=self.model,
            positive=self.positive,
            negative=self.negative,
            cfg=cfg,
            camera_cfg=camera_cfg,
            camera_cfg_schedule=schedule,
            rescale=0.7,
        )[0]

    def sampler(self, steps: int = STEPS, spacing: str = "uniform_trailing", eta: float = 1.0) -> tuple[Any, Tensor]:
        sampler, sigmas = self.host.call("CVD_CamI2VSampler", model=self.model, steps=steps, spacing=spacing, eta=eta)
        return sampler, sigmas

    def __call__(
        self,
        seed: int = SEED,
        *,
        settings: dict[str, Any] | None = None,
        sigmas: Tensor | None = None,
        latent: Tensor | None = None,
        start: Tensor | None = None,
        callback: Callable[..., None] | None = None,
        **guidance: Any,
    ) -> Tensor:
        """``(N * 16, 4, h, w)`` in the network's scale."""
        sampler, schedule = self.sampler(**(settings or {}))
        with torch.inference_mode():
            out = self.guider(**guidance).sample(
                self.noise if start is None else start,
                torch.zeros_like(self.noise) if latent is None else latent,
                sampler,
                schedule if sigmas is None else sigmas,
                disable_pbar=True,
                seed=seed,
                callback=callback,
            )
        found: Tensor = self.model.model.process_latent_in(out)
        return found


def expected(
    config: str,
    cameras: Cameras | None,
    size: tuple[int, int] = (64, 64),
    videos: int = 1,
    *,
    camera_cfg: float = 1.0,
    schedule: str = "constant",
    reference: int = 0,
    scale: float = 1.0,
    rate: int = 0,
    steps: int = STEPS,
    reused: Literal["none", "branches", "guided"] = "none",
) -> Tensor:
    """The core's own loop, which meets the recorded numbers, on plain layers and without the host.

    Args:
        reused: beyond the second step, take what the second added to its input: of every branch, or of the clean
            latents that were guided.
    """
    net = cami2v.network(config, "none" if cameras is None else "epipolar")
    predicts = cami2v.PREDICTS[config]
    camera: CameraFeatures | None = None
    if cameras is not None:
        path = relative_path(cameras.crop_to(*size), reference, scale)
        lines = SeededDraws(0).lines((path.views, FRAMES, FRAMES, 3))
        camera = cami2v.branch()(path, *size, lines, smallest_step=SMALLEST_STEPS[predicts])
    x = noise(videos, *size)
    latent = picture(*size)[:, :, None].expand(videos, -1, FRAMES, -1, -1)
    draws = SeededDraws(SEED)
    sampler = DDIM(NoiseSchedule.of(predicts), steps)
    kept: dict[object, Tensor] = {}
    fs = torch.full((videos,), rate or TRAINED_RATES[predicts])

    def say(name: str, seen: CameraFeatures | None, x: Tensor, time: int) -> Tensor:
        branch = (name, seen is None)
        if reused != "branches" or sampler.timesteps.index(time) < 2:
            tokens = context(name).expand(videos, -1, -1)
            kept[branch] = net(torch.cat([x, latent], 1), torch.full((videos,), time), tokens, fs, seen) - x
        return x + kept[branch]

    for step, time in enumerate(sampler.timesteps):
        guided = guide_text_and_camera(
            say("context", camera, x, time),
            say("uncond", camera, x, time),
            say("context", None, x, time) if camera_cfg != 1 else None,
            guidance=GUIDANCE,
            camera_guidance=camera_cfg,
            weight=camera_weight(schedule, time),  # type: ignore[arg-type]
        )
        if reused == "guided":  # noise: clean latents are x / signal - noise * spread / signal
            ratio = (1 / sampler.alpha_bars(step)[0] - 1) ** 0.5
            kept["guided"] = ratio * guided if step < 2 else kept["guided"]
            guided = kept["guided"] / ratio
        x, _ = sampler.advance(step, x, guided, draws.renoise(tuple(x.shape)))
    return rows(x)


def deviation(found: Tensor, wanted: Tensor) -> float:
    """Largest, in standard deviations."""
    return float((found - wanted).abs().max() / wanted.std())


@pytest.mark.parametrize(
    ("config", "given"),
    [
        ("256", {"camera_cfg": 2.0, "schedule": "cosine", "size": (128, 64)}),
        ("256", {"reference": 5, "scale": 0.5, "rate": 8}),
        ("256", {"videos": 2, "camera_cfg": 1.5}),
        ("512", {"size": (64, 128)}),
        ("512", {"size": (64, 64), "reference": 15, "rate": 24}),
    ],
    ids=str,
)
def test_it_is_the_cores_loop(host: Host, config: str, given: dict[str, Any]) -> None:
    size, videos, rate = given.get("size", (64, 64)), given.get("videos", 1), given.get("rate", 0)
    model = apply(
        host,
        small_model(host, config),
        rig(videos),
        reference_frame=given.get("reference", 0),
        trace_scale=given.get("scale", 1.0),
    )
    run = Run(host, model, size, videos, rate=rate)
    guidance = {name: given[name] for name in ("camera_cfg", "schedule") if name in given}
    found = run(**guidance)
    tolerance = 1e-3 if config == "256" else 2e-2
    assert deviation(found, expected(config, rig(videos), **given)) < tolerance


def test_dynamicrafter_alone(host: Host) -> None:
    for config, tolerance in (("256", 1e-3), ("512", 2e-2)):
        found = Run(host, small_model(host, config, "none"))()
        assert deviation(found, expected(config, None)) < tolerance


def test_videos_of_a_batch_are_made_apart(host: Host) -> None:
    """Two paths from one picture are two runs; two takes of one path, too."""
    model = small_model(host)
    both = Run(host, apply(host, model, rig(2)), videos=2)(settings={"eta": 0.0})
    takes = Run(host, apply(host, model, rig(1)), videos=2)(settings={"eta": 0.0})
    alone = Run(host, apply(host, model, rig(1)))(settings={"eta": 0.0})
    for found in (both, takes):
        assert deviation(found[:FRAMES], alone) < 1e-3
    assert deviation(both[FRAMES:], takes[FRAMES:]) > 0.05  # another path
    two = Run(host, apply(host, model, rig(1)), videos=2, pictures=2)(settings={"eta": 0.0})
    assert deviation(two[:FRAMES], alone) < 1e-3
    assert deviation(two[FRAMES:], takes[FRAMES:]) > 0.05  # another picture


def test_seeds(host: Host) -> None:
    run = Run(host, apply(host, small_model(host), rig()))
    first = run()
    assert torch.equal(run(), first)
    assert deviation(run(SEED + 1), first) > 0.05
    other_lines = Run(host, apply(host, small_model(host), rig(), line_seed=1))()
    assert deviation(other_lines, first) > 1e-3


def test_shared_noise(host: Host) -> None:
    """Videos that start alike get the same noise in every step; of one path, they are one video."""
    run = Run(host, apply(host, small_model(host), rig(1)), videos=2)
    start = run.noise[:FRAMES].repeat(2, 1, 1, 1)
    found = run(start=start)
    assert deviation(found[FRAMES:], found[:FRAMES]) < 1e-3
    own = run()
    assert deviation(own[FRAMES:], own[:FRAMES]) > 0.05


def test_strength_and_range(host: Host) -> None:
    model = small_model(host)
    plain, full = Run(host, model)(), Run(host, apply(host, model, rig()))()
    assert deviation(full, plain) > 0.05
    assert torch.equal(Run(host, apply(host, model, rig(), strength=0.0))(camera_cfg=2.0), plain)
    late = Run(host, apply(host, model, rig(), start_percent=0.5))()
    assert not torch.equal(late, full)
    assert not torch.equal(late, plain)
    assert torch.equal(Run(host, model)(), plain)  # and the loader's model is as it was
    with pytest.raises(ValueError, match="would never be seen"):
        apply(host, model, rig(), start_percent=0.6, end_percent=0.4)


def test_what_a_step_costs(host: Host) -> None:
    """Two branches; with camera guidance three, and one where text guidance is off."""
    model = apply(host, small_model(host), rig())
    seen: list[int] = []
    hook = model.model.diffusion_model.unet.register_forward_hook(lambda _m, given, _out: seen.append(len(given[0])))
    try:
        for cfg, camera_cfg, branches in ((GUIDANCE, 1.0, 2), (GUIDANCE, 2.0, 3), (1.0, 1.0, 1), (1.0, 2.0, 2)):
            seen.clear()
            Run(host, model)(cfg=cfg, camera_cfg=camera_cfg)
            assert sum(seen) == STEPS * branches
    finally:
        hook.remove()


@pytest.mark.parametrize("config", ["256", "512"])
def test_a_run_in_two_parts(host: Host, config: str) -> None:
    """The noise levels may be split, as the host's nodes do."""
    run = Run(host, apply(host, small_model(host, config), rig()))
    settings: dict[str, Any] = {"steps": 4, "eta": 0.0}
    _, sigmas = run.sampler(**settings)
    whole = run(settings=settings)
    half = run(settings=settings, sigmas=sigmas[:3])
    latent = run.model.model.process_latent_out(half)
    rest = run(settings=settings, sigmas=sigmas[2:], latent=latent, start=torch.zeros_like(run.noise))
    if config == "256":
        assert deviation(rest, whole) < 1e-3
    assert bool(rest.isfinite().all())


def test_any_sampler_of_the_host(host: Host) -> None:
    """Euler ancestral on the 256 model is DDIM with eta 1 but for its random numbers; without them, DDIM is euler."""
    model = apply(host, small_model(host), rig())
    run = Run(host, model)
    _, sigmas = run.sampler()
    guider = run.guider()
    with torch.inference_mode():
        euler = comfy.samplers.sampler_object("euler")
        out = guider.sample(run.noise, torch.zeros_like(run.noise), euler, sigmas, disable_pbar=True, seed=SEED)
    assert deviation(model.model.process_latent_in(out), run(settings={"eta": 0.0})) < 0.05  # they end at 0 and abar(0)


def test_the_hosts_own_sampler(host: Host) -> None:
    """KSampler makes videos of these models too, and is what it was for other models afterwards."""
    other = small.base_model()
    latent = small.latent(1, 2, 64)["samples"]

    def plain() -> Tensor:
        conds = small.prompt("castle"), small.prompt("blurry")
        found: Tensor = comfy.sample.sample(
            other, torch.ones_like(latent), STEPS, 5.0, "euler", "normal", *conds, latent, seed=0
        )
        return found

    before = plain()
    model = apply(host, small_model(host), rig())
    run = Run(host, model)
    with torch.inference_mode():
        found = comfy.sample.sample(
            model, run.noise, STEPS, 5.0, "euler_ancestral", "normal", run.positive, run.negative, run.noise * 0, seed=0
        )
    assert bool(found.isfinite().all())
    run()
    assert torch.equal(plain(), before)


def test_cancelling(host: Host) -> None:
    run = Run(host, apply(host, small_model(host), rig()))
    full = run(camera_cfg=2.0)

    def cancel(*_: Any) -> None:
        comfy.model_management.interrupt_current_processing()

    with pytest.raises(comfy.model_management.InterruptProcessingException):
        run(callback=cancel)
    path = host.pack("nodes.host.path_features").camera_path_of(run.model)
    assert not path._features
    assert torch.equal(run(camera_cfg=2.0), full)


def test_sizes(host: Host) -> None:
    """Any multiples of 64, with masks that follow: a path shows in all of them."""
    for size in ((192, 64), (64, 128)):
        model = small_model(host)
        found = Run(host, apply(host, model, rig()), size)()
        assert found.shape == (FRAMES, 4, size[1] // 8, size[0] // 8)
        assert deviation(found, Run(host, model, size)()) > 0.05


def test_every_frame_can_be_the_given_one(host: Host) -> None:
    """The features of a run with each reference frame are those of the path seen from it."""
    model = small_model(host)
    x = torch.zeros(FRAMES, 4, 8, 8)
    for reference in range(FRAMES):
        path = host.pack("nodes.host.path_features").camera_path_of(
            apply(host, model, rig(), reference_frame=reference)
        )
        found = path._of(model.model.diffusion_model, x)
        seen = relative_path(rig().crop_to(64, 64), reference)
        expected = cami2v.branch()(seen, 64, 64, None)
        torch.testing.assert_close(found.levels[0], expected.levels[0], atol=1e-5, rtol=1e-5)
