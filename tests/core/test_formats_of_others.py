"""Camera files as other programs write them: views and order, intrinsics, lens distortion, mirrored worlds, formats."""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pycolmap
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cvd_core.geometry.cameras import Cameras, prepare_cameras
from cvd_core.geometry.formats import (
    CONVENTIONS,
    FORMATS,
    Convention,
    detect_format,
    read_cameras,
    read_recording,
    rows_to_cameras,
    write_cameras,
)
from cvd_core.geometry.formats.distortion import corner_shift
from cvd_core.geometry.formats.lens import are_fractions
from cvd_core.geometry.formats.options import Intrinsics
from cvd_core.geometry.formats.views import views_of
from cvd_core.geometry.rigs import make_rig

Matrix = NDArray[np.float64]
LENS: Intrinsics = (500 / 640, 500 / 480, 0.5, 0.5)
GL = np.diag([1.0, -1, -1, 1])
DOCS = Path(__file__).parents[2] / "web" / "docs"


def path_of(frames: int = 8) -> Matrix:
    """``(F, 4, 4)`` camera-to-world, OpenCV axes: x counts up by 0.1, the camera turns."""
    c2w = np.tile(np.eye(4), (frames, 1, 1))
    c2w[:, :3, :3] = Rotation.from_euler("yx", np.outer(np.arange(frames), [-3, 1]), degrees=True).as_matrix()
    c2w[:, :3, 3] = np.outer(np.arange(frames), [0.1, 0.02, 0])
    return c2w


def transforms(path: Path, names: list[str], poses: Matrix, **top: Any) -> Path:
    frames = [
        {"file_path": name, "transform_matrix": (pose @ GL).tolist()} for name, pose in zip(names, poses, strict=True)
    ]
    path.write_text(json.dumps({**top, "frames": frames}))
    return path


SIZED = {"w": 640, "h": 480, "fl_x": 500.0, "fl_y": 500.0, "cx": 320.0, "cy": 240.0}


def colmap(folder: Path, names: list[str], poses: Matrix, camera: str, points: str | None = "1 2 -1 3.5 4 7") -> Path:
    """A model written by scipy's quaternions; ``points`` is the line after each image, None leaves it out."""
    folder.mkdir()
    (folder / "cameras.txt").write_text(f"# cameras\n{camera}\n")
    lines = []
    for i, (name, pose) in enumerate(zip(names, poses, strict=True), 1):
        w2c = np.linalg.inv(pose)
        x, y, z, w = Rotation.from_matrix(w2c[:3, :3]).as_quat()
        lines.append(" ".join(map(repr, [i, *map(float, (w, x, y, z, *w2c[:3, 3])), 1])) + f" {name}")
        lines += [] if points is None else [points]
    (folder / "images.txt").write_text("# images\n" + "\n".join(lines) + "\n")
    (folder / "points3D.txt").write_text("# points\n")
    return folder


def assert_path(cameras: Cameras, poses: Matrix, view: int = 0) -> None:
    np.testing.assert_allclose(cameras.c2w[view].numpy(), poses, rtol=0, atol=1e-9)


# ---- views and order ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [[2, 6, 0, 5, 1, 7, 4, 3], [7, 6, 5, 4, 3, 2, 1, 0]])
def test_frames_are_in_the_order_of_their_names(tmp_path: Path, order: list[int]) -> None:
    names = [f"images/shot {9 + i}.png" for i in order]  # 9, 10, 11: natural order
    assert_path(read_cameras(transforms(tmp_path / "a.json", names, path_of()[order], **SIZED)), path_of())
    model = colmap(tmp_path / "model", names, path_of()[order], "1 PINHOLE 640 480 500 500 320 240")
    assert_path(read_cameras(model), path_of())


