"""Cameras that go to and come from the host's own nodes: what those make of them is what ours mean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats import read_cameras
from cvd_core.geometry.rigs import make_rig
from cvd_core.geometry.trajectories import resample, reverse
from tests.nodes.host_process import NEWEST, OLDER, Host

WIDTH, HEIGHT = 64, 32
POINTS = np.random.default_rng(0).uniform((-1, -1, 3), (1, 1, 6), (20, 3))
"""In our world, in front of cameras near the origin."""
newest = pytest.mark.skipif(not NEWEST, reason=OLDER)


# ---- Wan ------------------------------------------------------------------------------------------------------------


def core_move(host: Host, name: str, length: int) -> Cameras:
    """The path of a move of the core's WanCameraEmbedding, which takes intrinsics for those of a 16:9 picture."""
    from comfy_extras import nodes_camera_trajectory as core

    move = core.CAMERA_DICT[name]
    moved = core.get_camera_motion(np.array(move["angle"]), np.array(move["T"]), 1.0, length)
    c2w = np.tile(np.eye(4), (1, length, 1, 1))
    c2w[0, :, :3] = moved
    lens = torch.full((1, length, 4), 0.5, dtype=torch.float64)
    return Cameras(torch.from_numpy(c2w), lens, aspects=(1280 / 720,))


@pytest.mark.parametrize("move", ["Static", "Pan Right", "Zoom In", "Anti Clockwise (ACW)"])
@pytest.mark.parametrize(("width", "height"), [(64, 32), (32, 64), (48, 48)])
def test_wan_rays_are_those_of_the_core(host: Host, move: str, width: int, height: int) -> None:
    expected, *_ = host.call("WanCameraEmbedding", camera_pose=move, width=width, height=height, length=9)
    found = host.call(
        "CVD_CamerasToWan", cameras=core_move(host, move, 9), view=0, width=width, height=height, length=9
    )
    assert found[1:] == (width, height, 9)
    assert found[0].shape == expected.shape == (1, 24, 3, height, width)
    torch.testing.assert_close(found[0], expected, rtol=0, atol=5e-7)


def test_wan_takes_the_path(host: Host) -> None:
    """The core's nodes and the network's camera adapter take what we made, at the length of the video."""
    import comfy.ops
    from comfy.ldm.wan.model import WanCamAdapter

    prompt = {
        "cameras": host.provide("CVD_CAMERAS", make_rig("orbit", 3, 16)),
        "text": host.provide("CONDITIONING", [[torch.zeros(1, 4, 8), {}]]),
        "vae": host.provide("VAE", None),
        "path": {
            "class_type": "CVD_CamerasToWan",
            "inputs": {"cameras": ["cameras", 0], "view": 2, "width": WIDTH, "height": HEIGHT, "length": 21},
        },
        "video": {
            "class_type": "WanCameraImageToVideo",
            "inputs": {
                "positive": ["text", 0],
                "negative": ["text", 0],
                "vae": ["vae", 0],
                "width": ["path", 1],
                "height": ["path", 2],
                "length": ["path", 3],
                "batch_size": 1,
                "camera_conditions": ["path", 0],
            },
        },
    }
    done = host.run(prompt, outputs=["video"])
    assert not done.error
    positive, negative, latent = done.outputs["video"]
    given: Tensor = positive[0][1]["camera_conditions"]
    assert given is negative[0][1]["camera_conditions"]
    assert given.shape[2] == latent["samples"].shape[2] == 6
    adapter = WanCamAdapter(24, 8, (2, 2), (2, 2), operation_settings={"operations": comfy.ops.disable_weight_init})
    assert adapter(given).shape == (1, 8, 6, HEIGHT // 16, WIDTH // 16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"view": 3}, "view is 3, but the cameras have 3 views"),
        ({"length": 8}, "8 frames; Wan takes 1, 5, 9"),
        ({"width": 40}, "Wan takes multiples of 16"),
    ],
)
def test_what_wan_cannot_take(host: Host, change: dict[str, Any], message: str) -> None:
    good = {"cameras": make_rig("orbit", 3, 9), "view": 0, "width": WIDTH, "height": HEIGHT, "length": 9}
    with pytest.raises(ValueError, match=message):
        host.call("CVD_CamerasToWan", **good | change)


