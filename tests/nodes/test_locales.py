"""Every text of every node is there in every language, says what the English says now, and has a help page."""

from __future__ import annotations

import json
import re

import pytest

from tests.nodes.host_process import PACK, Host
from tests.nodes.locales import FOLDER, TRANSLATED_FROM, digests, leaves, load, texts_of_nodes

LANGUAGES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())
SCRIPTS = {"zh": "[\u4e00-\u9fff]", "ja": "[\u3041-\u30ff]", "ko": "[\uac00-\ud7a3]"}
"""A character that every sentence of the language has: Han, kana, Hangul."""


def test_english_is_what_the_nodes_say(host: Host) -> None:
    assert load("en") == texts_of_nodes(host), "run python -m tests.nodes.locales, and translate what has changed"


def test_every_language_has_a_script() -> None:
    assert {"en", *SCRIPTS} == set(LANGUAGES)


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


@pytest.mark.parametrize("language", sorted(SCRIPTS))
def test_no_translation_is_stale(language: str) -> None:
    """The English text of each translation is the one it was made from."""
    recorded, now = json.loads(TRANSLATED_FROM.read_text())[language], digests(load("en"))
    stale = sorted(place for place in recorded.keys() | now.keys() if recorded.get(place) != now.get(place))
    assert not stale, f"translate these, then run python -m tests.nodes.locales {language}"


@pytest.mark.parametrize("language", sorted(SCRIPTS))
def test_every_language_is_in_its_script(language: str) -> None:
    assert not [
        (place, text)
        for place, text in leaves(load(language))
        if not place.endswith("name") and not re.search(SCRIPTS[language], text)
    ]


def test_no_other_language_has_kana() -> None:
    """A Japanese text in the Chinese or Korean file would have some."""
    assert not [
        text for language in ("zh", "ko") for _, text in leaves(load(language)) if re.search(SCRIPTS["ja"], text)
    ]


def test_every_node_has_a_help_page_that_names_its_inputs_and_outputs(host: Host) -> None:
    for node, texts in texts_of_nodes(host).items():
        page = (PACK / "web" / "docs" / f"{node}.md").read_text(encoding="utf-8")
        named = [*texts["inputs"], *(made["name"] for made in texts["outputs"].values())]
        assert not [name for name in named if f"`{name}`" not in page], node


def test_every_help_page_belongs_to_a_node(host: Host) -> None:
    pages = {page.stem for page in (PACK / "web" / "docs").glob("*.md")}
    assert pages == texts_of_nodes(host).keys()