@pytest.mark.parametrize(
    ("names", "views"),
    [
        (["cam00/images/{}.png", "cam01/images/{}.png"], ["cam00", "cam01"]),
        (["cam9/{}.png", "cam10/{}.png"], ["cam9", "cam10"]),
        (["./robot/rgb_{}.jpg", "./realsense/rgb_{}.jpg"], ["realsense", "robot"]),
        (["cam2_{}.png", "cam10_{}.png"], ["cam2", "cam10"]),
        (["{}_left.png", "{}_right.png"], ["left", "right"]),
        (["frame_{}/view1.png", "frame_{}/view0.png"], ["view0", "view1"]),
        (["{}/cam_0.png", "{}/cam_1.png"], ["cam_0", "cam_1"]),
        (["a\\{}.png", "b\\{}.png"], ["a", "b"]),
    ],
)
@pytest.mark.parametrize("kind", ["nerfstudio", "colmap"])
def test_folders_and_camera_names_are_views(tmp_path: Path, names: list[str], views: list[str], kind: str) -> None:
    listed = [pattern.format(i) for i in (8, 9, 10, 11) for pattern in names]
    poses = np.repeat(path_of(4), 2, axis=0)
    poses[1::2, 2, 3] = 5  # the second pattern stands elsewhere
    if kind == "colmap":
        cameras = read_cameras(colmap(tmp_path / "m", listed, poses, "1 PINHOLE 640 480 500 500 320 240"))
    else:
        cameras = read_cameras(transforms(tmp_path / "a.json", listed, poses, **SIZED))
    assert sorted(cameras.names) == sorted(views)
    assert cameras.frames == 4
    for view, name in enumerate(cameras.names):
        second = name in names[1].replace("\\", "/").replace("./", "")
        assert_path(cameras, poses[1::2] if second else poses[::2], view)


@pytest.mark.parametrize(
    "names",
    [
        ["r_0", "r_1", "r_2", "r_10"],
        ["camera_1.png", "camera_2.png", "camera_3.png", "camera_9.png"],  # the number is the frame
        ["2024-01-02_09.jpg", "2024-01-02_10.jpg", "2024-01-03_11.jpg", "2024-01-03_12.jpg"],
        ["IMG_1.jpg", "IMG_2.jpg", "DSC_3.jpg", "DSC_4.jpg"],
        ["left.png", "right.png"],
    ],
)
def test_names_that_are_one_view_stay_one(names: list[str]) -> None:
    assert {view for view, _ in views_of(names, "all", "here")} == {"all"}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a_0_0", "a_0_1", "a_1_0", "a_1_1"], "count 2 x 2, so they may be several views or one"),
        (["1_0", "1_1", "1_2", "2_0", "2_1"], "count 2 x 3, so they may be several views or one"),
        (["a/0", "a/1", "a/2", "b/0", "b/1"], "'a' has 3 frames and 'b' 2"),
        (["left_0", "left_1", "left_2", "right_0", "right_1"], "'left' has 3 frames and 'right' 2"),
        (["cam0_0", "cam0_1", "cam1_0"], "'cam0' has 2 frames and 'cam1' 1"),
        (["a/0", "a/1", "a/3", "b/0", "b/1", "b/2"], "has no frame"),
        (["a/0", "a/0"], "two images are called 'a/0'"),
    ],
)
def test_names_that_may_be_either_are_a_question(names: list[str], message: str) -> None:
    with pytest.raises(ValueError, match="list: ") as caught:
        views_of(names, "all", "list")
    assert message in str(caught.value)
    if len(set(names)) == len(names):
        assert [frame for _, frame in views_of(names, "all", "list", one_view=True)] == list(range(len(names)))


def test_cameras_that_number_their_pictures_as_they_like_are_paired_in_order() -> None:
    names = ["a/IMG_98.jpg", "a/IMG_99.jpg", "a/IMG_100.jpg", "b/IMG_7.jpg", "b/IMG_8.jpg", "b/IMG_9.jpg"]
    assert views_of(names, "all", "list") == [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("b", 2)]


def test_frames_without_names_stay_as_listed(tmp_path: Path) -> None:
    for names in (["clip.mp4"] * 8, [""] * 8):
        assert_path(read_cameras(transforms(tmp_path / "a.json", names, path_of()[::-1], **SIZED)), path_of()[::-1])


