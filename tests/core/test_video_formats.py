"""MP4, WebM, GIF and WebP hold the same frames at the same times; playing orders."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from cvd_core.video.files import read_video
from cvd_core.video.formats import VIDEO_FORMATS, write_animation
from cvd_core.video.timing import PlayMode, play_order, view_switch

FRAMES, HEIGHT, WIDTH = 7, 48, 64
METADATA = {"prompt": json.dumps({"1": {"class_type": "Ä" * 300}}), "workflow": json.dumps({"nodes": []})}


def clip() -> Tensor:
    """``(7, 48, 64, 3)``: a bar that moves right, standing still once, over a colour ramp."""
    frames = torch.zeros(FRAMES, HEIGHT, WIDTH, 3, dtype=torch.uint8)
    frames[..., 1] = torch.linspace(40, 200, WIDTH).to(torch.uint8)
    for index, frame in enumerate(frames):
        left = 8 * max(0, index - (index > 3))  # frames 3 and 4 are the same picture
        frame[:, left : left + 8, 0] = 220
    return frames


def decode(path: Path) -> tuple[Tensor, list[float]]:
    """Frames and durations in seconds of a GIF or WebP."""
    pictures, durations = [], []
    with Image.open(path) as image:
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            pictures.append(torch.frombuffer(bytearray(image.convert("RGB").tobytes()), dtype=torch.uint8))
            durations.append(image.info["duration"] / 1000)
        assert image.info["loop"] == 0
    return torch.stack(pictures).view(-1, HEIGHT, WIDTH, 3), durations


@pytest.mark.parametrize("fps", [8, 12.5, 24000 / 1001])
@pytest.mark.parametrize("name", VIDEO_FORMATS)
def test_every_frame_is_there_in_time_and_in_colour(tmp_path: Path, name: str, fps: float) -> None:
    frames, path = clip(), tmp_path / f"clip.{name}"
    write_animation(frames, path, fps)
    if name in ("mp4", "webm"):
        read, rate = read_video(path)
        assert rate == pytest.approx(fps, rel=1e-3)
    else:
        read, durations = decode(path)
        assert sum(durations) == pytest.approx(FRAMES / fps, abs=0.011 if name == "gif" else 0.0011)
        assert max(durations) - min(durations) <= 0.0101
    assert read.shape == frames.shape
    assert (read.float() - frames.float()).abs().mean() < 6
    red = read[..., 0].float().mean(1)
    assert red.argmax(-1).sub(clip()[..., 0].float().mean(1).argmax(-1)).abs().max() <= 8  # no frame in another's place


@pytest.mark.parametrize("name", ["mp4", "webm", "webp"])
def test_quality_goes_from_small_to_good(tmp_path: Path, name: str) -> None:
    noise = torch.randint(0, 256, (3, HEIGHT, WIDTH, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    sizes = []
    for quality in (1, 50, 90, 100):
        write_animation(noise, tmp_path / f"q.{name}", quality=quality)
        sizes.append((tmp_path / f"q.{name}").stat().st_size)
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 4


@pytest.mark.parametrize("name", ["mp4", "webm"])
def test_metadata_in_tags(tmp_path: Path, name: str) -> None:
    write_animation(clip(), tmp_path / f"m.{name}", metadata=METADATA)
    with av.open(str(tmp_path / f"m.{name}")) as container:
        found = {key.lower(): value for key, value in container.metadata.items()}
    assert {key: found[key] for key in METADATA} == METADATA


def test_metadata_in_webp_is_exif_and_the_pictures_are_the_same(tmp_path: Path) -> None:
    write_animation(clip(), tmp_path / "plain.webp")
    write_animation(clip(), tmp_path / "m.webp", metadata=METADATA)
    with Image.open(tmp_path / "m.webp") as image:
        exif = image.getexif()
    prompt, workflow = (name + ":" + words for name, words in METADATA.items())
    assert (exif[0x0110], exif[0x010F]) == (prompt, workflow)
    assert torch.equal(decode(tmp_path / "m.webp")[0], decode(tmp_path / "plain.webp")[0])


def test_metadata_in_gif_is_a_comment(tmp_path: Path) -> None:
    write_animation(clip(), tmp_path / "plain.gif")
    write_animation(clip(), tmp_path / "m.gif", metadata=METADATA)
    data = (tmp_path / "m.gif").read_bytes()
    start, blocks = data.rindex(b"\x21\xfe") + 2, b""
    while data[start]:
        blocks += data[start + 1 : start + 1 + data[start]]
        start += 1 + data[start]
    assert blocks.decode() == "\n".join(f"{name}:{words}" for name, words in METADATA.items())
    assert torch.equal(decode(tmp_path / "m.gif")[0], decode(tmp_path / "plain.gif")[0])


@pytest.mark.parametrize("name", ["gif", "webp"])
def test_odd_sizes_and_single_frames(tmp_path: Path, name: str) -> None:
    write_animation(clip()[:1, :47, :63], tmp_path / f"odd.{name}")
    with Image.open(tmp_path / f"odd.{name}") as image:
        assert image.size == (63, 47)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.avi", {}, r"ends in .mp4, .webm, .gif, .webp"),
        ("a.mp4", {"quality": 0}, "quality is 0"),
        ("a.webm", {"quality": 101}, "quality is 101"),
        ("a.gif", {"fps": 60}, "at most 50 frames per second"),
        ("a.webp", {"fps": 0}, "frame rate is 0"),
    ],
)
def test_mistakes_leave_no_file(tmp_path: Path, name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_animation(clip(), tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


def test_webm_refuses_odd_sides(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="63 x 48 pixels"):
        write_animation(clip()[:, :, :63], tmp_path / "a.webm")


@given(st.integers(1, 20), st.sampled_from(["normal", "loop", "ping-pong"]), st.integers(1, 4))
def test_playing_again_and_again_never_shows_a_frame_twice_in_a_row(frames: int, mode: PlayMode, repeats: int) -> None:
    order = play_order(frames, mode, repeats)
    assert set(order) == set(range(frames))
    cycle = {"normal": frames, "loop": frames * repeats, "ping-pong": max(1, 2 * frames - 2) * repeats}[mode]
    assert len(order) == cycle or frames == 1
    if mode == "ping-pong" and frames > 2:
        assert all(abs(a - b) == 1 for a, b in zip(order, [*order[1:], order[0]], strict=True))


def test_ping_pong_by_hand() -> None:
    assert play_order(4, "ping-pong", 1) == [0, 1, 2, 3, 2, 1]
    assert play_order(2, "loop", 2) == [0, 1, 0, 1]


def test_view_switch_by_hand() -> None:
    assert view_switch(3, 4, at=1) == [(0, 0), (0, 1), (1, 1), (2, 1), (2, 2), (2, 3)]
    assert view_switch(2, 2, at=0, hold=2) == [(0, 0), (0, 0), (1, 0), (1, 0), (1, 1)]


@given(st.integers(1, 6), st.integers(1, 12), st.integers(1, 4), st.data())
def test_view_switch_changes_either_time_or_view(views: int, frames: int, hold: int, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, frames - 1))
    shown = view_switch(views, frames, at, hold)
    assert len(shown) == frames - 1 + views * hold
    for (v, f), (w, g) in pairwise(shown):
        assert (w - v, g - f) in {(0, 0), (1, 0), (0, 1)}
    assert shown[0] == (0, 0)
    assert shown[-1] == (views - 1, frames - 1)


@pytest.mark.parametrize("at", [-1, 4])
def test_view_switch_outside_the_clip(at: int) -> None:
    with pytest.raises(ValueError, match=f"frame {at} of 4"):
        view_switch(2, 4, at)
