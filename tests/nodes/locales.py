"""The English texts of all nodes as a locale file, and which English text each translation was made from.

    python -m tests.nodes.locales          # with the host's Python: write locales/en from the nodes
    python -m tests.nodes.locales ja ko    # after translating: these languages say what English says now

Other languages are translated by hand; ``test_locales.py`` lists the texts that are missing or stale in them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

from tests.nodes.host_process import PACK, Host, host_folder

FOLDER = PACK / "locales"
TRANSLATED_FROM = FOLDER / "translated_from.json"
"""By language and text, a digest of the English text. The host reads only the folders beside this file."""


def texts_of_nodes(host: Host) -> dict[str, Any]:
    """``nodeDefs.json`` of the language the nodes are written in."""
    texts: dict[str, Any] = {}
    for name, node in sorted(host.nodes.NODE_CLASS_MAPPINGS.items()):
        if name.startswith("CVD_"):
            schema = node.GET_SCHEMA()
            texts[name] = {
                "display_name": schema.display_name,
                "description": schema.description,
                "inputs": {
                    given.id: {"name": given.display_name or given.id, "tooltip": given.tooltip}
                    for given in schema.inputs
                },
                "outputs": {
                    str(i): {"name": made.display_name or made.io_type, "tooltip": made.tooltip}
                    for i, made in enumerate(schema.outputs)
                },
            }
    return texts


def load(language: str) -> dict[str, Any]:
    """The committed ``nodeDefs.json`` of a language."""
    return dict(json.loads((FOLDER / language / "nodeDefs.json").read_text(encoding="utf-8")))


def leaves(texts: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Every text with the keys that lead to it, joined by dots."""
    for key, value in texts.items():
        place = f"{path}.{key}".lstrip(".")
        if isinstance(value, dict):
            yield from leaves(value, place)
        else:
            yield place, value


def digests(texts: dict[str, Any]) -> dict[str, str]:
    """What stands for every text in ``translated_from.json``."""
    return {place: sha256(text.encode()).hexdigest()[:8] for place, text in leaves(texts)}


def main(languages: Sequence[str]) -> None:
    if languages:
        recorded = json.loads(TRANSLATED_FROM.read_text()) if TRANSLATED_FROM.exists() else {}
        recorded |= {language: digests(load("en")) for language in languages}
        TRANSLATED_FROM.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")
    else:
        text = json.dumps(texts_of_nodes(Host(host_folder())), indent=2, ensure_ascii=False)
        (FOLDER / "en" / "nodeDefs.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
