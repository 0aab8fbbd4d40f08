"""Folders that are filled by one writer at a time, completely or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cvd_core.output_folder import LOCK, complete_folder, one_writer

ROOT = Path(__file__).parents[2]


def write(out: Path, *names: str, interrupted: bool = False) -> None:
    """Each a file, or a folder with one if its name has no suffix."""
    with complete_folder(out, names) as folder:
        for name in names:
            if "." in name:
                (folder / name).write_text("new")
            else:
                (folder / name).mkdir()
                (folder / name / "inside.txt").write_text("new")
        if interrupted:
            raise KeyboardInterrupt


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_files_appear_together(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    with complete_folder(out, ["x.txt", "y.txt"]) as folder:
        (folder / "x.txt").write_text("x")
        (folder / "y.txt").write_text("y")
        assert not (out / "x.txt").exists()
    assert names(out) == ["x.txt", "y.txt"]


def test_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    write(tmp_path, "x.txt")
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, "z.txt", interrupted=True)
    assert names(tmp_path) == ["mine.txt", "x.txt"]


@pytest.mark.parametrize("moment", ["while writing", "before y.txt moves", "after y.txt has moved", "folder"])
def test_an_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    link, rename = os.link, Path.rename

    def interrupted_link(source: Path, target: Path) -> None:
        if target.name == "y.txt" and moment.startswith("after"):
            link(source, target)
        if target.name == "y.txt" and moment != "while writing":
            raise KeyboardInterrupt
        link(source, target)

    def interrupted_rename(source: Path, target: Path) -> Path:
        moved = rename(source, target)
        if moment == "folder":
            raise KeyboardInterrupt
        return moved

    monkeypatch.setattr(os, "link", interrupted_link)
    monkeypatch.setattr(Path, "rename", interrupted_rename)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a" / "b", "folder", "x.txt", "y.txt", interrupted=moment == "while writing")
    assert names(tmp_path) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "y.txt").symlink_to("nowhere")  # it is the user's, wherever it leads
    message = r"already holds y\.txt; choose another folder"
    with pytest.raises(ValueError, match=message), complete_folder(tmp_path, ["x.txt", "y.txt"]):
        pytest.fail("the block ran")
    assert names(tmp_path) == ["y.txt"]


@pytest.mark.parametrize("hard_links", [True, False])
@pytest.mark.parametrize("taken", ["x.txt", "y.txt", "folder"])
def test_what_appears_while_a_run_works_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: str, hard_links: bool
) -> None:
    def no_link(*_: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    if not hard_links:
        monkeypatch.setattr(os, "link", no_link)

    def work() -> None:
        goals = ["x.txt", "folder", "y.txt"]
        with complete_folder(tmp_path, goals) as folder:
            for name in goals:
                (folder / name).mkdir() if name == "folder" else (folder / name).write_text("new")
            if taken == "folder":
                (tmp_path / taken).mkdir()
                (tmp_path / taken / "mine.txt").write_text("mine")
            else:
                (tmp_path / taken).write_text("mine")

    with pytest.raises(ValueError, match=f"already holds {taken}"):
        work()
    assert names(tmp_path) == (["folder", "folder/mine.txt"] if taken == "folder" else [taken])
    assert taken == "folder" or (tmp_path / taken).read_text() == "mine"


def test_without_hard_links_files_appear_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_link(*_: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", no_link)
    write(tmp_path, "x.txt", "folder")
    assert names(tmp_path) == ["folder", "folder/inside.txt", "x.txt"]


def test_the_second_writer_is_refused_at_once(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with complete_folder(out, ["x.txt"]) as folder:
        (folder / "x.txt").write_text("first")
        with pytest.raises(ValueError, match=f"another run is writing to {out}; wait for it, or choose another"):
            write(out, "y.txt")
        other = subprocess.run(
            [sys.executable, "-c", "import sys, pathlib; from cvd_core.output_folder import one_writer\n"
             "with one_writer(pathlib.Path(sys.argv[1])): pass", str(out)],
            cwd=ROOT, capture_output=True, text=True,
        )  # fmt: skip
        assert "FolderInUseError: another run is writing" in other.stderr
    assert names(out) == ["x.txt"]
    assert (out / "x.txt").read_text() == "first"


def test_a_killed_writer_is_in_nobodys_way(tmp_path: Path) -> None:
    script = (
        "import os, sys, pathlib; from cvd_core.output_folder import complete_folder\n"
        "with complete_folder(pathlib.Path(sys.argv[1]), ['x.txt']) as folder:\n"
        "    (folder / 'x.txt').write_text('half')\n"
        "    os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT)
    assert killed.returncode == -9
    left = names(tmp_path)
    assert LOCK in left
    assert "x.txt" not in left
    with pytest.warns(UserWarning, match=r"holds what a killed run has left, \.cvd-\w+; remove it"):
        write(tmp_path, "x.txt")
    assert (tmp_path / "x.txt").read_text() == "new"
    assert names(tmp_path) == sorted({*left, "x.txt"} - {LOCK}), "it removes only what it made itself"


def test_one_writer_leaves_no_trace(tmp_path: Path) -> None:
    with one_writer(tmp_path / "a" / "b"):
        assert names(tmp_path) == ["a", "a/b", f"a/b/{LOCK}"]
    assert names(tmp_path) == []


@pytest.mark.parametrize("out", ["file", "file/below", "n" * 300, "new/" + "n" * 300])
def test_an_unwritable_folder_is_found_before_the_work(tmp_path: Path, out: str) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ValueError, match=r"cannot write to .* choose another folder"),
        complete_folder(tmp_path / out, ["x.txt"]),
    ):
        pytest.fail("the block ran")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
