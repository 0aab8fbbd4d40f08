"""``cvd_core`` from Python: what the documents say runs, and gives what the command gives."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import cvd_core
from cvd_core import Pairing, Recurrence, Settings, StartPicture
from cvd_core.cli import main
from cvd_core.fields import FieldError
from cvd_core.runs import mini
from cvd_core.runs.make import Pipeline, Run
from cvd_core.runs.record import RunRecord
from cvd_core.sampling.collaborate import Progress

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
QUICK: dict[str, Any] = {"steps": 2, "guidance": 1, "progress": False}


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return cvd_core.load_pipeline("mini", device="cpu")


# runs


def test_a_run_writes_what_the_command_writes(pipe: Pipeline, tmp_path: Path) -> None:
    rig = cvd_core.make_rig("stereo", views=2, frames=3, baseline=2)
    pipe(rig, "a red ball", seed=2, **QUICK).save(tmp_path / "python")
    words = ["--rig", "stereo", "--rig-baseline", 2, "--frames", 3, "--prompt", "a red ball", "--seed", 2]
    words += ["--steps", 2, "--guidance", 1, "--device", "cpu", "--out", tmp_path / "command"]
    assert main(["generate", *map(str, words)]) == 0
    names = ("view0.mp4", "view1.mp4", "grid.mp4", "transforms.json")
    folders = [tmp_path / "python", tmp_path / "command"]
    for folder in folders:
        assert {path.name for path in folder.iterdir()} == {*names, "run.json"}
    for name in names:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name
    records = [json.loads((folder / "run.json").read_text()) for folder in folders]
    for record in records:
        assert record["seconds"].keys() == {"check", "load", "sample", "decode", "write"}
        del record["date"], record["seconds"], record["cameras"]["source"]
    assert records[0] == records[1]


def test_what_a_run_holds(pipe: Pipeline) -> None:
    rig = cvd_core.make_rig("circle", views=3, frames=2, distance=1)
    run = pipe(rig, ["a red ball", "a blue ball", "a red cube"], fps=4, height=128, **QUICK)
    assert isinstance(run, Run)
    assert run.frames.shape == (3, 2, 128, 64, 3)
    assert run.frames.dtype == torch.uint8
    assert torch.equal(run.record.cameras.c2w, rig.c2w)
    assert run.cameras.names == rig.names
    assert run.record.settings.prompts == ("a red ball", "a blue ball", "a red cube")
    assert (run.record.fps, run.record.device) == (4, "cpu")
    assert {model.role for model in run.record.models} == {"base", "motion", "camera", "sync"}
    assert RunRecord.from_json(run.record.to_json()).settings == run.record.settings


def test_longer_paths_are_resampled_to_what_the_small_model_makes(pipe: Pipeline) -> None:
    run = pipe(cvd_core.make_rig("stereo", views=2, baseline=2), "a red ball", **{**QUICK, "steps": 1})
    assert run.record.cameras.frames == mini.FRAMES


def test_progress_is_reported_and_may_stop_a_run(pipe: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[tuple[int, int]] = []

    def watch(progress: Progress) -> None:
        seen.append((progress.step, progress.repeat))
        if progress.step == 1:
            raise KeyboardInterrupt

    rig = cvd_core.make_rig("stereo", views=2, frames=2, baseline=2)
    with pytest.raises(KeyboardInterrupt):
        pipe(rig, "a red ball", steps=3, guidance=1, recurrence=Recurrence(2, 0, 0.3), progress=watch)
    assert seen == [(0, 1), (0, 2), (1, 1)]
    assert capsys.readouterr().err == ""
    pipe(rig, "a red ball", steps=1, guidance=1)
    assert "step 1/1" in capsys.readouterr().err


def test_given_settings_are_taken_and_changed(pipe: Pipeline) -> None:
    rig = cvd_core.make_rig("stereo", views=2, frames=2, baseline=2)
    chosen = pipe.settings("a red ball", steps=1, guidance=1, seed=5)
    assert (chosen.width, chosen.height) == (64, 64)
    runs = [pipe(rig, chosen, progress=False), pipe(rig, chosen, seed=5, progress=False)]
    assert torch.equal(runs[0].frames, runs[1].frames)
    assert pipe(rig, chosen, seed=6, progress=False).record.settings == replace(chosen, seed=6)


def test_parts_can_be_left_out_and_replaced() -> None:
    alone = cvd_core.load_pipeline(replace(mini.MODEL, sync=None), device="cpu")
    assert alone.paths.sync is None
    rig = cvd_core.make_rig("stereo", views=2, frames=2, baseline=2)
    settings = alone.settings("a red ball", steps=1, guidance=1)
    assert any("no `sync`" in hint for hint in alone.hints(rig, settings))
    with pytest.raises(ValueError, match="nowhere does not exist"):
        cvd_core.load_pipeline("mini", sync="nowhere", device="cpu")


def test_mistakes_are_found_before_the_work(pipe: Pipeline, tmp_path: Path) -> None:
    rig = cvd_core.make_rig("stereo", views=2, frames=2, baseline=2)

    def never(_: Progress) -> None:
        pytest.fail("the run began")

    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"seed": -1}, "seed is -1"),
        ({"fps": 0}, "frame rate is 0"),
        ({"hue": 3}, "hue"),
        ({"steps": 1000}, "steps is 1000; expected 1 to 50"),
    ]
    for values, message in mistakes:
        with pytest.raises((ValueError, TypeError), match=message):
            pipe(rig, "a red ball", progress=never, **values)
    with pytest.raises(ValueError, match="3 prompts for 2 views"):
        pipe(rig, ["a", "b", "c"], progress=never)
    with pytest.raises(FieldError, match="device 'gpu' cannot be used here"):
        cvd_core.load_pipeline("mini", device="gpu")
    run = pipe(rig, "a red ball", **{**QUICK, "steps": 1})
    (tmp_path / "run.json").write_text("mine")
    with pytest.raises(ValueError, match=r"already holds run\.json"):
        run.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


# settings

VALID = st.builds(
    Settings,
    prompts=st.lists(st.text(), min_size=1, max_size=3).map(tuple),
    width=st.integers(8, 40).map(lambda side: 8 * side),
    height=st.integers(8, 40).map(lambda side: 8 * side),
    steps=st.integers(1, 1000),
    guidance=st.floats(1, 100),
    seed=st.integers(0, 2**64 - 1),
    pairing=st.builds(Pairing, st.just("multi-partition"), st.integers(1, 9), st.none() | st.integers(1, 9)),
    recurrence=st.builds(Recurrence, st.integers(1, 9), st.floats(0, 0.5), st.floats(0.5, 1)),
    threshold=st.floats(0.01, 100),
    picture=st.none() | st.builds(StartPicture, st.just(Path("a.png")), st.integers(0, 15), eta=st.floats(0, 1)),
)


@settings(deadline=None, max_examples=50)
@given(VALID)
def test_settings_survive_json(chosen: Settings) -> None:
    assert Settings.from_dict(json.loads(json.dumps(chosen.to_dict()))) == chosen


def test_settings_of_version_1_are_read() -> None:
    """As run.json has had them since its first version, the fields of the pairing among the others."""
    written = {
        "prompts": ["a", "b"],
        "negative_prompts": [""],
        "width": 64,
        "height": 72,
        "steps": 2,
        "guidance": 3.0,
        "sampler": "euler",
        "seed": 3,
        "strategy": "multi-partition",
        "partitions": 2,
        "recurrence": {"times": 2, "start": 0.0, "end": 0.5},
        "views_per_pass": 2,
        "sync_strength": 0.5,
        "camera_strength": 1.0,
        "band": "hard",
        "threshold": 5.0,
    }
    found = Settings.from_dict(written)
    assert (found.pairing, found.recurrence) == (Pairing("multi-partition", 2, 2), Recurrence(2, 0.0, 0.5))
    later = {
        "sync_start": 0.0,
        "sync_end": 1.0,
        "sync_branches": "both",
        "camera_guidance": 1.0,
        "camera_guidance_schedule": "constant",
        "attention": "auto",
        "picture": None,
        "given": None,
    }
    assert json.loads(json.dumps(found.to_dict())) == written | later


WRONG: dict[str, list[Any]] = {
    "prompts": [(), 3, ("a", 3), None, b"a"],
    "negative_prompts": [(), 3],
    "width": [63, 100, 64.0, "64", None, True, math.nan],
    "height": [0, 100, 64.5],
    "steps": [0, 2.5, "25", True, None],
    "guidance": [0.5, math.nan, math.inf, "8", None, True, 1j],
    "sampler": ["plms", None, 3],
    "seed": [-1, 2**64, 0.5, "0", None],
    "pairing": ["partition", None, {}],
    "recurrence": [2, None],
    "sync_strength": [math.nan, -math.inf, "1", None],
    "sync_start": [math.nan, -0.1, 1.1, "0", None],
    "sync_end": [math.nan, -0.1, 1.1, None],
    "sync_branches": ["unconditional", None],
    "camera_strength": [math.nan, "1"],
    "camera_guidance": [-1, math.nan, "2", None],
    "camera_guidance_schedule": ["linear", None],
    "attention": ["flash", None],
    "picture": ["a.png", 3, {}],
    "given": ["a.mp4", 3, {}],
    "band": ["wide", None],
    "threshold": [0, -1, math.inf, None],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WRONG.items() for value in values])
def test_every_field_is_checked(field: str, value: Any) -> None:
    with pytest.raises(FieldError, match=f"^{field.replace('_', ' ')} ") as error:
        Settings(**{"prompts": ("a",), field: value})
    assert error.value.field == field


def test_no_field_is_left_unchecked() -> None:
    assert WRONG.keys() == {field.name for field in fields(Settings)}


def test_a_sync_range_that_never_is() -> None:
    with pytest.raises(FieldError, match=r"sync start is 0.6 and `sync_end` 0.4, so .* would never be active"):
        Settings(("a",), sync_start=0.6, sync_end=0.4)


def test_kindred_values_become_plain_ones() -> None:
    numpy: dict[str, Any] = {"steps": np.int64(3), "guidance": np.float32(2), "seed": np.uint8(7), "sync_strength": 1}
    found = Settings(**{"prompts": ["a", "b"], "negative_prompts": "c"} | numpy)
    assert found == Settings(("a", "b"), ("c",), steps=3, guidance=2.0, seed=7)
    assert [type(getattr(found, name)) for name in numpy] == [int, float, int, float]


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "2", math.nan])
@pytest.mark.parametrize("field", ["partitions", "views_per_pass"])
def test_pairings_are_checked(field: str, value: Any) -> None:
    with pytest.raises(FieldError) as error:
        Pairing("multi-partition", **{field: value})
    assert error.value.field == field


# documents and examples


def snippets(text: str) -> Iterator[str]:
    yield from re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("document", ["docs/api.md", "README.md"])
def test_snippets_run(document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = list(snippets((ROOT / document).read_text(encoding="utf-8")))
    assert found
    exec(compile("\n".join(found), document, "exec"), {"__name__": "snippets"})
    assert (tmp_path / "out" / "grid.mp4").is_file()


def example(name: str) -> Any:
    spec = spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_example_of_an_own_denoiser() -> None:
    spread = example("own_denoiser").main()
    assert spread["all at once"] < 1e-3
    assert spread["all pairs"] < spread["one random matching"] < 1


def test_example_of_two_views(tmp_path: Path) -> None:
    example("two_views").main(tmp_path, steps=2)
    assert all((tmp_path / name / "grid.mp4").is_file() for name in ("synced", "unsynced"))


def test_example_of_own_cameras(tmp_path: Path) -> None:
    example("own_cameras").main(tmp_path / "out", steps=1)
    given = cvd_core.read_cameras(tmp_path / "out" / "transforms.json")
    assert given.names == ("path_a", "path_b")
    assert (tmp_path / "out" / "colmap").is_dir()


@pytest.mark.slow
def test_example_of_an_evaluation(pipe: Pipeline, tmp_path: Path) -> None:
    pytest.importorskip("pycolmap")
    rig = cvd_core.make_rig("stereo", views=2, frames=8, baseline=2)
    pipe(rig, "a red ball on a gray floor", progress=False).save(tmp_path)
    assert example("evaluate_run").main(tmp_path).measures


@pytest.mark.slow
def test_example_of_training(tmp_path: Path) -> None:
    example("train_two_steps").main(tmp_path)
    assert (tmp_path / "videos" / "grid.mp4").is_file()


def test_every_example_is_run() -> None:
    tests = Path(__file__).read_text(encoding="utf-8")
    assert [path.stem for path in EXAMPLES.glob("*.py") if f'example("{path.stem}")' not in tests] == []
