"""Broken camera files: each is refused with a message that names the place, what was found and what was expected."""

from __future__ import annotations

import json
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats import cameras_to_rows, read_cameras, rows_to_cameras, write_cameras
from cvd_core.geometry.formats.options import Intrinsics

LENS: Intrinsics = (0.9, 1.1, 0.5, 0.5)
ROW = "0 0.9 1.1 0.5 0.5 0 0 1 0 0 0 0 1 0 0 0 0 1 0"


def rig(views: int = 2, frames: int = 3) -> Cameras:
    c2w = torch.eye(4, dtype=torch.float64).repeat(views, frames, 1, 1)
    c2w[..., 0, 3] = torch.arange(views * frames, dtype=torch.float64).reshape(views, frames) / 7
    return Cameras(c2w, torch.tensor(LENS, dtype=torch.float64).repeat(views, frames, 1))


def refused(path: Path, *fragments: str, intrinsics: Intrinsics | None = None, format: str | None = None) -> None:
    with pytest.raises(ValueError, match=r"\S") as caught:
        read_cameras(path, intrinsics=intrinsics, format=format)
    message = str(caught.value)
    for fragment in (str(path), *fragments):
        assert fragment in message, message


# ---- any file -------------------------------------------------------------------------------------------------------


def test_nothing_there(tmp_path: Path) -> None:
    refused(tmp_path / "nothing.txt", "does not exist")


@pytest.mark.parametrize("content", [b"\x00\x01\x02\x03", b"hello", b"[1, 2]", b'{"a": 1}'])
def test_unknown_content_lists_the_formats(tmp_path: Path, content: bytes) -> None:
    for name in ("something", "something.json"):
        path = tmp_path / name
        path.write_bytes(content)
        refused(
            path, "no camera format", "realestate10k (.txt)", "nerfstudio", "recammaster", "colmap (folder)", ".npz"
        )
    refused(tmp_path, "no camera format")  # a folder without a model


def test_unknown_names_of_formats_and_extensions(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(ROW)
    with pytest.raises(ValueError, match=r"'fbx' is not known; expected one of: realestate10k"):
        read_cameras(path, format="fbx")
    with pytest.raises(ValueError, match=r"'blender' is not known"):
        write_cameras(rig(), path, format="blender")
    with pytest.raises(ValueError, match=r"a\.fbx: no camera format ends in '\.fbx'"):
        write_cameras(rig(), tmp_path / "a.fbx")


@pytest.mark.parametrize("name", ["a.txt", "a.json", "a.npy", "a.npz"])
def test_empty_and_binary_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"")
    refused(path)
    path.write_bytes(bytes(range(256)))
    refused(path)


def test_intrinsics_by_hand_are_refused_where_the_file_has_its_own(tmp_path: Path) -> None:
    for name in ("a.txt", "a.json", "a", "a.npz"):
        write_cameras(rig(1), tmp_path / name, width=64, height=64)
        refused(tmp_path / name, "states its own intrinsics", intrinsics=LENS)


# ---- pose files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "fragments"),
    [
        ([], ["is empty"]),
        (["https://link"], ["holds no camera poses"]),
        (["link", ROW, ROW[:-4]], ["line 3", "17 columns", "expected 19"]),
        (["link", ROW, ROW[2:]], ["line 3", "18 columns", "expected 19 (timestamp"]),
        (["link", ROW[2:], ROW], ["line 3", "19 columns", "expected 18"]),
        ([ROW[6:]], ["line 1", "17 columns", "expected 19 (timestamp"]),
        (["link", ROW + " 0"], ["line 2", "20 columns"]),
        (["link", ROW.replace("0.9", "nan")], ["line 2", "column 2 is 'nan'", "finite number"]),
        (["link", ROW.replace("1.1", "inf")], ["line 2", "column 3 is 'inf'"]),
        (["link", ROW, "", ROW.replace("0.9", "wide")], ["line 4", "column 2 is 'wide'"]),
        (["link", ROW, ROW.replace(" 1 0 0 0 0 1", " 2 0 0 0 0 1")], ["line 3", "not a rotation"]),
        (["link", ROW.replace(" 1 0 0 0 0 1", " -1 0 0 0 0 1")], ["line 2", "mirrors"]),
        (["link", ROW.replace(" 1 0 0 0 0 1", " 0 0 0 0 0 0")], ["line 2", "singular"]),
        (["link", ROW.replace("0.9", "-0.9")], ["line 2", "focal length that is not positive"]),
        (["link", ROW.replace("0 0 1", "-0.1 0.02 1", 1)], ["line 2", "-0.1 0.02", "distortion"]),
    ],
)
def test_pose_files(tmp_path: Path, lines: list[str], fragments: list[str]) -> None:
    path = tmp_path / "poses.txt"
    path.write_text("\n".join(lines))
    refused(path, *fragments)


