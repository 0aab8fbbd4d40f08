"""The order of file names, patterns, and writing whole files or none."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvd_core.files import atomic_path, expand, natural_key


@given(st.lists(st.integers(0, 10**30), unique=True), st.text("ab-_.", max_size=3), st.integers(0, 3))
def test_numbers_in_names_count_as_numbers(numbers: list[int], text: str, zeros: int) -> None:
    """However long they are and however many zeros lead them."""
    names = [f"{text}{'0' * (zeros * (n % 2))}{n}{text}" for n in numbers]
    in_order = [names[i] for i in sorted(range(len(numbers)), key=numbers.__getitem__)]
    assert sorted(names, key=natural_key) == in_order


def test_places_in_names_count_from_the_left() -> None:
    names = ["cam2/10", "cam10/1", "cam2/9", "cam", "2", "10", "cam02/9", "a²", "cam2/9b"]
    assert sorted(names, key=natural_key) == [
        "2",
        "10",
        "a²",
        "cam",
        "cam02/9",
        "cam2/9",
        "cam2/9b",
        "cam2/10",
        "cam10/1",
    ]


def test_patterns_mean_their_matches_in_natural_order_and_names_themselves(tmp_path: Path) -> None:
    for name in ("clip10.txt", "clip9.txt", "a[1].txt"):
        (tmp_path / name).touch()
    assert [path.name for path in expand([tmp_path / "clip*.txt", tmp_path / "a[1].txt", tmp_path / "new.txt"])] == [
        "clip9.txt",
        "clip10.txt",
        "a[1].txt",
        "new.txt",
    ]
    with pytest.raises(ValueError, match=r"nothing matches .*\?\.json"):
        expand([tmp_path / "?.json"])


def test_without_overwriting_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"

    def write() -> None:
        with atomic_path(target, overwrite=False) as temporary:
            temporary.write_text("ours")
            target.write_text("theirs")

    with pytest.raises(ValueError, match=r"a\.txt: it already exists"):
        write()
    assert target.read_text() == "theirs"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_file_system_without_links_is_written_to_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    for name in ("a.txt", "b.txt"):
        with atomic_path(tmp_path / name, overwrite=False) as temporary:
            temporary.write_text("ours")
    with pytest.raises(ValueError, match="it already exists"):  # noqa: SIM117
        with atomic_path(tmp_path / "c.txt", overwrite=False) as temporary:
            (tmp_path / "c.txt").write_text("theirs")
    assert (tmp_path / "c.txt").read_text() == "theirs"
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "b.txt", "c.txt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot write .*a\.txt: No space left on device; free some space"):  # noqa: SIM117
        with atomic_path(tmp_path / "a.txt"), Path("/dev/full").open("wb", buffering=0) as full:
            full.write(b"x")
    assert os.listdir(tmp_path) == []
