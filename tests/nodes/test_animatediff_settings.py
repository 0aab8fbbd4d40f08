"""Settings of AnimateDiff-Evolved: those that work do what they do in separate runs, the others are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.samplers
import pytest
import torch
from torch import Tensor

from cvd_core.sampling.recurrence import Recurrence
from tests import formula
from tests.nodes import small_network as small
from tests.nodes.host_process import Host
from tests.nodes.runs import Scene, relative

Settings = Callable[[Host, int], dict[str, Any]]
"""Inputs of Use Evolved Sampling (``sample_settings``, ``context_options``) for clips of so many frames."""
Motion = Callable[[Host, int], dict[str, Any]]
"""Inputs of Apply AnimateDiff+CameraCtrl Model."""


def masks(count: int) -> Tensor:
    """A MULTIVAL with values of its own for ``count`` frames."""
    return formula.uniform("multival", (count, 16, 16)) * torch.linspace(0.5, 1.5, count)[:, None, None]


def sample_settings(host: Host, **inputs: Any) -> dict[str, Any]:
    plain = {"batch_offset": 0, "noise_type": "default", "seed_gen": "comfy", "seed_offset": 0}
    (settings,) = host.call("ADE_AnimateDiffSamplingSettings", **plain | inputs)
    return {"sample_settings": settings}


def noise_layer(host: Host, mask: Tensor | None = None, **inputs: Any) -> dict[str, Any]:
    layer: dict[str, Any] = {"batch_offset": 0, "noise_type": "empty", "seed_gen_override": "use existing"}
    (layers,) = host.call("ADE_NoiseLayerReplace", **layer | inputs, seed_offset=0, mask_optional=mask)
    return sample_settings(host, noise_layers=layers)


def custom_cfg(host: Host, value: float | Tensor, extra: str = "", extra_value: float | Tensor = 0.5) -> dict[str, Any]:
    extras = None
    if extra:
        name = {"ADE_CFGExtrasPAG": "scale_multival", "ADE_CFGExtrasRescaleCFG": "mult_multival"}[extra]
        (extras,) = host.call(extra, **{name: extra_value})
    (cfg,) = host.call("ADE_CustomCFG", cfg_multival=value, cfg_extras=extras)
    return sample_settings(host, custom_cfg=cfg)


def cfg_keyframes(host: Host) -> dict[str, Any]:
    (cfg,) = host.call("ADE_CustomCFGKeyframeSimple", cfg=7.0, start_percent=0.0, guarantee_steps=1)
    (cfg,) = host.call(
        "ADE_CustomCFGKeyframeSimple", cfg=2.0, start_percent=0.1, guarantee_steps=1, prev_custom_cfg=cfg
    )
    return sample_settings(host, custom_cfg=cfg)


def iterations(host: Host) -> dict[str, Any]:
    (options,) = host.call("ADE_IterationOptsDefault", iterations=2)
    return sample_settings(host, iteration_opts=options)


def naive_reuse(host: Host, frames: int) -> dict[str, Any]:
    (extra,) = host.call("ADE_ContextExtras_NaiveReuse", weighted_mean=0.7)
    (options,) = host.call("ADE_StandardStaticContextOptions", context_length=2, context_overlap=1)
    (options,) = host.call("ADE_ContextExtras_Set", context_opts=options, context_extras=extra)
    return {"context_options": options}


def keyframes(host: Host, frames: int) -> dict[str, Any]:
    later = {"start_percent": 0.1, "guarantee_steps": 1, "inherit_missing": True}
    (first,) = host.call("ADE_AnimateDiffKeyframe", **later | {"start_percent": 0.0}, effect_multival=0.7)
    (both,) = host.call(
        "ADE_CameraCtrlAnimateDiffKeyframe", **later, prev_ad_keyframes=first, cameractrl_multival=masks(frames)
    )
    return {"ad_keyframes": both}


@pytest.fixture(scope="module")
def plain(host: Host) -> Tensor:
    """Separate runs of :func:`scene` with default settings."""
    return Scene(host, frames=4).apart()


@pytest.fixture
def scene(host: Host) -> Scene:
    return Scene(host, frames=4)  # with 3, AnimateDiff-Evolved's own rays are wrong: a cross product over frames


def evolve(scene: Scene, settings: dict[str, Any], motion: dict[str, Any]) -> None:
    """Have the scene's models made with these inputs."""

    def evolved(view: int = 0, model: Any = None) -> Any:
        poses = small.pose_rows(scene.cameras, view, scene.size)
        (models,) = scene.host.call(
            "ADE_ApplyAnimateDiffModelWithCameraCtrl", motion_model=scene.motion, cameractrl_poses=poses, **motion
        )
        (out,) = scene.host.call(
            "ADE_UseEvolvedSampling",
            model=model or scene.base,
            beta_schedule="autoselect",
            m_models=models,
            **{"context_options": None} | settings,
        )
        return out

    scene.evolved = evolved  # type: ignore[method-assign]


