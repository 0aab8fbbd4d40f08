"""Texts that hold no trajectory, which Python and JavaScript refuse at the same places."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

PAN: Json = {"moves": [{"name": "pan", "amount": 30}]}
HERE: Json = {"position": [0, 0, 0]}

TEXTS = [
    "",
    "  \n\t ",
    "{",
    '{"version" 2}',
    '{"version": 2,\n "rig": }',
    '{"version": 2\n "rig": 1}',
    '{"version": 2, rig: 1}',
    '{"version": 2} x',
    '{"version": "2',
    '{"version": "\\x"}',
    '{"version": "\\u12"}',
    '{"version": "a\nb"}',
    '{"version": 02}',
    '{"version": -}',
    '{"version": tru}',
    "\ufeff{}",
    "[" * 20_000,
    "null",
    "3",
    "1e-7",
    '"text"',
    "[1, 2.5, true, null]",
    "{}",
    '{"__proto__": 1}',
    '{"version": 2, "version": 2}',
    '{"version": 2, "rig": {"name": "circle", "distance": NaN}}',
    '{"version": 2, "rig": {"name": "circle", "distance": -Infinity}}',
    '{"version": 2, "rig": {"name": "circle", "distance": 1e999}}',
    '{"version": 2, "rig": {"name": "circle", "distance": 1' + "0" * 400 + "}}",
    '{"version": "2", "rig": {"name": "circle"}}',
    '{"version": true, "rig": {"name": "circle"}}',
    '{"version": 1.5, "rig": {"name": "circle"}}',
    '{"version": 0, "rig": {"name": "circle"}}',
    '{"version": 99, "rig": {"name": "circle"}}',
    '{"rig": {"name": "circle"}}',
    '{"version": 2}',
    '{"version": 2, "rig": {"name": "circle"}, "views": [{"moves": [{"name": "pan"}]}]}',
    '{"version": 2, "rig": {}}',
    '{"version": 2, "rig": {"name": "square"}}',
    '{"version": 2, "rig": {"name": "constructor"}}',
    '{"version": 2, "rig": {"name": "circle", "focal": 0}}',
    '{"version": 2, "rig": {"name": "circle", "toString": 1}}',
    '{"version": 2, "views": []}',
    '{"version": 2, "views": {}}',
    '{"version": 2, "views": [[]]}',
    '{"version": 2, "views": [{"name": "caf\u00e9 <script>", "x": 1}]}',
]

VIEWS: list[Json] = [
    {},
    {**PAN, "keyframes": [HERE]},
    {**PAN, "speed": 3},
    {**PAN, "it's": 3},
    {**PAN, "color": "red"},
    {**PAN, "color": "#12345g"},
    {**PAN, "color": '<img src=x onerror="alert(1)">' * 3},
    {**PAN, "color": "\u00e9\u65e5"},
    {**PAN, "name": ""},
    {**PAN, "name": 3},
    {**PAN, "focal": 0},
    {**PAN, "focal": -1.5},
    {**PAN, "easing": "bounce"},
    {**PAN, "easing": "toString"},
    {**PAN, "easing": 1},
    {**PAN, "easing": []},
    {**PAN, "easing": [0.5, 0.2]},
    {**PAN, "easing": [[0.5]]},
    {**PAN, "easing": [[0.5, "a"]]},
    {**PAN, "easing": [[0.5, 0.2], [0.25, 0.5]]},
    {**PAN, "easing": [[0.5, 0.5], [0.75, 0.25]]},
    {**PAN, "easing": [[0, 0.5]]},
    {**PAN, "easing": [[0.5, 1.5]]},
    {"moves": []},
    {"moves": [{}]},
    {"moves": [{"name": "pann"}]},
    {"moves": [{"name": "pan", "amount": "30"}]},
    {"moves": [{"name": "pan", "amount": True}]},
    {"moves": [{"name": "pan", "amount": None}]},
    {"moves": [{"name": "pan", "frames": 3}]},
    {"moves": [{"name": "pan", "cycles": 3}]},
    {"moves": [{"name": "static", "amount": 3}]},
    {"moves": [{"name": "zoom", "amount": 0}]},
    {"moves": [{"name": "orbit", "distance": -0.5}]},
    {"moves": [{"name": "handheld", "seed": -1}]},
    {"moves": [{"name": "handheld", "seed": 0.5}]},
    {"moves": [{"name": "handheld", "cycles": 0}]},
    {"keyframes": []},
    {"keyframes": [{"look_at": [0, 0, 1]}]},
    {"keyframes": [{"position": [0, 0]}]},
    {"keyframes": [{"position": None}]},
    {"keyframes": [{"position": [0, 0, "0"]}]},
    {"keyframes": [{**HERE, "rotation": [0, 0, 0]}]},
    {"keyframes": [{**HERE, "rotation": [0, 0, 0, 0]}]},
    {"keyframes": [{**HERE, "rotation": [0, 0, 0, 1], "look_at": [0, 0, 1]}]},
    {"keyframes": [{**HERE, "look_at": [0, 0, 0]}]},
    {"keyframes": [{**HERE, "easing": [[1, 1]]}]},
    {"keyframes": [{**HERE, "time": "1"}]},
    {"keyframes": [{**HERE, "time": 1}, {"position": [0, 0, 1]}]},
    {"keyframes": [{**HERE, "time": 1}, {"position": [0, 0, 1], "time": 1}]},
    {"keyframes": [{**HERE, "time": 1}, {"position": [0, 0, 1], "time": 0.5}]},
    {"keyframes": [{"position": [-1, 0, 0], "look_at": [0, 0, 0]}, {"position": [1, 0, 0], "look_at": [0, 0, 0]}]},
]


def broken() -> Iterator[tuple[str, str, int]]:
    """Name, text and number of views of every case."""
    for number, text in enumerate(TEXTS):
        yield f"text {number}", text, 2
    for number, view in enumerate(VIEWS):
        yield f"view {number}", json.dumps({"version": 2, "views": [PAN, view]}), 0
    for views, document in (
        (0, {"rig": {"name": "circle"}}),
        (100_000, {"rig": {"name": "circle"}}),
        (2, {"rig": {"name": "circle", "angle": 3}}),
        (2, {"rig": {"name": "circle", "distance": -1}}),
        (2, {"rig": {"name": "orbit", "angle": 0}}),
        (2, {"rig": {"name": "stereo", "easing": [[0.5, -0.5]]}}),
        (3, {"views": [PAN]}),
        (0, {"views": [{"name": "view1", **PAN}, PAN]}),
    ):
        yield f"{views} views of {document}", json.dumps({"version": 2, **document}), views
