"""The layers hold: imports point down, each room knows only what it may, and names of modules mean one thing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import cvd_core

ROOT = Path(__file__).parents[2]
LAYERS = (
    ("cli",),
    ("runs", "drawing", "exports"),
    ("evaluation", "training"),
    ("engine",),
    ("sampling",),
    ("sync", "camera_control", "motion", "syncam", "cami2v"),
    ("scenes",),
    ("networks", "video", "geometry", "weights"),
    ("files", "fields", "memory", "declared", "interruption", "output_folder"),
)
"""Rooms of cvd_core from the top down; rooms of one layer may use each other."""
HEIGHT = {room: -layer for layer, rooms in enumerate(LAYERS) for room in rooms}
DIFFUSERS = {"diffusers", "transformers", "accelerate", "peft"}
WITH_DIFFUSERS = {"engine", "training", "runs", "cli"}
ONLY_CLIP = "cvd_core/evaluation/features.py"
"""Imports transformers for CLIP's measures, where they are asked for."""

ONE_MEANING = {
    "assemble": "a method: from model files to a pipeline",
    "attention": "an attention of a network",
    "blocks": "blocks of a network",
    "camera_guidance": "guidance of the camera apart from the text",
    "cameras": "cameras, in the layer's own terms",
    "checkpoint": "reading a kind of checkpoint",
    "convert": "checkpoints to safetensors",
    "denoise": "sampling the latents of all views with the base's network",
    "epipolar": "epipolar geometry",
    "files": "reading and writing files",
    "flex": "attention along lines by FlexAttention",
    "folder": "reading a folder of files",
    "injection": "modules put into a network",
    "latents": "latents of videos",
    "loading": "a family's base model from its files",
    "lora": "LoRAs: their files, and merging them",
    "memory": "memory that a run needs",
    "mini": "the small model of the package",
    "module": "the module that a method adds to its base",
    "motion": "motion modules",
    "network": "the base's network with a method's modules",
    "novel_view": "SynCamMaster with a given video as view 0",
    "patch_autoencoder": "the small model's autoencoder",
    "paths": "camera paths",
    "pipeline": "from cameras and a prompt to videos",
    "poses": "camera poses",
    "recurrence": "recurrent denoising",
    "tiles": "masked attention in tiles of queries",
    "tokenizer": "a text encoder's tokenizer",
}
"""Names that several modules have, with what all of them are about. A new meaning wants a new name."""


def modules(*packages: str) -> list[Path]:
    return [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


def room(path: Path) -> str:
    """First name below cvd_core; __init__ of the package itself."""
    return path.relative_to(ROOT / "cvd_core").with_suffix("").parts[0]


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


CORE = [path for path in modules("cvd_core") if room(path) != "__init__"]


def test_every_room_has_its_layer() -> None:
    assert {room(path) for path in CORE} == HEIGHT.keys()


def test_imports_point_down() -> None:
    upward = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in CORE
        for name in imports(path)
        if name.startswith("cvd_core.")
        and name != "cvd_core.__version__"
        and HEIGHT.get(name.split(".")[1], 0) > HEIGHT[room(path)]
    }
    assert upward == set()


def test_the_core_knows_no_host() -> None:
    host = re.compile(r"(nodes|comfy\w*|folder_paths|latent_preview|server)(\.|$)")
    assert [path for path in modules("cvd_core") if any(host.match(name) for name in imports(path))] == []


def test_few_rooms_know_diffusers() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in CORE
        if room(path) not in WITH_DIFFUSERS and any(name.split(".")[0] in DIFFUSERS for name in imports(path))
    }
    assert found == {ONLY_CLIP}


def test_only_the_command_line_knows_its_options() -> None:
    library = [path for path in CORE if room(path) != "cli"]
    assert [path for path in library if "argparse" in imports(path)] == []
    spelled = {
        f"{path.relative_to(ROOT)}: {node.value}"
        for path in library
        for node in ast.walk(without_docstrings(path))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.search(r"(^|[\s'\"(`])--[a-z]", node.value)
    }
    assert {text for text in spelled if "colmap model_converter" not in text} == set()


def without_docstrings(path: Path) -> ast.Module:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [x for x in body if not (isinstance(x, ast.Expr) and isinstance(x.value, ast.Constant))]  # type: ignore[attr-defined]
    return tree


def test_a_name_means_one_thing() -> None:
    places = defaultdict(list)
    for path in modules("cvd_core", "nodes", "benchmarks"):
        if path.stem not in ("__init__", "__main__"):
            places[path.stem].append(path)
    assert {name for name, found in places.items() if len(found) > 1} == ONE_MEANING.keys()


# the front door


def fresh(code: str) -> str:
    """What a fresh Python prints."""
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, cvd_core; print(sorted(m for m in sys.modules if m.split('.')[0] in {names}))"
    names = {"torch", "numpy", "scipy", "matplotlib", "tqdm", "cvd_core", *DIFFUSERS}
    assert fresh(code.replace("{names}", repr(names))) == "['cvd_core']\n"


def test_cameras_and_masks_need_no_diffusers() -> None:
    names = ["Cameras", "EpipolarBias", "Pairing", "Settings", "make_rig", "plucker_embedding", "sample_together"]
    code = (
        f"import sys, cvd_core\nfor name in {names}: getattr(cvd_core, name)\nprint({DIFFUSERS} & sys.modules.keys())"
    )
    assert fresh(code) == "set()\n"


@pytest.mark.parametrize("name", [name for name in cvd_core.__all__ if not name.startswith("_")])
def test_public_names(name: str) -> None:
    value = getattr(cvd_core, name)
    assert value.__name__ == name
    assert name in dir(cvd_core)
    assert f"`{name}`" in (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), "every public name is explained"


def test_the_type_checker_sees_the_same_names() -> None:
    tree = ast.parse((ROOT / "cvd_core" / "__init__.py").read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    del seen["Any"]
    assert seen == {name: f"cvd_core.{home}" for name, home in cvd_core._HOMES.items()}


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="module 'cvd_core' has no attribute 'load_pipelin'"):
        getattr(cvd_core, "load_pipelin")  # noqa: B009 - mypy knows as well