SETTINGS: dict[str, Settings] = {
    "noise layer": lambda host, frames: noise_layer(host, masks(frames)),
    "custom cfg": lambda host, frames: custom_cfg(host, 3.0),
    "custom cfg mask": lambda host, frames: custom_cfg(host, 3 * masks(1)),
    "perturbed attention": lambda host, frames: custom_cfg(host, 3.0, "ADE_CFGExtrasPAG"),
    "rescale cfg": lambda host, frames: custom_cfg(host, 3.0, "ADE_CFGExtrasRescaleCFG", masks(1)),
    "cfg keyframes": lambda host, frames: cfg_keyframes(host),
    "iterations": lambda host, frames: iterations(host),
    "naive reuse": naive_reuse,
}
MOTION: dict[str, Motion] = {
    "multivals": lambda host, frames: {
        "scale_multival": masks(frames),
        "effect_multival": masks(frames),
        "cameractrl_multival": masks(frames),
    },
    "keyframes": keyframes,
    "range": lambda host, frames: {"start_percent": 0.3},
}


@pytest.mark.parametrize("name", [*SETTINGS, *MOTION])
def test_as_in_separate_runs(scene: Scene, plain: Tensor, name: str) -> None:
    settings = SETTINGS[name](scene.host, scene.frames) if name in SETTINGS else {}
    motion = MOTION[name](scene.host, scene.frames) if name in MOTION else {}
    evolve(scene, settings, motion)
    apart = scene.apart()
    assert relative(apart, plain) > 1e-3
    assert relative(scene.together(scene.synced(identity=True)), apart) < 2e-5


@pytest.mark.parametrize(
    "inputs",
    [
        {"noise_type": "constant"},
        {"noise_type": "FreeNoise", "seed_gen": "auto1111"},
        {"batch_offset": 1, "seed_offset": 3},
        {"seed_override": [5, 6, 7, 8]},
    ],
)
def test_noise_of_its_own_for_every_view(scene: Scene, inputs: dict[str, Any]) -> None:
    evolve(scene, sample_settings(scene.host, **inputs), {})
    seen: list[Tensor] = []

    def keep(_model: Any, x: Tensor, *_: Any, **__: Any) -> Tensor:
        seen.append(x)
        return x

    scene.sample(scene.guider(scene.synced()), sampler=comfy.samplers.KSAMPLER(keep))
    noise = seen[0].unflatten(0, (2, 4))
    assert relative(noise[0], noise[1]) > 0.1
    assert (relative(noise[0, 0], noise[0, 1]) < 1e-6) == (inputs.get("noise_type") == "constant")


@pytest.mark.parametrize("kind", ["FreeInit [sampler sigma]", "DinkInit_v1"])
def test_free_init(scene: Scene, kind: str) -> None:
    options: dict[str, Any] = {"iterations": 2, "init_type": kind, "apply_to_1st_iter": False}
    options |= {"filter": "gaussian", "d_s": 0.25, "d_t": 0.25, "n_butterworth": 4, "sigma_step": 999}
    options |= {"iter_batch_offset": 0, "iter_seed_offset": 1}
    (made,) = scene.host.call("ADE_IterationOptsFreeInit", **options)
    evolve(scene, sample_settings(scene.host, iteration_opts=made), {})
    out = scene.together(scene.synced())
    assert out.isfinite().all()
    assert relative(out[:4], out[4:]) > 0.1


