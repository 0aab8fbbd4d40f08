"""The English texts of all nodes as a locale file. ``python -m tests.nodes.locales`` writes it, with the host's Python.

Other languages are translated by hand from it; ``test_locales.py`` says what they lack.
"""

from __future__ import annotations

import json
from typing import Any

from tests.nodes.host_process import PACK, Host, host_folder

FOLDER = PACK / "locales"


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


if __name__ == "__main__":
    text = json.dumps(texts_of_nodes(Host(host_folder())), indent=2, ensure_ascii=False)
    (FOLDER / "en").mkdir(parents=True, exist_ok=True)
    (FOLDER / "en" / "nodeDefs.json").write_text(f"{text}\n", encoding="utf-8")
