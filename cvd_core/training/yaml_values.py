"""YAML as configurations need it: plain values, and a text that means one thing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

LARGEST = 1 << 16
"""Bytes of a file; a configuration has a few thousand."""


def read_yaml(path: Path) -> Any:
    """The values of a YAML file: names to values, lists, texts, numbers, true, false and null.

    Scalars are read by the core schema of YAML 1.2, in which ``no`` and ``1:30`` are texts and ``1e-3`` is a number.

    Raises:
        ValueError: no such file, no YAML, one with tags, merge keys or a name given twice, or one that is nested too
            deeply.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}; give a training configuration (YAML)") from error
    if len(content) > LARGEST:
        raise ValueError(f"{path} has more than {LARGEST:,} bytes; give a training configuration (YAML)")
    try:
        return yaml.load(content.decode("utf-8-sig"), _Loader)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text; give a training configuration (YAML)") from error
    except yaml.MarkedYAMLError as error:
        place = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"{path} is not valid YAML: {place}{error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply; a configuration has three levels") from None


class _Loader(yaml.SafeLoader):
    """Plain values alone: no tags, no merge keys (both can do more than they seem to), no name twice."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's way: those of YAML 1.2, below

    def get_event(self) -> Any:
        event = super().get_event()
        if (tag := getattr(event, "tag", None)) not in (None, "!"):
            raise ComposerError(None, None, f"tags such as {tag} are not read", event.start_mark)
        return event

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConstructorError(None, None, "a list or mapping stands for a name", key.start_mark)
            if key.value in seen:
                raise ConstructorError(None, None, f"{key.value} stands there twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_number(self, node: Any) -> int | float:
        text: str = node.value
        if node.tag.endswith(":float"):
            return float(re.sub(r"^([-+]?)\.(inf|nan)$", r"\1\2", text.lower()))
        if len(text) > 400:
            raise ConstructorError(None, None, "a number of hundreds of digits", node.start_mark)
        return int(text, 0) if text.startswith("0x") else int(text.removeprefix("0o"), 8 if "o" in text else 10)


for _kind, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", [*"~nN", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", [*"-+0123456789"]),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        [*"-+.0123456789"],
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"(?:{_pattern})\\Z"), _first)
for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_number)
