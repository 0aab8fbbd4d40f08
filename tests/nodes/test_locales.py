"""Every text of every node is there in every language, and has a help page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.nodes.host_process import PACK, Host
from tests.nodes.locales import FOLDER, texts_of_nodes

LANGUAGES = sorted(path.name for path in FOLDER.iterdir())


def leaves(texts: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for key, value in texts.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}.{key}")
        else:
            yield f"{path}.{key}", value


def load(language: str) -> dict[str, Any]:
    return dict(json.loads((FOLDER / language / "nodeDefs.json").read_text(encoding="utf-8")))


def test_english_is_what_the_nodes_say(host: Host) -> None:
    assert load("en") == texts_of_nodes(host), "run python -m tests.nodes.locales, and translate what has changed"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_there(host: Host, language: str) -> None:
    wanted = dict(leaves(texts_of_nodes(host)))
    found = dict(leaves(load(language)))
    assert found.keys() == wanted.keys()
    assert all(found.values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_character_means_something_to_the_translator(language: str) -> None:
    """The front end's message format gives these a meaning; a text with them would come out garbled."""
    assert not [path for path, text in leaves(load(language)) if set("{}|@") & set(text)]


def test_chinese_is_chinese() -> None:
    assert not [
        path
        for path, text in leaves(load("zh"))
        if not path.endswith(".name") and not any("\u4e00" <= character <= "\u9fff" for character in text)
    ]


def test_every_node_has_a_help_page_that_names_its_inputs_and_outputs(host: Host) -> None:
    for node, texts in texts_of_nodes(host).items():
        page = (PACK / "web" / "docs" / f"{node}.md").read_text(encoding="utf-8")
        named = [*texts["inputs"], *(made["name"] for made in texts["outputs"].values())]
        assert not [name for name in named if f"`{name}`" not in page], node


def test_every_help_page_belongs_to_a_node(host: Host) -> None:
    pages = {page.stem for page in (PACK / "web" / "docs").glob("*.md")}
    assert pages == texts_of_nodes(host).keys()
