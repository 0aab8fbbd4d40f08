"""Writes what the trajectory editor is tested against: ``python -m tests.web.make_fixture``.

``tests/web/fixtures/trajectories.json`` holds documents with the cameras that the Python core builds from them and
where these have no baseline, camera files with the cameras it reads, and broken documents with the place where it
refuses them; pytest and vitest both read it. ``web/trajectory.schema.json`` is the exported schema.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.epipolar import pair_geometry, smallest_baseline
from cvd_core.geometry.formats import read_cameras, write_cameras
from cvd_core.geometry.interpolation import EASINGS
from cvd_core.geometry.moves import DEFAULT_FOCAL, MOVES
from cvd_core.geometry.rigs import RIGS
from cvd_core.geometry.trajectory_json import (
    DEFAULT_TEXT,
    SCHEMA,
    VERSION,
    VIEW_COLORS,
    Trajectories,
    build_trajectories,
    parse_trajectories,
)
from tests.web.broken_documents import broken

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
FIXTURE = ROOT / "tests" / "web" / "fixtures" / "trajectories.json"
SCHEMA_FILE = ROOT / "web" / "trajectory.schema.json"
PLACE = re.compile(r"trajectory JSON(?:, (?P<path>[^:]*):| cannot be read: .* at (?P<line>line \d+), column \d+$)")
"""How a message names its place."""
DIGITS = 9
"""Decimals of the expected numbers."""

CURVE = [[0.2, 0.05], [0.5, 0.05], [0.75, 0.9]]
STRAIGHT: list[Json] = [{"position": [0, 0, 0]}, {"position": [1, 0, 0.5]}]


def case(
    name: str, document: Json | str, *, views: int = 0, frames: int = 5, width: int = 64, height: int = 64
) -> Json:
    text = document if isinstance(document, str) else json.dumps(document)
    return {"name": name, "text": text, "views": views, "frames": frames, "width": width, "height": height}


def listed(*views: Json, version: int = VERSION) -> Json:
    return {"version": version, "views": list(views)}


def path(*keyframes: Json, **fields: Any) -> Json:
    return listed({**fields, "keyframes": list(keyframes)})


def cases() -> list[Json]:
    """Documents and settings, without what they build."""
    return [*_rigs(), *_moves(), *_paths(), *_random_paths()]


def _rigs() -> Iterator[Json]:
    yield case("default", DEFAULT_TEXT, views=4, frames=16)
    for name, rig in RIGS.items():
        half = {parameter.name: parameter.default * 0.5 for parameter in rig.parameters}
        for views in (1, 2, 5):
            document = {"version": VERSION, "rig": {"name": name, "easing": "ease-in-out", **half}}
            yield case(f"{name}, {views} views", document, views=views, width=96)
        bare = {"version": 1, "rig": {"name": name, "focal": 1.7}}
        yield case(f"{name} of version 1, its defaults", bare, views=3, frames=3, width=48, height=80)
        yield case(f"{name}, 1 frame", bare, views=2, frames=1)
        yield case(f"{name}, speed curve", {"version": VERSION, "rig": {"name": name, "easing": CURVE}}, views=2)


def _moves() -> Iterator[Json]:
    for name, move in MOVES.items():
        numbers = {parameter.name: parameter.default * 1.5 for parameter in move.parameters if parameter.name != "seed"}
        views = [{"name": e, "easing": e, "moves": [{"name": name, **numbers}]} for e in EASINGS]
        yield case(f"{name}, every easing", listed(*views), width=80, height=48)
        yield case(f"{name}, defaults, 1 frame", listed({"moves": [{"name": name}]}), frames=1)
        yield case(f"{name}, speed curve", listed({"moves": [{"name": name, "easing": CURVE}]}), frames=6)
    yield case("orbit over the top", listed({"moves": [{"name": "orbit", "amount": -200, "elevation": 95}]}), frames=9)
    for seed in (1, 123456789, 2**32 + 5, 2**53 - 1, 1e25):
        sway = {"name": "handheld", "seed": seed, "cycles": 2.5, "amount": 0.1, "rotation": 20}
        yield case(f"handheld, seed {seed}", listed({"moves": [sway]}), frames=4)
    moves = [
        {"name": "orbit", "amount": 50, "elevation": -10, "easing": "ease-out"},
        {"name": "truck"},
        {"name": "pan", "amount": -75},
        {"name": "zoom", "amount": 0.4, "easing": CURVE},
        {"name": "handheld", "seed": 3},
    ]
    named = {"name": "O'Neill <b>\u65e5</b>", "color": "#0aF9c3", "easing": "ease-in", "focal": 0.5, "moves": moves}
    yield case("many moves at once", listed(named, {"moves": moves[:2]}), frames=12, width=512, height=288)


def _paths() -> Iterator[Json]:
    yield case("one keyframe", path({"position": [1, -2, 3]}))
    yield case("one keyframe, aimed", path({"position": [1, -2, 3], "look_at": [0, 0, 0], "focal": 2, "time": 7}))
    yield case("one keyframe, straight down", path({"position": [0, 0, 0], "look_at": [0, 2, 0]}))
    yield case("one keyframe, straight up", path({"position": [0, 0, 0], "look_at": [0, -1, 0]}), frames=1)
    for name in (*EASINGS, "curve"):
        easing: Any = CURVE if name == "curve" else name
        keys: list[Json] = [{**key, "easing": easing} for key in (*STRAIGHT, {"position": [1, 1, 1]})]
        yield case(f"keyframes, {name}", path(*keys))
        yield case(f"path, {name}", path(*STRAIGHT, {"position": [1, 1, 1]}, easing=easing), frames=7, height=32)
        timed = [{**key, "time": time} for key, time in zip(keys, (-1, 0.5, 6), strict=True)]
        yield case(f"keyframes and path with times, {name}", path(*timed, easing=easing), frames=7)
    yield case("the same keyframe three times", path(*[{"position": [1, 0, 0], "rotation": [0, 1, 0, 1]}] * 3))
    yield case("a keyframe repeated on the way", path(STRAIGHT[0], STRAIGHT[1], STRAIGHT[1], {"position": [2, 2, 0]}))
    turn = [{"position": [0, 0, 0], "rotation": q} for q in ([0, 0, 0, 1], [0, 1, 0, 1], [1, 0, 0, 1])]
    yield case("turns on the spot", path(*turn))
    yield case("turn on the spot on the way", path({"position": [-1, 0, 0]}, *turn, {"position": [0, 0, 3]}), frames=9)
    half_turns = [{"position": [0, 0, 0], "rotation": q} for q in ([0, 0, 0, 1], [0, 3, 0, 0], [2, 0, 0, 0])]
    yield case("half turns", path(*half_turns), frames=9)
    yield case("zoom on the spot", path(*({"position": [0, 0, 0], "focal": f} for f in (0.5, 2, 1))), width=96)
    yield case("zoom on the way", path(STRAIGHT[0], {**STRAIGHT[1], "focal": 3}, STRAIGHT[0], focal=0.7), frames=8)
    yield case("quaternions of any length", path({"position": [0, 0, 0], "rotation": [0, 0.2, 0, 5]}, STRAIGHT[1]))
    aims: list[Json] = [
        {"position": [0, 0, 0], "look_at": [0, 0, 1]},
        {"position": [1, -0.5, 0.2], "look_at": [0.3, 0, 2], "easing": "ease-in"},
        {"position": [2, -1, 0], "rotation": [0.1, 0.2, -0.3, 1]},
        {"position": [2, -1, 2], "look_at": [0, 0, 1]},
        {"position": [1, 0, 3], "look_at": [0, 0, 1], "rotation": None, "time": None},
    ]
    yield case("aimed and turned by turns", path(*aims), frames=13)
    yield case("aimed, with times", path(*({**aims[k], "time": k * k} for k in range(3))), frames=6, width=128)
    over = [{"position": [x, -1, 0], "look_at": [0, 0, 0]} for x in (-1, 1)]
    yield case("over its target", path(*over), frames=4)
    sharp = [[0, 0, 0], [1, 0, 0], [0.001, 0.01, 0], [0.001, 0.01, 8], [0.0012, 0.01, 8.001], [0, 0, -5]]
    yield case("sharp corners and close points", path(*({"position": p} for p in sharp)), frames=20)
    back = [{"position": [x, 0, 0], "time": t} for x, t in ((0, 0), (1, 1), (1, 2), (0, 2.1))]
    yield case("a stop and a way back", path(*back), frames=12)
    yield case("views of several kinds", listed(path(*aims)["views"][0], {"moves": [{"name": "pan"}]}), frames=3)
    spiral = np.linspace(0, 40, 1000)
    points = np.stack([np.cos(spiral) * (1 + spiral / 20), spiral / 30, np.sin(spiral)], -1).round(3).tolist()
    yield case("1000 keyframes", path(*({"position": point} for point in points)), frames=9)
    yield case("far away", path(*({"position": [1e5 + x, -2e5, x * x]} for x in range(4))), frames=4)


def _random_paths() -> Iterator[Json]:
    rng = np.random.default_rng(4)
    for number in range(24):
        n = int(rng.integers(2, 9))
        times = np.cumsum(rng.uniform(0.1, 2, n)).round(3)
        keys: list[Json] = []
        for k in range(n):
            key: Json = {"position": rng.normal(size=3).round(3).tolist()}
            kind = rng.integers(4)
            if kind == 0:
                key["look_at"] = rng.normal(size=3).round(3).tolist()
            elif kind == 1:
                key["rotation"] = Rotation.random(random_state=rng).as_quat().round(4).tolist()
            elif kind == 2 and keys:
                key["position"] = keys[-1]["position"]
            if rng.random() < 0.3:
                key["focal"] = round(float(rng.uniform(0.4, 2)), 3)
            if rng.random() < 0.4:
                key["easing"] = str(rng.choice(list(EASINGS)))
            if number % 2:
                key["time"] = float(times[k])
            keys.append(key)
        easing: Any = [str(rng.choice(list(EASINGS))), CURVE][number % 5 == 0]
        width, height = (int(x) for x in 8 * rng.integers(4, 20, 2))
        document = path(*keys, easing=easing, focal=1.1)
        yield case(f"random path {number}", document, frames=int(rng.integers(2, 10)), width=width, height=height)


def build(described: Json) -> Trajectories:
    """What the Python core makes of a case."""
    settings = {key: described[key] for key in ("views", "frames", "width", "height")}
    return build_trajectories(parse_trajectories(described["text"]), **settings)


def rows_of(cameras: Cameras) -> list[list[list[float]]]:
    """Per view and frame the first three rows of the pose, then fx, fy, cx, cy."""
    rows = torch.cat([cameras.c2w[..., :3, :].flatten(-2), cameras.intrinsics], -1)
    numbers = (rows.numpy().round(DIGITS) + 0.0).tolist()  # no -0.0
    return [[[int(x) if x == int(x) else x for x in row] for row in view] for view in numbers]


def expected(built: Trajectories) -> list[Json]:
    """Views as the fixture states them."""
    return [
        {"name": name, "color": color, "cameras": rows}
        for name, color, rows in zip(built.cameras.names, built.colors, rows_of(built.cameras), strict=True)
    ]


def baselines(cameras: Cameras) -> Json:
    """The smallest distance that counts, and the frames without one of every pair, as the networks take the views."""
    relative = cameras.relative_to_first()
    pairs = [(a, b) for b in range(cameras.views) for a in range(b)]
    without = {
        f"{a} {b}": pair_geometry(relative, a, b, 64, 64).degenerate.nonzero().flatten().tolist() for a, b in pairs
    }
    return {"smallest_baseline": float(f"{smallest_baseline(relative):.9g}"), "without_baseline": without}


def files() -> Iterator[Json]:
    """Camera files, and the cameras that are read from them for videos of some size."""
    poses = (ROOT / "tests" / "data" / "poses" / "0bf152ef84195293.txt").read_text(encoding="utf-8")
    rig = build(case("", DEFAULT_TEXT, views=3, frames=3, width=96, height=64)).cameras
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "transforms.json"
        write_cameras(rig, target, width=96, height=64)
        transforms = target.read_text(encoding="utf-8")
        for name, text, width, height in (
            ("wide.txt", poses, 256, 256),
            ("tall.txt", poses.split("\n", 1)[1], 64, 128),
            ("transforms.json", transforms, 128, 64),
        ):
            source = Path(folder) / name
            source.write_text(text, encoding="utf-8")
            cameras = read_cameras(source).crop_to(width, height)
            yield {
                "name": name,
                "text": text,
                "width": width,
                "height": height,
                "frames": cameras.frames,
                "expected": [
                    {"name": view, "cameras": rows} for view, rows in zip(cameras.names, rows_of(cameras), strict=True)
                ],
            }


def place_of(described: Json) -> str:
    """Where the Python core refuses a case: in the document, or the line of a text that is not JSON; else empty."""
    try:
        build(described)
    except ValueError as error:
        found = PLACE.match(str(error))
        return "" if found is None else found["path"] or found["line"]
    raise AssertionError(f"{described['text']} is not refused")


def presets() -> Json:
    """Everything the JavaScript side repeats by hand."""
    return {
        "version": VERSION,
        "default_text": DEFAULT_TEXT,
        "default_focal": DEFAULT_FOCAL,
        "colors": VIEW_COLORS,
        **{
            kind: [
                {
                    "name": preset.name,
                    "description": preset.description,
                    "parameters": [[p.name, p.unit, p.default] for p in preset.parameters],
                }
                for preset in known
            ]
            for kind, known in (("rigs", RIGS.values()), ("moves", MOVES.values()))
        },
    }


def errors() -> list[Json]:
    return [case(name, text, views=views) for name, text, views in broken()]


def main() -> None:
    made = [(described, build(described)) for described in cases()]
    lines = {
        "cases": [{**described, "expected": expected(built), **baselines(built.cameras)} for described, built in made],
        "files": list(files()),
        "errors": [{**described, "place": place_of(described)} for described in errors()],
    }
    parts = [f'"presets": {json.dumps(presets())}']
    for key, entries in lines.items():
        rows = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
        parts.append(f'"{key}": [\n{rows}\n]')
    FIXTURE.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
    SCHEMA_FILE.write_text(json.dumps(SCHEMA, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
