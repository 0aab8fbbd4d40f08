"""The example workflows: their nodes are those of this host, and all of them run, at full width in small pictures."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from cvd_core.cami2v import network as cami2v
from tests.nodes import full_size
from tests.nodes.host_process import Host, host_folder
from tests.nodes.server_process import Server
from tests.workflow import EXAMPLES, ROOT, Json, snapshot, to_prompt

SIDE, FRAMES = 64, 8
START, ENLARGED, GAP = "1 Start here", 256, 4
SMALL = {
    "width": SIDE,
    "height": SIDE,
    "custom_width": SIDE,
    "custom_height": SIDE,
    "frames": FRAMES,
    "frame_load_cap": FRAMES,
    "steps": 2,
    "recurrence": 2,
}
"""Values for inputs of these names, if the workflow has larger ones."""
CLIPS = ("left.mp4", "right.mp4")
PICTURE = "example.png"
PANELS = {"Four": (2, 2), "Picture": (1, 1), "Six": (3, 2), "Two": (2, 1), "Video": (2, 1)}
"""Columns and rows of the video, by the first word of the workflow's name after its number."""
FILES = {"base_name", "camera_name", "checkpoint_name", "lora_name", "module_name", "motion_name", "sync_name"}
"""Inputs whose options are what lies in the host's folders."""
HOSTS_CHOICES = {"sampler_name", "scheduler"}
"""Inputs whose options are the host's, more in newer ones."""


def test_the_committed_description_is_that_of_the_nodes(host: Host) -> None:
    """After a change of inputs: ``python -m tests.nodes.save_examples``. Newer hosts may say more, and nothing else."""
    for name, described in snapshot().items():
        if name.startswith("CVD_"):
            found = json.loads(json.dumps(host.nodes.NODE_CLASS_MAPPINGS[name].GET_NODE_INFO_V1()))
            for info in (described, found):
                info.pop("python_module", None)
                for given, entry in info["input"].get("required", {}).items():
                    if given in FILES:
                        entry[1]["options"] = []
            for choice in HOSTS_CHOICES & described["input"].get("required", {}).keys():
                offered, expected = (info["input"]["required"][choice][1]["options"] for info in (found, described))
                offered[:] = [option for option in offered if option in expected]
            assert known(found, described) == described, name


def known(found: Any, described: Any) -> Any:
    """``found`` without the keys that ``described`` has not."""
    if isinstance(found, dict) and isinstance(described, dict):
        return {key: known(value, described[key]) for key, value in found.items() if key in described}
    if isinstance(found, list) and isinstance(described, list) and len(found) == len(described):
        return [known(*both) for both in zip(found, described, strict=True)]
    return found


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """``CVD_FULL_SIZE_MODELS``, or a folder written for these tests (16 GB)."""
    given = os.environ.get("CVD_FULL_SIZE_MODELS")
    if given:
        yield Path(given)
        return
    folder = tmp_path_factory.mktemp("models")
    full_size.write_models(folder)
    full_size.write_cami2v(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def server(models: Path) -> Iterator[Server]:
    def prepare(base: Path) -> None:
        (base / "models").symlink_to(models)
        shutil.copytree(ROOT / "example_workflows" / "poses", base / "input")
        Image.fromarray(np.tile(np.linspace(0, 255, 96, dtype=np.uint8)[None, :, None], (80, 1, 3))).save(
            base / "input" / PICTURE
        )
        for seed, name in enumerate(CLIPS):
            write_clip(base / "input" / name, seed)

    with Server(host_folder(), prepare=prepare) as running:
        yield running


def write_clip(path: Path, seed: int) -> None:
    """Two seconds of a moving gradient."""
    ramp = np.linspace(0, 255, 96, dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width = stream.height = 96
        stream.pix_fmt = "yuv420p"
        for k in range(2 * FRAMES):
            picture = np.broadcast_to(np.roll(ramp, 5 * k + 40 * seed)[None, :, None], (96, 96, 3))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture))))
        container.mux(stream.encode())


def shrunk(prompt: Json) -> Json:
    """The same graph on small pictures and few steps; only numbers in the nodes change, and not CamI2V's 16 frames."""
    kept = {"frames"} if any(node["class_type"] == "CVD_ApplyCamI2V" for node in prompt.values()) else set()
    for node in prompt.values():
        for name, value in node["inputs"].items():
            if name in SMALL.keys() - kept and not isinstance(value, list):
                node["inputs"][name] = min(value, SMALL[name])
    return prompt


def test_start_here_needs_no_files() -> None:
    """From an empty base folder and this pack alone to the video, with fewer steps."""
    path = next(path for path in EXAMPLES if path.stem == START)
    with Server(host_folder(), others=()) as fresh:
        prompt = shrunk(to_prompt(json.loads(path.read_text()), snapshot()))
        done = fresh.execute(prompt, patience=300)
        assert done["status"]["status_str"] == "success", done["status"]["messages"][-1]
        (combine,) = (number for number, node in prompt.items() if node["class_type"] == "CVD_MultiViewVideoCombine")
        entry = done["outputs"][combine]["images"][-1]
        assert clip(fresh, entry) == (FRAMES, 2 * ENLARGED + GAP, 2 * ENLARGED + GAP)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "path",
    [path for path in EXAMPLES if path.stem != START and "SynCamMaster" not in path.stem],  # test_full_size_wan.py
    ids=lambda path: path.stem,
)
def test_it_runs_on_full_size_networks(server: Server, path: Path) -> None:
    prompt = shrunk(to_prompt(json.loads(path.read_text()), snapshot()))
    done = server.execute(prompt, patience=1500)
    assert done["status"]["status_str"] == "success", done["status"]["messages"][-1]
    print(f"\n{path.stem}: peak memory of the server so far {server.peak_memory / 2**30:.2f} GiB")
    by_class = {node["class_type"]: done["outputs"].get(number, {}) for number, node in prompt.items()}
    if path.stem == "2 Cameras only":
        saved = server.base / "output" / "cameras"
        assert len(list(saved.glob("CVD_*.json"))) == 1
        return
    columns, rows = PANELS[path.stem.split()[1]]
    frames = cami2v.FRAMES if "CVD_ApplyCamI2V" in by_class else FRAMES
    size = (frames, columns * (SIDE + GAP) - GAP, rows * (SIDE + GAP) - GAP)
    assert clip(server, by_class["CVD_MultiViewVideoCombine"]["images"][-1]) == size
    if "VHS_VideoCombine" in by_class:
        assert clip(server, by_class["VHS_VideoCombine"]["gifs"][0]) == size


def clip(server: Server, entry: dict[str, Any]) -> tuple[int, int, int]:
    """Frames, width and height of a saved video, every frame decoded."""
    with av.open(io.BytesIO(server.read(entry))) as container:
        frames = list(container.decode(video=0))
    return len(frames), frames[0].width, frames[0].height
