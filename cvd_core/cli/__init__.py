"""The command ``cvd``.

A sub-command is a module here with ``add_parser(subparsers)``, whose parser sets ``run=function(args) -> None``. Only
the module of the command that is asked for is imported, so that ``cvd --help`` does not wait for PyTorch.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import TextIO

from cvd_core import __version__

COMMANDS = {
    "demo": "see what this does, offline and at once",
    "generate": "make videos of one scene, one along each camera path",
    "cameras": "convert, describe and draw camera files",
    "evaluate": "measure videos: cameras followed, views in agreement",
    "train": "train networks, all stages of a configuration",
    "inspect": "tell what a model file is and where it goes",
    "convert": "turn a checkpoint into a safetensors file",
}
"""Every sub-command with what it does: the name of its module, and its ``help``."""

_DEBUG = "show where in the program an error comes from"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; ``argv`` without the program's name, by default that of the process.

    Returns:
        the exit code: 0, 2 after a mistake in the input or an error of the file system, 130 after Ctrl-C. argparse
        exits by itself with 2 for options it does not know.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        with warnings.catch_warnings():
            _show_only_own_warnings()
            args = _parser(words).parse_args(words)
            args.run(args)
    except KeyboardInterrupt:
        print("\ncvd: interrupted", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        if "--debug" in words:
            raise
        print(f"cvd: error: {_explain(error)}", file=sys.stderr)
        return 2
    return 0


def note(text: str) -> None:
    """Tell something that is no error, beside the output."""
    print(f"cvd: note: {text}", file=sys.stderr)


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser with the asked-for command in full; the others stand in it with their names alone."""
    parser = argparse.ArgumentParser(
        prog="cvd",
        description="Collaborative Video Diffusion: videos of one scene, each along its own camera path, in step with "
        "each other.",
        epilog="`cvd COMMAND --help` tells more about a command.",
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
    """Warnings of this program as one line each; those of libraries are for programmers and stay away.

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
    print(f"cvd: warning: {message}", file=sys.stderr)


def _explain(error: ValueError | OSError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
