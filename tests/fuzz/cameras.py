"""Camera files: every format that is written here, damaged, and trajectory texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from cvd_core.geometry.formats import read_cameras, write_cameras
from cvd_core.geometry.rigs import make_rig
from cvd_core.geometry.trajectory_json import build_trajectories, parse_trajectories
from tests.fuzz import Target
from tests.fuzz.damage import damaged_bytes, damaged_value, damaged_words, pick

Damage = Callable[[np.random.Generator, bytes], bytes]
LENS = (0.9, 0.9, 0.5, 0.5)


def _written(rng: np.random.Generator, folder: Path, name: str, format: str, damage: Damage) -> None:
    """Write a rig of up to 3 views, damage one of its files, read it."""
    rig = make_rig("circle", int(rng.integers(1, 4)), int(rng.integers(1, 5)), distance=0.5)
    rig = rig.select([0]) if format == "realestate10k" else rig
    path = folder / name
    files = write_cameras(rig, path, format=format, width=64, height=48)
    victim = files[int(rng.integers(min(len(files), 2)))]
    victim.write_bytes(damage(rng, victim.read_bytes()))
    given = LENS if format == "recammaster" or rng.random() < 0.1 else None
    read_cameras(path, format=pick(rng, [None, None, None, format]), intrinsics=given)


def _words(rng: np.random.Generator, content: bytes) -> bytes:
    damage = damaged_words(rng, content.decode())
    return damage.encode("utf-8", "replace") if rng.random() < 0.8 else damaged_bytes(rng, content)


def _values(rng: np.random.Generator, content: bytes) -> bytes:
    if rng.random() < 0.2:
        return damaged_bytes(rng, content)
    return json.dumps(damaged_value(rng, json.loads(content))).encode()


_TRAJECTORIES = (
    {"version": 2, "rig": {"name": "circle", "distance": 0.5, "easing": "ease-in-out"}},
    {
        "version": 2,
        "views": [
            {"name": "left", "color": "#D55E00", "moves": [{"name": "truck", "amount": -0.5}, {"name": "pan"}]},
            {
                "name": "hero",
                "easing": [[0.4, 0.1], [0.6, 0.9]],
                "keyframes": [
                    {"position": [0, 0, 0], "look_at": [0, 0, 1], "time": 0},
                    {"position": [0.5, -0.2, 0.1], "look_at": [0, 0, 1], "easing": "ease-out", "focal": 1.2, "time": 1},
                ],
            },
        ],
    },
)


def _trajectory(rng: np.random.Generator, folder: Path) -> None:
    text = json.dumps(damaged_value(rng, pick(rng, _TRAJECTORIES)))
    if rng.random() < 0.2:
        text = damaged_bytes(rng, text.encode()).decode("utf-8", "replace")
    document = parse_trajectories(text)
    build_trajectories(document, views=int(rng.integers(0, 4)), frames=int(rng.integers(1, 9)), width=64, height=48)


TARGETS = (
    Target("pose-file", partial(_written, name="a.txt", format="realestate10k", damage=_words)),
    Target("nerfstudio", partial(_written, name="a.json", format="nerfstudio", damage=_values)),
    Target("recammaster", partial(_written, name="a.json", format="recammaster", damage=_values)),
    Target("colmap", partial(_written, name="model", format="colmap", damage=_words)),
    Target("npz", partial(_written, name="a.npz", format="numpy", damage=damaged_bytes)),
    Target("trajectory-json", _trajectory),
)
