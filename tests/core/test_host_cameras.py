"""Cameras of ComfyUI's own nodes: LOAD3D_CAMERA, DA3_GEOMETRY and WAN_CAMERA_EMBEDDING, each by its own arithmetic."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cvd_core.geometry.cameras import Cameras, prepare_cameras
from cvd_core.geometry.formats.depth_anything import from_depth_anything
from cvd_core.geometry.formats.load3d import from_load3d, to_load3d
from cvd_core.geometry.plucker import plucker_embedding, wan_camera_embedding
from cvd_core.geometry.rigs import make_rig

WIDTH, HEIGHT = 64, 32


def rig(frames: int = 5) -> Cameras:
    """Two views that move and turn about all axes."""
    c2w = np.tile(np.eye(4), (2, frames, 1, 1))
    t = np.linspace(0, 1, frames)[:, None]
    for view, angles in enumerate(([20, -30, 50], [-10, 170, 5])):
        c2w[view, :, :3, :3] = Rotation.from_euler("xyz", t * angles, degrees=True).as_matrix()
        c2w[view, :, :3, 3] = t * (1, -2 + view, 3)
    lens = torch.tensor([0.6, 1.2, 0.5, 0.5], dtype=torch.float64).repeat(2, frames, 1)
    return Cameras(torch.from_numpy(c2w), lens)


# ---- LOAD3D_CAMERA --------------------------------------------------------------------------------------------------


def test_a_still_camera_stands_as_in_three_js() -> None:
    """Two to the right and one up, looking ahead: y is up there, and ahead is -z."""
    c2w = torch.eye(4, dtype=torch.float64)[None, None].clone()
    c2w[0, 0, :3, 3] = torch.tensor([2.0, -1.0, 4.0])
    ((info,),) = to_load3d(Cameras(c2w, torch.tensor([[[0.5, 0.5, 0.5, 0.5]]], dtype=torch.float64)))
    assert info["position"] == {"x": 2.0, "y": 1.0, "z": -4.0}
    assert info["target"] == {"x": 2.0, "y": 1.0, "z": -5.0}
    assert info["quaternion"] == {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}
    assert info["fov"] == pytest.approx(90)


def test_a_pan_to_the_right_is_a_negative_turn_about_up() -> None:
    c2w = np.eye(4)[None, None].copy()
    c2w[0, 0, :3, :3] = Rotation.from_euler("y", 30, degrees=True).as_matrix()  # y is down here: to the right
    ((info,),) = to_load3d(Cameras(torch.from_numpy(c2w), torch.tensor([[[0.5, 0.5, 0.5, 0.5]]], dtype=torch.float64)))
    assert info["target"]["x"] == pytest.approx(math.sin(math.radians(30)))
    assert info["target"]["z"] == pytest.approx(-math.cos(math.radians(30)))
    assert info["quaternion"]["y"] == pytest.approx(math.sin(math.radians(-15)))


def test_a_round_trip_keeps_the_path() -> None:
    cameras = rig()
    for view, infos in enumerate(to_load3d(cameras)):
        again = from_load3d(infos, WIDTH, HEIGHT)
        torch.testing.assert_close(again.c2w[0], cameras.c2w[view], rtol=0, atol=1e-12)
        torch.testing.assert_close(again.intrinsics[0], cameras.intrinsics[view], rtol=0, atol=1e-12)


def test_without_quaternion_the_camera_looks_at_its_target() -> None:
    """What ComfyUI 0.3.64 passes; upright cameras lose nothing by it."""
    cameras = make_rig("orbit", 3, 4, aspect=2)
    for view, infos in enumerate(to_load3d(cameras)):
        plain = [{k: v for k, v in info.items() if k not in ("quaternion", "fov", "aspect")} for info in infos]
        again = from_load3d(plain, WIDTH, HEIGHT, fov=infos[0]["fov"])
        torch.testing.assert_close(again.c2w[0], cameras.c2w[view], rtol=0, atol=1e-9)
        torch.testing.assert_close(again.intrinsics[0], cameras.intrinsics[view], rtol=0, atol=1e-9)


def test_zoom_lengthens_the_lens() -> None:
    ((info, *_), _) = to_load3d(rig())
    lens = from_load3d([{**info, "zoom": 2.0}], WIDTH, HEIGHT).intrinsics[0, 0]
    assert lens.tolist() == pytest.approx([1.2, 2.4, 0.5, 0.5])


def test_an_off_centre_lens_is_said_to_be_lost() -> None:
    cameras = rig()
    with pytest.warns(UserWarning, match="no principal point"):
        to_load3d(replace(cameras, intrinsics=cameras.intrinsics + torch.tensor([0, 0, 0.1, 0])))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cameraType": "orthographic"}, "camera_info 1 is orthographic"),
        ({"position": None}, "camera_info 1 has no position"),
        ({"position": {"x": 0, "y": 1}}, r"camera_info 1\.position\.z"),
        ({"quaternion": {"x": 0, "y": 0, "z": 0, "w": 2}}, "norm is 2"),
        (
            {"quaternion": None, "target": {"x": 0.0, "y": 0.0, "z": 0.0}, "position": {"x": 0, "y": 0, "z": 0}},
            "own pos",
        ),
        ({"fov": 180}, "between 0 and 180"),
        ({"fov": float("nan")}, r"camera_info 1\.fov"),
        ({"zoom": -1}, "focal length that is not positive"),
    ],
)
def test_impossible_cameras(change: dict[str, Any], message: str) -> None:
    ((good, *_), _) = to_load3d(rig())
    with pytest.raises(ValueError, match=message):
        from_load3d([good, {**good, **change}], WIDTH, HEIGHT)


# ---- DA3_GEOMETRY ---------------------------------------------------------------------------------------------------


def geometry(cameras: Cameras, **changes: Any) -> dict[str, Any]:
    """What the host's node makes of these cameras: its network ran at 504 x 252, the images have another size."""
    count = cameras.views * cameras.frames
    found: dict[str, Any] = {
        "mode": "multiview",
        "depth": torch.ones(count, 100, 200),
        "extrinsics": cameras.w2c.flatten(0, 1)[None, :, :3].float(),
        "intrinsics": cameras.K(504, 252).flatten(0, 1)[None].float(),
    }
    return found | changes


