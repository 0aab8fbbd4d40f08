"""glTF files as pygltflib reads them: what their cameras see, frame by frame, is what ours see."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pygltflib
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cvd_core.exports.gltf import write_gltf
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.rigs import make_rig

Array = NDArray[np.float64]
POINTS = np.random.default_rng(0).uniform((-1, -1, 3), (1, 1, 6), (20, 3))
"""In our world: y down, in front of cameras near the origin that look along +z."""


def expected_pixels(cameras: Cameras, view: int, frame: int) -> Array:
    """``(N, 2)`` where our camera sees the points, as fractions of the image."""
    fx, fy, cx, cy = cameras.intrinsics[view, frame].tolist()
    w2c = np.linalg.inv(cameras.c2w[view, frame].numpy())
    x, y, z = w2c[:3, :3] @ POINTS.T + w2c[:3, 3:]
    return np.stack([fx * x / z + cx, fy * y / z + cy], -1)


def seen_pixels(translation: Array, rotation: Array, yfov: float, aspect: float) -> Array:
    """The same through a glTF camera, by the projection matrix of the specification (section 3.10.3.3)."""
    view = np.linalg.inv(Rotation.from_quat(rotation).as_matrix())
    x, y, z = view @ (POINTS * (1, -1, -1) - translation).T
    ndc = np.stack([x / (aspect * math.tan(yfov / 2)), y / math.tan(yfov / 2)], -1) / -z[:, None]
    return ndc * (0.5, -0.5) + 0.5


def numbers(scene: pygltflib.GLTF2, accessor: int) -> Array:
    """``(F,)`` or ``(F, n)`` values of an accessor."""
    known = scene.accessors[accessor]
    view = scene.bufferViews[known.bufferView]
    data = scene.get_data_from_buffer_uri(scene.buffers[view.buffer].uri)[view.byteOffset :][: view.byteLength]
    columns = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[known.type]
    return np.frombuffer(data, "<f4").astype(np.float64).reshape(known.count, columns)


def turning(views: int = 2, frames: int = 9) -> Cameras:
    """Views that turn about all axes, more than half a turn about z, while they move; each has a lens of its own."""
    c2w = np.tile(np.eye(4), (views, frames, 1, 1))
    for view in range(views):
        angles = np.stack([np.linspace(0, 20, frames), np.linspace(0, -15, frames), np.linspace(0, 400, frames)], -1)
        c2w[view, :, :3, :3] = Rotation.from_euler("xyz", angles * (1, 1 - 2 * view, 1), degrees=True).as_matrix()
        c2w[view, :, :3, 3] = np.linspace(0, 1, frames)[:, None] * (0.3, -0.4 + view, 0.5)
    lens = torch.tensor([0.7, 1.2, 0.5, 0.5], dtype=torch.float64).repeat(views, frames, 1)
    lens[1:, :, :2] *= 1.5
    return Cameras(torch.from_numpy(c2w), lens, tuple(f"view {v}" for v in range(views)))


@pytest.mark.parametrize("cameras", [turning(), make_rig("circle", 4, 5, aspect=2)], ids=["turning", "circle"])
def test_every_frame_shows_the_same(tmp_path: Path, cameras: Cameras) -> None:
    scene = pygltflib.GLTF2().load(str(write_gltf(cameras, tmp_path / "rig.gltf", fps=12)))
    assert [scene.nodes[node].name for node in scene.scenes[scene.scene].nodes] == list(cameras.names)
    (animation,) = scene.animations
    moved = {(c.target.node, c.target.path): animation.samplers[c.sampler] for c in animation.channels}
    assert len(moved) == 2 * cameras.views
    for view in range(cameras.views):
        lens = scene.cameras[scene.nodes[view].camera].perspective
        translation, rotation = (numbers(scene, moved[view, path].output) for path in ("translation", "rotation"))
        times = numbers(scene, moved[view, "rotation"].input)[:, 0]
        np.testing.assert_allclose(times, np.arange(cameras.frames) / 12, atol=1e-6)
        assert scene.accessors[moved[view, "rotation"].input].max == [pytest.approx(times[-1])]
        for frame in range(cameras.frames):
            seen = seen_pixels(translation[frame], rotation[frame], lens.yfov, lens.aspectRatio)
            np.testing.assert_allclose(seen, expected_pixels(cameras, view, frame), atol=2e-6)
        node = scene.nodes[view]
        np.testing.assert_allclose(node.translation, translation[0], atol=1e-6)
        np.testing.assert_allclose(node.rotation, rotation[0], atol=1e-6)
        assert ((rotation[1:] * rotation[:-1]).sum(-1) > 0).all(), "programs interpolate along the shorter way"


def test_a_zoom_is_animated_by_pointer(tmp_path: Path) -> None:
    rig = turning()
    lens = rig.intrinsics.clone()
    lens[0, :, :2] *= torch.linspace(1, 2, rig.frames)[:, None]
    rig = replace(rig, intrinsics=lens)
    scene = pygltflib.GLTF2().load(str(write_gltf(rig, tmp_path / "zoom.gltf")))
    assert scene.extensionsUsed == ["KHR_animation_pointer"]
    assert not scene.extensionsRequired
    (animation,) = scene.animations
    (zoom,) = (channel for channel in animation.channels if channel.target.path == "pointer")
    assert zoom.target.extensions["KHR_animation_pointer"]["pointer"] == "/cameras/0/perspective/yfov"
    angles = numbers(scene, animation.samplers[zoom.sampler].output)[:, 0]
    np.testing.assert_allclose(angles, 2 * np.arctan(0.5 / lens[0, :, 1].numpy()), atol=1e-6)


def test_a_single_frame_stands_still(tmp_path: Path) -> None:
    scene = pygltflib.GLTF2().load(str(write_gltf(make_rig("circle", 3, 1), tmp_path / "still.gltf")))
    assert not scene.animations
    assert not scene.buffers
    assert len(scene.cameras) == 3


def test_an_off_centre_lens_is_said_to_be_lost(tmp_path: Path) -> None:
    rig = turning()
    lens = rig.intrinsics.clone()
    lens[1, 3, 2] = 0.6
    with pytest.warns(UserWarning, match=r"view 1 is up to 10.0% of the image away"):
        write_gltf(replace(rig, intrinsics=lens), tmp_path / "off.gltf")


def test_mistakes_leave_nothing_behind(tmp_path: Path) -> None:
    there = tmp_path / "there.gltf"
    there.write_text("mine")
    with pytest.raises(ValueError, match="already exists"):
        write_gltf(turning(), there)
    with pytest.raises(ValueError, match=r"ends in \.gltf"):
        write_gltf(turning(), tmp_path / "rig.glb")
    with pytest.raises(ValueError, match="frame rate is 0"):
        write_gltf(turning(), tmp_path / "rig.gltf", fps=0)
    assert there.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [there]
