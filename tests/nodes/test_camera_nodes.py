"""Camera nodes in the real host."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats import WRITABLE, read_cameras
from cvd_core.geometry.rigs import make_rig
from cvd_core.geometry.trajectories import resample
from cvd_core.geometry.trajectory_json import DEFAULT_TEXT
from tests.nodes.host_process import Host

POSES = Path(__file__).resolve().parents[1] / "data" / "poses"
FILES = sorted(path.name for path in POSES.glob("*.txt"))


def builder(**inputs: Any) -> dict[str, Any]:
    defaults = {"views": 4, "frames": 8, "width": 128, "height": 64, "trajectory": DEFAULT_TEXT}
    return {"class_type": "CVD_CameraTrajectoryBuilder", "inputs": defaults | inputs}


def loader(**inputs: Any) -> dict[str, Any]:
    defaults = {"files": "", "format": "auto", "frames": 0, "start": 0, "step": 0, "intrinsics": ""}
    return {"class_type": "CVD_LoadCameraPoses", "inputs": defaults | inputs}


def saver(**inputs: Any) -> dict[str, Any]:
    defaults = {"format": "numpy", "filename_prefix": "cameras/test", "width": 128, "height": 64}
    return {"class_type": "CVD_SaveCameraPoses", "inputs": defaults | inputs}


def assert_same(a: Cameras, b: Cameras, tolerance: float = 1e-6) -> None:
    assert torch.allclose(a.c2w, b.c2w, rtol=0, atol=tolerance)
    assert torch.allclose(a.intrinsics, b.intrinsics, rtol=0, atol=tolerance)


@pytest.fixture
def input_folder(host: Host) -> Path:
    folder = host.base / "input"
    folder.mkdir(exist_ok=True)
    for name in FILES:
        shutil.copy(POSES / name, folder)
    return folder


class TestBuilder:
    def test_default_is_a_rig(self, host: Host) -> None:
        cameras, poses, preview = host.call(
            "CVD_CameraTrajectoryBuilder", views=4, frames=8, width=128, height=64, trajectory=DEFAULT_TEXT
        )
        assert_same(cameras, make_rig("circle", 4, 8, aspect=2), 0)
        assert len(poses) == 4
        assert all(len(view) == 8 and len(row) == 19 for view in poses for row in view)
        assert poses[3][0].copy().views == 4
        assert preview.shape[0] == 1
        assert preview.shape[1] % 2 == preview.shape[2] % 2 == 0

    def test_preview_draws_every_view_in_its_colour(self, host: Host) -> None:
        colors = ["#FF0000", "#00FF00", "#0000FF"]
        moves = [("truck", 1), ("pedestal", 1), ("dolly", 1)]
        views = [{"color": c, "moves": [{"name": n, "amount": a}]} for c, (n, a) in zip(colors, moves, strict=True)]
        _, _, preview = host.call(
            "CVD_CameraTrajectoryBuilder",
            views=0,
            frames=4,
            width=64,
            height=64,
            trajectory=json.dumps({"version": 1, "views": views}),
        )
        for color in torch.eye(3):
            assert ((preview[0] - color).abs().sum(-1) < 0.1).sum() > 500

    def test_poses_go_through_animatediff_and_back(self, host: Host) -> None:
        if "ADE_UseEvolvedSampling" not in host.nodes.NODE_CLASS_MAPPINGS:
            pytest.skip("AnimateDiff-Evolved is not installed")
        prompt = {
            "1": builder(),
            "2": {
                "class_type": "ADE_ReplaceOriginalPoseAspectRatio",
                "inputs": {"poses": ["1", 1], "orig_pose_width": 128, "orig_pose_height": 64},
            },
            "3": {"class_type": "CVD_CamerasFromPoses", "inputs": {"poses": ["2", 0], "matrix": "w2c"}},
        }
        done = host.run(prompt, outputs=["3"])
        assert not done.error
        assert_same(done.outputs["3"][0], make_rig("circle", 4, 8, aspect=2))

    def test_bad_text_is_refused_before_anything_runs(self, host: Host) -> None:
        done = host.run({"1": builder(trajectory='{"version": 1, "rig": {"name": "square"}}')}, outputs=["1"])
        assert 'rig.name: found "square"; expected one of circle' in done.validation["1"][0]

    def test_bad_text_from_a_link_is_refused_by_the_node(self, host: Host) -> None:
        prompt = {"1": builder(trajectory=["2", 0]), "2": host.provide("STRING", "{}")}
        done = host.run(prompt, outputs=["1"])
        assert done.failed_node == "1"
        assert "found no 'version'" in done.error

    @pytest.mark.parametrize(
        ("inputs", "message"),
        [
            ({"views": 0}, "views is 0; the trajectory JSON holds a rig"),
            (
                {"trajectory": '{"version": 1, "views": [{"moves": [{"name": "pan"}]}]}', "views": 3},
                "views is 3, but the trajectory JSON lists 1 views",
            ),
        ],
    )
    def test_mistakes(self, host: Host, inputs: dict[str, Any], message: str) -> None:
        done = host.run({"1": builder(**inputs)}, outputs=["1"])
        assert message in done.error


class TestLoad:
    def test_several_files_are_several_views(self, host: Host, input_folder: Path) -> None:
        done = host.run({"1": loader(files="\n".join([*FILES, ""]))}, outputs=["1"])
        expected = Cameras.concatenate([read_cameras(POSES / name) for name in FILES])
        assert_same(done.outputs["1"][0], expected, 0)
        assert done.outputs["1"][0].names == expected.names

    @pytest.mark.parametrize(
        ("inputs", "wanted"),
        [
            ({"start": 3}, slice(3, None)),
            ({"step": 2}, slice(0, None, 2)),
            ({"step": 3, "start": 1, "frames": 4}, slice(1, 13, 3)),
        ],
    )
    def test_poses_are_picked(self, host: Host, input_folder: Path, inputs: dict[str, int], wanted: slice) -> None:
        done = host.run({"1": loader(files=FILES[0], **inputs)}, outputs=["1"])
        assert torch.equal(done.outputs["1"][0].c2w, read_cameras(POSES / FILES[0]).c2w[:, wanted])

    def test_step_zero_spreads_frames_over_the_whole_path(self, host: Host, input_folder: Path) -> None:
        done = host.run({"1": loader(files=FILES[0], frames=24)}, outputs=["1"])
        assert_same(done.outputs["1"][0], resample(read_cameras(POSES / FILES[0]), 24), 0)

    def test_a_changed_file_is_read_again(self, host: Host, input_folder: Path) -> None:
        node = host.nodes.NODE_CLASS_MAPPINGS["CVD_LoadCameraPoses"]
        path = input_folder / "changing.txt"
        shutil.copy(POSES / FILES[0], path)
        before = node.fingerprint_inputs(files="changing.txt", frames=0)
        assert node.fingerprint_inputs(files="changing.txt", frames=0) == before
        shutil.copy(POSES / FILES[1], path)
        assert node.fingerprint_inputs(files="changing.txt", frames=0) != before
        path.unlink()
        assert "does not exist" in node.fingerprint_inputs(files="changing.txt", frames=0)

    def test_warnings_are_shown_and_go_with_the_next_run(
        self, host: Host, input_folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        lens = {"w": 64, "h": 64, "fl_x": 60, "fl_y": 60, "k1": 0.05}
        frames = [{"transform_matrix": torch.eye(4).tolist()}] * 2
        path = input_folder / "lens.json"
        path.write_text(json.dumps(lens | {"frames": frames}))
        (shown,) = host.run({"1": loader(files="lens.json")}, outputs=["1"]).ui["1"]["text"]
        assert shown.startswith(f"Warning: {path}: lens distortion is left out")
        assert "lens distortion is left out" in caplog.text
        path.write_text(json.dumps(lens | {"frames": frames, "k1": 0}))
        assert host.run({"1": loader(files="lens.json")}, outputs=["1"]).ui["1"]["text"] == []

    def test_absolute_path_inside_the_hosts_folders(self, host: Host, input_folder: Path) -> None:
        done = host.run({"1": loader(files=str(input_folder / FILES[0]))}, outputs=["1"])
        assert done.outputs["1"][0].views == 1

    @pytest.mark.parametrize(
        ("files", "message"),
        [
            ("", "files is empty"),
            ("missing.txt", "missing.txt does not exist"),
            ("../../etc/passwd", "is outside ComfyUI's folders"),
            ("/etc/passwd", "is outside ComfyUI's folders"),
            ("C:\\poses\\a.txt", "does not exist"),
        ],
    )
    def test_bad_paths_are_refused_before_anything_runs(self, host: Host, files: str, message: str) -> None:
        done = host.run({"1": loader(files=files)}, outputs=["1"])
        assert message in done.validation["1"][0]

    def test_a_linked_path_is_confined_too(self, host: Host) -> None:
        done = host.run({"1": loader(files=["2", 0]), "2": host.provide("STRING", "/etc/passwd")}, outputs=["1"])
        assert "is outside ComfyUI's folders" in done.error

    @pytest.mark.parametrize(
        ("inputs", "message"),
        [
            ({"start": 99}, "start is 99, but"),
            ({"frames": 99, "step": 1}, "Ask for fewer frames, or set step to 0"),
            ({"intrinsics": "1 1 0.5 0.5"}, "states its own intrinsics"),
            ({"intrinsics": "1, 1"}, "intrinsics is '1, 1'; expected four numbers"),
            ({"format": "nerfstudio"}, FILES[0]),
        ],
    )
    def test_mistakes(self, host: Host, input_folder: Path, inputs: dict[str, Any], message: str) -> None:
        done = host.run({"1": loader(files=FILES[0], **inputs)}, outputs=["1"])
        assert done.failed_node == "1"
        assert message in done.error


@pytest.mark.parametrize("name", WRITABLE)
def test_what_is_saved_loads_again(host: Host, name: str) -> None:
    intrinsics = "0.8733516 1.7467031 0.5 0.5" if name == "recammaster" else ""
    prompt = {
        "1": builder(),
        "2": saver(cameras=["1", 0], format=name),
        "3": loader(files=["2", 0], format=name, intrinsics=intrinsics),
    }
    done = host.run(prompt, outputs=["3"])
    assert not done.error
    assert_same(done.outputs["3"][0], make_rig("circle", 4, 8, aspect=2), 1e-5)
    written = [Path(line) for line in done.ui["2"]["text"][0].splitlines()]
    assert all(path.is_relative_to(host.base / "output" / "cameras") for path in written)
    again = host.run({"1": builder(), "2": saver(cameras=["1", 0], format=name)})
    assert again.ui["2"]["text"] != done.ui["2"]["text"]  # nothing is overwritten


def test_saving_stays_in_the_output_folder(host: Host) -> None:
    done = host.run({"1": builder(), "2": saver(cameras=["1", 0], filename_prefix="../outside")})
    assert "leads out of" in done.error
    assert not list(host.base.glob("outside*"))


def test_sets_are_combined_in_order_of_their_inputs(host: Host) -> None:
    prompt = {
        "1": builder(views=2),
        "2": builder(views=3, trajectory='{"version": 1, "rig": {"name": "orbit"}}'),
        "3": {"class_type": "CVD_CombineCameras", "inputs": {"cameras_1": ["2", 0], "cameras_5": ["1", 0]}},
    }
    done = host.run(prompt, outputs=["3"])
    expected = [make_rig("orbit", 3, 8, aspect=2), make_rig("circle", 2, 8, aspect=2)]
    assert_same(done.outputs["3"][0], Cameras.concatenate(expected), 0)


def test_sets_of_different_length_are_not_combined(host: Host) -> None:
    prompt = {
        "1": builder(),
        "2": builder(frames=9),
        "3": {"class_type": "CVD_CombineCameras", "inputs": {"cameras_1": ["1", 0], "cameras_2": ["2", 0]}},
    }
    done = host.run(prompt, outputs=["3"])
    assert "different numbers of frames (view0: 8, view0: 9)" in done.error


def test_matrices_of_the_core_are_camera_to_world(host: Host) -> None:
    row = [0, 1, 1, 0.5, 0.5, 0, 0, 1, 0, 0, 3, 0, 1, 0, 0, 0, 0, 1, 0]
    for matrix, x in (("w2c", -3), ("c2w", 3)):
        (cameras,) = host.call("CVD_CamerasFromPoses", poses=[[row]], matrix=[matrix])
        assert cameras.centers[0, 0, 0] == x
