"""Make the example workflows anew: the real front end builds and saves them, the real host describes their nodes.

    python -m tests.nodes.save_examples

writes ``example_workflows/*.json``, their thumbnails, ``subgraphs/*.json``, the pictures of graphs in ``docs`` and
``tests/data/object_info.json``. It needs node, Chromium and ``npm --prefix tests/web ci``.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, cast

import av
from PIL import Image, ImageOps

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.trajectory_json import VIEW_COLORS
from tests.nodes import full_size
from tests.nodes.host_process import Host, host_folder
from tests.nodes.server_process import Server
from tests.workflow import EXAMPLES, ROOT, SNAPSHOT, Json, to_prompt

CLIPS = ("left.mp4", "right.mp4")
PICTURE = "example.png"
"""Which every ComfyUI has."""
_FOLDER, _BLUEPRINTS = ROOT / "example_workflows", ROOT / "subgraphs"
SCREENSHOTS = {"4 Four views on a circle with a style": "workflow.png"}
_OWN = "CVD_"
_TAKE_CAMERAS = ("CVD_PluckerEmbed", "CVD_ApplyCamI2V", "CVD_ApplySynCam")
_PERSPECTIVE = (12, 84, 880, 708)
"""The largest panel of the picture of paths, without its title."""
_SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Minimap.Visible": False,
    "Comfy.Graph.CanvasInfo": False,
    "Comfy.Graph.CanvasMenu": False,
}


def main() -> None:
    with tempfile.TemporaryDirectory() as work, Server(host_folder(), prepare=_prepare) as server:
        script = ROOT / "tests" / "web" / "examples" / "save.mjs"
        subprocess.run(["node", script, f"http://127.0.0.1:{server.port}", work], check=True)
        nodes: Json = server.get("/object_info")
        saved = sorted(path for path in Path(work).glob("*.json") if not path.name.endswith(".prompt.json"))
        used: set[str] = set()
        for path in saved:
            workflow = json.loads(path.read_text())
            queued = json.loads(path.with_suffix(".prompt.json").read_text())
            prompt = to_prompt(workflow, nodes)
            if prompt != {i: {k: node[k] for k in ("class_type", "inputs")} for i, node in queued.items()}:
                raise RuntimeError(f"{path.name}: the front end queues\n{queued}\nexpected\n{prompt}")
            used |= {node["class_type"] for node in prompt.values()}
        for old in EXAMPLES:
            old.unlink()
            old.with_suffix(".jpg").unlink(missing_ok=True)
        for path in saved:
            shutil.copy(path, _FOLDER)
            prompt = to_prompt(json.loads(path.read_text()), nodes)
            thumbnail = _result(server, prompt) if _needs_no_files(prompt) else _draw_cameras(prompt)
            thumbnail.save(_FOLDER / f"{path.stem}.jpg", quality=88)
        for old in _BLUEPRINTS.glob("*.json"):
            old.unlink()
        for path in Path(work).glob("*.blueprint"):
            shutil.copy(path, _BLUEPRINTS / f"{path.stem}.json")
        for name, picture in SCREENSHOTS.items():
            with Image.open(Path(work) / f"{name}.png") as shot:
                shot.convert("RGB").quantize(128).save(ROOT / "docs" / picture, optimize=True)
        kept = {name: _portable(nodes[name]) for name in sorted(nodes) if name in used or name.startswith(_OWN)}
        SNAPSHOT.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


@cache
def _host() -> Host:
    host = Host(host_folder())
    for file in (_FOLDER / "poses").iterdir():
        shutil.copy(file, host.base / "input")
    return host


def _needs_no_files(prompt: Json) -> bool:
    """Whether it makes videos with the small model, which is quickly done."""
    return any(node["class_type"] == "CVD_LoadMiniModel" for node in prompt.values())


def _result(server: Server, prompt: Json) -> Image.Image:
    """The last frame of the video that the workflow makes: where its views are farthest apart."""
    done = server.execute(prompt, patience=900)
    (combine,) = (number for number, node in prompt.items() if node["class_type"] == "CVD_MultiViewVideoCombine")
    with av.open(io.BytesIO(server.read(done["outputs"][combine]["images"][-1]))) as container:
        *_, last = container.decode(video=0)
    return ImageOps.pad(last.to_image(), (512, 512))


def _draw_cameras(prompt: Json) -> Image.Image:
    """The camera paths of a workflow: what sets it apart before it has run."""
    host = _host()
    ((source, _),) = {tuple(n["inputs"]["cameras"]) for n in prompt.values() if n["class_type"] in _TAKE_CAMERAS}
    node = {**prompt[source], "inputs": {k: v for k, v in prompt[source]["inputs"].items() if not isinstance(v, list)}}
    cameras: Cameras = host.run({source: node}, outputs=[source]).outputs[source][0]
    (picture,) = host.pack("nodes.previews.paths").draw_paths(cameras.relative_to_first(), VIEW_COLORS[: cameras.views])
    sheet = Image.fromarray((picture * 255).byte().numpy()).crop(_PERSPECTIVE)
    corner = cast(tuple[int, ...], sheet.getpixel((0, 0)))
    return ImageOps.pad(sheet, (512, 512), color=corner)  # the cards that show it are square


def _prepare(base: Path) -> None:
    """Empty files under the names that the examples choose from, and a front end that shows the graph alone."""
    settings = base / "user" / "default" / "comfy.settings.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps(_SETTINGS))
    files = ("BASE", "DREAMBOOTH", "MOTION", "CAMERA", "ADAPTER", "STYLE", "SYNC", "CAMI2V", "CAMI2V_512")
    models = (getattr(full_size, name) for name in (*files, "WAN", "WAN_TEXT", "WAN_VAE", "SYNCAM"))
    for name in [*(f"models/{model}" for model in models), *(f"input/{file}" for file in (*CLIPS, PICTURE))]:
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).touch()


def _portable(described: Any) -> Any:
    """A description without what depends on the installation: the module it comes from."""
    return {key: value for key, value in described.items() if key != "python_module"}


if __name__ == "__main__":
    main()
