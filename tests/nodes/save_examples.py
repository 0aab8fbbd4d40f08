"""Make the example workflows anew: the real front end builds and saves them, the real host describes their nodes.

    python -m tests.nodes.save_examples

writes ``example_workflows/*.json``, their thumbnails, ``subgraphs/*.json``, the pictures of graphs in ``docs`` and
``tests/data/object_info.json``. It needs node, Chromium and ``npm --prefix tests/web ci``.

What is committed is what the oldest host writes, which both hosts open the same. The newest one also runs through, but
leaves out the size of group titles, keeps only some of the blueprint's settings in sight, and names every value twice.
"""

from __future__ import annotations

import copy
import io
import json
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.frustum import all_points
from cvd_core.geometry.trajectory_json import VIEW_COLORS
from cvd_core.runs import mini
from cvd_core.sampling.settings import Settings
from cvd_core.scenes.world import random_scene
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
_SHARED_WORLD = "CVD_ApplySynCam"
"""Takes cameras where they stand; others have all views start in one place."""
_MINI = "CVD_LoadMiniModel"
_SIGHT, _SUBJECT, _SUBJECT_RADIUS = "#596273", "#E8C15A", 11
"""Lines of sight, and what cameras look at that surround it: colours, and radius in pixels."""
_FIRST_SCENE = 20
"""Seeds of the scenes of thumbnails start here."""
_SIDE, _VIEWS_HEIGHT = 512, 300
"""Pixels of a thumbnail, and those left to the views where cameras stand below."""
_SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Minimap.Visible": False,
    "Comfy.Graph.CanvasInfo": False,
    "Comfy.Graph.CanvasMenu": False,
    "LiteGraph.Canvas.MinFontSizeForLOD": 0,  # text, however small
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
        prompts = {path.stem: to_prompt(json.loads(path.read_text()), nodes) for path in saved}
        (start,) = (prompt for prompt in prompts.values() if _node_of(prompt, _MINI))
        for name, prompt in prompts.items():
            picture = _result(server, prompt) if prompt is start else _thumbnail(server, name, prompt, start)
            ImageOps.pad(picture, (_SIDE, _SIDE)).save(_FOLDER / f"{name}.jpg", quality=88)
        for old in _BLUEPRINTS.glob("*.json"):
            old.unlink()
        for path in Path(work).glob("*.blueprint"):
            shutil.copy(path, _BLUEPRINTS / f"{path.stem}.json")
        for name, file in SCREENSHOTS.items():
            with Image.open(Path(work) / f"{name}.png") as shot:
                shot.convert("RGB").save(ROOT / "docs" / file, optimize=True)
        kept = {name: _portable(nodes[name]) for name in sorted(nodes) if name in used or name.startswith(_OWN)}
        SNAPSHOT.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


@cache
def _host() -> Host:
    host = Host(host_folder())
    for file in (_FOLDER / "poses").iterdir():
        shutil.copy(file, host.base / "input")
    return host


def _node_of(prompt: Json, kind: str) -> str | None:
    """The number of the first node of that class."""
    return next((number for number, node in prompt.items() if node["class_type"] == kind), None)


