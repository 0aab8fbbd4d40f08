"""Every mistake that the sockets allow gives a node error that says what to change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.model_sampling
import folder_paths
import pytest
import torch

from tests import formula
from tests.nodes import small_network as small
from tests.nodes.host_process import NEWEST, OLDER, Executed, Host
from tests.nodes.runs import Scene

PIXELS = 64


@pytest.fixture
def scene(host: Host) -> Scene:
    return Scene(host, size=PIXELS, steps=1)


def execute(scene: Scene, **changes: Any) -> Executed:
    """Run a graph with CVD_CollaborativeKSampler in which some inputs are others; values become nodes."""
    linked = {
        "model": ("MODEL", scene.synced),
        "plucker": ("CVD_PLUCKER", lambda: scene.rays),
        "positive": ("CONDITIONING", lambda: scene.positive),
        "negative": ("CONDITIONING", lambda: scene.negative),
        "latent_image": ("LATENT", lambda: {"samples": scene.latent}),
    }
    inputs: dict[str, Any] = {
        "seed": 1,
        "steps": 1,
        "cfg": 2.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "denoise": 1.0,
        "pair_strategy": "partition",
        "partitions": 1,
        "recurrence": 1,
        "recurrence_start": 0.0,
        "recurrence_end": 1.0,
        "views_per_pass": 0,
    }
    prompt: dict[str, Any] = {}
    for name, (io_type, make) in linked.items():
        prompt[name] = scene.host.provide(io_type, changes.pop(name) if name in changes else make())
        inputs[name] = [name, 0]
    prompt["sampler"] = {"class_type": "CVD_CollaborativeKSampler", "inputs": inputs | changes}
    return scene.host.run(prompt, outputs=["sampler"])


def assert_fails(done: Executed, *parts: str) -> None:
    assert done.failed_node == "sampler", done
    for part in parts:
        assert part in done.error


def test_good_graph(scene: Scene) -> None:
    done = execute(scene)
    assert not done.error, done.error
    assert done.outputs["sampler"][0]["samples"].shape == scene.latent.shape


def test_no_motion_module(scene: Scene) -> None:
    done = execute(scene, model=scene.synced(model=scene.base))
    assert_fails(done, "no motion module", "Apply AnimateDiff+CameraCtrl Model", "Use Evolved Sampling")


def test_motion_module_without_camera(scene: Scene) -> None:
    model = small.evolved(scene.host, scene.base, small.motion_model(scene.host, camera=False), None)
    assert_fails(
        execute(scene, model=scene.synced(model=model)), "has no CameraCtrl", "Load AnimateDiff+CameraCtrl Model"
    )


def test_camera_control_without_poses(scene: Scene) -> None:
    model = small.evolved(scene.host, scene.base, scene.motion, None)
    assert_fails(execute(scene, model=scene.synced(model=model)), "without poses", "instead of Apply AnimateDiff Model")


def test_the_poses_of_all_views_at_once(scene: Scene) -> None:
    """A list of poses makes the host run everything after it once per view, for hours."""
    host, types = scene.host, scene.host.pack("nodes.types")
    rows = [types.RowOfView(row, 2) for row in small.pose_rows(scene.cameras, 0, PIXELS)]
    model = scene.synced(model=small.evolved(host, scene.base, scene.motion, rows))
    assert_fails(execute(scene, model=model), "list of 2 poses", "connect the poses of Plücker Embed")


def test_no_sync_modules(scene: Scene) -> None:
    assert_fails(execute(scene, model=scene.evolved()), "no sync modules", "Apply Sync Module")


@pytest.mark.parametrize("frames", [1, 3, 8])
def test_latent_of_other_frames(scene: Scene, frames: int) -> None:
    done = execute(scene, latent_image=small.latent(2, frames, PIXELS))
    assert_fails(done, f"the latent holds {2 * frames} frames", "2 views x 2 frames = 4", "Empty Multi-View Latent")


def test_latent_of_another_size(scene: Scene) -> None:
    done = execute(scene, latent_image=small.latent(2, 2, 128))
    assert_fails(done, "the latent is for 128x128 pixels", "64x64", "the same size")


def test_latent_of_another_model(scene: Scene) -> None:
    done = execute(scene, latent_image={"samples": torch.ones(4, 16, 8, 8)})
    assert_fails(done, "16 channels", "the checkpoint's VAE")


@pytest.mark.skipif(not NEWEST, reason=OLDER)
def test_latent_of_several_streams(scene: Scene) -> None:
    from comfy.nested_tensor import NestedTensor

    latent = {"samples": NestedTensor([scene.latent, torch.zeros(4, 8, 8, 8)])}
    assert_fails(execute(scene, latent_image=latent), "several streams", "Empty Multi-View Latent")


def test_latent_of_a_video_model(scene: Scene) -> None:
    done = execute(scene, latent_image={"samples": torch.ones(1, 4, 4, 8, 8)})
    assert_fails(done, "shape (1, 4, 4, 8, 8)", "Empty Multi-View Latent")


@pytest.mark.parametrize(("views", "frames"), [(3, 2), (2, 4)])
def test_epipolar_mask_of_other_cameras(scene: Scene, views: int, frames: int) -> None:
    """The Plücker embedding fits the latent, the mask does not."""
    other = Scene(scene.host, views=views, frames=frames, size=PIXELS)
    done = execute(scene, model=other.synced())
    assert_fails(done, f"mask is for {views} views x {frames} frames", "for 2 x 2", "from the same cameras")


def test_epipolar_mask_of_another_path(scene: Scene) -> None:
    other = Scene(scene.host, size=PIXELS)
    other.cameras = small.rig(3, 2).select([2, 1])
    assert_fails(execute(scene, model=other.synced()), "different cameras", "the same ones")


def test_epipolar_mask_of_another_size(scene: Scene) -> None:
    other = Scene(scene.host, size=128)
    assert_fails(execute(scene, model=other.synced()), "mask is for 128x128 pixels", "64x64", "the same size")


def test_more_frames_than_positions(host: Host) -> None:
    scene = Scene(host, frames=20, size=PIXELS)
    assert_fails(execute(scene), "20 frames without windows", "holds positions for 16", "context length of at most 16")
    scene = Scene(host, frames=20, size=PIXELS, context=(18, 4))
    assert_fails(execute(scene), "context windows of 18 frames", "holds positions for 16")


def test_rectified_flow(scene: Scene) -> None:
    class Flow(comfy.model_sampling.ModelSamplingDiscreteFlow, comfy.model_sampling.CONST):  # type: ignore[misc]
        pass

    model = scene.synced()
    model.add_object_patch("model_sampling", Flow())
    assert_fails(execute(scene, model=model), "rectified flow (CONST)", "remove the ModelSampling node")


def test_several_gpus(scene: Scene) -> None:
    model = scene.synced()
    model.set_additional_models("multigpu", [scene.base])
    assert_fails(execute(scene, model=model), "several GPUs", "remove the MultiGPU node")


def test_context_windows_of_the_host(scene: Scene) -> None:
    model = scene.synced()
    model.model_options["context_handler"] = object()
    assert_fails(execute(scene, model=model), "cut through the views", "context_length of Apply Motion")


def test_injected_images(scene: Scene) -> None:
    model = scene.synced()
    settings = scene.host.animatediff("sample_settings").SampleSettings()
    settings.image_injection.injections.append(object())
    model.set_attachments("ADE_sample_settings", settings)
    assert_fails(execute(scene, model=model), "inject images", "disconnect Image Injection")


@pytest.mark.parametrize("batch", [3, 5])
def test_prompts_for_other_views(scene: Scene, batch: int) -> None:
    done = execute(scene, positive=small.prompt("many", batch))
    assert_fails(done, f"has a batch of {batch}", "per frame (2)", "per view (2)", "(4: all frames of the first view")


def test_prompts_for_views_or_frames(scene: Scene) -> None:
    assert_fails(execute(scene, positive=small.prompt("many", 2)), "one per view or one per frame", "or all 4")


def test_conditioning_of_an_area(scene: Scene) -> None:
    area = [[scene.positive[0][0], {"area": (4, 4, 0, 0), "strength": 1.0}]]
    assert_fails(execute(scene, positive=area), "called on 32x32 pixels", "Conditioning (Set Area)")


def test_control_hints_for_other_frames(scene: Scene) -> None:
    control = small.control_net(torch.ones(3, 3, PIXELS, PIXELS))
    done = execute(scene, positive=[[scene.positive[0][0], {"control": control}]])
    assert_fails(done, "ControlNet has 3 hint images", "per frame (2", "per view and frame (4")


def test_mask_for_other_frames(scene: Scene) -> None:
    latent = {"samples": scene.latent, "noise_mask": torch.ones(3, 1, PIXELS, PIXELS)}
    assert_fails(
        execute(scene, latent_image=latent), "noise mask has a batch of 3", "per frame (2", "per view and frame (4)"
    )


def test_partitions_of_a_strategy_without(scene: Scene) -> None:
    assert_fails(execute(scene, partitions=2), "partitions is 2", "choose 'multi-partition'")


def test_recurrence_range(scene: Scene) -> None:
    assert_fails(execute(scene, recurrence_start=0.9, recurrence_end=0.1), "recurrence range is 0.9 to 0.1")


def test_sampler_that_is_no_function(host: Host) -> None:
    with pytest.raises(ValueError, match="connect KSamplerSelect"):
        host.call("CVD_RecurrentSampler", sampler=object(), recurrence=2, recurrence_start=0.0, recurrence_end=1.0)


def test_sync_range(scene: Scene) -> None:
    with pytest.raises(ValueError, match="never be active"):
        scene.host.call(
            "CVD_ApplySync",
            model=scene.base,
            sync=None,
            epipolar=None,
            strength=1.0,
            start_percent=0.5,
            end_percent=0.1,
        )


def test_sync_modules_of_another_width(scene: Scene) -> None:
    injection = scene.host.pack("nodes.host.injection")
    modules = type(small.sync_modules())((64, 64, 64, 64))
    settings = scene.synced().get_attachment(injection.KEY)
    with pytest.raises(ValueError, match="64 channels where this model has 32; CVD runs on"):
        injection.apply_sync(scene.base, injection.managed(modules), settings)


def test_model_that_is_no_unet(scene: Scene) -> None:
    injection = scene.host.pack("nodes.host.injection")
    other = scene.base.clone()
    other.model = torch.nn.Module()
    other.model.diffusion_model = torch.nn.Linear(1, 1)
    with pytest.raises(ValueError, match=r"is a Linear, not a Stable Diffusion 1.5 UNet"):
        injection.apply_sync(other, injection.managed(small.sync_modules()), None)


@pytest.fixture
def cvd_folder(host: Host) -> Path:
    folder = Path(folder_paths.get_folder_paths("cvd")[0])
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def load(host: Host, name: str) -> Executed:
    prompt = {"sampler": {"class_type": "CVD_SyncModuleLoader", "inputs": {"sync_name": name}}}
    return host.run(prompt, outputs=["sampler"])


def test_loader_takes_the_right_file(host: Host, cvd_folder: Path) -> None:
    torch.save({"unet_trainable_dict": formula.tensors(formula.key_list("reduced")["epi"])}, cvd_folder / "CVD.ckpt")
    done = load(host, "CVD.ckpt")
    assert not done.error
    (sync,) = done.outputs["sampler"]
    assert sync.model.widths == small.WIDTHS


@pytest.mark.parametrize(
    ("part", "kind", "place"),
    [
        ("mm", "an AnimateDiff motion module", "models/animatediff_models"),
        ("attention_processor", "a CameraCtrl checkpoint", "models/animatediff_models"),
        ("base", "a diffusers UNet", ""),
    ],
)
def test_loader_names_the_wrong_file(host: Host, cvd_folder: Path, part: str, kind: str, place: str) -> None:
    torch.save(formula.tensors(formula.key_list("reduced")[part]), cvd_folder / f"{part}.ckpt")
    assert_fails(load(host, f"{part}.ckpt"), f"{part}.ckpt is not a CVD sync module", kind, place)


def test_loader_names_a_damaged_file(host: Host, cvd_folder: Path) -> None:
    (cvd_folder / "cut.safetensors").write_bytes(b"<!DOCTYPE html><html>")
    assert_fails(load(host, "cut.safetensors"), "it is a web page")


def test_loader_offers_only_what_is_there(host: Host, cvd_folder: Path) -> None:
    done = load(host, "missing.ckpt")
    assert "there is no missing.ckpt" in done.validation["sampler"][0]
    assert str(cvd_folder) in done.validation["sampler"][0]


@pytest.mark.parametrize("name", ["sampler_name", "scheduler"])
def test_sampler_that_this_host_has_not(scene: Scene, name: str) -> None:
    done = execute(scene, **{name: "magic"})
    assert f"{name} is 'magic'; expected one of" in done.validation["sampler"][0]