# ---- guide videos ---------------------------------------------------------------------------------------------------


def guide(host: Host, cameras: Cameras, **changes: Any) -> Tensor:
    size = {"view": 0, "width": WIDTH, "height": HEIGHT, "length": 5, "scale": 1.0}
    (frames,) = host.call("CVD_CamerasToGuideVideo", cameras=cameras, **size | changes)
    return frames


def red(frame: Tensor) -> Tensor:
    """``(x, y)`` of the middle of what is red, in pixels."""
    y, x = ((frame[..., 0] > 2 * frame[..., 1]) & (frame[..., 0] > 2 * frame[..., 2])).nonzero(as_tuple=True)
    return torch.stack([x, y], -1).double().mean(0)


def test_the_guide_video_moves_as_the_cameras_do(host: Host) -> None:
    cameras = make_rig("stereo", 2, 16, baseline=0.4)
    frames = guide(host, cameras, view=1, height=WIDTH)
    assert frames.shape == (5, WIDTH, WIDTH, 3)
    assert frames.min() >= 0
    assert frames.max() <= 1
    last = cameras.select([1]).frame(15)
    center = last.w2c[0, 0] @ torch.tensor([0, 0.2, 1, 1], dtype=torch.float64)
    seen = last.K(WIDTH, WIDTH)[0, 0] @ center[:3]
    torch.testing.assert_close(red(frames[-1]), seen[:2] / seen[2] - 0.5, rtol=0, atol=1.5)


def test_the_guide_video_starts_where_the_path_starts(host: Host) -> None:
    """A recorded path begins anywhere in its world; the subject is in front of it all the same."""
    cameras = make_rig("orbit", 2, 5, aspect=WIDTH / HEIGHT)
    elsewhere = torch.eye(4, dtype=torch.float64)
    elsewhere[:3] = torch.tensor([[0, 0, 1, 7], [0, 1, 0, -3], [-1, 0, 0, 2]])
    moved = Cameras(elsewhere @ cameras.c2w, cameras.intrinsics, cameras.names)
    torch.testing.assert_close(guide(host, moved), guide(host, cameras), rtol=0, atol=0.02)


def test_a_scaled_path_goes_farther(host: Host) -> None:
    cameras = make_rig("stereo", 2, 5, aspect=WIDTH / HEIGHT, baseline=0.2)
    shifts = [red(frames[-1])[0] - red(frames[0])[0] for frames in (guide(host, cameras, scale=s) for s in (1.0, 2.0))]
    assert shifts[1] / shifts[0] == pytest.approx(2, abs=0.4)


# ---- 3D cameras -----------------------------------------------------------------------------------------------------


def pixels(cameras: Cameras, frame: int) -> np.ndarray[Any, Any]:
    """``(N, 2)`` where our camera of the only view sees the points, in pixels."""
    in_camera = np.linalg.inv(cameras.c2w[0, frame].numpy()) @ np.vstack([POINTS.T, np.ones(len(POINTS))])
    seen = cameras.K(WIDTH, HEIGHT)[0, frame].numpy() @ in_camera[:3]
    return (seen[:2] / seen[2]).T


