"""``cvd export``: what it writes and says."""

from __future__ import annotations

from pathlib import Path

import pygltflib
import pytest
import torch

from cvd_core.cli import main
from cvd_core.geometry.formats import read_cameras, write_cameras
from cvd_core.geometry.rigs import make_rig
from cvd_core.video.files import write_video


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The files of a run of two views, four frames of 32 x 32 pixels, at 6 frames per second."""
    folder = tmp_path / "run"
    rig = make_rig("stereo", 2, 4)
    write_cameras(rig, folder / "transforms.json", width=32, height=32)
    for name in rig.names:
        write_video(torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8), folder / f"{name}.mp4", 6)
    return folder


def test_datasets(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(run), "--to", "moments", "--out", str(tmp_path / "moments")]) == 0
    assert str(tmp_path / "moments" / "moment_0003") in capsys.readouterr().out
    assert read_cameras(tmp_path / "moments" / "moment_0003" / "sparse" / "0").views == 2

    assert main(["export", str(run), "--to", "dnerf", "--out", str(tmp_path / "4d")]) == 0
    assert "--held-out keeps views back" in capsys.readouterr().err
    name = read_cameras(run / "transforms.json").names[0]
    words = ["export", str(run), "--to", "dnerf", "--held-out", name, "--out", str(tmp_path / "split")]
    assert main(words) == 0
    assert capsys.readouterr().err == ""
    assert len(list((tmp_path / "split" / "test").iterdir())) == 4


def test_gltf_has_the_time_of_the_videos_or_the_given_one(run: Path, tmp_path: Path) -> None:
    for source, more, fps in ((run, [], 6), (run, ["--fps", "12"], 12), (run / "transforms.json", [], 8)):
        out = tmp_path / f"{fps}.gltf"
        assert main(["export", str(source), "--to", "gltf", "--out", str(out), *more]) == 0
        scene = pygltflib.GLTF2().load(str(out))
        times = scene.accessors[scene.animations[0].samplers[0].input]
        assert times.max == [pytest.approx(3 / fps)]


def test_mistakes(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(run), "--to", "moments", "--held-out", "x", "--out", str(tmp_path / "out")]) == 2
    assert "--held-out is for the layout dnerf" in capsys.readouterr().err
    assert main(["export", str(run / "transforms.json"), "--to", "moments", "--out", str(tmp_path / "out")]) == 2
    assert main(["export", str(run), "--to", "moments", "--out", str(run / "transforms.json")]) == 2
    assert not (tmp_path / "out").exists()


def test_a_frame_rate_of_nothing_is_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for source in (run, run / "transforms.json"):
        assert main(["export", str(source), "--to", "gltf", "--out", str(tmp_path / "0.gltf"), "--fps", "0"]) == 2
        assert "frame rate is 0" in capsys.readouterr().err
