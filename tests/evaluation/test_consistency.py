"""What the benchmarks of synchronised views stand on: scenes, intervals, rows that are kept, and counted calls."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks import consistency, pareto
from benchmarks.consistency import COPY, Measured, Task, Variant, held_out, mean, measure, ratio, videos_of
from cvd_core.engine.solvers import DiffusersSolver
from cvd_core.evaluation.truck_test import TYPICAL_DEPTH
from cvd_core.sampling.collaborate import NetworkCall, sample_together
from cvd_core.sampling.draws import SeededDraws
from cvd_core.sampling.settings import Settings

SETTINGS = Settings(("",), width=64, height=64, steps=10)
RENDERS = Variant("renders", None, SETTINGS)


def test_renders_agree_and_a_copy_does_not() -> None:
    rows = [measure(*videos_of(Task(RENDERS, scene, 0))) for scene in range(6)]
    assert np.nanmax([row["resting"] for row in rows]) < 1, "pixels"
    assert np.nanmean([row[COPY + "resting"] for row in rows]) > 2
    assert all(row["first frames"] == 0 for row in rows)
    assert all(row["whole videos"] > 0 for row in rows)


def test_views_on_the_same_trajectory_show_the_same() -> None:
    videos, cameras, _ = videos_of(Task(Variant("same", None, SETTINGS, trajectories="same"), 0, 0))
    assert torch.equal(cameras.c2w[0], cameras.c2w[1])
    assert torch.equal(videos[0], videos[1])


def test_mirrored_views_are_told_from_copies() -> None:
    mirrored = Variant("mirrored", None, SETTINGS, trajectories="mirrored")
    rows = [measure(*videos_of(Task(mirrored, scene, 0))) for scene in range(6)]
    assert np.nanmax([row["resting"] for row in rows]) < 1
    assert np.nanmean([row[COPY + "resting"] for row in rows]) > 3


def test_on_its_scale_a_copy_is_0_and_renders_are_near_1() -> None:
    for trajectories in ("own", "mirrored", "orbiting"):
        variant = Variant(trajectories, None, SETTINGS, trajectories=trajectories)
        rows = [measure(*videos_of(Task(variant, scene, 0))) for scene in range(6)]
        assert np.nanmean([row["place"] for row in rows]) > 0.85
        assert np.nanmax(np.abs([row[COPY + "place"] for row in rows])) < 1e-9


def test_orbiting_cameras_look_at_the_middle_from_both_sides() -> None:
    _, cameras, _ = videos_of(Task(Variant("orbiting", None, SETTINGS, trajectories="orbiting"), 0, 0))
    middle = torch.tensor([0.0, 0.0, TYPICAL_DEPTH, 1.0], dtype=torch.float64)
    for view in range(2):
        seen = cameras.w2c[view, -1] @ middle
        assert float(seen[0]) == pytest.approx(0, abs=1e-9)
    assert float((cameras.centers[0, -1] + cameras.centers[1, -1]).norm()) == pytest.approx(0, abs=1e-9)


def test_more_views_keep_the_scene_and_the_first_trajectories() -> None:
    (scene, two), (again, six) = held_out(5, 2), held_out(5, 6)
    assert scene.prompt() == again.prompt()
    assert np.array_equal(two, six[:2])
    assert len({tuple(row) for row in six.tolist()}) == 6


def test_rows_are_kept_and_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.jsonl"
    first = Measured(path)
    first.make([RENDERS], scenes=2, seeds=3, workers=1)
    assert sorted(first.rows) == [("renders", 0, 0), ("renders", 1, 0)], "renders have no noise"
    before = path.read_text()
    again = Measured(path)
    monkeypatch.setattr(consistency, "_run", None)  # nothing is left to do
    again.make([RENDERS], scenes=2, seeds=3, workers=1)
    assert path.read_text() == before
    expected = [measure(*videos_of(Task(RENDERS, scene, 0)))["resting"] for scene in range(2)]
    assert again.by_scene("renders", "resting", scenes=2, seeds=3) == pytest.approx(expected, nan_ok=True)


def test_means_over_seeds_leave_out_what_could_not_be_measured(tmp_path: Path) -> None:
    measured = Measured(tmp_path / "none")
    measured.rows = {("a", 0, 0): {"x": 1.0}, ("a", 0, 1): {"x": 3.0}, ("a", 1, 0): {"x": math.nan}}
    assert measured.by_scene("a", "x", scenes=3, seeds=2) == pytest.approx([2.0, math.nan, math.nan], nan_ok=True)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    held = [0, 0]
    for _ in range(100):
        scene = rng.normal(0, 0.5, 64)  # what is hard in one variant is hard in the other
        above, below = (np.exp(scene + rng.normal(0, 0.2, 64)) * factor for factor in (3.0, 1.0))
        above[:5] = math.nan
        estimate = ratio(above, below)
        held[0] += estimate.low < 3 < estimate.high
        plain = mean(below)
        held[1] += plain.low < math.exp((0.25 + 0.04) / 2) < plain.high
        assert estimate.scenes == 59
        assert estimate.low < estimate.value < estimate.high
    assert min(held) > 85
    assert max(held) <= 100


def test_undefined_measures_have_no_interval() -> None:
    assert math.isnan(mean(np.full(4, math.nan)).value)
    single = ratio(np.array([2.0, math.nan]), np.array([4.0, 1.0]))
    assert (single.value, single.scenes) == (0.5, 1)
    assert math.isnan(single.low)


def test_network_calls_are_those_of_the_sampler() -> None:
    found = [point for point in pareto.every_point(4) if point.settings.recurrence.times == 3 or "lcm" in point.line]
    assert len({point.name for point in found}) == len(found)
    assert {point.line for point in found} == {
        "partition",
        "two partitions",
        "exhaustive",
        "joint",
        "partition, first half",
        "joint, lcm",
    }
    for point in found:
        settings, denoised = point.settings, 0

        def count(step: int, latents: Tensor, batch: NetworkCall) -> Tensor:
            nonlocal denoised
            denoised += len(batch.views)
            return latents

        sample_together(
            count,
            torch.zeros(point.views, 1),
            DiffusersSolver(settings.sampler, settings.steps, torch.Generator, torch.device("cpu")),
            SeededDraws(3),
            pairing=settings.pairing,
            recurrence=settings.recurrence,
        )
        assert point.calls == denoised / 2, point.name
