"""Camera formats: hand-made oracles for every axis convention, and exact round trips of random rigs."""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats import (
    WRITABLE,
    cameras_to_rows,
    detect_format,
    read_cameras,
    rows_to_cameras,
    write_cameras,
)
from cvd_core.geometry.formats.options import Intrinsics

POSES = Path(__file__).parents[1] / "data" / "poses"
OUTPUTS = {
    "realestate10k": "rig.txt",
    "nerfstudio": "rig.json",
    "recammaster": "rig.json",
    "colmap": "rig",
    "numpy": "rig.npz",
}
HOLDS_ALL = ("realestate10k", "nerfstudio", "colmap", "numpy")
LENS: Intrinsics = (0.9, 1.1, 0.45, 0.55)


def random_rig(views: int, frames: int, seed: int, scale: float, constant_lens: bool = False) -> Cameras:
    random = np.random.default_rng(seed)
    c2w = np.zeros((views, frames, 4, 4))
    c2w[..., :3, :3] = Rotation.random(views * frames, rng=random).as_matrix().reshape(views, frames, 3, 3)
    c2w[..., :3, 3] = random.normal(size=(views, frames, 3)) * scale
    c2w[..., 3, 3] = 1
    lens = np.broadcast_to(LENS, (views, frames, 4))
    if not constant_lens:
        lens = random.uniform((0.1, 0.1, 0.2, 0.2), (5, 5, 0.8, 0.8), size=(views, frames, 4))
    return Cameras(torch.from_numpy(c2w), torch.from_numpy(lens.copy()))


rigs = st.builds(
    random_rig,
    views=st.integers(1, 4),
    frames=st.integers(1, 6),
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([0.0, 1e-3, 1.0, 1e4]),
)
constant_rigs = rigs.map(
    lambda rig: replace(rig, intrinsics=torch.tensor(LENS, dtype=torch.float64).expand_as(rig.intrinsics))
)


def read_back(written: list[Path], folder: Path, format: str, lens: Intrinsics | None = None) -> Cameras:
    if format == "colmap":
        return read_cameras(folder / "rig", format=format)
    return Cameras.concatenate([read_cameras(p, format=format, intrinsics=lens) for p in written])


def assert_same(a: Cameras, b: Cameras, names: bool = True) -> None:
    size = float(a.centers.abs().max())
    assert a.c2w.shape == b.c2w.shape
    assert float((a.centers - b.centers).abs().max()) <= 1e-9 * size
    torch.testing.assert_close(a.c2w[..., :3, :3], b.c2w[..., :3, :3], rtol=0, atol=1e-9)
    torch.testing.assert_close(a.intrinsics, b.intrinsics, rtol=1e-12, atol=1e-12)
    if names:
        assert a.names == b.names


# ---- round trips ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", HOLDS_ALL)
@settings(max_examples=25, deadline=None)
@given(rig=rigs)
def test_round_trip_keeps_everything(format: str, rig: Cameras) -> None:
    with tempfile.TemporaryDirectory() as folder:
        written = write_cameras(rig, Path(folder) / OUTPUTS[format], format=format, width=832, height=480)
        assert all(path.is_file() for path in written)
        assert_same(rig, read_back(written, Path(folder), format))


@pytest.mark.parametrize(("format", "file"), [("recammaster", "rig.json"), ("numpy", "rig.npy")])
@settings(max_examples=25, deadline=None)
@given(rig=constant_rigs)
def test_round_trip_of_formats_without_intrinsics(format: str, file: str, rig: Cameras) -> None:
    with tempfile.TemporaryDirectory() as folder:
        written = write_cameras(rig, Path(folder) / file, format=format)
        assert_same(rig, read_cameras(written[0], format=format, intrinsics=LENS), names=False)


@settings(max_examples=50, deadline=None)
@given(rig=rigs, columns=st.sampled_from([18, 19]), matrix=st.sampled_from(["w2c", "c2w"]))
def test_round_trip_of_rows(rig: Cameras, columns: int, matrix: str) -> None:
    rows = cameras_to_rows(rig, 512, 320, columns=columns, matrix=matrix)  # type: ignore[arg-type]
    assert_same(rig, rows_to_cameras(rows, matrix=matrix))  # type: ignore[arg-type]


@settings(max_examples=10, deadline=None)
@given(rig=constant_rigs)
def test_conversions_between_formats_agree(rig: Cameras) -> None:
    """A -> file -> B -> file -> A for every ordered pair of formats."""
    with tempfile.TemporaryDirectory() as name:
        for first, second in permutations(OUTPUTS, 2):
            now = rig
            for step, format in enumerate((first, second)):
                folder = Path(name) / f"{first}-{second}-{step}"
                written = write_cameras(now, folder / OUTPUTS[format], format=format, width=640, height=360)
                now = read_back(written, folder, format, LENS if format == "recammaster" else None)
            assert_same(rig, now, names=False)