@pytest.mark.parametrize("points", ["", "1 2 -1 3.5 4 7", None])
def test_colmap_is_read_as_pycolmap_reads_it(tmp_path: Path, points: str | None) -> None:
    model = colmap(
        tmp_path / "m", [f"{i}.png" for i in range(8)], path_of(), "1 OPENCV 640 480 500 510 330 240 0 0 0 0", points
    )
    cameras = read_cameras(model)
    assert_path(cameras, path_of())
    if points == "":
        found = pycolmap.Reconstruction(str(model))
        images = sorted(found.images.values(), key=lambda image: int(image.name.split(".")[0]))
        for frame, image in enumerate(images):
            w2c = np.vstack([image.cam_from_world().matrix(), [0, 0, 0, 1]])
            np.testing.assert_allclose(cameras.w2c[0, frame].numpy(), w2c, atol=1e-9)
        K = found.cameras[1].calibration_matrix()
        np.testing.assert_allclose(cameras.K(640, 480)[0, 0].numpy(), K)


# ---- intrinsics -----------------------------------------------------------------------------------------------------

ROW = "0 {} 0 0 1 0 0 0 0 1 0 0 0 0 1 0"


@pytest.mark.parametrize("lens", ["0.475 0.844 0.5 0.5", "16.7 29.6 0.5 0.5", "66 66 0.5 0.5", "0.3 0.3 -0.4 1.4"])
def test_real_lenses_are_accepted(tmp_path: Path, lens: str) -> None:
    (tmp_path / "a.txt").write_text(ROW.format(lens))
    assert read_cameras(tmp_path / "a.txt").intrinsics[0, 0].tolist() == [float(word) for word in lens.split()]


@pytest.mark.parametrize(
    ("lens", "message"),
    [
        ("607.8 607.8 640 360", "look like pixels"),
        ("607.8 607.8 0.5 0.5", "look like pixels"),
        ("0.475 0.844 640 360", "look like pixels"),
        ("40 40 32 24", "look like pixels"),
        ("0.035 0.035 0.5 0.5", "millimetres"),
        ("0.5 0.5 0.5 -3", "far outside the image"),
    ],
)
def test_intrinsics_that_cannot_be_fractions_are_refused(tmp_path: Path, lens: str, message: str) -> None:
    (tmp_path / "a.txt").write_text(f"link\n{ROW.format(lens)}")
    with pytest.raises(ValueError, match=r"a\.txt, line 2") as caught:
        read_cameras(tmp_path / "a.txt")
    assert message in str(caught.value)
    with pytest.raises(ValueError, match=message):
        rows_to_cameras([[float(word) for word in ROW.format(lens).split()]])


def test_pixels_are_converted_once_the_image_size_is_known(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(ROW.format("607.8 607.8 640 360"))
    cameras = read_cameras(tmp_path / "a.txt", width=1280, height=720)
    np.testing.assert_allclose(cameras.intrinsics[0, 0], [607.8 / 1280, 607.8 / 720, 0.5, 0.5])


ANGLE = 2 * math.atan(0.5 / LENS[0])


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        ({"w": 640, "h": 480, "camera_angle_x": ANGLE}, LENS),
        ({"w": 640, "h": 480, "camera_angle_y": 2 * math.atan(0.5 / LENS[1])}, LENS),
        ({"w": 640, "h": 480, "fl_y": 500}, LENS),
        ({"camera_angle_x": ANGLE, "camera_angle_y": 2 * math.atan(0.5 / LENS[1])}, LENS),
        ({**SIZED, "camera_angle_x": round(ANGLE, 2)}, LENS),  # printed with two digits
        ({**SIZED, "fl_y": 600}, (500 / 640, 600 / 480, 0.5, 0.5)),
    ],
)
def test_lens_of_transforms(tmp_path: Path, top: dict[str, float], expected: Intrinsics) -> None:
    cameras = read_cameras(transforms(tmp_path / "a.json", ["0", "1"], path_of(2), **top))
    np.testing.assert_allclose(cameras.intrinsics[0, 1], expected, rtol=1e-9)
    if "fl_y" in top:  # at its own size nothing is cropped, whether pixels are square or not
        torch.testing.assert_close(cameras.crop_to(640, 480).intrinsics, cameras.intrinsics)


