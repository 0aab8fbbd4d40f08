"""``cvd generate --jobs``: a file with the options of one run per line."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NoReturn

from pydantic_core import from_json

from cvd_core.cli.generate_inputs import add_inputs
from cvd_core.cli.generate_sampling import add_sampling
from cvd_core.declared import short

NOT_IN_A_JOB = ("jobs", "help", "debug")


class _Raising(argparse.ArgumentParser):
    """A parser that raises ValueError where argparse ends the process."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def read_jobs(common: argparse.Namespace) -> list[tuple[str, argparse.Namespace]]:
    """The jobs of a file of JSON lines, by name, each with its options and with those that are the same for all.

    A line is an object: names of options without their dashes, and values as numbers, texts, lists of them, or true.

    Args:
        common: the command line; its ``out`` is the folder in which those of the jobs lie.

    Raises:
        ValueError: the file cannot be read, or the options of a line cannot be used; the message has its number.
    """
    path: Path = common.jobs
    if not path.is_file():
        raise ValueError(f"{path} is not a file; expected one JSON object per line, as {EXAMPLE}")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text in UTF-8 ({error.reason} at byte {error.start})") from None
    parser = _parser()
    jobs = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            name = f"{path}, line {number}"
            try:
                own = parser.parse_args(_words(line))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
            jobs.append((name, _merged(common, own)))
    if not jobs:
        raise ValueError(f"{path} holds no jobs; expected one JSON object per line, as {EXAMPLE}")
    return jobs


EXAMPLE = '{"out": "car", "rig": "circle", "views": 4, "prompt": "a red car"}'


def _parser() -> argparse.ArgumentParser:
    parser = _Raising(add_help=False, allow_abbrev=False)
    add_inputs(parser)
    add_sampling(parser)
    return parser


def _words(line: str) -> list[str]:
    """The options of a line as they would be typed."""
    try:
        values = from_json(line)
    except ValueError as error:
        raise ValueError(f"it is not valid JSON ({error})") from None
    if not isinstance(values, dict):
        raise ValueError(f"it is {short(values)}; expected a JSON object as {EXAMPLE}")
    words: list[str] = []
    for option, value in values.items():
        if option in NOT_IN_A_JOB:
            raise ValueError(f"{option} is for the command line, not for a job")
        if value is False:
            continue
        items = [] if value is True else value if isinstance(value, list) else [value]
        if not all(isinstance(item, str | int | float) and not isinstance(item, bool) for item in items):
            raise ValueError(f"{option} is {short(value)}; expected numbers, texts, lists of them, or true")
        words += [f"--{option}", *map(str, items)]
    return words


def _merged(common: argparse.Namespace, own: argparse.Namespace) -> argparse.Namespace:
    """A job's options, and for those that it does not have, the common ones."""
    given: dict[str, Any] = {n: value for n, value in vars(own).items() if value is not None and value is not False}
    return argparse.Namespace(**{**vars(common), **given, "out": common.out / own.out, "jobs": None})