names_in_files = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters='/\\:*?"<>|.'), min_size=1, max_size=6
).map(lambda word: f"{word} {word}")


@pytest.mark.parametrize("format", HOLDS_ALL)
@settings(max_examples=25, deadline=None)
@given(names=st.lists(names_in_files, min_size=1, max_size=3, unique_by=str.casefold))
def test_names_of_views_survive(format: str, names: list[str]) -> None:
    rig = replace(random_rig(len(names), 2, 0, 1.0), names=tuple(names))
    with tempfile.TemporaryDirectory() as folder:
        written = write_cameras(rig, Path(folder) / OUTPUTS[format], format=format, width=64, height=64)
        assert read_back(written, Path(folder), format).names == tuple(names)


def test_a_real_pose_file_survives_although_its_rotations_drift(tmp_path: Path) -> None:
    source = POSES / "0bf152ef84195293.txt"
    write_cameras(read_cameras(source), tmp_path / "again.txt")
    before, after = (np.loadtxt(path, skiprows=1)[:, 1:] for path in (source, tmp_path / "again.txt"))
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-14)


# ---- what the numbers mean, by hand ---------------------------------------------------------------------------------

LOOKS_ALONG_X = np.array([[0.0, 0, 1, 1], [0, 1, 0, 2], [-1, 0, 0, 3], [0, 0, 0, 1]])
"""Camera at (1, 2, 3); its right is -z, its down +y, its forward +x (columns), in OpenCV axes."""


def one_camera(lens: tuple[float, float, float, float] = LENS) -> Cameras:
    return Cameras(torch.from_numpy(LOOKS_ALONG_X)[None, None], torch.tensor([[lens]], dtype=torch.float64))


def test_nerfstudio_has_y_up_and_looks_along_minus_z(tmp_path: Path) -> None:
    write_cameras(one_camera((0.5, 1.0, 0.5, 0.25)), tmp_path / "transforms.json", width=200, height=100)
    data = json.loads((tmp_path / "transforms.json").read_text())
    # columns: right -z, up -y, backwards -x
    assert data["frames"][0]["transform_matrix"] == [[0, 0, -1, 1], [0, -1, 0, 2], [-1, 0, 0, 3], [0, 0, 0, 1]]
    assert [data[key] for key in ("w", "h", "fl_x", "fl_y", "cx", "cy")] == [200, 100, 100, 100, 100, 25]
    assert data["frames"][0]["file_path"] == "view0/frame_00000.png"


def test_colmap_is_world_to_camera_with_w_first(tmp_path: Path) -> None:
    write_cameras(one_camera((0.5, 1.0, 0.5, 0.25)), tmp_path / "model", width=200, height=100)
    lines = [line for line in (tmp_path / "model/images.txt").read_text().splitlines() if not line.startswith("#")]
    words = lines[0].split()
    # w2c is a turn by -90 degrees about y; t = -R C with C = (1, 2, 3)
    np.testing.assert_allclose([float(w) for w in words[1:8]], [0.5**0.5, 0, -(0.5**0.5), 0, 3, -2, -1], atol=1e-12)
    assert words[0::8] == ["1", "1"]
    assert words[9] == "view0/frame_00000.png"
    assert lines[1] == ""
    camera = (tmp_path / "model/cameras.txt").read_text().splitlines()[-1].split()
    assert camera[:4] == ["1", "PINHOLE", "200", "100"]
    assert [float(w) for w in camera[4:]] == [100, 100, 100, 25]


def test_recammaster_is_unreal_in_centimetres(tmp_path: Path) -> None:
    """In Unreal, at (100, 200, 300) cm, turned right by 90 degrees: forward +y, right -x, up +z."""
    path = tmp_path / "camera_extrinsics.json"
    path.write_text(json.dumps({"frame0": {"cam01": "[0 1 0 0] [-1 0 0 0] [0 0 1 0] [100 200 300 1] "}}))
    cameras = read_cameras(path, intrinsics=LENS)
    # world x is Unreal's y, y is -z, z is x: the camera at (2, -3, 1) m, right -z, down +y, forward +x
    expected = [[0, 0, 1, 2], [0, 1, 0, -3], [-1, 0, 0, 1], [0, 0, 0, 1]]
    assert cameras.c2w[0, 0].tolist() == expected
    assert cameras.names == ("cam01",)
    write_cameras(cameras, tmp_path / "again.json", format="recammaster")
    text = json.loads((tmp_path / "again.json").read_text())["frame0"]["cam01"]
    numbers = [float(word) for word in text.replace("[", "").replace("]", "").split()]
    assert numbers == [0, 1, 0, 0, -1, 0, 0, 0, 0, 0, 1, 0, 100, 200, 300, 1]


