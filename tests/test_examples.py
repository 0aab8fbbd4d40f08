"""The example workflows against the committed description of the nodes: wiring, choices and ranges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.workflow import EXAMPLES, ROOT, Json, inputs_of, is_widget, snapshot, to_prompt

NODES = snapshot()
README = (ROOT / "README.md").read_text()


def mistakes(prompt: Json) -> list[str]:
    """What the host would refuse in a prompt, without files and values that the host alone knows."""
    found = []
    for number, node in prompt.items():
        place, given = f"{number} {node['class_type']}", node["inputs"]
        described = NODES[node["class_type"]]
        for name, io_type, options, required in inputs_of(described):
            where = f"{place}.{name}"
            if name not in given:
                found += [f"{where} is missing"] if required else []
            elif isinstance(given[name], list):
                source, slot = given[name]
                offered = NODES[prompt[source]["class_type"]]["output"][slot]
                found += [f"{where} is connected to {offered}"] if offered != io_type else []
            elif is_widget(io_type, options):
                found += [f"{where} {problem}" for problem in _wrong_value(given[name], io_type, options)]
            else:
                found.append(f"{where} is not connected")
    return found


def _wrong_value(value: Any, io_type: Any, options: Json) -> list[str]:
    choices = io_type if isinstance(io_type, list) else options.get("options")
    if choices is not None:
        return [] if value in choices else [f"has no choice {value!r}"]
    if io_type in ("INT", "FLOAT"):
        low, high = options.get("min", value), options.get("max", value)
        return [] if low <= value <= high else [f"is {value}, outside {low} to {high}"]
    kind: type = {"STRING": str, "BOOLEAN": bool}[io_type]
    return [] if isinstance(value, kind) else [f"is {value!r}"]


def test_the_promised_examples_are_there() -> None:
    assert len(EXAMPLES) == 12


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
class TestExample:
    def test_wiring(self, path: Path) -> None:
        assert mistakes(to_prompt(json.loads(path.read_text()), NODES)) == []

    def test_thumbnail(self, path: Path) -> None:
        with Image.open(path.with_suffix(".jpg")) as picture:
            assert min(picture.size) > 300

    def test_readme_names_its_model_files(self, path: Path) -> None:
        prompt = to_prompt(json.loads(path.read_text()), NODES)
        values = [value for node in prompt.values() for value in node["inputs"].values()]
        files = [value for value in values if str(value).endswith((".ckpt", ".pt", ".safetensors"))]
        assert [file for file in files if file not in README] == []


def test_mistakes_are_found() -> None:
    """The check itself: each of these edits must not go unnoticed."""
    path = next(path for path in EXAMPLES if path.stem.endswith("Two views from pose files"))

    def edited(class_type: str, **inputs: Any) -> list[str]:
        prompt = to_prompt(json.loads(path.read_text()), NODES)
        (node,) = (node for node in prompt.values() if node["class_type"] == class_type)
        node["inputs"] = {k: v for k, v in (node["inputs"] | inputs).items() if v is not None}
        return mistakes(prompt)

    checkpoint = next(k for k, n in to_prompt(json.loads(path.read_text()), NODES).items() if "ckpt" in str(n))
    assert "is missing" in edited("CVD_ApplySync", sync=None)[0]
    assert "connected to CLIP" in edited("CVD_ApplySync", sync=[checkpoint, 1])[0]
    assert "no choice 'pairs'" in edited("CVD_CollaborativeKSampler", pair_strategy="pairs")[0]
    assert "outside" in edited("CVD_CollaborativeKSampler", steps=0)[0]
    with pytest.raises(ValueError, match="unknown class"):
        to_prompt({"nodes": [{"id": 1, "type": "CVD_Gone"}], "links": []}, NODES)
