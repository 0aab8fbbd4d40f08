"""The command line's frame: commands, exit codes, messages, and files that appear together."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import cvd_core
from cvd_core.cli import COMMANDS, inspect, main, note
from cvd_core.cli.generate import add_parser
from cvd_core.cli.generate_inputs import lora
from cvd_core.engine.solvers import SOLVERS
from cvd_core.runs.file_names import file_stems


def run_by(action: Any, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of ``cvd`` when its command does ``action``."""
    monkeypatch.setattr(inspect, "run", lambda _args: action())
    return main(["inspect", "FILE"])


def fail(error: BaseException) -> NoReturn:
    raise error


# commands


def test_help_lists_every_command_and_needs_no_torch() -> None:
    """Nor do the descriptions of commands whose options come from no table of the library."""
    code = (
        "import sys\nfrom cvd_core.cli import main\n"
        "for words in ['--help'], *([name, '--help'] for name in ('convert', 'demo', 'train')):\n"
        "    try:\n        main(words)\n    except SystemExit:\n        pass\n"
        "print(sorted({'torch', 'diffusers', 'numpy', 'scipy'} & sys.modules.keys()))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.endswith("\n[]\n")
    for name, text in COMMANDS.items():
        assert f"{name} " in printed
        assert text in printed


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_described_as_in_the_list(name: str) -> None:
    class Recorder:
        help = ""

        def add_parser(self, name: str, *, help: str, **_: Any) -> argparse.ArgumentParser:
            self.help = help
            return argparse.ArgumentParser(prog=name)

    recorder: Any = Recorder()
    import_module(f"cvd_core.cli.{name}").add_parser(recorder)
    assert recorder.help == COMMANDS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([name, "--help"])
    assert exit_.value.code == 0
    assert "--debug" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"cvd {cvd_core.__version__}\n"


@pytest.mark.parametrize("words", [[], ["render"], ["--fast"], ["inspect"], ["generate", "--out", "x", "--step", "3"]])
def test_unknown_words_exit_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(words)
    assert exit_.value.code == 2
    assert "error:" in capsys.readouterr().err


# exit codes and messages


def test_a_mistake_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "nowhere.ckpt"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("cvd: error: nowhere.ckpt does not exist")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("words", [["--debug", "inspect", "nowhere.ckpt"], ["inspect", "nowhere.ckpt", "--debug"]])
def test_debug_shows_where(words: list[str]) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.ckpt does not exist"):
        main(words)


def test_an_error_of_the_file_system_names_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_by(lambda: fail(OSError(28, "No space left on device", "big.mp4")), monkeypatch) == 2
    assert capsys.readouterr().err == "cvd: error: big.mp4: No space left on device\n"
    assert run_by(lambda: fail(OSError("no strerror")), monkeypatch) == 2
    assert capsys.readouterr().err == "cvd: error: no strerror\n"


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyError):
        run_by(lambda: fail(KeyError("x")), monkeypatch)


def test_ctrl_c_exits_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_by(lambda: fail(KeyboardInterrupt()), monkeypatch) == 130
    assert capsys.readouterr().err == "\ncvd: interrupted\n"


