"""The example workflows against the committed description of the nodes: wiring, choices and ranges."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.workflow import EXAMPLES, ROOT, Json, inputs_of, is_widget, snapshot, to_prompt

NODES = snapshot()
README = (ROOT / "README.md").read_text()
ROOM = 85
"""Pixels from the lower edge of a node to that of the next node's title: 70, and something to tell them apart."""


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
    assert sorted(int(path.stem.split()[0]) for path in EXAMPLES) == [*range(1, 13)]


def test_every_example_has_an_id_of_its_own() -> None:
    """The front end tells open workflows apart by it."""
    ids = [json.loads(path.read_text())["id"] for path in EXAMPLES]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
class TestExample:
    def test_wiring(self, path: Path) -> None:
        assert mistakes(to_prompt(json.loads(path.read_text()), NODES)) == []

    def test_nodes_stand_apart(self, path: Path) -> None:
        """Nodes 2.0 draws nodes up to 70 px taller than classic nodes, and titles stand above both."""
        boxes = [(*node["pos"], *node["size"], node["type"]) for node in json.loads(path.read_text())["nodes"]]
        near = [
            (first[4], second[4])
            for first, second in combinations(boxes, 2)
            if first[0] < second[0] + second[2]
            and second[0] < first[0] + first[2]
            and first[1] < second[1] + second[3] + ROOM
            and second[1] < first[1] + first[3] + ROOM
        ]
        assert near == []

    def test_titles_of_groups_are_large(self, path: Path) -> None:
        assert {group["font_size"] >= 36 for group in json.loads(path.read_text())["groups"]} == {True}

    def test_names_are_numbered(self, path: Path) -> None:
        assert re.fullmatch(r"\d+ [A-Z][\w -]+", path.stem)

    def test_downloads_are_those_of_the_readme(self, path: Path) -> None:
        """What the host offers to download is what the node loads, from a page and into a folder that README names."""
        for node in json.loads(path.read_text())["nodes"]:
            for model in node["properties"].get("models", []):
                assert model["name"] in node["widgets_values"]
                page, separator, file = model["url"].partition("/resolve/main/")
                assert separator
                assert file.split("/")[-1] == model["name"]
                assert f"({page})" in README
                rows = [line for line in README.splitlines() if line.startswith("|") and model["name"] in line]
                assert any(model["directory"] in row.split("|")[2] for row in rows)

    def test_thumbnail(self, path: Path) -> None:
        with Image.open(path.with_suffix(".jpg")) as picture:
            assert min(picture.size) > 300

    def test_readme_names_its_model_files(self, path: Path) -> None:
        prompt = to_prompt(json.loads(path.read_text()), NODES)
        values = [value for node in prompt.values() for value in node["inputs"].values()]
        files = [value for value in values if str(value).endswith((".ckpt", ".pt", ".safetensors"))]
        assert [file for file in files if file not in README] == []


BLUEPRINTS = sorted((ROOT / "subgraphs").glob("*.json"))


def test_there_is_a_blueprint() -> None:
    assert BLUEPRINTS


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.stem)
def test_blueprint(path: Path) -> None:
    """One node, whose subgraph has known nodes, links of the right types, and the widgets that stand on its outside."""
    saved = json.loads(path.read_text())
    (outside,), (inside,) = saved["nodes"], saved["definitions"]["subgraphs"]
    assert outside["type"] == inside["id"]
    assert inside["name"] == path.stem
    assert [(i["name"], i["type"]) for i in outside["inputs"]] == [(i["name"], i["type"]) for i in inside["inputs"]]
    assert [o["type"] for o in outside["outputs"]] == [o["type"] for o in inside["outputs"]]
    nodes = {node["id"]: node for node in inside["nodes"]}
    described = {number: NODES[node["type"]] for number, node in nodes.items()}
    for link in inside["links"]:
        if link["origin_id"] in nodes:
            assert described[link["origin_id"]]["output"][link["origin_slot"]] == link["type"]
        if link["target_id"] in nodes:
            name = nodes[link["target_id"]]["inputs"][link["target_slot"]]["name"]
            wanted = {given: io_type for given, io_type, _, _ in inputs_of(described[link["target_id"]])}
            assert wanted[name] == link["type"]
    for number, node in nodes.items():
        linked = {i["name"] for i in node["inputs"] if i["link"] is not None}
        needed = {
            given
            for given, io_type, more, required in inputs_of(described[number])
            if required and not is_widget(io_type, more)
        }
        assert needed <= linked, node["type"]
    for number, widget in outside["properties"]["proxyWidgets"]:
        assert widget in {given for given, *_ in inputs_of(described[int(number)])}


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
