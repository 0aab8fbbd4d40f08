"""The nodes that need no network, on a real server: graphs go in through POST /prompt, files come out of /view."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from typing import Any

import av
import pytest
from PIL import Image, ImageSequence

from cvd_core.geometry.trajectory_json import DEFAULT_TEXT
from tests.nodes.host_process import host_folder
from tests.nodes.server_process import Server
from tests.nodes.test_camera_nodes import FILES, POSES, builder, loader, saver
from tests.nodes.test_video_nodes import combine

FRAMES = 5


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(host_folder()) as running:
        yield running


def test_the_pack_loads_without_a_word(server: Server) -> None:
    log = server.log.read_text(errors="replace")
    ours = [line for line in log.splitlines() if "collaborative-video-diffusion" in line or "cvd" in line.lower()]
    assert ours
    assert not [line for line in ours if "FAILED" in line or "rror" in line or "arning" in line]
    assert (
        server.get("/object_info")["CVD_CameraTrajectoryBuilder"]["input"]["required"]["trajectory"][1]["default"]
        == DEFAULT_TEXT
    )


def test_the_pack_loads_alone(server: Server) -> None:
    """Without AnimateDiff-Evolved the same nodes are there, and those for cameras run."""
    with Server(host_folder(), others=()) as alone:
        log = alone.log.read_text(errors="replace")
        assert "Traceback" not in "".join(line for line in log.splitlines() if "cvd" in line.lower())
        infos = {name: running.get("/object_info") for name, running in (("both", server), ("alone", alone))}
        ours = {name: {node for node in info if node.startswith("CVD_")} for name, info in infos.items()}
        assert ours["alone"] == ours["both"] != set()
        assert not any(node.startswith("ADE_") for node in infos["alone"])
        done = alone.execute({"1": builder(views=2, frames=FRAMES), "2": saver(cameras=["1", 0])})
        assert done["status"]["status_str"] == "success"


def test_help_and_translations_are_served(server: Server) -> None:
    translations = server.get("/i18n")
    for language in ("en", "zh"):
        assert translations[language]["nodeDefs"]["CVD_PluckerEmbed"]["inputs"]["width"]["tooltip"]


def test_cameras_to_pictures_of_rays(server: Server) -> None:
    done = server.execute(
        {
            "1": builder(views=2, frames=FRAMES),
            "2": {"class_type": "CVD_PluckerEmbed", "inputs": {"cameras": ["1", 0], "width": 128, "height": 64}},
            "3": {"class_type": "PreviewImage", "inputs": {"images": ["1", 2]}},
            "4": {"class_type": "SaveImage", "inputs": {"images": ["2", 1], "filename_prefix": "rays"}},
            "5": saver(cameras=["1", 0], format="nerfstudio"),
        }
    )
    assert done["status"]["status_str"] == "success"
    assert len(done["outputs"]["4"]["images"]) == FRAMES
    sizes = {Image.open(io.BytesIO(server.read(entry))).size for entry in done["outputs"]["4"]["images"]}
    assert len(sizes) == 1
    with Image.open(io.BytesIO(server.read(done["outputs"]["2"]["images"][0]))) as playing:
        assert len(ImageSequence.all_frames(playing)) == FRAMES
    assert done["outputs"]["5"]["text"][0].endswith(".json")


def test_pose_files_to_pictures_of_the_mask_to_every_video_format(server: Server) -> None:
    for name in FILES[:2]:
        shutil.copy(POSES / name, server.base / "input")
    mask: dict[str, Any] = {"cameras": ["1", 0], "width": 64, "height": 64, "band": "hard", "threshold": 4.0}
    mask |= {"query_view": 1, "query_x": 0.2, "query_y": 0.5}
    prompt = {
        "1": loader(files="\n".join(FILES[:2]), frames=FRAMES),
        "2": {"class_type": "CVD_EpipolarMask", "inputs": mask},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 1], "filename_prefix": "mask"}},
    }
    formats = ("mp4", "webm", "gif", "webp")
    for name in formats:
        prompt[name] = combine(images=["2", 1], views=1, format=name, fps=10.0)
    done = server.execute(prompt)
    assert done["status"]["status_str"] == "success"
    assert len(done["outputs"]["3"]["images"]) == FRAMES
    size = Image.open(io.BytesIO(server.read(done["outputs"]["3"]["images"][0]))).size
    for name in formats:
        entry = done["outputs"][name]["images"][-1]
        assert entry["filename"].endswith(name)
        data = io.BytesIO(server.read(entry))
        if name in ("mp4", "webm"):
            with av.open(data) as container:
                frames = list(container.decode(video=0))
                assert container.streams.video[0].average_rate == 10
                assert "workflow" in {key.lower() for key in container.metadata}
                assert (len(frames), (frames[0].width, frames[0].height)) == (FRAMES, size)
        else:
            with Image.open(data) as picture:
                pictures = ImageSequence.all_frames(picture)
                assert [(p.size, p.info["duration"]) for p in pictures] == [(size, 100)] * FRAMES


def test_mistakes_are_answered_with_what_to_do(server: Server) -> None:
    status, answer = server.post({"1": builder(trajectory="{}"), "2": saver(cameras=["1", 0])})
    assert status == 400
    (error,) = answer["node_errors"]["1"]["errors"]
    assert "found no 'version'" in error["details"]
    done = server.execute({"1": builder(views=0), "2": saver(cameras=["1", 0])})
    assert done["status"]["status_str"] == "error"
    (message,) = [data for kind, data in done["status"]["messages"] if kind == "execution_error"]
    assert message["node_id"] == "1"
    assert "say how many views it has" in message["exception_message"]