@pytest.fixture
def _in_the_foreground() -> Iterator[None]:
    """Shells let what they start in the background ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_in_the_foreground")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_that_a_library_turns_into_an_error_is_one(
    number: signal.Signals, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def library() -> None:
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt as error:
            raise ValueError("could not determine the shape") from error

    assert run_by(library, monkeypatch) == code
    assert "shape" not in capsys.readouterr().err


def test_a_reader_that_stops_reading_ends_it_silently() -> None:
    read, write = os.pipe()
    os.close(read)  # as `| head` does
    with open(write, "wb") as nobody_reads:
        recorded = Path(__file__).parents[2] / "example_workflows/poses/path_a.txt"
        command = [sys.executable, "-m", "cvd_core.cli", "cameras", "info", str(recorded)]
        done = subprocess.run(command, stdout=nobody_reads, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (141, "")


def test_only_own_warnings_are_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def warn() -> None:
        warnings.warn_explicit(
            "half of it was left out", UserWarning, "x.py", 1, module="cvd_core.engine.sd15.assemble"
        )
        warnings.warn_explicit("use another function", FutureWarning, "y.py", 1, module="diffusers.utils")
        warnings.warn_explicit("slow", UserWarning, "z.py", 1, module="torch.nn")
        note("by the way")

    monkeypatch.setattr(sys, "warnoptions", [])
    assert run_by(warn, monkeypatch) == 0
    assert capsys.readouterr().err == "cvd: warning: half of it was left out\ncvd: note: by the way\n"


def test_module_runs_as_a_program() -> None:
    done = subprocess.run([sys.executable, "-m", "cvd_core.cli", "inspect", "nowhere"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("cvd: error: nowhere does not exist")


# options of generate


@pytest.mark.parametrize(
    ("text", "file", "scale"),
    [
        ("style.safetensors", "style.safetensors", 1.0),
        ("style.safetensors:0.8", "style.safetensors", 0.8),
        ("style.safetensors:-1", "style.safetensors", -1.0),
        ("a/b:c/style.safetensors:.5", "a/b:c/style.safetensors", 0.5),
        ("a/b:c/style.safetensors", "a/b:c/style.safetensors", 1.0),
        (r"C:\loras\style.safetensors", r"C:\loras\style.safetensors", 1.0),
        (r"C:\loras\style.safetensors:0.75", r"C:\loras\style.safetensors", 0.75),
        (r"C:style", r"C:style", 1.0),
        ("style:", "style:", 1.0),
        (":0.5", ":0.5", 1.0),
    ],
)
def test_lora_and_its_strength(text: str, file: str, scale: float) -> None:
    assert lora(text) == (Path(file), scale)


def test_help_names_every_sampler(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    with pytest.raises(SystemExit):
        parser.parse_args(["generate", "--help"])
    printed = capsys.readouterr().out
    for name in SOLVERS:
        assert name in printed


# names of files


def test_file_stems() -> None:
    assert file_stems(["view0", "0bf152ef84195293", "links außen"]) == ["view0", "0bf152ef84195293", "links_außen"]
    assert file_stems(["a/b", r"a\b", "A:B", "a_b"]) == ["a_b", "a_b_2", "A_B_3", "a_b_4"]
    assert file_stems(["...", "", "grid", "../x"], taken=["grid"]) == ["view0", "view1", "grid_2", "x"]


@given(st.lists(st.text(max_size=150), max_size=8))
def test_file_stems_are_safe_and_differ(names: list[str]) -> None:
    stems = file_stems(names, taken=["grid"])
    assert len({stem.casefold() for stem in [*stems, "grid"]}) == len(names) + 1
    for stem in stems:
        assert stem.strip(". ") == stem
        assert 0 < len(stem) < 120
        assert not set(stem) & set('/\\:*?"<>| ')
        assert stem.isprintable()


@pytest.mark.parametrize(
    "allocate",
    [lambda: torch.empty(10**15), lambda: torch.empty(2**62, 2), lambda: np.empty(10**15), lambda: bytearray(10**17)],
    ids=["torch", "torch beyond 64 bits", "numpy", "python"],
)
def test_want_of_memory_is_one_line_that_says_what_to_make_smaller(
    allocate: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_by(allocate, monkeypatch) == 2
    assert capsys.readouterr().err == "cvd: error: not enough memory; try a smaller file\n"


def test_other_errors_of_the_program_are_not_taken_for_want_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        run_by(lambda: fail(RuntimeError("shapes")), monkeypatch)


def test_sizes_beyond_any_memory_are_refused_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["generate", "--rig", "stereo", "--prompt", "x", "--out", str(tmp_path / "out"), "--height", "64"]
    assert main([*words, "--width", "100000"]) == 2
    assert "width is 100000 pixels; expected at most 8192" in capsys.readouterr().err
    assert main([*words, "--width", "64", "--frames", "8", "--views", "5000"]) == 2
    assert "--views is 5000; expected at most 1000" in capsys.readouterr().err


@pytest.mark.parametrize(("chosen", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_waiting_threads_sleep_unless_the_user_says_otherwise(chosen: str | None, expected: str) -> None:
    """Before torch is loaded, which reads it once."""
    program = (
        "import os, sys; sys.argv = ['cvd']\n"
        "from cvd_core.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {} if chosen is None else {"OMP_WAIT_POLICY": chosen}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split()[-2:] == [expected, "False"]
