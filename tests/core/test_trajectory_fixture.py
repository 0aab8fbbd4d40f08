"""The cameras and messages that the trajectory editor's JavaScript is tested against are still those of Python."""

from __future__ import annotations

import json

import pytest
import torch

from cvd_core.geometry.trajectory_json import SCHEMA
from tests.web.make_fixture import DIGITS, FIXTURE, SCHEMA_FILE, Json, build, cases, errors, message_of, presets

SAVED: Json = json.loads(FIXTURE.read_text(encoding="utf-8"))
AGAIN = "run python -m tests.web.make_fixture, and bring web/js/trajectory to the same"


def test_the_fixture_has_every_case() -> None:
    results = ("expected", "message")
    saved = [{k: v for k, v in c.items() if k not in results} for c in SAVED["cases"] + SAVED["errors"]]
    assert saved == cases() + errors(), AGAIN
    assert SAVED["presets"] == json.loads(json.dumps(presets())), AGAIN


@pytest.mark.parametrize("case", SAVED["cases"], ids=lambda case: case["name"])
def test_cameras(case: Json) -> None:
    built = build(case)
    found = torch.cat([built.cameras.c2w[..., :3, :].flatten(-2), built.cameras.intrinsics], -1)
    expected = torch.tensor([view["cameras"] for view in case["expected"]], dtype=torch.float64)
    assert (found - expected).abs().max() < 10 ** (1 - DIGITS), AGAIN
    assert list(built.cameras.names) == [view["name"] for view in case["expected"]], AGAIN
    assert list(built.colors) == [view["color"] for view in case["expected"]], AGAIN


@pytest.mark.parametrize("case", SAVED["errors"], ids=lambda case: case["name"])
def test_messages(case: Json) -> None:
    assert message_of(case) == case["message"], AGAIN


def test_the_exported_schema() -> None:
    assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8")) == SCHEMA, AGAIN