@pytest.mark.parametrize(
    ("top", "fragments"),
    [
        ({**SIZED, "fl_x": 35.7, "camera_angle_x": 0.86}, ["fl_x = 35.7", "camera_angle_x = 0.86", "contradict"]),
        ({**SIZED, "camera_angle_y": 0.3}, ["fl_y = 500", "camera_angle_y = 0.3", "contradict"]),
        ({**SIZED, "fl_x": 35.7, "fl_y": 35.7}, ["35.7", "640 x 480", "millimetres"]),
        ({**SIZED, "fl_x": 0.78, "fl_y": 1.04, "cx": 0.5, "cy": 0.5}, ["0.5, 0.5", "fraction"]),
        ({**SIZED, "cx": 0, "cy": 0}, ["principal point", "offset from the centre"]),
        ({**SIZED, "cx": 3200}, ["3200", "far outside"]),
        ({"camera_angle_x": ANGLE}, ["camera_angle_x", "fx = 0.7812", "give the width and height"]),
        ({"camera_angle_y": ANGLE}, ["camera_angle_y", "fy = 0.7812", "fx needs the aspect"]),
        ({"fl_x": 500, "cx": 320}, ["fl_x = 500", "cx = 320", 'image size "w" and "h" is missing']),
        ({"w": 640, "fl_x": 500}, ['"w" = 640, but no "h"']),
        ({}, ["give fx, fy, cx, cy"]),
    ],
)
def test_lens_of_transforms_that_is_missing_or_contradicts_itself(
    tmp_path: Path, top: dict[str, float], fragments: list[str]
) -> None:
    path = transforms(tmp_path / "a.json", ["0", "1"], path_of(2), **top)
    with pytest.raises(ValueError, match=r"a\.json, frames\[0\]") as caught:
        read_cameras(path)
    assert all(fragment in str(caught.value) for fragment in fragments), str(caught.value)
    assert "None" not in str(caught.value)


def test_the_angle_of_a_nerf_file_and_what_is_given_by_hand_have_to_agree(tmp_path: Path) -> None:
    path = transforms(tmp_path / "a.json", ["r_0", "r_1"], path_of(2), camera_angle_x=0.6911)
    fx = 0.5 / math.tan(0.6911 / 2)
    for given in ({"width": 800, "height": 400}, {"intrinsics": (fx, 2 * fx, 0.5, 0.5)}):
        found = read_cameras(path, **given).intrinsics[0, 0]  # type: ignore[arg-type]
        np.testing.assert_allclose(found, [fx, fx * (2), 0.5, 0.5], rtol=1e-9)
    with pytest.raises(ValueError, match=r"fx = 1\.38.*given fx = 0\.5 contradict"):
        read_cameras(path, intrinsics=(0.5, 0.5, 0.5, 0.5))


def test_a_lens_of_one_frame_overrides_every_way_of_saying_it(tmp_path: Path) -> None:
    path = transforms(tmp_path / "a.json", ["0", "1"], path_of(2), w=640, h=480, camera_angle_x=ANGLE)
    data = json.loads(path.read_text())
    data["frames"][1]["fl_x"] = 1000
    path.write_text(json.dumps(data))
    np.testing.assert_allclose(read_cameras(path).intrinsics[0, :, 0], [500 / 640, 1000 / 640])


@pytest.mark.parametrize("size", [(512, 512), (320, 512), (768, 256), (1280, 720)])
def test_rows_with_a_stated_picture_are_cropped_as_animatediff_evolved_does(size: tuple[int, int]) -> None:
    width, height = size
    row = [0, 0.7, 0.844111024, 0.5, 0.5, 1280, 720, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]
    fx, fy = row[1:3]
    if width / height < 1280 / 720:  # its formula
        fx = height * (1280 / 720) * fx / width
    else:
        fy = width / (1280 / 720) * fy / height
    found = prepare_cameras(rows_to_cameras([row, row]), width, height)
    np.testing.assert_allclose(found.intrinsics[0, 1, :2], [fx, fy], rtol=1e-12)
    torch.testing.assert_close(found.crop_to(width, height).intrinsics, found.intrinsics)  # once cropped, it stays