def ancestral(host: Host) -> dict[str, Any]:
    (options,) = host.call("ADE_AncestralOptions", noise_type="default", seed_offset=7)
    return sample_settings(host, ancestral_opts=options)


def test_ancestral_noise(scene: Scene) -> None:
    scene.sampler, scene.steps = "euler_ancestral", 3
    plain = scene.together(scene.synced())
    evolve(scene, ancestral(scene.host), {})
    out = scene.together(scene.synced())
    assert out.isfinite().all()
    assert relative(out, plain) > 1e-2


REFUSED_SETTINGS: dict[str, tuple[Settings, str]] = {
    "noise layer": (lambda host, frames: noise_layer(host, masks(frames + 1)), "noise layer's mask has values for 5"),
    "custom cfg": (lambda host, frames: custom_cfg(host, masks(frames)), "Custom CFG .* has values for 4 frames"),
    "perturbed attention": (
        lambda host, frames: custom_cfg(host, 3.0, "ADE_CFGExtrasPAG", masks(frames)),
        "CFG Extra .* has values for 4 frames",
    ),
    "rescale cfg": (
        lambda host, frames: custom_cfg(host, 3.0, "ADE_CFGExtrasRescaleCFG", masks(frames)),
        "CFG Extra .* has values for 4 frames",
    ),
}


@pytest.mark.parametrize("name", REFUSED_SETTINGS)
def test_settings_that_are_refused(scene: Scene, name: str) -> None:
    make, message = REFUSED_SETTINGS[name]
    evolve(scene, make(scene.host, scene.frames), {})
    with pytest.raises(ValueError, match=message):
        scene.guider(scene.synced())


@pytest.mark.parametrize("name", ["scale", "effect", "cameractrl"])
def test_values_for_more_frames_than_a_video_has(scene: Scene, name: str) -> None:
    evolve(scene, {}, {f"{name}_multival": masks(6)})
    with pytest.raises(ValueError, match=f"{name}_multival has values for 6 frames; expected at most 4"):
        scene.guider(scene.synced())


def test_images_and_other_cameras_of_one_video(scene: Scene) -> None:
    model = scene.synced()
    (motion,) = model.get_additional_models_with_key("ADE")
    attachment = motion.get_attachment("ADE")
    for name, what in (("orig_pia_images", "PIA"), ("orig_img_latents", "AnimateLCM"), ("orig_RT", "MotionCtrl")):
        setattr(attachment, name, torch.ones(1))
        with pytest.raises(ValueError, match=f"steered by {what}"):
            scene.guider(model)
        setattr(attachment, name, None)
    scene.guider(model)


def test_reference_windows(scene: Scene) -> None:
    model = scene.synced()
    model.get_attachment("ADE_params").context_options.extras.context_ref = object()
    with pytest.raises(ValueError, match="ContextRef"):
        scene.guider(model)


def test_motion_module_of_another_version(scene: Scene) -> None:
    scene.motion.model.mm_info.mm_version = "v1"
    with pytest.raises(ValueError, match=r"AnimateDiff v1.*load v3_sd15_mm.ckpt"):
        scene.guider(scene.synced())


def test_ancestral_noise_and_recurrence(scene: Scene) -> None:
    evolve(scene, ancestral(scene.host), {})
    repeated = scene.host.pack("nodes.host.recurrence").recurrent_sampler(
        comfy.samplers.sampler_object("euler_ancestral"), Recurrence(2)
    )
    with pytest.raises(ValueError, match="same noise in every repetition"):
        scene.sample(scene.guider(scene.synced()), sampler=repeated)


def test_windows_that_change_on_the_way(host: Host) -> None:
    """The position tables must hold the longest of the context options, whichever comes first."""
    scene = Scene(host, frames=20, size=64)
    (options,) = host.call("ADE_StandardStaticContextOptions", context_length=8, context_overlap=2)
    (options,) = host.call(
        "ADE_StandardStaticContextOptions",
        context_length=18,
        context_overlap=2,
        start_percent=0.5,
        prev_context=options,
    )
    evolve(scene, {"context_options": options}, {})
    with pytest.raises(ValueError, match="context windows of 18 frames"):
        scene.guider(scene.synced())