def _thumbnail(server: Server, name: str, prompt: Json, start: Json) -> Image.Image:
    """The cameras of a workflow and, where it has learned such, what the small model makes along them.

    The cards that show thumbnails are square. Most workflows need files that are not here; the small model, in the
    graph ``start``, stands in for theirs, with a scene of its own for every workflow.
    """
    number = _FIRST_SCENE + int(name.split()[0])
    text = random_scene(np.random.default_rng(number), moving=False).prompt()
    source, cameras = _cameras(prompt)
    views: Image.Image | None = None
    unknown = mini.hints(Settings(prompts=(text,), **mini.SETTINGS), cameras.relative_to_first())
    if _node_of(prompt, "CVD_ApplySync") and not unknown:
        small = copy.deepcopy(start)
        camera_node = copy.deepcopy(prompt[source])
        camera_node["inputs"]["frames"] = mini.FRAMES
        own, *_ = _camera_inputs(small)
        small[own] = camera_node
        changes: dict[str, Json] = {
            "CVD_EmptyMultiViewLatent": {"views": cameras.views},
            "CVD_MultiViewVideoCombine": {"views": cameras.views, "layout": "row" if cameras.views < 3 else "grid"},
            "CVD_CollaborativeKSampler": {"seed": number},
            "CLIPTextEncode": {"text": text},
        }
        for kind, inputs in changes.items():
            changed = _node_of(small, kind)
            assert changed
            small[changed]["inputs"] |= inputs
        views = ImageOps.contain(_result(server, small), (_SIDE, _VIEWS_HEIGHT), Image.Resampling.LANCZOS)
    top = views.height if views else 0
    paths = _draw_paths(cameras, (_SIDE, _SIDE - top), together=_node_of(prompt, _SHARED_WORLD) is None)
    sheet = Image.new("RGB", (_SIDE, _SIDE), paths.getpixel((0, 0)))
    sheet.paste(paths, (0, top))
    if views:
        sheet.paste(views, ((_SIDE - views.width) // 2, 0))
    return sheet


def _result(server: Server, prompt: Json) -> Image.Image:
    """The last frame of the video that a workflow makes: where its views are farthest apart."""
    done = server.execute(prompt, patience=900)
    combine = _node_of(prompt, "CVD_MultiViewVideoCombine")
    with av.open(io.BytesIO(server.read(done["outputs"][combine]["images"][-1]))) as container:
        *_, last = container.decode(video=0)
    return last.to_image()


def _camera_inputs(prompt: Json) -> set[str]:
    """The nodes whose cameras the networks are given."""
    return {node["inputs"]["cameras"][0] for node in prompt.values() if node["class_type"] in _TAKE_CAMERAS}


def _cameras(prompt: Json) -> tuple[str, Cameras]:
    """The node that makes a workflow's cameras, and these."""
    (source,) = _camera_inputs(prompt)
    node = {**prompt[source], "inputs": {k: v for k, v in prompt[source]["inputs"].items() if not isinstance(v, list)}}
    return source, _host().run({source: node}, outputs=[source]).outputs[source][0]


def _draw_paths(cameras: Cameras, size: tuple[int, int], *, together: bool) -> Image.Image:
    """Camera paths in perspective: moved to one start if ``together``, else with what all cameras look at."""
    drawing, fine = _host().pack("nodes.previews.paths"), _host().pack("nodes.previews.pictures").FINE
    shown = cameras.relative_to_first() if together else cameras
    subjects = np.empty((0, 3)) if together else _subject(shown)[None]
    depth = drawing.frustum_depth(np.concatenate([shown.centers.reshape(-1, 3).numpy(), subjects]))
    points = np.concatenate([all_points(shown, depth), subjects])
    panel = drawing.Panel(drawing.PERSPECTIVE, (size[0] * fine, size[1] * fine), points)
    panel.draw_grid(points)
    for view, color in enumerate(VIEW_COLORS[: shown.views]):
        for subject in subjects:
            panel.line(np.stack([shown.centers[view, 0].numpy(), subject]), _SIGHT, 1.0)
        panel.draw_view(shown, view, color, depth)
    for x, y in panel.project(subjects):
        panel.mark(x, y, _SUBJECT_RADIUS, fill=_SUBJECT)
    return cast(Image.Image, panel.picture.reduce(fine))


def _subject(cameras: Cameras) -> NDArray[np.float64]:
    """``(3,)``: the point nearest to the optical axes of all first poses."""
    axes = cameras.c2w[:, 0, :3, 2].numpy()
    across = np.eye(3) - axes[:, :, None] * axes[:, None]
    centers = cameras.centers[:, 0].numpy()
    return np.linalg.solve(across.sum(0), np.einsum("vij,vj->i", across, centers))


def _prepare(base: Path) -> None:
    """Empty files under the names that the examples choose from, and a front end that shows the graph alone."""
    settings = base / "user" / "default" / "comfy.settings.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps(_SETTINGS))
    files = ("BASE", "DREAMBOOTH", "MOTION", "CAMERA", "ADAPTER", "STYLE", "SYNC", "CAMI2V", "CAMI2V_512")
    shutil.copytree(_FOLDER / "poses", base / "input")
    models = (getattr(full_size, name) for name in (*files, "WAN", "WAN_TEXT", "WAN_VAE", "SYNCAM"))
    for name in [*(f"models/{model}" for model in models), *(f"input/{file}" for file in (*CLIPS, PICTURE))]:
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).touch()


def _portable(described: Any) -> Any:
    """A description without what depends on the installation: the module it comes from."""
    return {key: value for key, value in described.items() if key != "python_module"}


if __name__ == "__main__":
    main()
