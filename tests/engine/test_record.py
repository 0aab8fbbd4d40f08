"""run.json: what is written is read, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from cvd_core.runs.record import RunRecord
from tests.engine.records import record


def edited(path: tuple[Any, ...], value: Any) -> str:
    """A record's text with one value replaced; the value "gone" removes it."""
    values: Any = json.loads(record().to_json())
    place = values
    for key in path[:-1]:
        place = place[key]
    if value == "gone":
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(values)


def test_what_is_written_is_read() -> None:
    text = record().to_json()
    read = RunRecord.from_json(text)
    assert read.to_json() == text
    assert read.models == record().models
    assert torch.equal(read.cameras.c2w, record().cameras.c2w)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("dtype",), [1], "dtype is [1]; expected 'float32', 'float16' or 'bfloat16'"),
        (("device",), {}, "device is {}; expected a text"),
        (("offload",), "x", "offload is 'x'; expected true or false"),
        (("offload",), 1, "offload is 1; expected true or false"),
        (("fps",), 0, "fps is 0; expected more than 0"),
        (("fps",), float("nan"), "fps is nan; expected a finite number"),
        (("versions",), None, "versions is None; expected names and values"),
        (("seconds", "load"), "long", "seconds.load is 'long'; expected a number"),
        (("date",), "gone", "lacks date"),
        (("more",), 1, "has an unknown entry 'more'"),
        (("version",), "2", "its format has version '2'"),
        (("version",), 4, "its format has version 4, this program reads 3; update cvd"),
        (("inputs",), {"image": {"name": "a.png"}}, "inputs.image lacks bytes"),
        (("settings", "picture"), [1], "picture is [1]; expected image, reference_frame"),
        (("settings", "picture"), {"eta": 1}, "image is missing; `eta` goes with a picture"),
        (("settings", "picture"), {"image": 1}, "image is 1; expected a path"),
        (("settings", "picture"), {"image": "a", "reference_frame": 16}, "reference frame is 16; expected at least 0"),
        (("settings", "given"), {"video_guidance": 2}, "reference is missing; `video_guidance` goes with a video"),
        (("settings", "camera_guidance"), -1, "camera guidance is -1.0; expected at least 0"),
        (("version",), [[[[[[1]]]]]], "its format has version [["),
        (("models",), [], "models lacks base"),
        (("models", 1, "role"), "base", "models has base twice"),
        (("models", 0, "role"), "x", "models.0.role is 'x'; expected 'base'"),
        (("models", 0, "path"), 0, "models.0.path is 0; expected a text"),
        (("models", 0, "path"), "", "models.0.path is ''"),
        (("models", 0, "files", 0, "name"), None, "models.0.files.0.name is None; expected a text"),
        (("models", 0, "files", 0, "bytes"), 1.5, "models.0.files.0.bytes is 1.5; expected a whole number"),
        (("models", 0, "files", 0, "sha256"), "0", "models.0.files.0.sha256 is '0'"),
        (("models", 1, "scale"), float("inf"), "models.1.scale is inf; expected a finite number"),
        (("cameras", "names"), [1, 2], "cameras.names.0 is 1; expected a text"),
        (("cameras", "names"), "ab", "cameras.names is 'ab'; expected a list"),
        (("cameras", "source"), [], "cameras.source is []; expected names and values"),
        (("cameras", "c2w", 0, 0, 0, 3), 10**400, "cameras.c2w.0.0.0.3 is "),
        (("cameras", "c2w", 0, 0, 0, 3), True, "cameras.c2w.0.0.0.3 is True; expected a number"),
        (("cameras", "c2w", 0, 0, 0), [1, 2], "cameras.c2w is not an array of numbers"),
        (("cameras", "c2w", 0, 0, 0), "gone", "cameras.c2w is not an array of numbers"),
        (("cameras", "intrinsics", 0, 0, 0), -1, "focal length"),
        (("settings", "prompts"), [1], "prompts is 1; expected a text"),
        (("settings", "prompts"), [], "prompts is empty"),
        (("settings", "sampler"), {}, "sampler is {}; expected one of"),
        (("settings", "seed"), 1.5, "seed is 1.5; expected a whole number"),
        (("settings", "seed"), 10**400, "seed is "),
        (("settings", "steps"), 2.0, "steps is 2.0; expected a whole number"),
        (("settings", "guidance"), float("nan"), "guidance is nan; expected a finite number"),
        (("settings", "height"), 1e308, "height is 1e+308; expected a whole number"),
        (("settings", "band"), {"a": 1}, "band is {'a': 1}; expected one of"),
        (("settings", "recurrence"), [1], "recurrence is [1]"),
        (("settings", "recurrence"), {"times": True}, "recurrence is True; expected a whole number"),
        (("settings", "recurrence", "hue"), 1, "recurrence is "),
        (("settings", "partitions"), 3, "partitions is 3, but strategy 'partition'"),
        (("settings", "recurrence", "times"), 10**9, "recurrence is 1000000000; expected at least 1 and at most 1000"),
        (("settings", "hue"), 1, "'hue' is not a setting"),
        (("settings",), None, "settings is None; expected names and values"),
    ],
)
def test_every_entry_is_checked(path: tuple[Any, ...], value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"\A[^\n]{1,600}\Z") as refused:
        RunRecord.from_json(edited(path, value))
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, '{"a":' * 100_000, '"\\ud800"', "nul", '{"format": "cvd run"} x']
)
def test_what_is_no_json_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"\Ait is not valid JSON [^\n]{1,300}\Z"):
        RunRecord.from_json(text)


def test_huge_files_are_not_read(tmp_path: Path) -> None:
    with (tmp_path / "run.json").open("wb") as file:
        file.truncate(1 << 31)
    with pytest.raises(ValueError, match=r"has 2,147,483,648 bytes; expected the run.json of an earlier run"):
        RunRecord.load(tmp_path / "run.json")


def test_records_of_before_the_noise_schedule_was_recorded_are_read(tmp_path: Path) -> None:
    """Their base folder's schedule is taken as it is; from then on a change is noticed."""
    values = json.loads(edited(("version",), 1))
    values["models"][0]["path"] = str(tmp_path)
    assert [file.name for file in RunRecord.from_json(json.dumps(values)).models[0].files] == [
        "diffusion_pytorch_model.safetensors"
    ]
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "scheduler_config.json").write_text("{}")
    read = RunRecord.from_json(json.dumps(values))
    assert [file.name for file in read.models[0].files][1:] == ["scheduler/scheduler_config.json"]
    assert json.loads(read.to_json())["version"] == 3
