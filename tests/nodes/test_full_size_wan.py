"""Wan 2.1 1.3B and SynCamMaster at their full size: the keys, and the templates in small pictures."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cvd_core.weights import is_syncam_key
from tests import formula
from tests.nodes import full_size_wan
from tests.nodes.host_process import Host, host_folder
from tests.nodes.server_process import Server
from tests.nodes.small_wan import DATA
from tests.nodes.test_examples import clip
from tests.workflow import EXAMPLES, Json, snapshot, to_prompt

SIDE, FRAMES = 128, 5
SMALL = {"width": SIDE, "height": SIDE, "frames": FRAMES, "steps": 2}
PANELS = {"Two": (2, 1), "Four": (2, 2)}


def test_keys_both_ways(host: Host) -> None:
    """The released file is the host's network and the modules, and each key tells which of both it belongs to."""
    released = json.loads((DATA / "syncam_keys_1p3b.json").read_text())
    base, extra = (formula.shapes_of(n) for n in (full_size_wan.wan_transformer(), full_size_wan.modules()))
    assert (len(base), len(extra)) == (released["base_keys"], released["extra_keys"])
    assert {key: shape for key, shape in extra.items() if key.startswith("blocks.0.")} == released["block0"]
    assert not any(is_syncam_key(key) for key in base)
    assert all(is_syncam_key(key) for key in extra)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With ``CVD_FULL_SIZE_WAN``, or files written for these tests (3.8 GB)."""
    given = os.environ.get("CVD_FULL_SIZE_WAN")
    models = Path(given) if given else tmp_path_factory.mktemp("wan")
    if not given:
        full_size_wan.write_wan(models)

    def prepare(base: Path) -> None:
        (base / "models").symlink_to(models)
        (base / "custom_nodes" / "wan_text.py").write_text(full_size_wan.TEXT_PACK)

    with Server(host_folder(), prepare=prepare, others=()) as running:
        yield running
    if not given:
        shutil.rmtree(models)


def small_prompt(path: Path) -> Json:
    """The template in small pictures and few steps, conditionings in the place of its text encoder."""
    prompt = to_prompt(json.loads(path.read_text()), snapshot())
    (encoder,) = (number for number, node in prompt.items() if node["class_type"] == "CLIPLoader")
    del prompt[encoder]
    for node in prompt.values():
        if node["class_type"] == "CLIPTextEncode":
            node |= {"class_type": "TEST_WanText", "inputs": {"text": node["inputs"]["text"]}}
        node["inputs"] |= {k: v for k, v in SMALL.items() if k in node["inputs"]}
    return prompt


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("path", [path for path in EXAMPLES if "SynCamMaster" in path.stem], ids=lambda path: path.stem)
def test_the_templates_run(server: Server, path: Path) -> None:
    prompt = small_prompt(path)
    done = server.execute(prompt, patience=1500)
    assert done["status"]["status_str"] == "success", done["status"]["messages"][-1]
    (combine,) = (number for number, node in prompt.items() if node["class_type"] == "CVD_MultiViewVideoCombine")
    print(f"{path.stem}: peak {server.peak_memory / 1e9:.1f} GB")
    gap = prompt[combine]["inputs"]["gap"]
    width, height = (panels * (SIDE + gap) - gap for panels in PANELS[path.stem.split()[1]])
    assert clip(server, done["outputs"][combine]["images"][-1]) == (FRAMES, width, height)
