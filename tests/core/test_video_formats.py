"""MP4, WebM, GIF and WebP hold the same frames at the same times; playing orders."""

from __future__ import annotations

import json
import weakref
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from cvd_core.video.clip import Clip
from cvd_core.video.files import read_video
from cvd_core.video.formats import VIDEO_FORMATS, write_animation
from cvd_core.video.in_between import in_between
from cvd_core.video.sound import Sound
from cvd_core.video.timing import PlayMode, bullet_time, play_order

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


def test_bullet_time_by_hand() -> None:
    assert bullet_time(3, 4, at=1) == [(0, 0, 0), (0, 1, 0), (1, 1, 0), (2, 1, 0), (2, 2, 0), (2, 3, 0)]
    assert bullet_time(2, 2, at=0, hold=2) == [(0, 0, 0), (0, 0, 0), (1, 0, 0), (1, 0, 0), (1, 1, 0)]
    assert bullet_time(2, 1, at=0, between=3) == [(0, 0, 0), (0, 0, 0.25), (0, 0, 0.5), (0, 0, 0.75), (1, 0, 0)]


@given(st.integers(1, 6), st.integers(1, 12), st.integers(1, 4), st.integers(0, 3), st.data())
def test_bullet_time_changes_either_time_or_view(
    views: int, frames: int, hold: int, between: int, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, frames - 1))
    shown = bullet_time(views, frames, at, hold, between)
    assert len(shown) == frames - 1 + views * hold + (views - 1) * between
    places = [(view + part, frame) for view, frame, part in shown]
    for (v, f), (w, g) in pairwise(places):
        assert (w - v, g - f) in {(0, 0), (0, 1)} or (g == f == at and 0 < w - v <= 1 / (between + 1) + 1e-9)
    assert places[0] == (0, 0)
    assert places[-1] == (views - 1, frames - 1)


@pytest.mark.parametrize("at", [-1, 4])
def test_bullet_time_outside_the_clip(at: int) -> None:
    with pytest.raises(ValueError, match=f"frame {at} of 4"):
        bullet_time(2, 4, at)


# ---- sound ----------------------------------------------------------------------------------------------------------


def tone(seconds: float, rate: int, channels: int) -> Sound:
    """440 Hz; the right channel, where there is one, is silent."""
    wave = 0.5 * torch.sin(2 * torch.pi * 440 * torch.arange(int(seconds * rate)) / rate)
    return Sound(torch.stack([wave, torch.zeros_like(wave)][:channels]), rate)


@pytest.mark.parametrize(("name", "rate", "channels"), [("mp4", 44100, 2), ("mp4", 22050, 1), ("webm", 44100, 2)])
def test_sound_goes_with_the_video_and_ends_with_it(tmp_path: Path, name: str, rate: int, channels: int) -> None:
    path, fps = tmp_path / f"clip.{name}", 7.0
    write_animation(clip(), path, fps, sound=tone(3, rate, channels))
    with av.open(str(path)) as container:
        (stream,) = container.streams.audio
        parts = [frame.to_ndarray() for frame in container.decode(stream)]
        heard, played = torch.from_numpy(np.concatenate(parts, axis=1)), stream.rate
    assert heard.shape[0] == channels
    assert heard.shape[1] / played == pytest.approx(FRAMES / fps, abs=0.1)
    spectrum = torch.fft.rfft(heard[0, : played // 2]).abs()
    assert int(spectrum.argmax()) * 2 == pytest.approx(440, abs=4)
    if channels == 2:
        assert float(heard[1].abs().max()) < 0.05
    read, _ = read_video(path)
    assert read.shape == clip().shape


@pytest.mark.parametrize("name", ["gif", "webp"])
def test_silent_formats_refuse_sound(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} files hold no sound; write mp4 or webm"):
        write_animation(clip(), tmp_path / f"clip.{name}", sound=tone(1, 8000, 1))
    assert list(tmp_path.iterdir()) == []


def test_impossible_sound() -> None:
    for waveform in (torch.zeros(3, 10), torch.zeros(10), torch.zeros(1, 0)):
        with pytest.raises(ValueError, match="expected \\(channels, samples\\) with one or two channels"):
            Sound(waveform, 8000)
    with pytest.raises(ValueError, match="0 samples per second"):
        Sound(torch.zeros(1, 10), 0)


# ---- one picture at a time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VIDEO_FORMATS)
def test_a_clip_is_written_like_its_frames_and_never_held(tmp_path: Path, name: str) -> None:
    frames, alive, most = clip(), weakref.WeakSet[Tensor](), 0

    def make(frame: int) -> Tensor:
        nonlocal most
        picture = frames[frame].clone()
        alive.add(picture)
        most = max(most, len(alive))
        return picture

    write_animation(Clip(FRAMES, HEIGHT, WIDTH, make), tmp_path / f"a.{name}")
    write_animation(frames, tmp_path / f"b.{name}")
    if name == "webm":  # every file has an identifier of its own
        assert torch.equal(*(read_video(tmp_path / f"{file}.{name}")[0] for file in "ab"))
    else:
        assert (tmp_path / f"a.{name}").read_bytes() == (tmp_path / f"b.{name}").read_bytes()
    assert most <= 2


# ---- pictures between two views -------------------------------------------------------------------------------------


def texture(shift: float) -> Tensor:
    """``(64, 96, 3)`` a smooth pattern moved to the right by ``shift`` pixels."""
    x, y = torch.arange(96) - shift, torch.arange(64)[:, None]
    waves = [torch.sin(x / a + y / b) for a, b in ((3.1, 5.0), (5.3, -7.0), (8.7, 4.0))]
    return (torch.stack(waves, -1).sum(-1, keepdim=True) / 6 + 0.5).expand(-1, -1, 3).contiguous()


def test_pictures_between_move_instead_of_fading() -> None:
    between = list(in_between(texture(0), texture(6), 2))
    assert [picture.shape for picture in between] == [(64, 96, 3)] * 2
    for picture, shift in zip(between, (2, 4), strict=True):
        inside = (slice(8, -8), slice(12, -12))
        error = (picture - texture(shift))[inside].abs().mean()
        faded = (texture(0) * (1 - shift / 6) + texture(6) * shift / 6 - texture(shift))[inside].abs().mean()
        assert error < 0.3 * faded


def test_pictures_between_keep_the_type() -> None:
    first, second = ((texture(shift) * 255).round().to(torch.uint8) for shift in (0, 4))
    (middle,) = in_between(first, second, 1)
    assert middle.dtype == torch.uint8


def test_pictures_between_need_one_size_of_some_pixels() -> None:
    with pytest.raises(ValueError, match="expected one size of at least 32 pixels"):
        list(in_between(texture(0)[:16], texture(0)[:16], 1))
