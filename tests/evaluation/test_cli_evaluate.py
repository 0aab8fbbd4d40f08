"""``cvd evaluate`` as a user runs it: folders and videos in, three files out, one line for every mistake."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cvd_core.cli import main
from cvd_core.evaluation import extras
from cvd_core.evaluation.footage import Footage, prompted_objects, read_footage
from cvd_core.evaluation.measure import FEATURES, Options, evaluate_views
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats import read_cameras, write_cameras
from cvd_core.geometry.rigs import make_rig
from cvd_core.scenes.render import film
from cvd_core.video.files import write_video
from tests.evaluation.scenes import paths, resting_scene, write_run
from tests.evaluation.test_networks import clip, i3d, inception  # noqa: F401

SEED = 30
AMOUNTS = [[0.6, 0, 0, 0, 0], [0, -0.3, 0, 0, 3], [0.6, 0, 0, 0, 0]]
NAMES = ("left", "a$x$b", "copy")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three views, the first and the last along one path."""
    scene, cameras = single_object_scene(), replace(paths(AMOUNTS, frames=9), names=NAMES)
    return write_run(tmp_path_factory.mktemp("finished"), film(scene, cameras, 64), cameras, scene.prompt())


def single_object_scene() -> Any:
    """One that stands near the middle."""
    scenes = map(resting_scene, range(100))
    return next(s for s in scenes if len(s.shapes) == 1 and abs(s.centers[0, 0]) < 0.3 and s.centers[0, 2] > 3)


