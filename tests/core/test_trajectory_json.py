"""Camera paths as JSON text."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.moves import MOVES, combine, make_move
from cvd_core.geometry.rigs import RIGS, make_rig
from cvd_core.geometry.trajectories import Keyframe, from_keyframes
from cvd_core.geometry.trajectory_json import (
    DEFAULT_TEXT,
    SCHEMA,
    VERSION,
    VIEW_COLORS,
    Trajectories,
    build_trajectories,
    migrate,
    parse_trajectories,
)

PAN: dict[str, Any] = {"moves": [{"name": "pan", "amount": 30}]}


def build(document: object, views: int = 0, frames: int = 5, width: int = 64, height: int = 64) -> Trajectories:
    parsed = parse_trajectories(document if isinstance(document, str) else json.dumps(document))
    return build_trajectories(parsed, views=views, frames=frames, width=width, height=height)


def listed(*views: dict[str, Any]) -> dict[str, Any]:
    return {"version": VERSION, "views": list(views)}


def assert_same(a: Cameras, b: Cameras) -> None:
    assert torch.equal(a.c2w, b.c2w)
    assert torch.equal(a.intrinsics, b.intrinsics)
    assert a.names == b.names


def test_default_is_the_circle_of_any_number_of_views() -> None:
    for views in (1, 4, 9):
        made = build(DEFAULT_TEXT, views=views, frames=16)
        assert_same(made.cameras, make_rig("circle", views, 16, distance=0.5))
        assert made.colors == tuple(VIEW_COLORS[v % len(VIEW_COLORS)] for v in range(views))


@pytest.mark.parametrize("name", RIGS)
def test_every_rig_with_its_parameters_easing_and_lens(name: str) -> None:
    given_numbers: dict[str, Any] = {parameter.name: parameter.default * 0.5 for parameter in RIGS[name].parameters}
    rig = {"name": name, "easing": "ease-in", "focal": 1.5, **given_numbers}
    made = build({"version": 1, "rig": rig}, views=3, width=128)
    expected = make_rig(name, 3, 5, easing="ease-in", focal=1.5, aspect=2, **given_numbers)
    assert_same(made.cameras, expected)


@pytest.mark.parametrize("name", MOVES)
def test_every_move_with_its_parameters(name: str) -> None:
    given_numbers: dict[str, Any] = {parameter.name: parameter.default for parameter in MOVES[name].parameters}
    made = build(listed({"name": "a", "moves": [{"name": name, **given_numbers}]}))
    assert_same(made.cameras, make_move(name, 5, **given_numbers).cameras(name="a"))


def test_moves_add_up_and_share_the_views_easing_unless_they_have_their_own() -> None:
    view = {
        "name": "a",
        "easing": "ease-in",
        "focal": 1.2,
        "moves": [{"name": "truck", "amount": 1}, {"name": "pan", "easing": "ease-out"}],
    }
    expected = combine(make_move("truck", 5, "ease-in", amount=1), make_move("pan", 5, "ease-out"))
    assert_same(build(listed(view)).cameras, expected.cameras(1.2, name="a"))


def test_keyframes_are_the_keyframes_of_python() -> None:
    keys = [
        Keyframe((0, 0, 0), look_at=(0, 0, 1), time=0),
        Keyframe((1, 0, 0), look_at=(0, 0, 2), time=1, focal=1.5, easing="ease-in"),
        Keyframe((1, -1, 0), rotation=(0, 0, 0, 2), time=4),
    ]
    view = {"name": "path", "easing": "ease-out", "keyframes": [asdict(key) for key in keys]}
    made = build(listed(view), width=128)
    assert_same(made.cameras, from_keyframes(keys, 5, easing="ease-out", aspect=2, name="path"))


def test_keyframes_without_a_lens_take_the_views() -> None:
    view = {"focal": 2, "keyframes": [{"position": [0, 0, 0]}, {"position": [1, 0, 0], "focal": 4}]}
    intrinsics = build(listed(view)).cameras.intrinsics[0, :, 0]
    assert intrinsics[0] == 2
    assert intrinsics[-1] == 4


def test_names_and_colours_of_views() -> None:
    made = build(listed({"name": "hero", "color": "#aB0123", **PAN}, PAN), views=2)
    assert made.cameras.names == ("hero", "view1")
    assert made.colors == ("#aB0123", VIEW_COLORS[1])


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(["version", "rig", "views", "name", "moves", "keyframes", "position", "x"]), x
            )
        ),
    )
)
def test_anything_else_is_refused_with_a_sentence(document: object) -> None:
    with pytest.raises(ValueError, match=r"^trajectory JSON.{10,}"):
        parse_trajectories(json.dumps(document))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read: Expecting value at line 1, column 1"),
        ('{"version": 1,\n "rig": }', "at line 2, column 9"),
        ("[" * 100_000, "nested too deeply"),
        ("[1]", r"JSON: found \[1\]; expected an object"),
        ('{"version": 1, "version": 1}', "the key 'version' twice"),
        ('{"version": 1, "rig": {"name": "circle", "distance": NaN}}', "holds NaN"),
        ('{"version": 1, "rig": {"name": "circle", "distance": 1e999}}', "rig.distance: found Infinity"),
        ('{"rig": {"name": "circle"}}', "found no 'version'"),
        ('{"version": "1", "rig": {"name": "circle"}}', 'version: found "1"; expected an integer'),
        ('{"version": 0, "rig": {"name": "circle"}}', "version: found 0; expected one of 2"),
        ('{"version": 3, "rig": {"name": "circle"}}', "is version 3; this pack reads up to version 2"),
        ('{"version": 2, "rig": {"name": "circle", "distance": 1' + "0" * 5000 + "}}", "rig.distance: found Infinity"),
        ('{"version": 1}', "found no 'rig' or 'views'; expected exactly one"),
    ],
)
def test_broken_text(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_trajectories(text)


@pytest.mark.parametrize(
    ("view", "message"),
    [
        ({}, r"views\[1\]: found no 'moves' or 'keyframes'"),
        ({**PAN, "keyframes": [{"position": [0, 0, 0]}]}, r"views\[1\]: found 'moves' and 'keyframes'"),
        ({**PAN, "speed": 3}, r"views\[1\]: found the unknown key 'speed'; expected only name, color"),
        ({**PAN, "color": "red"}, r'views\[1\].color: found "red"'),
        ({**PAN, "name": ""}, r"views\[1\].name: found an empty text"),
        ({**PAN, "focal": 0}, r"views\[1\].focal: found 0; expected a number above 0"),
        ({**PAN, "easing": "bounce"}, r'easing: found "bounce"; expected one of linear'),
        ({**PAN, "easing": 1}, r"views\[1\].easing: found 1; expected a string or an array"),
        ({**PAN, "easing": [0.5, 0.2]}, r"views\[1\].easing\[0\]: found 0.5; expected an array"),
        ({**PAN, "easing": [[0.5]]}, r"views\[1\].easing\[0\]: found 1 items; expected 2"),
        ({"moves": []}, r"views\[1\].moves: found 0 items; expected at least 1"),
        ({"moves": [{"name": "pann"}]}, r'views\[1\].moves\[0\].name: found "pann"; expected one of static'),
        ({"moves": [{"name": "pan", "amount": "30"}]}, r'moves\[0\].amount: found "30"; expected a number'),
        ({"moves": [{"name": "pan", "amount": True}]}, r"amount: found true; expected a number"),
        ({"moves": [{"name": "pan", "frames": 3}]}, r"moves\[0\]: found the unknown key 'frames'"),
        ({"keyframes": [{"position": [0, 0]}]}, r"views\[1\].keyframes\[0\].position: found 2 items; expected 3"),
        ({"keyframes": [{"position": None}]}, r"position: found null; expected an array"),
        ({"keyframes": [{"look_at": [0, 0, 1]}]}, r"keyframes\[0\]: found no 'position'"),
    ],
)
def test_broken_views(view: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_trajectories(json.dumps(listed(PAN, view)))


@pytest.mark.parametrize(
    ("document", "views", "message"),
    [
        ({"version": 1, "rig": {"name": "circle"}}, 0, "views is 0; the trajectory JSON holds a rig"),
        ({"version": 1, "rig": {"name": "circle", "angle": 3}}, 2, "rig: rig 'circle' has no parameter 'angle'"),
        ({"version": 1, "rig": {"name": "circle", "distance": -1}}, 2, "rig: distance is -1"),
        (
            listed({**PAN, "easing": [[0.5, 0.2], [0.4, 0.3]]}),
            0,
            r"views\[0\].moves\[0\]: the times of an easing curve are \[0.5, 0.4\]",
        ),
        (listed(PAN), 2, "views is 2, but the trajectory JSON lists 1 views"),
        (listed({"name": "view1", **PAN}, PAN), 0, r"views\[1\]: the name 'view1' is already that of views\[0\]"),
        (listed({"moves": [{"name": "pan", "cycles": 1}]}), 0, r"views\[0\].moves\[0\]: move 'pan' has no parameter"),
        (
            listed({"keyframes": [{"position": [0, 0, 0], "look_at": [0, 0, 0]}]}),
            0,
            r"views\[0\].keyframes\[0\]: .*cannot look at its own position",
        ),
        (
            listed({"keyframes": [{"position": [0, 0, 0], "time": 1}, {"position": [0, 0, 1]}]}),
            0,
            r"views\[0\].keyframes: 1 of 2 keyframes have a time",
        ),
    ],
)
def test_what_cannot_be_built(document: dict[str, Any], views: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(document, views=views)


def test_a_text_of_version_1_is_built_as_it_was() -> None:
    for described in ({"rig": {"name": "orbit", "easing": "ease-in"}}, {"views": [{**PAN, "easing": "ease-out"}]}):
        views = 3 if "rig" in described else 1
        old, new = (build({"version": version, **described}, views) for version in (1, VERSION))
        assert_same(old.cameras, new.cameras)
    assert parse_trajectories('{"version": 1.0, "rig": {"name": "circle"}}')["version"] == VERSION


def test_a_speed_curve_shapes_rigs_moves_paths_and_ways_between_keyframes() -> None:
    curve = [[0.25, 0.75], [0.5, 0.75]]
    keys = [{"position": [0, 0, 0]}, {"position": [1, 0, 0]}]
    for described in (
        {"rig": {"name": "stereo", "baseline": 2, "easing": curve}},
        {"views": [{"moves": [{"name": "truck", "amount": 1, "easing": curve}]}]},
        {"views": [{"easing": curve, "moves": [{"name": "truck", "amount": 1}]}]},
        {"views": [{"easing": curve, "keyframes": keys}]},
        {"views": [{"keyframes": [{**keys[0], "easing": curve}, keys[1]]}]},
    ):
        made = build({"version": VERSION, **described}, 1, frames=5).cameras.centers[0, :, 0]
        assert made[[0, 1, 2, 4]].tolist() == pytest.approx([0, 0.75, 0.75, 1])
        assert 0.75 < made[3] < 1


def test_migration_runs_every_step_up_to_the_wanted_version() -> None:
    steps = {1: lambda d: {**d, "log": [1]}, 2: lambda d: {**d, "log": [*d["log"], 2]}}
    assert migrate({"version": 1}, steps, 3) == {"version": 3, "log": [1, 2]}
    assert migrate({"version": 1}, steps, 2) == {"version": 2, "log": [1]}
    assert migrate({"version": 3}, steps, 3) == {"version": 3}
    with pytest.raises(ValueError, match="version 4"):
        migrate({"version": 4}, steps, 3)


def test_schema_knows_every_keyframe_field() -> None:
    keyframe = SCHEMA["properties"]["views"]["items"]["properties"]["keyframes"]["items"]
    assert set(keyframe["properties"]) == set(asdict(Keyframe((0, 0, 0))))
