"""Camera paths as one small JSON text: what the trajectory editor edits, and what a person can write by hand.

A text holds either a rig or a list of views; lengths are world units, angles degrees, axes OpenCV (x right, y down,
z forward)::

    {"version": 2, "rig": {"name": "circle", "distance": 0.5, "easing": "ease-in-out"}}

    {"version": 2, "views": [
        {"name": "left", "color": "#D55E00", "moves": [{"name": "truck", "amount": -0.5}, {"name": "pan"}]},
        {"name": "hero", "easing": [[0.4, 0.1], [0.6, 0.9]], "keyframes": [
            {"position": [0, 0, 0], "look_at": [0, 0, 1]},
            {"position": [0.5, -0.2, 0.1], "look_at": [0, 0, 1], "easing": "ease-out", "focal": 1.2}]}]}

Rigs and moves take the parameters that :data:`~cvd_core.geometry.rigs.RIGS` and
:data:`~cvd_core.geometry.moves.MOVES` list, keyframes the fields of
:class:`~cvd_core.geometry.trajectories.Keyframe`. Everything is in :data:`SCHEMA`, which is also what checks a text; it
is exported to ``web/trajectory.schema.json``. ``web/js/trajectory`` reads and builds the same texts in the browser, to
the same poses.

Speed is shaped by ``easing``, of a rig, a move, a view's whole path or the way to the next keyframe: a name of
:data:`~cvd_core.geometry.interpolation.EASINGS`, or since version 2 a curve of points ``[time, way]``
(:func:`~cvd_core.geometry.interpolation.easing_curve`). Version 1 had names only and is otherwise the same.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cvd_core.geometry.cameras import Cameras, check_count
from cvd_core.geometry.interpolation import EASINGS
from cvd_core.geometry.moves import DEFAULT_FOCAL, MOVES, Move, combine, make_move
from cvd_core.geometry.rigs import RIGS, Rig, make_rig
from cvd_core.geometry.trajectories import Keyframe, from_keyframes
from cvd_core.geometry.validation import count

Json = dict[str, Any]

VERSION = 2
MIGRATIONS: dict[int, Callable[[Json], Json]] = {1: lambda document: document}
"""``MIGRATIONS[n]`` turns a document of version n into one of version n + 1 and may change it in place."""

VIEW_COLORS = ("#3B9EFF", "#FF7A33", "#2CC295", "#E58BC0", "#FFC233", "#7FD4FF", "#B98AE8", "#C9CDD3")
"""Colours of views that state none, in turn: bright enough for a dark editor."""

DEFAULT_TEXT = """{
  "version": 2,
  "rig": {"name": "circle", "distance": 0.5, "easing": "linear"}
}"""
"""The rig of CVD's released code; a good start for any number of views."""


def _array(length: int, *, optional: bool = False) -> Json:
    kind = ["array", "null"] if optional else "array"
    return {"type": kind, "items": {"type": "number"}, "minItems": length, "maxItems": length}


_EASING: Json = {
    "anyOf": [
        {"type": "string", "enum": list(EASINGS)},
        {"type": "array", "minItems": 1, "items": _array(2)},
    ]
}
_FOCAL: Json = {"type": "number", "exclusiveMinimum": 0}


def _preset(presets: Mapping[str, Rig] | Mapping[str, Move], **properties: Json) -> Json:
    """A rig or move: its name, its easing and parameters; which one takes which is checked where it is made."""
    parameters = {parameter.name: {"type": "number"} for preset in presets.values() for parameter in preset.parameters}
    name: Json = {"type": "string", "enum": list(presets)}
    return {
        "type": "object",
        "properties": {"name": name, "easing": _EASING, **properties, **parameters},
        "required": ["name"],
        "additionalProperties": False,
    }