@pytest.fixture
def run_folder(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def evaluated(*words: object) -> dict[str, Any]:
    """Measures by group, subject and name of a run without structure from motion."""
    assert main(["evaluate", *map(str, words), "--trials", "0"]) == 0
    out = Path(str(words[words.index("--out") + 1])) if "--out" in words else Path(str(words[0])) / "evaluation"
    values: dict[str, Any] = json.loads((out / "evaluation.json").read_text())
    values["by"] = {(m["group"], m["subject"], m["name"]): m["value"] for m in values["measures"]}
    return values


def test_a_run_s_folder(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = evaluated(run_folder)
    by = values["by"]
    objects = {name: value for (group, _, name), value in by.items() if group == "Objects of procedural scenes"}
    copied = {name: value for (group, _, name), value in by.items() if group == "Objects: copy control"}
    assert objects["correlation of commanded and observed motion"] > 0.99
    resting, lines = "reprojection error, all frames (objects at rest)", "epipolar distance of centroids"
    assert objects[lines] < 0.3
    assert copied[lines] > 3 * objects[lines]
    assert copied[resting] > 5 * objects[resting]
    assert objects["place, a copy 0 and the truth 1 (objects at rest)"] > 0.8
    assert objects["places judged against a copy"] > 10
    assert by["Pictures that should be the same", "left - copy", "MSE, identical trajectories"] == 0
    assert by["Pictures that should be the same", "all", "MSE, common first frames"] < 1e-3
    assert values["facts"]["size"] == "3 views x 9 frames, 64 x 64 pixels"
    with (run_folder / "evaluation" / "evaluation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(values["measures"])
    for row, m in zip(rows, values["measures"], strict=True):
        assert [row["group"], row["subject"], row["measure"]] == [m["group"], m["subject"], m["name"]]
        assert row["value"] == ("" if m["value"] is None else repr(m["value"]))
    assert str(run_folder / "evaluation" / "report.html") in capsys.readouterr().out


def test_the_report_stands_alone_and_escapes_names(run_folder: Path) -> None:
    evil = "<script>alert('x')</script> & \"co\""
    evaluated(run_folder, "--prompt", evil, "--objects", "red")
    page = (run_folder / "evaluation" / "report.html").read_text()
    assert "&lt;script&gt;alert(" in page
    assert "<script" not in page
    assert all(source.startswith("data:image/") for source in re.findall(r'src="([^"]*)"', page))
    assert not re.search(r"https?://", page)
    assert page.count("<img ") >= 3
    assert f"Evaluation of {', '.join(NAMES)}" in page


def test_videos_and_a_camera_file(run_folder: Path, tmp_path: Path) -> None:
    """The same numbers as from the folder."""
    whole = evaluated(run_folder, "--objects", "red", "blue")
    cameras = read_cameras(run_folder / "transforms.json")
    write_cameras(cameras, tmp_path / "rig.npz")
    videos = [run_folder / f"{name}.mp4" for name in NAMES]
    prompt = whole["facts"]["prompt"]
    parts = evaluated(
        *videos,
        "--cameras",
        tmp_path / "rig.npz",
        "--out",
        tmp_path / "out",
        "--objects",
        "red",
        "blue",
        "--prompt",
        prompt,
    )
    assert parts["measures"] == whole["measures"]


def test_networks_and_reference(run_folder: Path, tmp_path: Path, clip: Path, inception: Path, i3d: Path) -> None:  # noqa: F811
    same = tmp_path / "same"
    for name in NAMES:
        same.mkdir(exist_ok=True)
        shutil.copy(run_folder / f"{name}.mp4", same)
    options = ("--clip", clip, "--inception", inception, "--i3d", i3d, "--reference", same)
    by = evaluated(run_folder, *options)["by"]
    scores = {name: value for (group, _, name), value in by.items() if group == "Text and fidelity"}
    assert set(scores) == {"CLIP-T", "CLIP-F, adjacent frames", "CLIP-V, across views", "FID", "KID x 100", "FVD"}
    assert scores["FID"] == pytest.approx(0, abs=1e-6)
    assert scores["FVD"] == pytest.approx(0, abs=1e-6)
    assert 50 < scores["CLIP-F, adjacent frames"] <= 100


def test_views_at_equal_times(run_folder: Path) -> None:
    """A copy matches its original everywhere, another view less, and no pose follows from equal cameras."""
    by = evaluated(run_folder)["by"]
    group, count = "Views at equal times, by matches (SynCamMaster)", "Mat. Pix. by SIFT, per picture pair"
    assert by[group, "left - copy", count] > 2 * by[group, "left - a$x$b", count]
    assert by[group, "all", count] == pytest.approx(
        sum(by[group, f"{a} - {b}", count] for a, b in combinations(NAMES, 2)) / 3
    )
    assert by[group, "left - copy", "RotErr"] is None


@pytest.mark.skipif(find_spec("kornia") is None, reason="kornia is not installed")
def test_true_views(run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "true").mkdir()
    shutil.copy(run_folder / "left.mp4", tmp_path / "true")
    shutil.copy(run_folder / "left.mp4", tmp_path / "true" / "a$x$b.mp4")
    by = evaluated(run_folder, "--truth", tmp_path / "true")["by"]
    group = "Views against the true ones"
    assert by[group, "left", "PSNR"] is None  # equal: infinite
    assert by[group, "left", "SSIM"] == pytest.approx(1)
    assert 5 < by[group, "a$x$b", "PSNR"] < 40
    assert by[group, "all", "SSIM"] == pytest.approx((1 + by[group, "a$x$b", "SSIM"]) / 2)
    assert (group, "all", "LPIPS") not in by
    assert "without copy, of which there are no true videos" in capsys.readouterr().err


def test_views_of_one_scene_as_sets_of_clips(tmp_path: Path, i3d: Path) -> None:  # noqa: F811
    """FVD-V: equal views are at distance 0, brighter ones are not; it needs no real videos."""
    grey = torch.arange(24, dtype=torch.uint8)[:, None, None, None].expand(-1, 64, 64, 3)
    cameras = replace(make_rig("circle", 3, 24), names=("a", "b", "c"))
    write_run(tmp_path, torch.stack([grey, grey, grey + 51]), cameras, "a ball")
    results = evaluate_views(read_footage([tmp_path]), Options(trials=0, i3d=i3d))
    found = results.value(FEATURES, "all", "FVD-V, across views")
    one_pair = 48 * (51 / 127.5) ** 2  # 16 frames of 3 colours, each brighter by 0.4
    assert found == pytest.approx(2 * one_pair / 3, rel=0.05)


def test_missing_extras_leave_their_groups_out(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    assert main(["evaluate", str(run_folder)]) == 0
    printed = capsys.readouterr()
    assert "note: Camera paths (structure from motion): left out, pycolmap is not installed" in printed.err
    assert "opencv-python-headless is not installed; get it with: pip install opencv-python-headless" in printed.err
    assert "Objects of procedural scenes" in printed.out


def test_nothing_is_overwritten(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluated(run_folder)
    assert main(["evaluate", str(run_folder), "--trials", "0"]) == 2
    assert "already holds evaluation.json" in capsys.readouterr().err


def refused(words: Sequence[object], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["evaluate", *map(str, words)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = [line for line in printed.err.splitlines() if line]
    assert len(lines) == 1, printed.err
    assert lines[0].startswith("cvd: error: ")
    return lines[0]


def test_folders_that_cannot_be_evaluated(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run_folder / "left.mp4").rename(run_folder / "right.mp4")
    assert "lacks left.mp4, named in transforms.json" in refused([run_folder], capsys)
    (run_folder / "right.mp4").rename(run_folder / "left.mp4")
    (run_folder / "left.mp4").write_bytes(b"no video")
    assert "left.mp4 cannot be read as a video" in refused([run_folder], capsys)
    (run_folder / "transforms.json").unlink()
    assert "holds no transforms.json" in refused([run_folder], capsys)
    assert not (run_folder / "evaluation").exists()


def test_numbers_that_do_not_match(run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = write_cameras(paths(AMOUNTS, frames=5), tmp_path / "short.npz")[0]
    message = refused([run_folder, "--cameras", short], capsys)
    assert "the videos have 9 frames" in message
    assert "has cameras for 5" in message
    two = write_cameras(paths(AMOUNTS[:2], frames=9), tmp_path / "two.npz")[0]
    assert "3 videos" in refused([run_folder, "--cameras", two], capsys)
    write_video(torch.zeros(4, 64, 64, 3, dtype=torch.uint8), run_folder / "left.mp4")
    assert "all videos must have one length and size" in refused([run_folder], capsys)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{run}/left.mp4"], "videos without cameras; give the camera file that they were made with as --cameras"),
        (["{run}", "{run}/left.mp4"], "is a folder; give the folder of one run alone"),
        (["{run}", "--prompt", "a", "b"], "2 prompts for 3 views"),
        (["{run}", "--trials", "-1"], "--trials is -1"),
        (["{run}", "--seed", "-1"], "--seed is -1"),
        (["{run}", "--seed", str(2**31 - 4)], "--seed is 2147483644; expected a whole number from 0 to 2**31 - the"),
        (["{run}", "--inception", "x.pt"], "--inception lacks a --reference"),
        (["{run}", "--reference", "{run}"], "--reference lacks --inception or --i3d"),
        (["{run}", "--reference", "{run}/none", "--i3d", "x.pt", "--trials", "0"], "none does not exist"),
        (["{run}", "--reference", "{run}", "--i3d", "x.pt", "--trials", "0"], "x.pt does not exist; expected i3d"),
        (["{run}", "--lpips", "x.pt"], "--lpips lacks a --truth"),
        (["{run}", "--truth", "{run}/none", "--trials", "0"], "none does not exist; expected true views"),
        (["{run}", "--clip", "clip", "--trials", "0"], "clip does not exist; expected a folder with a CLIP model"),
    ],
)
def test_bad_input(
    finished: Path, tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    filled = [word.format(run=finished) for word in words]
    assert message in refused([*filled, "--out", out], capsys)
    assert not out.exists()


def test_a_damaged_record(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run_folder / "run.json").write_text("{}")
    assert "run.json holds no prompts" in refused([run_folder], capsys)
    (run_folder / "run.json").unlink()
    assert read_footage([run_folder]).prompts == ()


def small_run(folder: Path, names: Sequence[str], prompts: Sequence[str] = ()) -> Cameras:
    """A run of still videos that tell their view by their brightness, 20 i + 10."""
    cameras = replace(make_rig("circle", len(names), 2), names=tuple(names))
    videos = torch.arange(len(names))[:, None, None, None, None].expand(-1, 2, 64, 64, 3) * 20 + 10
    write_run(folder, videos.to(torch.uint8), cameras, *(prompts or ("a ball",)))
    return cameras


def shown_views(footage: Footage) -> list[int]:
    return ((footage.videos.float().mean((1, 2, 3, 4)) - 10) / 20).round().int().tolist()


def assert_paired(footage: Footage, cameras: Cameras, order: Sequence[int]) -> None:
    """The videos of the views ``order``, each with its own cameras."""
    assert shown_views(footage) == list(order)
    torch.testing.assert_close(footage.cameras.c2w, cameras.c2w[list(order)])


def test_videos_go_with_the_cameras_of_their_names(tmp_path: Path) -> None:
    """Of more than ten views, whatever the order of the camera file."""
    cameras = small_run(tmp_path, [f"view{v}" for v in range(11)])
    assert_paired(read_footage([tmp_path]), cameras, range(11))
    order = [10, 2, 9, 0, 1, 3, 8, 7, 4, 5, 6]
    shuffled = write_cameras(cameras.select(order), tmp_path / "shuffled.json", width=64, height=64)[0]
    assert_paired(read_footage([tmp_path], shuffled), cameras, range(11))  # files in natural order
    files = [tmp_path / f"view{v}.mp4" for v in (3, 10, 2)]
    some = write_cameras(cameras.select([2, 3, 10]), tmp_path / "some.npz")[0]
    assert_paired(read_footage(files, some), cameras, [3, 10, 2])


def test_cameras_without_names_go_by_natural_order(tmp_path: Path) -> None:
    cameras = small_run(tmp_path, [f"take{v}" for v in range(11)])
    np.savez(tmp_path / "plain.npz", c2w=cameras.c2w.numpy(), intrinsics=cameras.intrinsics.numpy())
    assert_paired(read_footage([tmp_path], tmp_path / "plain.npz"), cameras, range(11))


@pytest.mark.parametrize("names", [("left", "middle", "other"), ("view1", "view2", "view3"), ("a", "b", "c")])
def test_other_names_are_never_paired_by_position(tmp_path: Path, names: tuple[str, ...]) -> None:
    cameras = small_run(tmp_path, ("left", "middle", "right") if "view1" not in names else ("view0", "view1", "view2"))
    rig = write_cameras(replace(cameras, names=names), tmp_path / "rig.npz")[0]
    with pytest.raises(ValueError, match=f"3 videos .* and cameras called {', '.join(names)}"):
        read_footage([tmp_path], rig)


def test_a_single_video_needs_no_name(tmp_path: Path) -> None:
    cameras = small_run(tmp_path, ["clip"])
    rig = write_cameras(replace(cameras, names=("left",)), tmp_path / "rig.npz")[0]
    assert_paired(read_footage([tmp_path / "clip.mp4"], rig), cameras, [0])


def test_recorded_prompts_go_with_their_views(tmp_path: Path) -> None:
    cameras = small_run(tmp_path, ["b", "a"], ["a blue ball", "a red ball"])
    rig = write_cameras(cameras, tmp_path / "rig.npz")[0]
    footage = read_footage([tmp_path], rig)
    assert_paired(footage, cameras, [1, 0])
    assert footage.prompts == ("a red ball", "a blue ball")
    (tmp_path / "transforms.json").unlink()
    with pytest.raises(ValueError, match=r"run.json has a prompt per view, but not for a.mp4, b.mp4"):
        read_footage([tmp_path], rig)


def test_what_can_fail_comes_before_what_takes_long(finished: Path) -> None:
    parts: list[str] = []
    options = Options(reference=finished, i3d=finished / "none.pt")
    with pytest.raises(ValueError, match=r"none.pt does not exist"):
        evaluate_views(read_footage([finished]), options, parts.append)
    assert parts == [FEATURES]
    with pytest.raises(ValueError, match="grey"):
        Options(objects={"fog": (0.5, 0.5, 0.5)})


def test_objects_that_a_prompt_names() -> None:
    assert list(prompted_objects(["a red ball and a blue cube on a gray striped floor"])) == ["red", "blue"]
    assert prompted_objects(["a red ball in the rain"]) == {}
    assert prompted_objects([]) == {}


def test_relative_paths(run_folder: Path, tmp_path: Path) -> None:
    """Views given in worlds of their own, as pose files are: --relative brings their first cameras together."""
    cameras = read_cameras(run_folder / "transforms.json")
    c2w = cameras.c2w.clone()
    c2w[1, :, :3, 3] += 7
    moved = write_cameras(replace(cameras, c2w=c2w), tmp_path / "moved.npz")[0]
    files = [run_folder / f"{name}.mp4" for name in NAMES]
    torch.testing.assert_close(read_footage(files, moved, relative=True).cameras.c2w, cameras.c2w)
    assert float(read_footage(files, moved).cameras.centers[1, 0, 0]) == pytest.approx(7)
