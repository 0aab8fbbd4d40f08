"""This pack's own motion backend against AnimateDiff-Evolved on the same weights, and on its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.nodes.host_process import Host
from tests.nodes.runs import Scene, relative

OPTIONS: list[dict[str, Any]] = [
    {"views": 3},
    {"cfg": 1.0},
    {"sync_first": True, "sampler": "dpmpp_2m"},
    {"sampler": "ddim", "scheduler": "ddim_uniform"},
    {"frames": 6, "context": (4, 2)},
    {"frames": 7, "context": (3, 1), "views": 1},
    {"size": (192, 128)},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equal_to_animatediff_evolved(host: Host, options: dict[str, Any]) -> None:
    """A collaborative run with real sync modules."""
    evolved = Scene(host, **options)
    native = replace(evolved, native=True)
    expected = evolved.together(evolved.synced())
    assert relative(native.together(native.synced()), expected) < 1e-4