SCHEMA: Json = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Camera trajectories",
    "type": "object",
    "properties": {
        "version": {"type": "integer", "enum": [VERSION]},
        "rig": _preset(RIGS, focal=_FOCAL),
        "views": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "minLength": 1},
                    "color": {"type": "string", "pattern": "^#[0-9a-fA-F]{6}$"},
                    "easing": _EASING,
                    "focal": _FOCAL,
                    "moves": {"type": "array", "minItems": 1, "items": _preset(MOVES)},
                    "keyframes": {
                        "type": "array",
                        "minItems": 1,
                        "items": {
                            "type": "object",
                            "properties": {
                                "position": _array(3),
                                "rotation": _array(4, optional=True),
                                "look_at": _array(3, optional=True),
                                "focal": _FOCAL,
                                "time": {"type": ["number", "null"]},
                                "easing": _EASING,
                            },
                            "required": ["position"],
                            "additionalProperties": False,
                        },
                    },
                },
                "oneOf": [{"required": ["moves"]}, {"required": ["keyframes"]}],
                "additionalProperties": False,
            },
        },
    },
    "required": ["version"],
    "oneOf": [{"required": ["rig"]}, {"required": ["views"]}],
    "additionalProperties": False,
}
"""JSON Schema of the current version. A view's ``focal`` is that of keyframes without one and of a moving camera's
start; its ``easing`` is that of moves without one, or of a whole path through keyframes."""


@dataclass(frozen=True, eq=False)
class Trajectories:
    """What a text describes: cameras, and a colour ``#rrggbb`` for every view."""

    cameras: Cameras
    colors: tuple[str, ...]


def parse_trajectories(text: str) -> Json:
    """The document that ``text`` holds, brought to the current version and checked.

    Raises:
        ValueError: text that is not JSON, a newer version, or anything that :data:`SCHEMA` does not allow; the message
            names the place, what was found and what was expected.
    """
    try:
        document = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant, parse_int=_whole_number)
    except json.JSONDecodeError as error:
        problem = error.msg.removesuffix(" at")
        raise ValueError(
            f"trajectory JSON cannot be read: {problem} at line {error.lineno}, column {error.colno}"
        ) from error
    except RecursionError as error:
        raise ValueError("trajectory JSON is nested too deeply; expected a rig or a list of views") from error
    if isinstance(document, dict):
        document = migrate(document, MIGRATIONS, VERSION)
    _check(document, SCHEMA, "")
    return document


def migrate(document: Json, migrations: Mapping[int, Callable[[Json], Json]], target: int) -> Json:
    """``document`` as version ``target``; what has no usable version number is left to the schema's check.

    Raises:
        ValueError: a newer version.
    """
    version: Any = document.get("version")
    if not _KINDS["integer"](version):
        return document
    version = int(version)
    if version > target:
        raise ValueError(f"trajectory JSON is version {version}; this pack reads up to version {target}, so update it")
    while version in migrations and version < target:
        document = migrations[version](document)
        version += 1
    return {**document, "version": version}


def build_trajectories(document: Json, *, views: int, frames: int, width: int, height: int) -> Trajectories:
    """Cameras of a document from :func:`parse_trajectories`.

    Args:
        views: V of a rig. Where the document lists its views: their number, as a check, or 0 for as many as there are.
        frames: F, at least 1.
        width, height: of the videos in pixels; pixels are square.

    Raises:
        ValueError: a number of views that does not fit, or a rig, move or path that cannot be made; the message names
            the place.
    """
    check_count(max(views, len(document.get("views", ()))), count("frames", frames))
    aspect = count("width", width) / count("height", height)
    if "rig" in document:
        if views < 1:
            raise ValueError(f"views is {views}; the trajectory JSON holds a rig, so say how many views it has")
        with _place("rig"):
            cameras = make_rig(**document["rig"], views=views, frames=frames, aspect=aspect)
        return Trajectories(cameras, tuple(VIEW_COLORS[v % len(VIEW_COLORS)] for v in range(views)))

    described = document["views"]
    if views not in (0, len(described)):
        raise ValueError(
            f"views is {views}, but the trajectory JSON lists {len(described)} views; set views to that, or to 0 for "
            "as many as the JSON lists"
        )
    names = [view.get("name", f"view{v}") for v, view in enumerate(described)]
    for v, name in enumerate(names):
        if name in names[:v]:
            first = names.index(name)
            raise ValueError(f"trajectory JSON, views[{v}]: the name {name!r} is already that of views[{first}]")
    parts = [_view(view, f"views[{v}]", names[v], frames, aspect) for v, view in enumerate(described)]
    colors = (view.get("color", VIEW_COLORS[v % len(VIEW_COLORS)]) for v, view in enumerate(described))
    return Trajectories(Cameras.concatenate(parts), tuple(colors))