def test_pose_file_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "poses.txt"
    path.write_bytes(f"caf\xe9\n{ROW}\n".encode("latin-1"))
    refused(path, "not a text file", "byte 3")
    path.write_bytes(f"link\n{ROW}\n".encode("utf-16-le"))
    refused(path, "not a text file", "NUL")


# ---- rows -----------------------------------------------------------------------------------------------------------

GOOD = [float(word) for word in ROW.split()]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no camera poses"),
        ([[]], "no camera poses"),
        ([GOOD, GOOD[:-2]], "view0, row 1: 17 numbers; expected 19"),
        ([[GOOD], [[*GOOD, 0.0]]], "view1, row 0: 20 numbers"),
        ([[GOOD, GOOD], [GOOD]], "'view1' has no frame 1"),
        ([[GOOD], GOOD], "view1, row 0: 0.0 found where a list"),
        ([[*GOOD[:3], float("nan"), *GOOD[4:]]], "row 0: column 4 is nan"),
        ([[*GOOD[:3], None, *GOOD[4:]]], "row 0: column 4 is None"),
        ([[*GOOD[:7], 3.0, *GOOD[8:]]], "row 0: this camera has a 3x3 part that is not a rotation"),
        ("poses", "'poses' found where a list"),
        (7, "7 found where a list"),
    ],
)
def test_rows(rows: Any, message: str) -> None:
    with pytest.raises(ValueError, match="camera poses") as caught:
        rows_to_cameras(rows)
    assert message in str(caught.value)


def test_rows_with_the_wrong_number_of_names() -> None:
    with pytest.raises(ValueError, match="1 names for 2 views"):
        rows_to_cameras(cameras_to_rows(rig(), 64, 64), names=["left"])


# ---- nerfstudio -----------------------------------------------------------------------------------------------------


