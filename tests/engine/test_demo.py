"""``cvd demo``: from nothing to videos and a picture, wherever it is started, and nothing that is not finished."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cvd_core.cli import main
from cvd_core.cli.demo import SCENES, SHEET, make_demo
from cvd_core.drawing.panels import side_by_side
from cvd_core.evaluation.footage import prompted_objects, read_footage
from cvd_core.runs.mini import hints
from cvd_core.runs.record import RunRecord
from cvd_core.video.files import read_video

VIEWS = {"circle": ("right", "forward", "left", "back"), "pair": ("left", "right")}
OFFLINE = """
import socket, sys
def refuse(*_):
    raise AssertionError("something tried to reach the network")
socket.socket.connect = refuse
from cvd_core.cli import main
sys.exit(main(["demo", *sys.argv[1:]]))
"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo of two steps."""
    folder = tmp_path_factory.mktemp("new") / "demo"
    make_demo(folder, steps=2)
    return folder


def test_everything_is_there(demo: Path) -> None:
    runs = {name + ending: views for name, views in VIEWS.items() for ending in ("", "-unsynced")}
    animations = {f"{scene}{ending}" for scene in ("circle", "pair") for ending in (".mp4", ".webp")}
    assert {path.name for path in demo.iterdir()} == {*runs, *animations, SHEET}
    for name, views in runs.items():
        videos = [f"{view}.mp4" for view in views]
        found = {path.name for path in (demo / name).iterdir()}
        assert found == {*videos, "grid.mp4", "transforms.json", "run.json"}
        footage = read_footage([demo / name])  # as `cvd evaluate` reads it
        assert footage.videos.shape == (len(views), 8, 64, 64, 3)
        assert footage.cameras.names == views
        assert prompted_objects(footage.prompts)


def test_views_leave_one_place_for_the_points_of_a_circle(demo: Path) -> None:
    cameras = read_footage([demo / "circle"]).cameras
    ends = {name: path[-1].tolist() for name, path in zip(cameras.names, cameras.centers, strict=True)}
    assert ends == {"right": [1, 0, 0], "forward": [0, 0, 1], "left": [-1, 0, 0], "back": [0, 0, -1]}
    assert not cameras.centers[:, 0].any()


@pytest.mark.parametrize("scene", SCENES)
def test_the_small_model_knows_what_it_is_asked_for(demo: Path, scene: str) -> None:
    record = RunRecord.load(demo / scene / "run.json")
    assert hints(record.settings, record.cameras) == []


@pytest.mark.parametrize("scene", SCENES)
def test_only_the_sync_modules_differ(demo: Path, scene: str) -> None:
    synced, unsynced = (RunRecord.load(demo / f"{scene}{ending}" / "run.json") for ending in ("", "-unsynced"))
    assert synced.settings.sync_strength == 1
    assert unsynced.settings.sync_strength == 0
    assert unsynced.settings.seed == synced.settings.seed
    assert torch.equal(unsynced.cameras.c2w, synced.cameras.c2w)
    videos = [read_footage([demo / f"{scene}{ending}"]).videos for ending in ("", "-unsynced")]
    assert not torch.equal(*videos)


def test_a_run_is_repeated_like_any_other(demo: Path, tmp_path: Path) -> None:
    assert main(["generate", "--from", str(demo / "pair" / "run.json"), "--out", str(tmp_path)]) == 0
    assert torch.equal(read_footage([tmp_path]).videos, read_footage([demo / "pair"]).videos)


def test_pictures_are_large_enough(demo: Path) -> None:
    with Image.open(demo / SHEET) as sheet:
        assert sheet.width > 16 * 96
        assert sheet.height > 6 * 96
        colours = np.asarray(sheet.convert("RGB")).reshape(-1, 3).std(0)
    assert colours.min() > 20
    for scene, size in (("circle", (2 * 256 + 16, 4 * 256 + 32)), ("pair", (256 + 16, 4 * 256 + 32))):
        video, fps = read_video(demo / f"{scene}.mp4")
        assert video.shape[1:3] == size
        assert len(video) / fps > 5


def test_runs_side_by_side_play_there_and_back() -> None:
    videos = torch.arange(3, dtype=torch.uint8)[None, :, None, None, None].expand(2, 3, 4, 6, 3) * 50
    shown = side_by_side([videos, 255 - videos], repeats=2)
    assert shown.shape[1:] == (16 + 16, 2 * (2 * 24 + 16), 3)
    assert shown[:8, 16, 20, 0].tolist() == [0, 50, 100, 50, 0, 50, 100, 50]
    assert shown[:2, 16, 100, 0].tolist() == [255, 205]
    assert shown[0, 0].unique().tolist() == [255]  # the margin


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pair").mkdir()
    (tmp_path / SHEET).write_text("mine")
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert f"{tmp_path} already holds pair, {SHEET}; choose another folder" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == [SHEET, "pair"]
    assert (tmp_path / SHEET).read_text() == "mine"


def test_an_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cvd_core.drawing.panels.draw_sheet", interrupt)  # when all runs are made
    with pytest.raises(KeyboardInterrupt):
        make_demo(tmp_path / "a" / "demo", frames=2, steps=1, guidance=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_ctrl_c_in_a_real_process(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "cvd_core.cli", "demo", "--out", str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs are born ignoring it
    )
    assert process.stderr is not None
    said = b""
    while b"step 2/20" not in said:
        chunk = os.read(process.stderr.fileno(), 4096)
        assert chunk, said
        said += chunk
    process.send_signal(signal.SIGINT)
    said += process.communicate()[1]
    assert process.returncode == 130
    assert said.endswith(b"cvd: interrupted\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_command_from_anywhere_without_network(tmp_path: Path) -> None:
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", OFFLINE], cwd=tmp_path, capture_output=True, text=True)
    print(f"{time.monotonic() - start:.0f} s")
    assert done.returncode == 0, done.stderr
    assert "cvd: note: the small model of the package makes the videos" in done.stderr
    assert (tmp_path / "cvd-demo" / SHEET).is_file()
    for name in (SHEET, "circle.mp4", "pair", "circle-unsynced"):
        assert str(Path("cvd-demo") / name) in done.stdout
    synced, unsynced = (read_footage([tmp_path / "cvd-demo" / name]).videos for name in ("pair", "pair-unsynced"))
    assert first_difference(synced) < first_difference(unsynced)


def first_difference(videos: torch.Tensor) -> float:
    """Mean squared difference of the first frames of two views."""
    return float((videos[0, 0].float() - videos[1, 0].float()).square().mean())
