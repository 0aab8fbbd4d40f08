"""``cvd generate --jobs``: many runs by any number of processes, each of which may be killed at any moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cvd_core.cli import main
from cvd_core.output_folder import LOCK, one_writer
from cvd_core.runs import jobs as running
from cvd_core.runs.make import Pipeline
from cvd_core.runs.record import RunRecord

ROOT = Path(__file__).parents[2]
COMMON = ["--prompt", "a red ball", "--device", "cpu", "--steps", "1", "--frames", "2", "--rig", "stereo"]
WORDS = [*COMMON, "--rig-baseline", "1"]


def written(path: Path, jobs: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("\n\n".join(map(json.dumps, jobs)) + "\n", encoding="utf-8")
    return path


def cvd(file: Path, out: Path, *words: str) -> int:
    return main(["generate", *WORDS, *words, "--jobs", str(file), "--out", str(out)])


def dates(out: Path) -> dict[str, str]:
    """Of the finished runs by folder."""
    return {path.parent.name: RunRecord.load(path).date + str(path.stat().st_ino) for path in out.glob("*/run.json")}


def test_lines_go_before_the_command_line(tmp_path: Path) -> None:
    file = written(
        tmp_path / "jobs.jsonl",
        [
            {"out": "a", "seed": 0},
            {"out": "b/c", "prompt": ["a blue cube", "a blue cube on a floor"], "sync-end": 0.5},
            {"out": str(tmp_path / "elsewhere"), "rig-baseline": 0.5, "steps": 2, "offload": True},
        ],
    )
    assert cvd(file, tmp_path / "runs", "--seed", "5") == 0
    a, b, c = (
        RunRecord.load(folder / "run.json")
        for folder in (tmp_path / "runs" / "a", tmp_path / "runs" / "b" / "c", tmp_path / "elsewhere")
    )
    assert (a.settings.seed, a.settings.prompts, a.settings.steps) == (0, ("a red ball",), 1)
    assert b.settings.prompts == ("a blue cube", "a blue cube on a floor")
    assert (b.settings.seed, b.settings.sync_end) == (5, 0.5)
    assert (c.source["baseline"], c.settings.steps, c.offload) == (0.5, 2, True)


def test_it_goes_on_where_it_was_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path / "jobs.jsonl", [{"out": str(i), "seed": i} for i in range(4)])
    loaded = []
    original = Pipeline.load

    def load(*words: Any, **named: Any) -> Pipeline:
        loaded.append(words)
        return original(*words, **named)

    monkeypatch.setattr(Pipeline, "load", staticmethod(load))
    assert cvd(written(tmp_path / "first.jsonl", [{"out": "1", "seed": 1}]), tmp_path) == 0
    before = dates(tmp_path)
    with one_writer(tmp_path / "2"):
        assert cvd(file, tmp_path) == 0
    said = capsys.readouterr().out
    assert f"{tmp_path / '1'}: finished before" in said
    assert f"{tmp_path / '2'}: another process is making it" in said
    assert dates(tmp_path).keys() == {"0", "1", "3"}
    assert dates(tmp_path)["1"] == before["1"]
    assert len(loaded) == 2  # once for each command
    assert cvd(file, tmp_path) == 0
    assert dates(tmp_path).keys() == {"0", "1", "2", "3"}


def test_a_job_that_fails_stops_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [{"out": "a"}, {"out": "b", "base": "mini", "camera": "none.ckpt"}, {"out": "c"}, {"out": "d"}]
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "grid.mp4").touch()
    file = written(tmp_path / "jobs.jsonl", jobs)
    assert cvd(file, tmp_path) == 2
    said = capsys.readouterr().err
    assert f"{file}, line 3: none.ckpt" in said
    assert f"{file}, line 5: {tmp_path / 'c'} already holds grid.mp4" in said
    assert said.endswith("cvd: error: 2 of 4 jobs failed; the same command tries them again\n")
    assert dates(tmp_path).keys() == {"a", "d"}


def test_another_run_in_its_folder_is_no_finished_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cvd(written(tmp_path / "jobs.jsonl", [{"out": "a"}]), tmp_path) == 0
    other = written(tmp_path / "other.jsonl", [{"out": "a", "seed": 1, "rig-baseline": 2}])
    assert cvd(other, tmp_path) == 2
    assert "holds another run, whose settings and cameras differ" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "it is not valid JSON"),
        ("[1]", "expected a JSON object"),
        ('{"seed": 1}', "the following arguments are required: --out"),
        ('{"out": "a", "speed": 1}', "unrecognized arguments: --speed 1"),
        ('{"out": "a", "seed": "x"}', "argument --seed: invalid int value: 'x'"),
        ('{"out": "a", "seed": null}', "seed is None; expected numbers"),
        ('{"out": "a", "rig-baseline": {"x": 1}}', "expected numbers, texts, lists"),
        ('{"out": "a", "jobs": "b.jsonl"}', "jobs is for the command line"),
        ('{"out": "a", "rig": "spiral"}', "argument --rig: invalid choice"),
        ('{"out": "a", "steps": 0}', "--steps is 0; expected at least 1"),
        ('{"out": "../a"}\n{"out": "../b/../a"}', "have the same folder"),
    ],
)
def test_bad_lines_are_told_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, problem: str
) -> None:
    file = tmp_path / "jobs.jsonl"
    file.write_text('{"out": "fine"}\n' + line)
    assert cvd(file, tmp_path / "runs") == 2
    said = capsys.readouterr().err
    assert problem in said
    assert f"{file}, line " in said
    assert not (tmp_path / "runs").exists()


def test_files_that_hold_no_jobs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "latin.jsonl").write_bytes(b'{"out": "\xe4"}')
    for name, problem in (("empty", "holds no jobs"), ("latin", "is not a text in UTF-8"), ("none", "is not a file")):
        assert cvd(tmp_path / f"{name}.jsonl", tmp_path) == 2
        assert problem in capsys.readouterr().err


def test_a_race_for_one_folder_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process finishes a job between the look for its record and the attempt to make it."""
    file = written(tmp_path / "jobs.jsonl", [{"out": "a"}])
    assert cvd(file, tmp_path) == 0
    looks: list[bool] = []
    original = running.Job.finished

    def finished(job: running.Job) -> bool:
        looks.append(original(job))
        return looks[-1] if len(looks) > 1 else False

    monkeypatch.setattr(running.Job, "finished", finished)
    assert cvd(file, tmp_path) == 0
    assert looks == [True, True]