def nerfstudio(change: Callable[[dict[str, Any]], object]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = write_cameras(rig(), Path(folder) / "a.json", width=64, height=48)[0]
        data = json.loads(path.read_text())
    change(data)
    return json.dumps(data)


@pytest.mark.parametrize(
    ("change", "fragments"),
    [
        (lambda d: d.update(frames=[]), ['no list "frames"']),
        (lambda d: d.update(frames=3), ['no list "frames"']),
        (lambda d: d["frames"][2].pop("transform_matrix"), ["frames[2]", "transform_matrix"]),
        (lambda d: d["frames"].__setitem__(1, 4), ["frames[1]"]),
        (lambda d: d["frames"][4].update(transform_matrix=[[1, 0], [0, 1]]), ["frames[4]", "shape (2, 2)"]),
        (lambda d: d["frames"][4].update(transform_matrix=[[1, 0], [0]]), ["frames[4]", "not a matrix"]),
        (lambda d: d["frames"][4].update(transform_matrix="eye"), ["frames[4]", "not a matrix"]),
        (lambda d: d["frames"][0]["transform_matrix"][0].__setitem__(0, float("nan")), ["frames[0]", "NaN"]),
        (lambda d: d["frames"][3]["transform_matrix"][0].__setitem__(0, 2), ["frames[3]", "not a rotation"]),
        (lambda d: d["frames"][3]["transform_matrix"][3].__setitem__(0, 2), ["frames[3]", "last row"]),
        (lambda d: (d.pop("fl_x"), d.pop("fl_y")), ["frames[0]", "fl_x", "camera_angle_x"]),
        (lambda d: d.update(fl_x="wide"), ["frames[0].fl_x is 'wide'"]),
        (lambda d: d.update(fl_x=-3), ["frames[0]", "focal length"]),
        (lambda d: d.pop("w"), ["frames[0]", '"h" = 48, but no "w"']),
        (
            lambda d: (d.pop("w"), d.pop("h")),
            ["frames[0]", '"w" and "h"', "give the width and height", "fx, fy, cx, cy"],
        ),
        (lambda d: (d.pop("fl_x"), d.update(camera_angle_x=50.0)), ["camera_angle_x", "radians"]),
        (lambda d: d.update(k1=1e5), ["distortion k1 = 100000", "farther than the picture is wide"]),
        (lambda d: d["frames"][5].update(p2="-x"), ["frames[5].p2 is '-x'"]),
        (lambda d: d.update(camera_model="OPENCV_FISHEYE"), ["OPENCV_FISHEYE", "pinhole"]),
        (lambda d: d.update(is_fisheye=True), ["'fisheye'", "pinhole"]),
        (lambda d: d.update(camera_model=[]), ["camera model []"]),
        (lambda d: d["frames"][5].pop("view"), ["frames[5]", "in all or in none"]),
        (lambda d: d["frames"][5].pop("frame"), ["frames[5]", '"frame" is None']),
        (lambda d: d["frames"][5].update(frame=1.5), ["frames[5]", '"frame" is 1.5']),
        (lambda d: d["frames"][5].update(view=7), ["frames[5]", '"view" is 7']),
        (lambda d: d["frames"].pop(4), ["'view1' has no frame 1", "0 to 2"]),
        (lambda d: d["frames"][5].update(frame=10**15), ["has no frame 3"]),
        (lambda d: d["frames"][5].update(frame=1), ["frames[5]", "already given", "frames[4]"]),
    ],
)
def test_nerfstudio(tmp_path: Path, change: Callable[[dict[str, Any]], object], fragments: list[str]) -> None:
    path = tmp_path / "transforms.json"
    path.write_text(nerfstudio(change))
    refused(path, *fragments)


def test_json_syntax(tmp_path: Path) -> None:
    path = tmp_path / "transforms.json"
    path.write_text('{\n "w": 64,\n "h": 48\n "frames": []\n}')
    refused(path, "line 4, column 2", "not valid JSON", "delimiter")
    path.write_text('{"frames": [' + "1" * 5000 + "]}")
    refused(path, "not usable JSON")
    path.write_text('{"frames": ' + "[" * 100_000)
    refused(path, "JSON")
    path.write_text("[1]")
    refused(path, "JSON list", format="nerfstudio")


# ---- COLMAP ---------------------------------------------------------------------------------------------------------

CAMERA = "1 PINHOLE 64 48 60 60 32 24"
IMAGE = "1 1 0 0 0 0 0 0 1 view0/frame_00000.png\n"


@pytest.mark.parametrize(
    ("cameras", "images", "fragments"),
    [
        (CAMERA, "# nothing", ["holds no camera poses"]),
        (CAMERA, "", ["images.txt is empty"]),
        (CAMERA, IMAGE[:17], ["images.txt, line 1", "9 columns", "IMAGE_ID"]),
        (CAMERA, "# note\n" + IMAGE.replace("1 1 0", "1 nan 0"), ["images.txt, line 2", "column 1 is 'nan'"]),
        (CAMERA, IMAGE.replace("1 1 0", "1 9 0"), ["images.txt, line 1", "quaternion", "9"]),
        (CAMERA, IMAGE.replace("1 1 0", "one 1 0"), ["images.txt, line 1", "the id is 'one'"]),
        (CAMERA, IMAGE.replace("0 1 view", "0 7 view"), ["images.txt, line 1", "camera 7", "cameras.txt"]),
        (CAMERA, IMAGE + "\n2" + IMAGE[1:], ["images.txt, line 3: frame 0", "already given"]),
        (CAMERA, IMAGE + "\n2" + IMAGE[1:].replace("00.", "02."), ["'view0' has no frame 1"]),
        (CAMERA.replace("PINHOLE", "OPENCV"), IMAGE, ["cameras.txt, line 1", "8 parameters of OPENCV"]),
        (CAMERA.replace("PINHOLE", "OPENCV_FISHEYE"), IMAGE, ["cameras.txt, line 1", "fisheye", "image_undistorter"]),
        (CAMERA.replace("PINHOLE", "SIMPLE_PINHOLE"), IMAGE, ["cameras.txt, line 1", "3 parameters"]),
        (CAMERA.replace("64", "0", 1), IMAGE, ["cameras.txt, line 1", "positive image size"]),
        (CAMERA[:12], IMAGE, ["cameras.txt, line 1", "3 columns"]),
        (CAMERA.replace("60", "-60"), IMAGE, ["images.txt, line 1", "focal length"]),
    ],
)
def test_colmap(tmp_path: Path, cameras: str, images: str, fragments: list[str]) -> None:
    (tmp_path / "cameras.txt").write_text(cameras)
    (tmp_path / "images.txt").write_text(images)
    refused(tmp_path, *fragments)


def test_colmap_without_its_text_files(tmp_path: Path) -> None:
    (tmp_path / "cameras.txt").write_text(CAMERA)
    refused(tmp_path, "no images.txt", "sparse/0")
    (tmp_path / "images.bin").write_bytes(b"\0" * 8)
    refused(tmp_path, "images.bin", "model_converter --output_type TXT")


# ---- ReCamMaster ----------------------------------------------------------------------------------------------------

MATRIX = "[1 0 0 0] [0 1 0 0] [0 0 1 0] [10 20 30 1]"


@pytest.mark.parametrize(
    ("data", "fragments"),
    [
        ({"frame0": {}}, ["holds no camera poses"]),
        ({"frame0": {"cam01": MATRIX}, "note": "x"}, ['"note"', '"frame0"']),
        ({"frame0": 5}, ['"frame0"']),
        ({"frame0": {}, "frame" + "1" * 5000: {}}, ["expected only keys"]),
        ({"frame0": {"cam01": 5}}, ['"frame0", "cam01" is 5', "four brackets"]),
        ({"frame0": {"cam01": MATRIX[:-14]}}, ['"cam01"', "four brackets"]),
        ({"frame0": {"cam01": MATRIX.replace("20", "x")}}, ["bracket 4: column 2 is 'x'"]),
        ({"frame0": {"cam01": "[1 0 0 10] [0 1 0 20] [0 0 1 30] [0 0 0 1]"}}, ["brackets end in 10.0 20.0 30.0 1.0"]),
        ({"frame0": {"cam01": MATRIX.replace("[1 0", "[2 0")}}, ['"frame0", "cam01"', "not a rotation"]),
        ({"frame0": {"cam01": MATRIX}, "frame2": {"cam01": MATRIX}}, ["'cam01' has no frame 1"]),
        ({"frame0": {"cam01": MATRIX, "cam02": MATRIX}, "frame1": {"cam01": MATRIX}}, ["'cam02' has no frame 1"]),
    ],
)
def test_recammaster(tmp_path: Path, data: dict[str, Any], fragments: list[str]) -> None:
    path = tmp_path / "camera_extrinsics.json"
    path.write_text(json.dumps(data))
    refused(path, *fragments, intrinsics=LENS)


def test_formats_without_intrinsics_ask_for_them(tmp_path: Path) -> None:
    for name, format in (("a.json", "recammaster"), ("a.npy", "numpy")):
        write_cameras(rig(), tmp_path / name, format=format)
        refused(tmp_path / name, "holds no intrinsics", "fx, fy, cx, cy")
    refused(tmp_path / "a.npy", "focal length that is not positive", intrinsics=(0.0, 1.0, 0.5, 0.5))


# ---- NumPy ----------------------------------------------------------------------------------------------------------


class Bomb:
    """Unpickling this would write a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.target,))


def test_pickles_are_not_loaded(tmp_path: Path) -> None:
    fuse = tmp_path / "fuse"
    np.savez(tmp_path / "a.npz", c2w=np.array([Bomb(fuse)], dtype=object))
    np.save(tmp_path / "a.npy", np.array([Bomb(fuse)], dtype=object))
    refused(tmp_path / "a.npz", "pickle")
    refused(tmp_path / "a.npy", "pickle")
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Bomb(fuse)))
    refused(tmp_path / "b.npy", "not a NumPy file")
    assert not fuse.exists()


@pytest.mark.parametrize(
    ("arrays", "fragments"),
    [
        ({"poses": np.eye(4)}, ["['poses']", "expected c2w"]),
        ({"c2w": np.eye(4)}, ["shape (4, 4)", "(views, frames, 4, 4)"]),
        ({"c2w": np.zeros((0, 4, 4))}, ["shape (0, 4, 4)"]),
        ({"c2w": np.zeros((2, 4, 4))}, ["view 0, frame 0", "not a rotation"]),
        ({"c2w": np.full((2, 4, 4), np.nan)}, ["view 0, frame 0", "NaN"]),
        ({"c2w": np.array(["a"])}, ["c2w holds <U1", "real numbers"]),
        ({"c2w": np.eye(4)[None] * 1j}, ["complex", "real numbers"]),
        ({"c2w": np.eye(4)[None], "intrinsics": np.ones((2, 4))}, ["intrinsics have shape (2, 4)", "(1, 1, 4)"]),
        ({"c2w": np.eye(4)[None], "names": np.array(["a", "b"])}, ["names are ['a', 'b']"]),
        ({"c2w": np.tile(np.eye(4), (2, 1, 1, 1)), "names": np.array(["a", "a"])}, ["names are ['a', 'a']"]),
        ({"c2w": np.eye(4)[None], "names": np.array([3])}, ["names are [3]"]),
    ],
)
def test_numpy(tmp_path: Path, arrays: dict[str, Any], fragments: list[str]) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    refused(tmp_path / "a.npz", *fragments, intrinsics=None if "intrinsics" in arrays else LENS)


# ---- writing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.json", "model"])
def test_formats_in_pixels_need_the_image_size(tmp_path: Path, name: str) -> None:
    for width, height, found in (
        (None, None, "the width and height of the images are not known"),
        (64, None, "the height of the images is not known"),
        (64, 0, "64 x 0"),
    ):
        with pytest.raises(ValueError, match=rf"{name}.*pixels.*{found}; give the width and height"):
            write_cameras(rig(), tmp_path / name, width=width, height=height)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["a/b", "a\nb", "", " a", "..", "a:b"])
@pytest.mark.parametrize("output", ["a.txt", "a.json", "model"])
def test_view_names_that_cannot_be_file_names(tmp_path: Path, name: str, output: str) -> None:
    with pytest.raises(ValueError, match="cannot be part of a file name"):
        write_cameras(replace(rig(), names=("good", name)), tmp_path / output, width=64, height=64)
    with pytest.raises(ValueError, match="two views are called 'Good'"):
        write_cameras(replace(rig(), names=("good", "Good")), tmp_path / output, width=64, height=64)
    assert list(tmp_path.iterdir()) == []


def test_a_zoom_is_not_lost_silently(tmp_path: Path) -> None:
    zoom = rig()
    zoom.intrinsics[1, 2, 0] = 2.0
    for name, format in (("a.json", "recammaster"), ("a.npy", "numpy")):
        with pytest.raises(ValueError, match=r"holds no intrinsics.*npz"):
            write_cameras(zoom, tmp_path / name, format=format)
    with pytest.raises(ValueError, match=r"\.npy or \.npz"):
        write_cameras(zoom, tmp_path / "a.bin", format="numpy")


# ---- anything at all ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.txt", "a.json", "recam.json", "a.npz", "a.npy", "model"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_files_are_read_or_refused_but_never_crash(name: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        format = "recammaster" if name == "recam.json" else None
        files = write_cameras(rig(1, 2), path, format=format, width=64, height=64)
        victim = files[data.draw(st.integers(0, min(len(files), 2) - 1))]
        content = bytearray(victim.read_bytes())
        for _ in range(data.draw(st.integers(1, 3))):
            place = data.draw(st.integers(0, len(content)))
            length = data.draw(st.sampled_from([0, 1, 1, 5, 100000]))
            content[place : place + length] = data.draw(st.binary(max_size=3))
        victim.write_bytes(content)
        intrinsics = LENS if name in {"recam.json", "a.npy"} else None
        try:
            cameras = read_cameras(path, intrinsics=intrinsics)
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017 - either outcome is right, but the message has to name the file
        else:
            assert cameras.views >= 1