def test_recammaster_gives_the_relative_poses_its_models_are_trained_on(tmp_path: Path) -> None:
    """Their loaders: transpose, camera axes (y, -z, x), metres; relative to the first frame, left-handed."""
    random = np.random.default_rng(5)
    unreal = np.tile(np.eye(4), (6, 1, 1))
    unreal[:, :3, :3] = Rotation.random(6, rng=random).as_matrix()
    unreal[:, :3, 3] = random.normal(size=(6, 3)) * 500
    texts = [" ".join(f"[{' '.join(map(repr, column.tolist()))}]" for column in pose.T) for pose in unreal]
    path = tmp_path / "camera_extrinsics.json"
    path.write_text(json.dumps({f"frame{i}": {"cam01": text} for i, text in enumerate(texts)}))
    loaded = np.stack([unreal[..., 1], -unreal[..., 2], unreal[..., 0], unreal[..., 3]], axis=-1)
    loaded[:, :3, 3] /= 100
    expected = np.linalg.inv(loaded[0]) @ loaded
    ours = read_cameras(path, intrinsics=LENS).relative_to_first().c2w[0]
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-9)


def test_pose_file_is_world_to_camera_and_normalised() -> None:
    path = POSES / "2f25826f0d0ef09a.txt"
    cameras = read_cameras(path)
    table = np.loadtxt(path, skiprows=1)
    assert cameras.names == ("2f25826f0d0ef09a",)
    assert cameras.c2w.shape == (1, 16, 4, 4)
    np.testing.assert_array_equal(cameras.intrinsics[0].numpy(), table[:, 1:5])
    w2c = np.tile(np.eye(4), (16, 1, 1))
    w2c[:, :3] = table[:, 7:].reshape(16, 3, 4)
    np.testing.assert_allclose(cameras.c2w[0].numpy(), np.linalg.inv(w2c), atol=1e-12)
    # what the reference implementation computes for the last frame relative to the first
    reference = [
        [0.9973780, -0.0034131, 0.0722875, -0.6918264],
        [0.0034667, 0.9999938, -0.0006150, -0.6703833],
        [-0.0722849, 0.0008639, 0.9973837, 0.8272420],
    ]
    np.testing.assert_allclose(cameras.relative_to_first().c2w[0, 15, :3].numpy(), reference, atol=1e-6)


def test_rows_carry_the_target_size_so_that_animatediff_leaves_the_lens_alone() -> None:
    rig = random_rig(2, 3, 1, 1.0)
    for width, height in ((512, 320), (320, 512), (256, 256)):
        rows = cameras_to_rows(rig, width, height)
        for v in range(2):
            for f in range(3):
                row = rows[v][f]
                assert len(row) == 19
                assert row[0] == 0
                assert row[5:7] == [width, height]
                # its rescaling of fx or fy, for the aspect in the row
                fx, fy = row[1:3]
                if row[5] / row[6] > width / height:
                    fx = height * row[5] / row[6] * fx / width
                else:
                    fy = width / (row[5] / row[6]) * fy / height
                np.testing.assert_allclose([fx, fy, *row[3:5]], rig.intrinsics[v, f].numpy(), rtol=1e-12)
                w2c = np.array(row[7:]).reshape(3, 4)
                np.testing.assert_allclose(w2c, rig.w2c[v, f, :3].numpy(), atol=1e-12)
    assert [row[1:] for row in rows[0]] == cameras_to_rows(rig, 256, 256, columns=18)[0]


def test_rows_with_a_source_size_state_the_lens_of_the_source() -> None:
    """The rescaling that such rows meet in AnimateDiff-Evolved equals crop_to."""
    row = [0, 0.474812461, 0.844111024, 0.5, 0.5, 1280, 720, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]
    cameras = rows_to_cameras([row])
    assert cameras.intrinsics[0, 0].tolist() == row[1:5]
    widened = 256 * (1280 / 720) * row[1] / 256
    np.testing.assert_allclose(cameras.crop_to(256, 256).intrinsics[0, 0, :2], [widened, row[2]], rtol=1e-6)


