"""``cvd cameras``: what the commands write and say."""

from __future__ import annotations

import argparse
import json
import math
import re
import resource
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from cvd_core.cli.cameras import add_parser, describe
from cvd_core.drawing.camera_plot import draw_cameras, save_plot
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats import read_cameras, write_cameras
from cvd_core.geometry.trajectories import resample

POSES = Path(__file__).parents[1] / "data" / "poses"
FILES = [str(POSES / name) for name in ("0bf152ef84195293.txt", "2f25826f0d0ef09a.txt")]


def cvd(*words: object) -> None:
    parser = argparse.ArgumentParser(prog="cvd")
    add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args([str(word) for word in words])
    args.run(args)


def fork() -> Cameras:
    """Two views, five frames: one moves right by 0.1 a frame, one turns right by 90 degrees in all and moves up."""
    c2w = np.tile(np.eye(4), (2, 5, 1, 1))
    c2w[0, :, 0, 3] = np.arange(5) * 0.1
    c2w[1, :, :3, :3] = Rotation.from_rotvec(np.linspace(0, 90, 5)[:, None] * [0, 1, 0], degrees=True).as_matrix()
    c2w[1, :, 1, 3] = -np.arange(5) * 0.2
    lens = torch.tensor([0.5, 0.5, 0.5, 0.5], dtype=torch.float64).repeat(2, 5, 1)
    lens[1, :, 0] = torch.linspace(0.5, 1, 5)
    return Cameras(torch.from_numpy(c2w), lens, ("truck", "turn"))


# ---- convert --------------------------------------------------------------------------------------------------------


def test_convert_makes_views_of_several_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cvd("cameras", "convert", *FILES, tmp_path / "rig.json", "--width", 640, "--height", 360)
    rig = read_cameras(tmp_path / "rig.json")
    assert rig.names == ("0bf152ef84195293", "2f25826f0d0ef09a")
    assert rig.frames == 16
    torch.testing.assert_close(rig.c2w[1], read_cameras(FILES[1]).c2w[0])
    output = capsys.readouterr().out
    assert "2 views x 16 frames" in output
    assert str(tmp_path / "rig.json") in output
    assert "square" not in output  # these are 16:9 clips
    cvd("cameras", "convert", tmp_path / "rig.json", tmp_path / "back.txt")
    assert sorted(path.name for path in tmp_path.glob("*.txt")) == [
        "back_0bf152ef84195293.txt",
        "back_2f25826f0d0ef09a.txt",
    ]