@pytest.mark.slow
def test_kill_9(tmp_path: Path) -> None:
    """Two processes share the jobs; one is killed in the middle of a run, and a third process makes what is missing."""
    jobs = [{"out": str(i), "seed": i, **({"steps": 40} if i == 1 else {})} for i in range(4)]
    file = written(tmp_path / "jobs.jsonl", jobs)
    command = [sys.executable, "-m", "cvd_core.cli", "generate", *WORDS, "--jobs", str(file), "--out", str(tmp_path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]
    _wait_until(lambda: list((tmp_path / "1").glob(".cvd-*")), workers)
    holder = next(worker for worker in workers if _holds(worker.pid, tmp_path / "1" / LOCK))
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    other = next(worker for worker in workers if worker is not holder)
    said = other.communicate(timeout=240)[0]
    assert other.returncode == 0
    assert not (tmp_path / "1" / "run.json").exists() or b"another process" not in said
    before = dates(tmp_path)
    again = subprocess.run(
        [*command[:-4], "--jobs", str(file), "--out", str(tmp_path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert again.returncode == 0, again.stderr
    after = dates(tmp_path)
    assert after.keys() == {"0", "1", "2", "3"}
    assert before.items() <= after.items()


def _holds(pid: int, file: Path) -> bool:
    """Whether a process has a file open."""
    return any(os.path.realpath(link) == str(file) for link in Path(f"/proc/{pid}/fd").iterdir() if link.exists())


def _wait_until(true: Any, workers: list[subprocess.Popen[bytes]]) -> None:
    for _ in range(2400):
        if true():
            return
        assert any(worker.poll() is None for worker in workers)
        time.sleep(0.05)
    raise AssertionError("nothing happened")