def _view(view: Json, path: str, name: str, frames: int, aspect: float) -> Cameras:
    easing = view.get("easing", "linear")
    if "moves" in view:
        motions = []
        for m, move in enumerate(view["moves"]):
            with _place(f"{path}.moves[{m}]"):
                motions.append(make_move(**{"easing": easing, **move}, frames=frames))
        return combine(*motions).cameras(view.get("focal", DEFAULT_FOCAL), aspect, name)
    keyframes = []
    for k, fields in enumerate(view["keyframes"]):
        with _place(f"{path}.keyframes[{k}]"):
            keyframes.append(Keyframe(**{"focal": view.get("focal", DEFAULT_FOCAL), **fields}))
    with _place(f"{path}.keyframes"):
        return from_keyframes(keyframes, frames, easing=easing, aspect=aspect, name=name)


@contextmanager
def _place(path: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"trajectory JSON, {path}: {error}") from error


def _object(pairs: list[tuple[str, Any]]) -> Json:
    result: Json = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"trajectory JSON has the key {key!r} twice in one object; keep one of them")
        result[key] = value
    return result


def _refuse_constant(name: str) -> float:
    raise ValueError(f"trajectory JSON holds {name}; every number must be finite")


def _whole_number(digits: str) -> int | float:
    """As precise as in JavaScript, and never too long for a float."""
    return int(digits) if len(digits) < 16 else float(digits)


_KINDS: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "null": lambda value: value is None,
    "integer": lambda value: _KINDS["number"](value) and value == int(value),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value),
}


def _check(value: Any, schema: Json, path: str) -> None:
    """Compare ``value`` with the part of JSON Schema that :data:`SCHEMA` uses; ``path`` is where it stands."""
    options = schema.get("anyOf", [schema])
    fitting = [option for option in options if any(_KINDS[kind](value) for kind in _kinds(option))]
    if not fitting:
        kinds = [kind for option in options for kind in _kinds(option) if kind != "null"]
        _fail(path, _show(value), " or ".join(map(_article, kinds)))
    schema = fitting[0]
    if "enum" in schema and value not in schema["enum"]:
        _fail(path, _show(value), f"one of {', '.join(map(str, schema['enum']))}")
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        _fail(path, _show(value), f"a number above {schema['exclusiveMinimum']}")
    if isinstance(value, str):
        if len(value) < schema.get("minLength", 0):
            _fail(path, "an empty text", "a name, or leave it out")
        if "pattern" in schema and not re.search(schema["pattern"], value):
            _fail(path, _show(value), f"a text of the form {schema['pattern']}")
    elif isinstance(value, list):
        least, most = schema.get("minItems", 0), schema.get("maxItems", len(value))
        if not least <= len(value) <= most:
            _fail(path, f"{len(value)} items", f"{least}" if "maxItems" in schema else f"at least {least}")
        for i, item in enumerate(value):
            _check(item, schema["items"], f"{path}[{i}]")
    elif isinstance(value, dict):
        _check_object(value, schema, path)


def _kinds(schema: Json) -> list[str]:
    return [schema["type"]] if isinstance(schema["type"], str) else schema["type"]


def _check_object(value: Json, schema: Json, path: str) -> None:
    for key in schema.get("required", ()):
        if key not in value:
            _fail(path, f"no {key!r}", f"it there ({', '.join(schema['properties'])} are known)")
    choices = [option["required"][0] for option in schema.get("oneOf", ())]
    given = [key for key in choices if key in value]
    if choices and len(given) != 1:
        _fail(path, " and ".join(map(repr, given)) or f"no {' or '.join(map(repr, choices))}", "exactly one of them")
    for key, item in value.items():
        if key not in schema["properties"]:
            _fail(path, f"the unknown key {key!r}", f"only {', '.join(schema['properties'])}")
        _check(item, schema["properties"][key], f"{path}.{key}".lstrip("."))


def _fail(path: str, found: str, expected: str) -> None:
    raise ValueError(f"trajectory JSON{', ' if path else ''}{path}: found {found}; expected {expected}")


def _show(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aio' else 'a'} {kind}"