# ---- lens distortion ------------------------------------------------------------------------------------------------

MODELS = {
    "SIMPLE_RADIAL": "500 320 240 -0.003",
    "RADIAL": "500 320 250 -0.03 0.01",
    "OPENCV": "500 480 330 240 0.058 -0.02 0.001 -0.002",
    "FULL_OPENCV": "500 480 330 240 0.05 -0.02 0.001 -0.002 0.003 0.01 0.002 -0.001",
}


@pytest.mark.parametrize("model", MODELS)
def test_distortion_is_left_out_and_said_in_pixels_at_the_corner(tmp_path: Path, model: str) -> None:
    folder = colmap(tmp_path / "m", [f"{i}.png" for i in range(8)], path_of(), f"1 {model} 640 480 {MODELS[model]}", "")
    camera = pycolmap.Camera(model=model, width=640, height=480, params=[float(v) for v in MODELS[model].split()])
    K = camera.calibration_matrix()
    corners = np.array([[0, 0, 1], [640, 0, 1], [0, 480, 1], [640, 480, 1.0]])
    rays = corners @ np.linalg.inv(K).T
    expected = np.linalg.norm(np.array([camera.img_from_cam(ray[None])[0] for ray in rays]) - corners[:, :2], axis=1)
    with pytest.warns(UserWarning, match=rf"corner by {expected.max():.2g} pixels"):
        cameras = read_cameras(folder)
    assert_path(cameras, path_of())
    np.testing.assert_allclose(cameras.K(640, 480)[0, 0].numpy(), K)
    with pytest.raises(ValueError, match=r"cameras\.txt|images\.txt.*only pinhole cameras were asked for"):
        read_cameras(folder, pinhole_only=True)


def test_corner_shift_against_opencv() -> None:
    values = dict(zip(("k1", "k2", "p1", "p2", "k3"), (0.058, -0.02, 0.001, -0.002, 0.01), strict=True))
    K = np.array([[500.0, 0, 330], [0, 480, 240], [0, 0, 1]])
    corners = np.array([[0, 0], [640, 0], [0, 480], [640, 480]], np.float64)
    rays = np.column_stack([(corners - K[:2, 2]) / np.diag(K)[:2], np.ones(4)])
    pixels, _ = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), K, np.array(list(values.values())))
    expected = np.linalg.norm(pixels[:, 0] - corners, axis=1).max()
    found = corner_shift(values, (500 / 640, 480 / 480, 330 / 640, 0.5), (640, 480), "here")
    assert found == pytest.approx(expected, rel=1e-9)


def test_distortion_of_transforms_is_left_out(tmp_path: Path) -> None:
    path = transforms(tmp_path / "a.json", [f"{i}.jpg" for i in range(8)], path_of(), **SIZED, k1=-0.0024, k2=0.0007)
    with pytest.warns(UserWarning, match=r"corner by 0\.\d+ pixels"):
        assert_path(read_cameras(path), path_of())


@pytest.mark.parametrize("model", ["OPENCV_FISHEYE", "FOV", "EQUIRECTANGULAR"])
def test_fisheye_is_refused_with_the_reason(tmp_path: Path, model: str) -> None:
    path = transforms(tmp_path / "a.json", ["0.png", "1.png"], path_of(2), **SIZED, camera_model=model)
    with pytest.raises(ValueError, match=rf"{model}.*straight lines curved"):
        read_cameras(path)


# ---- mirrored worlds ------------------------------------------------------------------------------------------------