def test_the_core_of_comfyui_reads_rows_the_other_way_round() -> None:
    camera = one_camera()
    as_c2w = cameras_to_rows(camera, 64, 64, matrix="c2w")[0]
    assert as_c2w[0][7:] == LOOKS_ALONG_X[:3].reshape(-1).tolist()
    wrong = rows_to_cameras(as_c2w, matrix="w2c")
    torch.testing.assert_close(wrong.c2w, camera.w2c, rtol=0, atol=1e-12)


# ---- files made by others -------------------------------------------------------------------------------------------


def test_pose_file_without_the_link_and_with_blank_lines(tmp_path: Path) -> None:
    lines = (POSES / "0bf152ef84195293.txt").read_text().splitlines()
    path = tmp_path / "bare.txt"
    path.write_text("\r\n".join(lines[1:]) + "\r\n\r\n")
    assert_same(read_cameras(POSES / "0bf152ef84195293.txt"), read_cameras(path), names=False)
    path.write_text("\n".join(["0", *lines[1:]]))  # a title that happens to be a number
    assert read_cameras(path).frames == 16


def test_several_views_make_several_pose_files(tmp_path: Path) -> None:
    written = write_cameras(replace(random_rig(2, 3, 0, 1.0), names=("left", "right")), tmp_path / "rig.txt")
    assert [path.name for path in written] == ["rig_left.txt", "rig_right.txt"]
    for path in written:
        lines = path.read_text().splitlines()
        assert len(lines) == 4
        assert all(len(line.split(" ")) == 19 for line in lines[1:])  # readers split at single spaces, line 1 unseen


def transforms(**top: object) -> dict[str, object]:
    return {**top, "frames": [{"file_path": f"{i}.png", "transform_matrix": np.eye(4).tolist()} for i in range(2)]}


def write_json(path: Path, data: object) -> Path:
    path.write_text(json.dumps(data))
    return path


def test_nerfstudio_field_of_view_instead_of_focal_length(tmp_path: Path) -> None:
    data = transforms(w=400, h=200, camera_angle_x=math.pi / 2, applied_transform=np.eye(4)[:3].tolist(), k1=0.0)
    cameras = read_cameras(write_json(tmp_path / "transforms.json", data))
    np.testing.assert_allclose(cameras.intrinsics[0, 0], [0.5, 1.0, 0.5, 0.5], rtol=1e-12)
    assert cameras.c2w[0, 0].tolist() == np.diag([1.0, -1, -1, 1]).tolist()
    data = transforms(w=400, h=200, camera_angle_x=math.pi / 2, camera_angle_y=math.pi / 2)
    assert read_cameras(write_json(tmp_path / "transforms.json", data)).intrinsics[0, 0, 1] == pytest.approx(0.5)


def test_nerfstudio_lens_per_frame_wins_over_the_file(tmp_path: Path) -> None:
    data = transforms(w=400, h=200, fl_x=400, fl_y=400, cx=100, cy=100)
    data["frames"][1] |= {"fl_x": 200, "w": 800}  # type: ignore[index]
    with pytest.warns(UserWarning, match="different aspects and pixels that are not square"):
        intrinsics = read_cameras(write_json(tmp_path / "transforms.json", data)).intrinsics[0]
    assert intrinsics.tolist() == [[1, 2, 0.25, 0.5], [0.25, 2, 0.125, 0.5]]


def test_nerfstudio_without_image_size_takes_intrinsics_by_hand(tmp_path: Path) -> None:
    path = write_json(tmp_path / "transforms_train.json", transforms(camera_angle_x=2 * math.atan(0.5 / LENS[0])))
    assert read_cameras(path, intrinsics=LENS).intrinsics[0, 1].tolist() == list(LENS)


def test_nerfstudio_frames_are_sorted_by_their_number_not_their_place(tmp_path: Path) -> None:
    rig = random_rig(2, 4, 3, 1.0)
    write_cameras(rig, tmp_path / "rig.json", width=64, height=64)
    data = json.loads((tmp_path / "rig.json").read_text())
    data["frames"] = [data["frames"][i] for i in (3, 1, 0, 2, 7, 5, 6, 4)]
    assert_same(rig, read_cameras(write_json(tmp_path / "shuffled.json", data)))


def write_colmap(folder: Path, names: list[str], camera: str = "1 SIMPLE_PINHOLE 200 100 100 90 40") -> Path:
    folder.mkdir()
    (folder / "cameras.txt").write_text(f"# cameras\n{camera}\n")
    # image ids count down, x counts up with the order of names
    lines = [f"{len(names) - i} 1 0 0 0 {-i} 0 0 1 {name}\n1.5 2.5 -1 3 4 7" for i, name in enumerate(names)]
    (folder / "images.txt").write_text("# images\n" + "\n".join(lines) + "\n")
    return folder


