"""ComfyUI loads this folder as a custom-node pack through ``comfy_entrypoint``."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comfy_api.latest import ComfyExtension

WEB_DIRECTORY = "./web"


def _provide_core() -> None:
    """Make ``cvd_core`` importable by its own name without putting this whole folder on ``sys.path``.

    The folder also holds ``nodes`` and ``tests``, names that the host uses itself. An installed ``cvd_core`` is left
    alone only if it is this one: nodes and core belong together.
    """
    folder = Path(__file__).resolve().parent / "cvd_core"
    loaded = sys.modules.get("cvd_core")
    if loaded is not None and Path(loaded.__path__[0]).resolve() == folder:
        return
    for name in [name for name in sys.modules if name == "cvd_core" or name.startswith("cvd_core.")]:
        del sys.modules[name]
    spec = importlib.util.spec_from_file_location(
        "cvd_core", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["cvd_core"] = module
    spec.loader.exec_module(module)


async def comfy_entrypoint() -> ComfyExtension:
    """The pack's nodes, for ComfyUI's V3 node API."""
    _provide_core()
    from .nodes.extension import CVDExtension

    return CVDExtension()
