"""The command ``cvd``.

A sub-command is a module here with ``add_parser(subparsers)``, whose parser sets ``run=function(args) -> None``. Only
the module of the command that is asked for is imported, so that ``cvd --help`` does not wait for PyTorch.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from importlib import import_module
from typing import TextIO

from cvd_core import __version__
from cvd_core.fields import FieldError
from cvd_core.interruption import Terminated, signals_raise
from cvd_core.memory import lacks_memory

COMMANDS = {
    "demo": "see what this does, offline and in under a minute",
    "generate": "make videos of one scene, one along each camera path",
    "cameras": "convert, describe and draw camera files",
    "evaluate": "measure whether videos follow their cameras and agree",
    "export": "write a run as a dataset for others, cameras as a 3D scene",
    "train": "train networks, all stages of a configuration",
    "inspect": "say what a model file is and where it goes",
    "convert": "turn a checkpoint into a safetensors file",
}
"""Every sub-command with what it does: the name of its module, and its ``help``."""

_OPTIONS: ContextVar[Mapping[str, str]] = ContextVar("options", default={})  # noqa: B039 - never changed in place
"""Options of the command that runs: how the command line spells an argument of the library."""

_SMALLER = {
    "generate": "a smaller --width and --height, fewer --views or --frames, --views-per-pass 2, --offload or --dtype "
    "float16",
    "demo": "again after closing other programs",
    "train": "smaller pictures, fewer frames or samples per step, or smaller networks in the configuration",
    "evaluate": "smaller, shorter or fewer videos",
    "export": "smaller, shorter or fewer videos",
}
"""What to try when memory runs out, by command."""
_DEBUG = "show the traceback of an error"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; ``argv`` without the program's name, by default that of the process.

    Returns:
        the exit code: 0; 2 after a mistake in the input, a file-system error or a lack of memory; 130 after Ctrl-C; 143
        after SIGTERM; 141 when nobody reads the output any more, as after SIGPIPE. argparse
        itself exits with 2 for options it does not know.
    """
    if argv is None:
        # OpenMP reads it once, when torch is loaded. Threads that spin while they wait hold each other up as soon as
        # another program uses a core: small networks then take forty times as long.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        argv = sys.argv[1:]
    words = list(argv)
    outside = _OPTIONS.set({})
    try:
        with signals_raise(), warnings.catch_warnings():
            _show_only_own_warnings()
            parser = _parser(words)
            _OPTIONS.set(dict(_options(parser)))
            try:
                args = parser.parse_args(words)
                args.run(args)
            finally:
                sys.stdout.flush()  # here, where it is answered if the reader has gone
    except Terminated:
        print("\ncvd: terminated", file=sys.stderr)
        return 143
    except KeyboardInterrupt:
        print("\ncvd: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read the output has seen enough, such as `head`. Nothing can be printed to it when Python ends either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, OSError) as error:
        if "--debug" in words:
            raise
        print(f"cvd: error: {explain(error)}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if "--debug" in words or not lacks_memory(error):
            raise
        command = next((word for word in words if word in COMMANDS), "")
        print(f"cvd: error: not enough memory; try {_SMALLER.get(command, 'a smaller file')}", file=sys.stderr)
        return 2
    finally:
        _OPTIONS.reset(outside)
    return 0


def note(text: str) -> None:
    """Print a remark that is not an error, apart from the output."""
    print(f"cvd: note: {_spelled(text)}", file=sys.stderr)


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser with the requested command in full; the others are in it with their names only."""
    parser = argparse.ArgumentParser(
        prog="cvd",
        description="Collaborative Video Diffusion: videos of one scene, each along its own camera path, in step with "
        "each other.",
        epilog="`cvd COMMAND --help` describes a command.",
    )
    parser.add_argument("--version", action="version", version=f"cvd {__version__}")
    parser.add_argument("--debug", action="store_true", help=_DEBUG)
    subparsers = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    asked = next((word for word in words if not word.startswith("-")), None)
    for name, text in COMMANDS.items():
        if name == asked:
            import_module(f"{__name__}.{name}").add_parser(subparsers)
            subparsers.choices[name].add_argument(
                "--debug", action="store_true", default=argparse.SUPPRESS, help=_DEBUG
            )
        else:
            subparsers.add_parser(name, help=text)
    return parser


def _show_only_own_warnings() -> None:
    """Print warnings of this program as one line each, and hide those of libraries, which are for programmers.

    ``python -W`` and PYTHONWARNINGS are respected.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", category=UserWarning, module=r"cvd_core\b")
        warnings.showwarning = _show_warning


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"cvd: warning: {_spelled(str(message))}", file=sys.stderr)


def explain(error: Exception) -> str:
    """An error in the words of the command line, on one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, FieldError) and error.field in _OPTIONS.get():
        return f"{_OPTIONS.get()[error.field]} {_spelled(error.problem)}"
    return _spelled(" ".join(str(error).split("\n")))


def _spelled(text: str) -> str:
    """A message with the command's options in place of the arguments in backticks."""
    return re.sub(r"`(\w+)`", lambda match: _OPTIONS.get().get(match[1], match[0]), text)


def _options(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """Names and spellings of all options, those of sub-commands too."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _options(command)
        elif action.option_strings:
            yield action.dest, action.option_strings[0]