def test_colmap_images_of_others_are_one_view_in_natural_order(tmp_path: Path) -> None:
    cameras = read_cameras(write_colmap(tmp_path / "model", ["shot 1.png", "shot 2.png", "shot 10.png"]))
    assert cameras.names == ("model",)
    assert cameras.centers[0, :, 0].tolist() == [0, 1, 2]
    assert cameras.intrinsics[0, 0].tolist() == [0.5, 1.0, 0.45, 0.4]


def test_colmap_views_come_from_folders_and_may_start_at_one(tmp_path: Path) -> None:
    names = ["b/frame_00002.jpg", "b/frame_00001.jpg", "a/frame_00002.jpg", "a/frame_00001.jpg"]
    cameras = read_cameras(write_colmap(tmp_path / "model", names))
    assert cameras.names == ("a", "b")  # in order of image ids
    assert cameras.centers[..., 0].tolist() == [[3, 2], [1, 0]]


def test_colmap_shares_a_camera_between_images_of_one_lens(tmp_path: Path) -> None:
    write_cameras(random_rig(2, 3, 0, 1.0, constant_lens=True), tmp_path / "one", width=64, height=64)
    write_cameras(random_rig(2, 3, 0, 1.0), tmp_path / "many", width=64, height=64)
    counts = [len((tmp_path / name / "cameras.txt").read_text().splitlines()) - 1 for name in ("one", "many")]
    assert counts == [1, 6]


def test_colmap_keeps_camera_centres_of_a_drifting_rotation(tmp_path: Path) -> None:
    rig = read_cameras(POSES / "0bf152ef84195293.txt")
    write_cameras(rig, tmp_path / "model", width=64, height=36)
    again = read_cameras(tmp_path / "model")
    torch.testing.assert_close(again.centers, rig.centers, rtol=0, atol=1e-12)
    torch.testing.assert_close(again.c2w, rig.c2w, rtol=0, atol=1e-6)


def test_recammaster_names_its_loaders_ask_for(tmp_path: Path) -> None:
    rig = random_rig(2, 2, 0, 1.0, constant_lens=True)
    for names, expected in ((("left", "right"), ["cam01", "cam02"]), (("cam07", "cam03"), ["cam07", "cam03"])):
        write_cameras(replace(rig, names=names), tmp_path / "rig.json", format="recammaster", overwrite=True)
        assert list(json.loads((tmp_path / "rig.json").read_text())["frame1"]) == expected


@pytest.mark.parametrize("shape", [(5, 4, 4), (5, 3, 4), (1, 5, 4, 4), (1, 5, 3, 4)])
def test_numpy_shapes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    rig = random_rig(1, 5, 0, 1.0, constant_lens=True)
    matrices = rig.c2w.numpy()[..., : shape[-2], :].reshape(shape)
    np.save(tmp_path / "c2w.npy", matrices)
    assert_same(rig, read_cameras(tmp_path / "c2w.npy", intrinsics=LENS))
    for lens in (np.array(LENS), np.tile(LENS, (5, 1)), np.tile(LENS, (1, 5, 1))):
        np.savez(tmp_path / "c2w.npz", c2w=matrices.astype(np.float32), intrinsics=lens)
        again = read_cameras(tmp_path / "c2w.npz")
        torch.testing.assert_close(again.c2w, rig.c2w, rtol=1e-6, atol=1e-6)
        assert again.intrinsics[0, 4].tolist() == list(LENS)


# ---- which format it is ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", WRITABLE)
@pytest.mark.parametrize("named", [True, False])
def test_formats_are_detected_by_extension_and_by_content(tmp_path: Path, format: str, named: bool) -> None:
    rig = random_rig(1, 3, 0, 1.0, constant_lens=True)
    path = write_cameras(rig, tmp_path / OUTPUTS[format], format=format, width=64, height=64)[0]
    path = path.parent if format == "colmap" else path
    if not named:
        path = path.rename(path.with_name("something"))
    assert detect_format(path).name == format


@pytest.mark.parametrize(
    ("file", "format"),
    [
        ("a.txt", "realestate10k"),
        ("a.json", "nerfstudio"),
        ("a.npz", "numpy"),
        ("a.NPY", "numpy"),
        ("folder", "colmap"),
    ],
)
def test_the_extension_chooses_what_is_written(tmp_path: Path, file: str, format: str) -> None:
    rig = random_rig(1, 3, 0, 1.0, constant_lens=True)
    write_cameras(rig, tmp_path / file, width=64, height=64)
    assert detect_format(tmp_path / file).name == format