def test_cameras_of_a_geometry() -> None:
    cameras = rig()
    again = from_depth_anything(geometry(cameras), views=2)
    torch.testing.assert_close(again.c2w, cameras.c2w, rtol=0, atol=2e-6)
    torch.testing.assert_close(again.intrinsics, cameras.intrinsics, rtol=0, atol=1e-6)
    assert from_depth_anything(geometry(cameras)).c2w.shape == (1, 10, 4, 4)


def test_half_precision_still_gives_rotations() -> None:
    cameras = rig()
    rough = geometry(cameras)["extrinsics"].to(torch.bfloat16).float()
    again = from_depth_anything(geometry(cameras, extrinsics=rough), views=2)
    torch.testing.assert_close(again.c2w, cameras.c2w, rtol=0, atol=0.03)


def test_an_uncertain_field_of_view_is_said() -> None:
    shifted = geometry(rig())["intrinsics"].clone()
    shifted[0, 3, 0, 2] *= 1.3
    with pytest.warns(UserWarning, match="principal point of camera 3 is not in the middle of the 200 x 100 image"):
        from_depth_anything(geometry(rig(), intrinsics=shifted))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extrinsics": None}, "holds no cameras"),
        ({"intrinsics": torch.eye(3).repeat(1, 10, 1, 1)}, "did not estimate cameras"),
        ({"extrinsics": torch.full((1, 10, 3, 4), float("nan"))}, "no pose for this image"),
        ({"extrinsics": torch.ones(1, 10, 3, 4)}, "not a rotation"),
    ],
)
def test_geometries_without_usable_cameras(change: dict[str, Any], message: str) -> None:
    found = {key: value for key, value in geometry(rig(), **change).items() if value is not None}
    with pytest.raises(ValueError, match=message):
        from_depth_anything(found)


def test_images_that_do_not_divide_into_views() -> None:
    with pytest.raises(ValueError, match="10 cameras, which do not divide into 3 views"):
        from_depth_anything(geometry(rig()), views=3)


# ---- WAN_CAMERA_EMBEDDING -------------------------------------------------------------------------------------------


def test_four_subframes_stand_beside_each_other() -> None:
    cameras = prepare_cameras(rig(frames=9), WIDTH, HEIGHT)
    rays, packed = plucker_embedding(cameras, WIDTH, HEIGHT), wan_camera_embedding(cameras, WIDTH, HEIGHT)
    assert packed.shape == (2, 24, 3, HEIGHT, WIDTH)
    for latent_frame, frames in enumerate([(0, 0, 0, 0), (1, 2, 3, 4), (5, 6, 7, 8)]):
        for subframe, frame in enumerate(frames):
            assert torch.equal(packed[:, subframe::4, latent_frame], rays[:, frame])


def test_one_frame_is_enough() -> None:
    assert wan_camera_embedding(rig(frames=1), 16, 16).shape == (2, 24, 1, 16, 16)


def test_other_numbers_of_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="8 frames; Wan takes 1, 5, 9"):
        wan_camera_embedding(rig(frames=8), 16, 16)
