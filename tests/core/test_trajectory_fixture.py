"""The cameras and refusals that the trajectory editor's JavaScript is tested against are still those of Python."""

from __future__ import annotations

import json

import pytest
import torch

from cvd_core.geometry.trajectory_json import SCHEMA
from tests.web.make_fixture import (
    DIGITS,
    FIXTURE,
    SCHEMA_FILE,
    Json,
    baselines,
    build,
    cases,
    errors,
    files,
    place_of,
    presets,
    rows_of,
)

SAVED: Json = json.loads(FIXTURE.read_text(encoding="utf-8"))
AGAIN = "run python -m tests.web.make_fixture, and bring web/js/trajectory to the same"


def test_the_fixture_has_every_case() -> None:
    results = ("expected", "place", "smallest_baseline", "without_baseline")
    saved = [{k: v for k, v in c.items() if k not in results} for c in SAVED["cases"] + SAVED["errors"]]
    assert saved == cases() + errors(), AGAIN
    assert SAVED["presets"] == json.loads(json.dumps(presets())), AGAIN


@pytest.mark.parametrize("case", SAVED["cases"], ids=lambda case: case["name"])
def test_cameras(case: Json) -> None:
    built = build(case)
    assert_rows(rows_of(built.cameras), [view["cameras"] for view in case["expected"]])
    assert list(built.cameras.names) == [view["name"] for view in case["expected"]], AGAIN
    assert list(built.colors) == [view["color"] for view in case["expected"]], AGAIN
    found = baselines(built.cameras)
    assert found["without_baseline"] == case["without_baseline"], AGAIN
    assert found["smallest_baseline"] == pytest.approx(case["smallest_baseline"], rel=1e-6), AGAIN


def test_files() -> None:
    for saved, found in zip(SAVED["files"], files(), strict=True):
        assert {**saved, "expected": None} == {**found, "expected": None}, AGAIN
        for view, again in zip(saved["expected"], found["expected"], strict=True):
            assert view["name"] == again["name"], AGAIN
            assert_rows([again["cameras"]], [view["cameras"]])


def assert_rows(found: object, expected: object) -> None:
    difference = torch.tensor(found, dtype=torch.float64) - torch.tensor(expected, dtype=torch.float64)
    assert difference.abs().max() < 10 ** (1 - DIGITS), AGAIN


@pytest.mark.parametrize("case", SAVED["errors"], ids=lambda case: case["name"])
def test_places(case: Json) -> None:
    assert place_of(case) == case["place"], AGAIN


def test_the_exported_schema() -> None:
    assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8")) == SCHEMA, AGAIN
