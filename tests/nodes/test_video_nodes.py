"""Video nodes in the real host: the files decode to the frames that went in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from PIL import Image, ImageSequence
from torch import Tensor

from cvd_core.video.files import read_video
from tests.nodes.host_process import Host

VIEWS, FRAMES, HEIGHT, WIDTH = 3, 6, 32, 48


def images() -> Tensor:
    """``(18, 32, 48, 3)``: every frame of every view has a grey of its own."""
    grey = (torch.arange(VIEWS * FRAMES) * 14 + 8) / 255
    return grey[:, None, None, None].expand(-1, HEIGHT, WIDTH, 3).contiguous()


def grey(view: int, frame: int) -> int:
    return (view * FRAMES + frame) * 14 + 8


def combine(**inputs: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "images": ["images", 0],
        "views": VIEWS,
        "layout": "row",
        "view_order": "",
        "labels": "",
    }
    defaults |= {"mode": "normal", "repeats": 2, "switch_frame": -1, "switch_hold": 2, "fps": 12.5, "format": "mp4"}
    defaults |= {"quality": 90, "filename_prefix": "video/test", "save": True, "gap": 0}
    return {"class_type": "CVD_MultiViewVideoCombine", "inputs": defaults | inputs}


def run(host: Host, batch: Tensor | None = None, **inputs: Any) -> tuple[Any, list[Path]]:
    """Execute the node; also return the files it lists."""
    prompt = {"images": host.provide("IMAGE", images() if batch is None else batch), "c": combine(**inputs)}
    done = host.run(prompt, outputs=["c"])
    shown = done.ui.get("c", {"images": []})["images"]
    return done, [host.base / entry["type"] / entry["subfolder"] / entry["filename"] for entry in shown]


def frames_of(path: Path) -> tuple[Tensor, float]:
    """``(N, H, W)`` grey values of any of the formats, and frames per second."""
    if path.suffix in (".mp4", ".webm"):
        pixels, rate = read_video(path)
        return pixels.float().mean(-1), rate
    pictures, seconds = [], 0.0
    with Image.open(path) as image:
        for frame in ImageSequence.Iterator(image):
            grey_image = frame.convert("L")
            pixels = torch.frombuffer(bytearray(grey_image.tobytes()), dtype=torch.uint8)
            pictures.append(pixels.view(grey_image.size[::-1]))
            seconds += image.info["duration"] / 1000
    return torch.stack(pictures).float(), len(pictures) / seconds


@pytest.mark.parametrize("format", ["mp4", "webm", "gif", "webp"])
def test_all_formats_hold_all_frames_side_by_side(host: Host, format: str) -> None:
    done, paths = run(host, format=format)
    assert not done.error
    pixels, rate = frames_of(paths[-1])
    assert paths[-1].is_relative_to(host.base / "output" / "video")
    assert pixels.shape == (FRAMES, HEIGHT, VIEWS * WIDTH)
    assert rate == pytest.approx(12.5)
    for view in range(VIEWS):
        middle = pixels[:, HEIGHT // 2, view * WIDTH + WIDTH // 2]
        assert middle.tolist() == pytest.approx([grey(view, f) for f in range(FRAMES)], abs=3)


@pytest.mark.parametrize(
    ("layout", "size"), [("grid", (2, 2)), ("row", (1, 3)), ("column", (3, 1)), ("bullet time", (1, 1))]
)
def test_layouts(host: Host, layout: str, size: tuple[int, int]) -> None:
    done, _ = run(host, layout=layout)
    _, frames = done.outputs["c"]
    assert frames.shape[1:3] == (HEIGHT * size[0], WIDTH * size[1])


def test_one_file_per_view(host: Host) -> None:
    _, paths = run(host, layout="one file per view", view_order="2 0")
    assert [path.name.split("_")[-1] for path in paths[1:]] == ["view2.mp4", "view0.mp4"]
    for path, view in zip(paths[1:], (2, 0), strict=True):
        assert frames_of(path)[0][:, 0, 0].tolist() == pytest.approx([grey(view, f) for f in range(FRAMES)], abs=3)
    assert paths[0].parent == host.base / "temp"  # what the node plays: both views together
    assert frames_of(paths[0])[0].shape == (FRAMES, HEIGHT, 2 * WIDTH)
    videos, frames = host.call(
        "CVD_MultiViewVideoCombine", **combine(layout="one file per view")["inputs"] | {"images": images()}
    )
    assert [video.get_dimensions() for video in videos] == [(WIDTH, HEIGHT)] * VIEWS
    assert torch.equal(torch.cat(frames), images())


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"mode": "loop", "repeats": 3}, [*range(FRAMES)] * 3),
        ({"mode": "ping-pong", "repeats": 1}, [0, 1, 2, 3, 4, 5, 4, 3, 2, 1]),
    ],
)
def test_modes(host: Host, inputs: dict[str, Any], expected: list[int]) -> None:
    _, paths = run(host, **inputs)
    assert frames_of(paths[0])[0][:, 5, 5].tolist() == pytest.approx([grey(0, f) for f in expected], abs=3)


@pytest.mark.parametrize("layout", ["bullet time", "view switch"])
def test_bullet_time_in_the_wanted_order(host: Host, layout: str) -> None:
    """Under its earlier name too, which saved workflows have."""
    _, paths = run(host, layout=layout, switch_frame=2, switch_hold=1, view_order="1, 2, 0")
    shown = [(1, 0), (1, 1), (1, 2), (2, 2), (0, 2), (0, 3), (0, 4), (0, 5)]
    assert frames_of(paths[0])[0][:, 5, 5].tolist() == pytest.approx([grey(v, f) for v, f in shown], abs=3)


def test_labels_stand_in_their_own_view_through_all_frames(host: Host) -> None:
    done, _ = run(host, torch.full((VIEWS * FRAMES, 64, 96, 3), 0.5), labels="a,,long name", view_order="2 1 0")
    frames = done.outputs["c"][1]
    assert torch.equal(frames[0], frames[-1])
    changed = ((frames[0] - 0.5).abs().amax(-1) > 0.02).view(64, VIEWS, 96)
    assert changed[:, 0].sum() > changed[:, 2].sum() > 0
    assert not changed[:, 1].any()
    assert not changed[32:].any()


def test_views_stand_apart(host: Host) -> None:
    done, _ = run(host, layout="row", gap=6)
    frames = done.outputs["c"][1]
    assert frames.shape[1:3] == (HEIGHT, VIEWS * WIDTH + (VIEWS - 1) * 6)
    assert not frames[:, :, WIDTH : WIDTH + 6].any()


def test_pictures_between_the_views(host: Host) -> None:
    batch = torch.rand(VIEWS * FRAMES, 64, 64, 3)
    done, _ = run(host, batch, layout="bullet time", switch_frame=1, switch_hold=1, in_betweens=2)
    assert not done.error
    assert len(done.outputs["c"][1]) == FRAMES - 1 + VIEWS + 2 * (VIEWS - 1)


def test_sound_goes_with_the_videos(host: Host) -> None:
    sound = {"waveform": torch.rand(1, 2, 44100) - 0.5, "sample_rate": 44100}
    prompt = {
        "images": host.provide("IMAGE", images()),
        "sound": host.provide("AUDIO", sound),
        "c": combine(audio=["sound", 0]),
    }
    done = host.run(prompt, outputs=["c"])
    assert not done.error
    (entry,) = done.ui["c"]["images"]
    with av.open(str(host.base / "output" / entry["subfolder"] / entry["filename"])) as container:
        seconds = sum(frame.samples for frame in container.decode(audio=0)) / 44100
    assert seconds == pytest.approx(FRAMES / 12.5, abs=0.05)
    video, _ = done.outputs["c"]
    assert video.get_components().audio is sound
    prompt["c"] = combine(audio=["sound", 0], format="gif")
    assert "gif files hold no sound" in host.run(prompt, outputs=["c"]).error


def test_views_that_stay_as_they_are_are_not_copied(host: Host) -> None:
    batch = images()
    inputs = combine(layout="one file per view")["inputs"] | {"images": batch}
    _, frames = host.call("CVD_MultiViewVideoCombine", **inputs)
    assert [clip.data_ptr() for clip in frames] == [view.data_ptr() for view in batch.split(FRAMES)]


@pytest.mark.parametrize("format", ["mp4", "webm"])
def test_workflow_is_inside(host: Host, format: str) -> None:
    _, paths = run(host, format=format)
    with av.open(str(paths[0])) as container:
        stored = {key.lower(): value for key, value in container.metadata.items()}
    assert json.loads(stored["prompt"])["c"]["class_type"] == "CVD_MultiViewVideoCombine"


def test_workflow_is_inside_webp(host: Host) -> None:
    _, paths = run(host, format="webp")
    with Image.open(paths[0]) as image:
        model = image.getexif()[0x0110]
    assert json.loads(model.removeprefix("prompt:"))["c"]["class_type"] == "CVD_MultiViewVideoCombine"


def test_unsaved_goes_to_temp_and_numbers_go_on(host: Host) -> None:
    _, first = run(host, save=False, filename_prefix="look")
    _, second = run(host, save=False, filename_prefix="look")
    assert first[0].parent == host.base / "temp"
    assert first[0] != second[0]
    assert first[0].exists()


@pytest.mark.parametrize("prefix", ["look", "look/", "there/look//", "there/./look/"])
def test_nothing_is_overwritten_whatever_the_prefix_ends_with(host: Host, prefix: str) -> None:
    _, first = run(host, filename_prefix=prefix)
    before = {path: path.read_bytes() for path in first}
    _, second = run(host, torch.rand(VIEWS * FRAMES, 32, 48, 3), filename_prefix=prefix)
    assert not set(first) & set(second)
    assert {path: path.read_bytes() for path in first} == before


def test_a_gif_of_odd_size_still_plays_in_the_node(host: Host) -> None:
    _, paths = run(host, torch.rand(VIEWS * FRAMES, 33, 47, 3), format="gif")
    assert frames_of(paths[1])[0].shape == (FRAMES, 33, 3 * 47)
    assert frames_of(paths[0])[0].shape == (FRAMES, 34, 3 * 47 + 1)


def test_video_goes_on_to_the_cores_saver(host: Host) -> None:
    prompt = {
        "images": host.provide("IMAGE", images()),
        "c": combine(),
        "s": {
            "class_type": "SaveVideo",
            "inputs": {"video": ["c", 0], "filename_prefix": "video/core", "format": "auto", "codec": "auto"},
        },
    }
    done = host.run(prompt)
    assert not done.error
    (entry,) = done.ui["s"]["images"]
    pixels, rate = read_video(host.base / "output" / entry["subfolder"] / entry["filename"])
    assert pixels.shape == (FRAMES, HEIGHT, VIEWS * WIDTH, 3)
    assert rate == 12.5


def test_views_are_split_and_each_goes_on_alone(host: Host) -> None:
    (views,) = host.call("CVD_SplitViews", images=images(), views=VIEWS)
    assert torch.equal(torch.cat(views), images())
    prompt = {
        "images": host.provide("IMAGE", images()),
        "split": {"class_type": "CVD_SplitViews", "inputs": {"images": ["images", 0], "views": VIEWS}},
        "save": {"class_type": "SaveImage", "inputs": {"images": ["split", 0], "filename_prefix": "split"}},
    }
    done = host.run(prompt)
    assert len(done.ui["save"]["images"]) == VIEWS * FRAMES


def test_transparency_is_dropped(host: Host) -> None:
    (views,) = host.call("CVD_SplitViews", images=torch.rand(4, 8, 8, 4), views=2)
    assert views[0].shape == (2, 8, 8, 3)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"views": 4}, "images holds 18 images, which do not divide into 4 views"),
        ({"view_order": "0, 3"}, "view_order is '0, 3'; expected different numbers from 0 to 2"),
        ({"view_order": "0 0"}, "expected different numbers"),
        ({"view_order": "left"}, "expected view numbers"),
        ({"labels": "a,b"}, "labels holds 2 texts for 3 views"),
        ({"layout": "bullet time", "switch_frame": 6}, "time stops at frame 6 of 6"),
        ({"format": "gif", "fps": 60.0}, "GIF plays at most 50 frames per second"),
        ({"filename_prefix": "../x"}, "leads out of"),
        ({"filename_prefix": ""}, "filename_prefix is ''; use a name or subfolder/name"),
        ({"filename_prefix": "a/.."}, "use a name or subfolder/name"),
    ],
)
def test_mistakes(host: Host, inputs: dict[str, Any], message: str) -> None:
    done, _ = run(host, **inputs)
    assert done.failed_node == "c"
    assert message in done.error