def test_a_world_mirrored_by_every_pose_gives_the_same_relative_poses(tmp_path: Path) -> None:
    mirror = np.diag([1.0, -1, 1, 1])
    w2c = np.linalg.inv(mirror @ path_of())
    lines = [f"{i} 0.5 0.5 0.5 0.5 0 0 {' '.join(map(repr, M[:3].ravel().tolist()))}" for i, M in enumerate(w2c)]
    (tmp_path / "a.txt").write_text("link\n" + "\n".join(lines))
    with pytest.warns(UserWarning, match="every pose mirrors the world"):
        cameras = read_cameras(tmp_path / "a.txt")
    expected = np.array([w2c[0] @ np.linalg.inv(M) for M in w2c])
    assert (np.linalg.det(expected[:, :3, :3]) > 0).all()
    assert_path(cameras.relative_to_first(), expected)
    proper = np.linalg.inv(path_of())[3]
    lines[3] = f"3 0.5 0.5 0.5 0.5 0 0 {' '.join(map(repr, proper[:3].ravel().tolist()))}"
    (tmp_path / "a.txt").write_text("link\n" + "\n".join(lines))
    with pytest.raises(ValueError, match=r"line 2: .*mirrors"):
        read_cameras(tmp_path / "a.txt")


# ---- formats of other programs --------------------------------------------------------------------------------------


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


K3 = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
PICTURES = np.zeros((8, 480, 640, 3), np.uint8)