def test_convert_warns_when_pixels_are_not_square(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cvd("cameras", "convert", "--width", 256, "--height", 256, *FILES, tmp_path / "model")
    assert re.search(r"256 x 256 are not square .* 1\.778", capsys.readouterr().out)
    assert read_cameras(tmp_path / "model").views == 2


def test_convert_says_how_to_read_a_file_without_intrinsics_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cvd("cameras", "convert", FILES[0], tmp_path / "unreal.json", "--to", "recammaster")
    hint = re.search(r"--intrinsics (\S+) (\S+) (\S+) (\S+)", capsys.readouterr().out)
    assert hint is not None
    assert list(json.loads((tmp_path / "unreal.json").read_text())["frame0"]) == ["cam01"]
    cvd("cameras", "convert", "--intrinsics", *hint.groups(), tmp_path / "unreal.json", tmp_path / "again.npz")
    before, after = read_cameras(FILES[0]), read_cameras(tmp_path / "again.npz")
    torch.testing.assert_close(after.intrinsics, before.intrinsics)
    torch.testing.assert_close(after.relative_to_first().c2w, before.relative_to_first().c2w)


def test_convert_passes_mistakes_on(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"rig\.json.*give the width and height"):
        cvd("cameras", "convert", *FILES, tmp_path / "rig.json")
    with pytest.raises(SystemExit):
        cvd("cameras", "convert", FILES[0], tmp_path / "out.npz", "--to", "fbx")
    assert not (tmp_path / "out.npz").exists()


def test_convert_never_overwrites_unasked(tmp_path: Path) -> None:
    left, right = (Path(shutil.copy(file, tmp_path)) for file in FILES)
    before = right.read_bytes()
    with pytest.raises(ValueError, match=rf"{right.name} already exists.*`overwrite`"):
        cvd("cameras", "convert", left, right)
    assert right.read_bytes() == before
    cvd("cameras", "convert", left, right, "--overwrite")
    torch.testing.assert_close(read_cameras(right).c2w, read_cameras(left).c2w)


def test_clips_of_different_length_are_resampled(tmp_path: Path) -> None:
    write_cameras(fork(), tmp_path / "short.npz")
    with pytest.raises(ValueError, match=r"short\.npz: 5\); --frames 16 resamples"):
        cvd("cameras", "convert", FILES[0], tmp_path / "short.npz", tmp_path / "out.npz")
    cvd("cameras", "convert", FILES[0], tmp_path / "short.npz", tmp_path / "out.npz", "--frames", 9)
    rig = read_cameras(tmp_path / "out.npz")
    assert (rig.views, rig.frames) == (3, 9)
    assert torch.equal(rig.c2w[0], resample(read_cameras(FILES[0]), 9).c2w[0])
    with pytest.raises(ValueError, match=r"100,000,000 frames.*200,000 at most"):
        cvd("cameras", "info", FILES[0], "--frames", 10**8)


def test_a_pattern_and_a_folder_are_expanded(tmp_path: Path) -> None:
    for number in (10, 9):
        shutil.copy(FILES[0], tmp_path / f"clip{number}.txt")
    for given in (tmp_path / "clip*.txt", tmp_path):
        cvd("cameras", "convert", given, tmp_path / "out.npz", "--overwrite")
        assert read_cameras(tmp_path / "out.npz").names == ("clip9", "clip10")
        (tmp_path / "out.npz").unlink()
    with pytest.raises(ValueError, match=r"nothing matches .*\*\.json"):
        cvd("cameras", "info", tmp_path / "*.json")


@pytest.mark.parametrize("place", range(4))
def test_words_come_in_any_order(place: int) -> None:
    words = ["cameras", "plot", *FILES, "out.png"]
    words.insert(2 + place, "--relative")
    parser = argparse.ArgumentParser(prog="cvd")
    add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(words)
    assert args.relative
    assert [str(path) for path in args.inputs] == FILES
    assert str(args.output) == "out.png"


def test_convert_says_what_the_format_does_not_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = Path(FILES[0]).read_text().splitlines()
    rows = [f"{33366 * i} {line.split(' ', 1)[1]}" for i, line in enumerate(lines[1:])]
    (tmp_path / "timed.txt").write_text("\n".join(["https://example.org", *rows]))
    cvd("cameras", "convert", tmp_path / "timed.txt", tmp_path / "model", "--width", 1280, "--height", 720)
    assert "cannot hold the time stamps, addresses of the clips" in capsys.readouterr().out


# ---- info -----------------------------------------------------------------------------------------------------------


def test_info_measures_every_view() -> None:
    lines = describe(fork()).splitlines()
    assert lines[0] == "2 views x 5 frames; extent of the whole rig 0.8944 units"
    truck, turn = (next(line for line in lines if line.startswith(name)) for name in ("truck", "turn"))
    assert re.split(r"\s{3,}", truck) == ["truck", "0.5000, 0.5000", "90.0 deg", "0.4", "0.4", "0.0 deg"]
    cells = ["turn", "0.5000 -> 1.0000, 0.5000", "90.0 -> 53.1 deg", "0.8", "0.8", "90.0 deg"]
    assert re.split(r"\s{3,}", turn) == cells


def test_info_finds_where_the_baseline_vanishes() -> None:
    text = describe(fork())
    assert "First poses: the same in all views" in text
    assert "vanishes (-) in frame 0:" in text
    # sqrt(0.1^2 + 0.2^2) per frame
    assert re.search(r"frame 0 +- +0\.2236 +0\.4472 +0\.6708 +0\.8944", text)
    assert "relative to its first camera" not in text


def test_info_of_separate_clips_also_looks_at_relative_poses(capsys: pytest.CaptureFixture[str]) -> None:
    cvd("cameras", "info", *FILES)
    output = capsys.readouterr().out
    assert f"{FILES[0]}: realestate10k" in output
    assert "First poses: different" in output
    stored, relative = output.split("Smallest baseline between two views, ")[1:]
    assert "vanishes in no frame" in stored
    assert "vanishes (-) in frame 0:" in relative
    assert len(re.findall(r"\d\.\d+", relative)) == 15


def test_info_of_one_view(capsys: pytest.CaptureFixture[str]) -> None:
    cvd("cameras", "info", FILES[0])
    output = capsys.readouterr().out
    assert "1 view x 16 frames" in output
    assert "no baselines" in output


# ---- plot -----------------------------------------------------------------------------------------------------------


def test_plot_shows_every_path_the_right_way_up() -> None:
    rig = fork()
    figure = draw_cameras(rig)
    panels: dict[str, Any] = {axes.get_title().split(":")[0]: axes for axes in figure.axes}
    assert set(panels) == {"Plan", "Front", "Side", "Perspective"}
    for name, columns in (("Plan", [0, 2]), ("Front", [0, 1]), ("Side", [2, 1])):
        axes = panels[name]
        paths = {line.get_label().strip(): line.get_xydata() for line in axes.lines}
        for view, label in enumerate(rig.names):
            np.testing.assert_allclose(paths[label], rig.centers[view].numpy()[:, columns])
        low, high = axes.get_ylim()
        assert (low > high) == (name != "Plan")  # y of the cameras points down in the picture
        for line in axes.lines:  # frusta and paths all inside the frame
            points = np.asarray(line.get_xydata())
            assert (points[:, 0] >= min(axes.get_xlim())).all()
            assert (points[:, 0] <= max(axes.get_xlim())).all()
            assert (points[:, 1] >= min(low, high)).all()
            assert (points[:, 1] <= max(low, high)).all()
    bottom, top = panels["Perspective"].get_zlim()
    assert bottom > top


def test_plot_draws_frusta_ahead_of_the_camera_as_wide_as_its_view() -> None:
    axes: Any = next(axes for axes in draw_cameras(fork().select([0])).axes if axes.get_title().startswith("Plan"))
    frusta = [np.asarray(line.get_xydata()) for line in axes.lines if len(line.get_xydata()) > 5]
    assert len(frusta) == 5
    for frame, points in enumerate(frusta):
        eye = np.array([frame * 0.1, 0])
        ahead = points - eye
        assert (ahead[:, 1] >= -1e-12).all()
        # fx = 0.5: half the width equals the depth
        assert abs(ahead[:, 0]).max() == pytest.approx(ahead[:, 1].max())


@pytest.mark.parametrize("still", [False, True])
def test_plot_writes_a_picture(tmp_path: Path, still: bool, capsys: pytest.CaptureFixture[str]) -> None:
    rig = fork()
    if still:  # pure rotation: no extent at all
        rig.c2w[..., :3, 3] = 0
    write_cameras(rig, tmp_path / "rig.npz")
    cvd("cameras", "plot", "--relative", tmp_path / "rig.npz", tmp_path / "out.png")
    assert "out.png" in capsys.readouterr().out
    with Image.open(tmp_path / "out.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    assert min(pixels.shape[:2]) > 700
    colours = {tuple(colour) for colour in pixels[::2, ::2].reshape(-1, 3).tolist()}
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)} <= colours  # both views are there
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.png", "rig.npz"]


