"""From a saved workflow to the prompt that the front end would queue, by a description of the nodes alone.

The description is what ``/object_info`` answers; a part of it is committed (``tests/data/object_info.json``), so the
example workflows can be checked without a host.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "example_workflows").glob("*.json"))
SNAPSHOT = Path(__file__).parent / "data" / "object_info.json"
_NOTES = ("Note", "MarkdownNote")
_VIEW_ONLY = ("videopreview", "choose video to upload")
_WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")


def snapshot() -> Json:
    """The committed description of the nodes that the examples use, and of all of this pack."""
    described: Json = json.loads(SNAPSHOT.read_text())
    return described


def inputs_of(described: Json) -> Iterator[tuple[str, Any, Json, bool]]:
    """Name, type, options of every input of a node, and whether it is required, in the order of the node's widgets."""
    for kind in ("required", "optional"):
        for name, entry in described["input"].get(kind, {}).items():
            yield name, entry[0], entry[1] if len(entry) > 1 else {}, kind == "required"


def is_widget(io_type: Any, options: Mapping[str, Any]) -> bool:
    """Whether an input holds its value in the node itself."""
    return (isinstance(io_type, list) or io_type in _WIDGETS) and not options.get("forceInput")


def to_prompt(workflow: Json, nodes: Json) -> Json:
    """The prompt (API format) of a saved workflow.

    Args:
        workflow: as the front end saves it.
        nodes: descriptions by node class.

    Raises:
        ValueError: a node that is not described, or with more or fewer widget values than inputs.
    """
    links = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    prompt: Json = {}
    for node in workflow["nodes"]:
        if node["type"] in _NOTES:
            continue
        if node["type"] not in nodes:
            raise ValueError(f"node {node['id']} is of the unknown class {node['type']}")
        values = _widget_values(node, nodes[node["type"]])
        linked = {i["name"]: links[i["link"]] for i in node.get("inputs", ()) if i.get("link") is not None}
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": values | linked}
    return prompt


def _widget_values(node: Json, described: Json) -> Json:
    """Values by input name, from a dict or in order, where seeds and uploads are followed by what belongs to them."""
    saved = node.get("widgets_values", [])
    if isinstance(saved, dict):
        return {name: value for name, value in saved.items() if name not in _VIEW_ONLY}
    remaining = iter(saved)
    values: Json = {}
    try:
        for name, io_type, options, _ in inputs_of(described):
            if is_widget(io_type, options):
                values[name] = next(remaining)
                if options.get("control_after_generate") or name in ("seed", "noise_seed"):
                    next(remaining)
                if options.get("image_upload"):  # the button beside the list
                    next(remaining)
    except StopIteration:
        raise ValueError(
            f"node {node['id']} ({node['type']}) saves {len(saved)} values, fewer than it has inputs"
        ) from None
    if left := list(remaining):
        raise ValueError(f"node {node['id']} ({node['type']}) saves the values {left} that no input takes")
    return values