def test_arrays_of_reconstruction_tools(tmp_path: Path) -> None:
    w2c = np.linalg.inv(path_of())[:, :3]
    for arrays in (
        {"extrinsic": w2c, "intrinsic": np.tile(K3, (8, 1, 1)), "images": PICTURES.transpose(0, 3, 1, 2)},  # VGGT
        {"extrinsics": w2c[None], "intrinsics": np.tile(K3, (1, 8, 1, 1)), "depth": np.zeros((8, 480, 640))},
        {"cam_c2w": path_of(), "intrinsic": K3, "images": PICTURES},  # MegaSaM
        {"cams2world": path_of(), "K": K3, "width": 640, "height": 480},
        {"c2w": path_of(), "w2c": w2c, "intrinsics": np.array(LENS)},
    ):
        cameras = read_cameras(save(tmp_path / "a.npz", **arrays))
        assert_path(cameras, path_of())
        np.testing.assert_allclose(cameras.intrinsics[0, 5], LENS)
    path = save(tmp_path / "a.npz", extrinsic=w2c, intrinsic=K3)
    assert_path(read_cameras(path, width=640, height=480), path_of())
    with pytest.warns(UserWarning, match=r"extrinsic \(w2c\).*640 x 480 is assumed"):
        np.testing.assert_allclose(read_cameras(path).intrinsics[0, 0], LENS)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"poses": path_of()}, "poses may mean either, so give the `convention`"),
        ({"c2w": path_of(), "w2c": path_of()}, "hold different poses"),
        ({"c2w": path_of(), "intrinsics": K3.T}, "expected fx 0 cx, 0 fy cy, 0 0 1"),
        ({"c2w": path_of(), "intrinsics": K3 * 2}, "expected fx 0 cx"),
        ({"c2w": path_of(), "intrinsics": K3, "images": PICTURES[:, :48, :64]}, "640 x|of a 64 x 48 image"),
    ],
)
def test_arrays_that_contradict_themselves(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    lens = None if "intrinsics" in arrays else LENS
    with pytest.raises(ValueError, match=message):
        read_cameras(save(tmp_path / "a.npz", **arrays), intrinsics=lens)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_conventions_that_are_said(tmp_path: Path, convention: Convention) -> None:
    stated: Any = path_of() @ GL if convention.endswith("opengl") else path_of()
    stated = np.linalg.inv(stated) if convention.startswith("w2c") else stated
    np.save(tmp_path / "a.npy", stated)
    save(tmp_path / "a.npz", poses=stated, intrinsics=np.array(LENS))
    assert_path(read_cameras(tmp_path / "a.npy", convention=convention, intrinsics=LENS), path_of())
    assert_path(read_cameras(tmp_path / "a.npz", convention=convention), path_of())
    with pytest.raises(ValueError, match="leave `convention` out"):
        read_cameras(transforms(tmp_path / "a.json", ["0"], path_of(1), **SIZED), convention=convention)


def test_llff(tmp_path: Path) -> None:
    rows = np.zeros((8, 17))
    for row, c2w in zip(rows, path_of(), strict=True):
        right, down, forward = c2w[:3, :3].T
        row[:15] = np.column_stack([down, right, -forward, c2w[:3, 3], [480, 640, 500]]).ravel()
        row[15:] = 1, 10
    for columns in (17, 15):
        np.save(tmp_path / "poses_bounds.npy", rows[:, :columns])
        cameras = read_cameras(tmp_path / "poses_bounds.npy")
        assert detect_format(tmp_path / "poses_bounds.npy").name == "llff"
        assert_path(cameras, path_of())
        np.testing.assert_allclose(cameras.intrinsics[0, 0], LENS)


def test_camera_path_of_nerfstudio(tmp_path: Path) -> None:
    frames = [{"camera_to_world": (m @ GL).ravel().tolist(), "fov": 50, "aspect": 16 / 9} for m in path_of()]
    data: dict[str, Any] = {"render_width": 1920, "render_height": 1080, "fps": 24, "camera_path": frames}
    path = tmp_path / "camera_path.json"
    path.write_text(json.dumps(data))
    recording = read_recording(path)
    assert_path(recording.cameras, path_of())
    fy = 0.5 / math.tan(math.radians(25))
    np.testing.assert_allclose(recording.cameras.intrinsics[0, 0], [fy * 1080 / 1920, fy, 0.5, 0.5])
    assert recording.times is not None
    np.testing.assert_allclose(recording.times[0], np.arange(8) / 24)
    path.write_text(json.dumps({**data, "render_width": 1080}))
    with pytest.warns(UserWarning, match=r'"aspect" is 1\.778.*1, which is used'):
        np.testing.assert_allclose(read_cameras(path).intrinsics[0, 0, 0], fy)
    path.write_text(json.dumps({**data, "camera_type": "equirectangular"}))
    with pytest.raises(ValueError, match="equirectangular"):
        read_cameras(path)


def test_motionctrl_and_tum(tmp_path: Path) -> None:
    w2c = np.linalg.inv(path_of())[:, :3].reshape(8, 12)
    (tmp_path / "a.json").write_text(json.dumps(w2c.tolist()))
    assert_path(read_cameras(tmp_path / "a.json", intrinsics=LENS), path_of())
    quaternions = Rotation.from_matrix(path_of()[:, :3, :3]).as_quat()
    lines = [
        " ".join(map(repr, [100.5 + i / 30, *map(float, [*c2w[:3, 3], *q])]))
        for i, (c2w, q) in enumerate(zip(path_of(), quaternions, strict=True))
    ]
    (tmp_path / "traj.txt").write_text("# timestamp tx ty tz qx qy qz qw\n" + "\n".join(lines))
    recording = read_recording(tmp_path / "traj.txt", intrinsics=LENS)
    assert_path(recording.cameras, path_of())
    assert recording.times is not None
    np.testing.assert_allclose(recording.times[0], 100.5 + np.arange(8) / 30)
    (tmp_path / "traj.txt").write_text("\n".join([lines[1], lines[0]]))
    with pytest.raises(ValueError, match=r"line 2: the time stamp 100\.5 is not after"):
        read_cameras(tmp_path / "traj.txt", intrinsics=LENS)


def pose_file(path: Path, separator: str = " ", encoding: str = "utf-8", columns: int = 19) -> Path:
    w2c = np.linalg.inv(path_of())[:, :3].reshape(8, 12)
    rows = [[i * 33366, *LENS, 0, 0, *row] for i, row in enumerate(w2c.tolist())]
    text = "\n".join(separator.join(map(repr, row[19 - columns :])) for row in rows)
    path.write_bytes(f"https://example.org/clip\n{text}\n".encode(encoding))
    return path


@pytest.mark.parametrize("separator", [" ", ",", ", ", "\t", ";"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("columns", [18, 19])
def test_pose_files_in_other_encodings_and_columns(tmp_path: Path, separator: str, encoding: str, columns: int) -> None:
    cameras = read_cameras(pose_file(tmp_path / "a.txt", separator, encoding, columns))
    assert_path(cameras, path_of())
    np.testing.assert_allclose(cameras.intrinsics[0, 0], LENS)


def test_a_folder_of_pose_files_is_several_views(tmp_path: Path) -> None:
    for name in ("clip10.txt", "clip9.txt"):
        pose_file(tmp_path / name)
    (tmp_path / "clip9.mp4").write_bytes(b"")
    assert read_cameras(tmp_path).names == ("clip9", "clip10")
    (tmp_path / "note.txt").write_text("hello")
    with pytest.raises(ValueError, match=r"note\.txt holds no camera poses"):
        read_cameras(tmp_path)


# ---- what else a file holds -----------------------------------------------------------------------------------------


def test_time_stamps_clips_and_pictures_survive(tmp_path: Path) -> None:
    source = pose_file(tmp_path / "a.txt")
    for name in ("b.json", "b.npz"):
        write_cameras(read_recording(source), tmp_path / name, width=640, height=480)
        back = write_cameras(read_recording(tmp_path / name), tmp_path / f"{name}.txt")[0]
        assert [line.split()[0] for line in back.read_text().splitlines()] == [
            "https://example.org/clip",
            *(str(33366 * i) for i in range(8)),
        ]
    names = [f"left/{i}.png" for i in range(4)] + [f"right/{i}.png" for i in range(4)]
    recording = read_recording(transforms(tmp_path / "c.json", names, path_of(), **SIZED))
    assert recording.images == (tuple(names[:4]), tuple(names[4:]))
    write_cameras(recording, tmp_path / "model", width=640, height=480)
    again = read_recording(tmp_path / "model")
    assert again.images == recording.images
    assert again.cameras.names == recording.cameras.names == ("left", "right")
    longer = recording.resample(7)
    assert longer.images == ()
    assert longer.cameras.frames == 7


def test_numbers_of_frames_are_no_time_stamps(tmp_path: Path) -> None:
    path = write_cameras(make_rig("circle", 1, 4), tmp_path / "a.txt")[0]
    assert read_recording(path).times is None


# ---- nothing lost, bounded memory -----------------------------------------------------------------------------------


def test_files_that_are_there_are_never_touched(tmp_path: Path) -> None:
    rig = make_rig("circle", 2, 3)
    (tmp_path / "a_view1.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"a_view1\.txt already exists.*`overwrite`"):
        write_cameras(rig, tmp_path / "a.txt")
    assert [file.name for file in tmp_path.iterdir()] == ["a_view1.txt"]
    assert (tmp_path / "a_view1.txt").read_text() == "mine"
    assert len(write_cameras(rig, tmp_path / "a.txt", overwrite=True)) == 2


def test_an_npz_is_measured_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("c2w.npy", "w") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f8", "fortran_order": False, "shape": (1, 10_000_000, 4, 4)}
        )
        file.write(bytes(1 << 20))
    with pytest.raises(ValueError, match=r"c2w has shape .*200,000 cameras"):
        read_cameras(path, intrinsics=LENS)


def test_fractions_and_pixels_never_overlap() -> None:
    for size in ((16, 16), (640, 480), (3840, 2160)):
        for focal in (0.1, 0.5, 1.0, 16.0):
            pixels = (focal * size[0], focal * size[0], size[0] / 2, size[1] / 2)
            assert not are_fractions(pixels)


def test_the_documents_list_the_formats_of_the_table() -> None:
    text = (DOCS / "CVD_LoadCameraPoses.md").read_text(encoding="utf-8")
    for known in FORMATS.values():
        endings = ", ".join(known.extensions) or "folder"
        assert f"| {known.name} | {endings} | {known.description} |" in text