def test_plot_takes_names_literally() -> None:
    rig = replace(fork(), names=(r"_left $\oops", "a_b$"))
    figure = draw_cameras(rig)
    figure.draw_without_rendering()
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == [r" _left \$\oops", r" a_b\$", "first pose", "last pose"]


def test_many_views_and_long_clips_are_measured_in_bounded_memory() -> None:
    c2w = torch.eye(4, dtype=torch.float64).repeat(2, 9_000, 1, 1)
    c2w[..., 0, 3] = torch.arange(9_000) * 1e-3
    c2w[1, :, 1, 3] = 0.5
    lens = torch.tensor([0.5, 0.5, 0.5, 0.5], dtype=torch.float64).repeat(2, 9_000, 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    text = describe(Cameras(c2w, lens))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 * 1024  # KiB; all pairs take 2.4 GiB
    assert f"extent of the whole rig {math.hypot(8.999, 0.5):.4g} units" in text
    assert "every 18 frames" in text
    views = Cameras(c2w[0, :600, None], lens[0, :600, None])
    assert re.search(r"frame 0 +0\.00(1|09999)$", describe(views), re.MULTILINE)


def test_plot_refuses_other_kinds_of_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"out\.gif: a picture ends in \.png, \.svg or \.pdf"):
        save_plot(fork(), tmp_path / "out.gif")
