"""Commands that are stopped at random moments: nothing of the user's is touched, nothing is left half done, the next
run works.

Every attempt is a process of its own, stopped by a real signal at a moment that the seed decides as a fraction of what
an undisturbed run takes. Processes are forked from one that has imported everything, so that an attempt costs a second
or two; this needs a single thread (``OMP_NUM_THREADS=1``) and a system that forks.

The suite runs a few attempts; ``python -m tests.interruption --count 30`` runs many.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.interruption.works import Work, main

SIGNALS = {"SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM, "SIGKILL": signal.SIGKILL}
ENDS = {
    "SIGINT": {0, 130, -signal.SIGINT},
    "SIGTERM": {0, 143, -signal.SIGTERM},
    "SIGKILL": {0, -signal.SIGKILL},
}
"""Exit codes: done before the signal came; cleaned up; and stopped before the command had begun, or by force."""
MINE = {"mine.txt": b"mine", ".hidden": b"mine too", "other/view0.mp4": b"not a video"}
"""Files of the user's in the folder that a command writes to."""
LONGEST = 300.0
"""Seconds that a command may take."""


@dataclass
class Report:
    """What became of the attempts on one command with one signal; ``ends`` counts exit codes."""

    ends: Counter[int] = field(default_factory=Counter)
    partial: int = 0
    failures: list[str] = field(default_factory=list)


class Campaign:
    """Attempts on one command.

    Args:
        work: the command.
        folder: for its files.
    """

    def __init__(self, work: Work, folder: Path) -> None:
        self.work, self.folder = work, folder
        self.reference = folder / "reference"
        start = time.perf_counter()
        code, said = finish(*launch(work.words(self.reference), folder / "reference.log"))
        self.seconds = time.perf_counter() - start
        if code:
            raise RuntimeError(f"{work.name} fails undisturbed: {said}")

    def run(self, name: str, count: int, seed: int) -> Report:
        """``count`` attempts with the signal ``name``."""
        report = Report()
        for number in range(count):
            rng = np.random.default_rng((seed, zlib.crc32(f"{self.work.name} {name}".encode()), number))
            moment = float(rng.random())
            place = self.folder / f"{name}-{number}"
            out = place / "out"
            for mine, content in MINE.items():
                (out / mine).parent.mkdir(parents=True, exist_ok=True)
                (out / mine).write_bytes(content)
            try:
                self._attempt(report, name, out, moment)
            except AssertionError as problem:
                report.failures.append(f"attempt {number} (at {moment:.3f} of {self.seconds:.1f} s): {problem}")
            shutil.rmtree(place)
        return report

    def _attempt(self, report: Report, name: str, out: Path, moment: float) -> None:
        work = self.work
        process, log = launch(work.words(out), out.parent / "log")
        time.sleep(moment * self.seconds)
        os.kill(process, SIGNALS[name])
        code, said = finish(process, log)
        report.ends[code] += 1
        assert code in ENDS[name], f"exit code {code}: {said}"
        assert "Traceback" not in said or code < 0, said
        assert_untouched(out)
        added = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} - MINE.keys()
        half = {path for path in added if Path(path).parts[0].startswith(".") or Path(path).name.startswith(".")}
        if name != "SIGKILL":
            assert not half, f"left behind: {sorted(half)}"
        work.check(out, self.reference, added - half, complete=code == 0, killed=name == "SIGKILL")
        report.partial += bool(added - half) and code != 0
        again = work.next(out, sorted(added - half))
        code, said = finish(*launch(again.words, out.parent / "log"))
        assert code == 0, f"the next run: exit code {code}: {said}"
        assert_untouched(out)
        try:
            work.check(again.out, self.reference, None, complete=True, killed=False)
        except AssertionError as problem:
            raise AssertionError(f"the next run: {problem}") from problem


def launch(words: list[str], log: Path) -> tuple[int, Path]:
    """Fork a process that runs the command; returns its id and the file of what it prints."""
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if not process:
        code = 1
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            file = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
            os.dup2(file, 1)
            os.dup2(file, 2)
            code = main(words)
            sys.stdout.flush()
            sys.stderr.flush()
        except KeyboardInterrupt:  # before the command had begun, or when it was over
            code = 130
        except BaseException:
            sys.excepthook(*sys.exc_info())
            sys.stderr.flush()
        finally:
            os._exit(code)
    return process, log


def finish(process: int, log: Path) -> tuple[int, str]:
    """Exit code of a process, negative for the signal that ended it, and the end of what it printed."""
    end = time.monotonic() + LONGEST
    while True:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            break
        if time.monotonic() > end:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            raise AssertionError(f"still running after {LONGEST:.0f} s")
        time.sleep(0.005)
    said = log.read_text(errors="replace")[-2000:] if log.exists() else ""
    return os.waitstatus_to_exitcode(status), said


def assert_untouched(out: Path) -> None:
    """The user's files are what they were."""
    for name, content in MINE.items():
        assert (out / name).is_file(), f"{name} is gone"
        assert (out / name).read_bytes() == content, f"{name} has changed"