def splat_pixels(info: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """The same by the arithmetic of the core's Render Splat."""
    from comfy_extras.nodes_gaussian_splat import _camera_basis

    eye, _, right, up, forward = _camera_basis(info, torch.device("cpu"))
    in_camera = (torch.from_numpy(POINTS).float() - eye) @ torch.stack([right, up, forward], 0).T
    focal = min(WIDTH, HEIGHT) / 2 / math.tan(math.radians(info["fov"]) / 2) * info["zoom"]
    return np.asarray(in_camera[:, :2] / in_camera[:, 2:] * focal + torch.tensor([WIDTH / 2, HEIGHT / 2]))


@newest
def test_render_splat_sees_what_our_cameras_see(host: Host) -> None:
    cameras = make_rig("orbit", 2, 4, aspect=WIDTH / HEIGHT)
    (infos,) = host.call("CVD_CamerasToLoad3D", cameras=cameras, view=1, frame=-1)
    assert len(infos) == 4
    for frame, info in enumerate(infos):
        np.testing.assert_allclose(splat_pixels(info), pixels(cameras.select([1]), frame), atol=1e-3)
    (one,) = host.call("CVD_CamerasToLoad3D", cameras=cameras, view=1, frame=2)
    assert one == [infos[2]]


@newest
def test_cameras_made_in_the_host_see_the_same(host: Host) -> None:
    modes: list[dict[str, Any]] = [
        {"mode": "look_at", "position_x": 1.0, "position_y": 2.0, "position_z": 3.0},
        {"mode": "orbit", "yaw": 30.0, "pitch": -20.0, "distance": 4.0},
    ]
    for mode in modes:
        (info,) = host.call(
            "CreateCameraInfo", mode=mode, target_x=0.1, target_y=0.2, target_z=-4.0, roll=15.0, fov=50.0, zoom=1.5
        )
        (cameras,) = host.call(
            "CVD_CamerasFromLoad3D", camera_info=[info], frames=[0], width=[WIDTH], height=[HEIGHT], fov=[35.0]
        )
        np.testing.assert_allclose(splat_pixels(info), pixels(cameras, 0), rtol=1e-4, atol=1e-2)


def test_older_hosts_cameras_are_upright_and_look_at_their_target(host: Host) -> None:
    """The type of ComfyUI 0.3.64: no quaternion, no field of view."""
    old = {
        "position": {"x": 0, "y": 1, "z": 5},
        "target": {"x": 0, "y": 1, "z": 0},
        "zoom": 1,
        "cameraType": "perspective",
    }
    moved = {**old, "position": {"x": 2, "y": 1, "z": 5}, "target": {"x": 2, "y": 1, "z": 0}}
    prompt = {
        "list": host.provide("LOAD3D_CAMERA", old),
        "cameras": {
            "class_type": "CVD_CamerasFromLoad3D",
            "inputs": {"camera_info": ["list", 0], "frames": 5, "width": 128, "height": 64, "fov": 90.0},
        },
    }
    (still,) = host.run(prompt, outputs=["cameras"]).outputs["cameras"]
    assert still.c2w.shape == (1, 5, 4, 4)
    torch.testing.assert_close(still.c2w[0, :, :3, :3], torch.eye(3, dtype=torch.float64).expand(5, 3, 3))
    torch.testing.assert_close(still.centers[0, 4], torch.tensor([0.0, -1, -5], dtype=torch.float64))
    assert still.intrinsics[0, 0].tolist() == pytest.approx([0.25, 0.5, 0.5, 0.5])
    (path,) = host.call(
        "CVD_CamerasFromLoad3D", camera_info=[old, moved], frames=[5], width=[WIDTH], height=[HEIGHT], fov=[90.0]
    )
    torch.testing.assert_close(path.centers[0, 2], torch.tensor([1.0, -1, -5], dtype=torch.float64))


def test_preview_3d_takes_our_camera(host: Host) -> None:
    (infos,) = host.call("CVD_CamerasToLoad3D", cameras=make_rig("orbit", 1, 2), view=0, frame=0)
    prompt = {
        "camera": host.provide("LOAD3D_CAMERA", infos[0]),
        "preview": {
            "class_type": "Preview3D",
            "inputs": {"model_file": "3d/model.glb", "camera_info": ["camera", 0]},
        },
    }
    done = host.run(prompt)
    assert not done.error
    assert infos[0] in done.ui["preview"]["result"]


# ---- Depth Anything 3 -----------------------------------------------------------------------------------------------


@newest
def test_poses_of_depth_anything(host: Host) -> None:
    """From the encoding that its network gives, through the host's own conversion, to our cameras."""
    from comfy.ldm.depth_anything_3.transform import affine_inverse, pose_encoding_to_extri_intri

    encoding = torch.tensor([[[0.1 * i, 0.2, -0.3 * i, 0.02 * i, -0.1, 0.05, 1.0, 0.8, 1.2] for i in range(6)]])
    c2w, K = pose_encoding_to_extri_intri(encoding, (252, 504))
    homogeneous = torch.cat([c2w, torch.tensor([0.0, 0, 0, 1]).expand(1, 6, 1, 4)], -2)
    geometry = {
        "mode": "multiview",
        "depth": torch.ones(6, 180, 360),
        "extrinsics": affine_inverse(homogeneous)[:, :, :3],
        "intrinsics": K,
    }
    (cameras,) = host.call("CVD_CamerasFromGeometry", geometry=geometry, views=2)
    torch.testing.assert_close(cameras.c2w.flatten(0, 1).float(), homogeneous[0], rtol=0, atol=1e-6)
    fov = 2 * torch.atan(0.5 / cameras.intrinsics[..., :2])
    torch.testing.assert_close(fov[0, 0], torch.tensor([1.2, 0.8], dtype=torch.float64), rtol=0, atol=1e-6)


# ---- Export Scene ---------------------------------------------------------------------------------------------------


def export(host: Host, cameras: Cameras, images: Tensor | None = None, **inputs: Any) -> Any:
    prompt = {
        "cameras": host.provide("CVD_CAMERAS", cameras),
        "images": host.provide("IMAGE", images),
        "e": {
            "class_type": "CVD_ExportScene",
            "inputs": {
                "cameras": ["cameras", 0],
                "layout": "moments",
                "shared_start": True,
                "fps": 8.0,
                "filename_prefix": "scenes/test",
                **({} if images is None else {"images": ["images", 0]}),
                **inputs,
            },
        },
    }
    return host.run(prompt, outputs=["e"])


def test_scenes_lie_in_the_output_folder_and_are_numbered(host: Host) -> None:
    cameras, images = make_rig("stereo", 2, 3), torch.rand(6, HEIGHT, WIDTH, 3)
    written = []
    for layout in ("moments", "dnerf", "moments"):
        done = export(host, cameras, images, layout=layout)
        assert not done.error
        written.append(Path(done.outputs["e"][0]))
    assert len(set(written)) == 3
    assert all(path.parent == host.base / "output" / "scenes" for path in written)
    assert (written[1] / "transforms_train.json").is_file()
    found = read_cameras(written[2] / "moment_0001" / "transforms.json")
    expected = cameras.relative_to_first().crop_to(WIDTH, HEIGHT)
    torch.testing.assert_close(found.c2w[:, 0], expected.c2w[:, 1], rtol=0, atol=1e-9)
    torch.testing.assert_close(found.intrinsics[:, 0], expected.intrinsics[:, 1], rtol=0, atol=1e-9)


def test_cameras_can_stay_where_they_were_drawn(host: Host) -> None:
    cameras, images = reverse(make_rig("circle", 3, 2)), torch.rand(6, HEIGHT, WIDTH, 3)
    done = export(host, cameras, images, shared_start=False)
    found = read_cameras(Path(done.outputs["e"][0]) / "moment_0000" / "transforms.json")
    torch.testing.assert_close(found.c2w[:, 0], cameras.c2w[:, 0], rtol=0, atol=1e-9)


def test_cameras_alone_for_3d_programs(host: Host) -> None:
    done = export(host, make_rig("stereo", 2, 3), layout="gltf")
    assert Path(done.outputs["e"][0]).suffix == ".gltf"
    assert Path(done.outputs["e"][0]).is_relative_to(host.base / "output" / "scenes")


@pytest.mark.parametrize(
    ("images", "inputs", "message"),
    [
        (None, {}, "layout moments needs the images"),
        (torch.rand(5, HEIGHT, WIDTH, 3), {}, "holds 5 images; expected 6: 3 frames of 2 views"),
        (torch.rand(6, HEIGHT, WIDTH, 3), {"filename_prefix": "../x"}, "leads out of"),
    ],
)
def test_what_cannot_be_exported(host: Host, images: Tensor | None, inputs: dict[str, Any], message: str) -> None:
    done = export(host, make_rig("stereo", 2, 3), images, **inputs)
    assert done.failed_node == "e"
    assert message in done.error
    assert not list(host.base.glob("x*"))


def test_a_path_is_spread_over_the_frames(host: Host) -> None:
    cameras = make_rig("orbit", 1, 5)
    (again,) = host.call(
        "CVD_CamerasFromLoad3D",
        camera_info=host.call("CVD_CamerasToLoad3D", cameras=cameras, view=0, frame=-1)[0],
        frames=[9],
        width=[WIDTH],
        height=[WIDTH],
        fov=[35.0],
    )
    torch.testing.assert_close(again.c2w, resample(cameras, 9).c2w, rtol=0, atol=1e-9)
