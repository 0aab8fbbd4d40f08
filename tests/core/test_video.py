"""Video files: every frame, its time and its colour."""

from __future__ import annotations

import itertools
import signal
from fractions import Fraction
from pathlib import Path
from types import FrameType
from typing import NoReturn

import av
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from cvd_core.video.files import read_video, write_video
from cvd_core.video.side_by_side import grid, grid_clip

SATURATED = [*itertools.product((0, 255), repeat=3), (200, 30, 90), (10, 180, 60), (128, 128, 128), (254, 1, 127)]


def colour_clip(size: int = 64) -> Tensor:
    """One frame per colour, all over the picture."""
    return torch.tensor(SATURATED, dtype=torch.uint8)[:, None, None, :].expand(-1, size, size, -1)


def smooth_clip(frames: int, height: int = 64, width: int = 96) -> Tensor:
    """Gradients that drift from frame to frame: nothing in them is finer than a chroma sample."""
    t, y, x = torch.meshgrid(torch.arange(frames), torch.arange(height), torch.arange(width), indexing="ij")
    waves = [torch.sin(2 * torch.pi * (x / width + k * y / height + t * (k + 1) / 16)) for k in range(3)]
    return (127.5 + 120 * torch.stack(waves, -1)).round().to(torch.uint8)


def bt709(rgb: tuple[int, ...]) -> NDArray[np.float64]:
    """Y, Cb, Cr of ITU-R BT.709, limited range."""
    r, g, b = np.array(rgb) / 255
    y = 0.2126 * r + 0.7152 * g + 0.0722 * b
    return np.array([16 + 219 * y, 128 + 224 * (b - y) / 1.8556, 128 + 224 * (r - y) / 1.5748])


@pytest.mark.parametrize("fps", [8, 1, 24, 60, 12.5, 0.5, 30000 / 1001])
@pytest.mark.parametrize("frames", [1, 2, 16, 33])
def test_every_frame_comes_back_at_its_time(tmp_path: Path, frames: int, fps: float) -> None:
    # the number of the frame is written into its picture in bits, so that none can be lost, doubled or swapped
    bits = (torch.arange(frames)[:, None] >> torch.arange(8)) & 1
    clip = (bits * 255).to(torch.uint8)[:, None, :, None].expand(-1, 16, -1, 3).repeat_interleave(8, 2)
    write_video(clip, tmp_path / "clip.mp4", fps)
    found, rate = read_video(tmp_path / "clip.mp4")
    assert rate == pytest.approx(fps, rel=1e-6)
    numbers = ((found[:, 8, 4::8, 0] > 127) << torch.arange(8)).sum(-1)
    assert numbers.tolist() == list(range(frames))
    with av.open(str(tmp_path / "clip.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        assert stream.duration is not None
        assert float(stream.duration * stream.time_base) == pytest.approx(frames / fps)
        assert stream.start_time == 0
        times = [float(f.pts * stream.time_base) for f in container.decode(stream) if f.pts is not None]
        assert times == pytest.approx([i / fps for i in range(frames)])


def test_colours_come_back(tmp_path: Path) -> None:
    write_video(colour_clip(), tmp_path / "clip.mp4")
    found, _ = read_video(tmp_path / "clip.mp4")
    assert (found.int() - colour_clip().int()).abs().max() <= 3
    clip = smooth_clip(4, 128, 128)
    write_video(clip, tmp_path / "smooth.mp4")
    error = (read_video(tmp_path / "smooth.mp4")[0].float() - clip.float()).abs()
    assert error.mean() < 1.3  # with the chroma taken to lie half a pixel further left: 1.9


def test_stored_numbers_and_tags_are_bt709(tmp_path: Path) -> None:
    write_video(colour_clip(), tmp_path / "clip.mp4")
    with av.open(str(tmp_path / "clip.mp4")) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")
        assert (codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range) == (1, 1, 1, 1)
        for frame, rgb in zip(container.decode(video=0), SATURATED, strict=True):
            planes = [np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[8, 8] for plane in frame.planes]
            assert np.abs(np.array(planes, float) - bt709(rgb)).max() <= 2
    assert b"colr" in (tmp_path / "clip.mp4").read_bytes()  # players that do not look into the stream find it here


def test_nothing_shifts_the_start_and_players_need_not_seek(tmp_path: Path) -> None:
    write_video(smooth_clip(16), tmp_path / "clip.mp4")
    content = (tmp_path / "clip.mp4").read_bytes()
    assert b"elst" not in content
    assert content.index(b"moov") < content.index(b"mdat")


def test_same_frames_same_bytes(tmp_path: Path) -> None:
    clip = smooth_clip(8)
    write_video(clip, tmp_path / "a.mp4")
    write_video(clip.transpose(1, 2).contiguous().transpose(1, 2), tmp_path / "b.mp4")  # other memory, same frames
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_folder_is_made_and_a_file_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "clip.MP4"
    write_video(smooth_clip(2), path)
    write_video(smooth_clip(3), path)
    assert len(read_video(path)[0]) == 3
    assert list(path.parent.iterdir()) == [path]


def test_an_interruption_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    def interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    write_video(smooth_clip(2), tmp_path / "clip.mp4")
    before = (tmp_path / "clip.mp4").read_bytes()
    noise = torch.randint(0, 256, (200, 256, 256, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.1)  # the encoder needs seconds
    try:
        with pytest.raises(KeyboardInterrupt):
            write_video(noise, tmp_path / "clip.mp4")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert (tmp_path / "clip.mp4").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("frames", "name", "fps", "message"),
    [
        (torch.zeros(2, 64, 63, 3, dtype=torch.uint8), "a.mp4", 8, "63 x 64 pixels; H.264 video takes even numbers"),
        (torch.zeros(2, 65, 64, 3, dtype=torch.uint8), "a.mp4", 8, "64 x 65 pixels"),
        (torch.zeros(2, 64, 64, 3), "a.mp4", 8, "type torch.float32; expected uint8"),
        (torch.zeros(2, 3, 64, 64, dtype=torch.uint8), "a.mp4", 8, r"shape \(2, 3, 64, 64\)"),
        (torch.zeros(0, 64, 64, 3, dtype=torch.uint8), "a.mp4", 8, r"shape \(0, 64, 64, 3\)"),
        (torch.zeros(2, 64, 64, 3, dtype=torch.uint8), "a.mp4", 0, "frame rate is 0"),
        (torch.zeros(2, 64, 64, 3, dtype=torch.uint8), "a.mp4", float("nan"), "frame rate is nan"),
        (torch.zeros(2, 64, 64, 3, dtype=torch.uint8), "a.gif", 8, "a.gif: videos are MP4 files"),
        (torch.zeros(2, 64, 64, 3, dtype=torch.uint8), "file/a.mp4", 8, "choose a folder you may write to"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, frames: Tensor, name: str, fps: float, message: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=message):
        write_video(frames, tmp_path / name, fps)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video at all\n" * 50)
    write_video(smooth_clip(8), tmp_path / "cut.mp4")
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "cut.mp4").read_bytes()[:400])
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.rate, sound.time_base = 8000, Fraction(1, 8000)
        container.mux(stream.encode(sound))
    for name, message in (
        ("missing.mp4", "missing.mp4 does not exist"),
        (".", "is a folder"),
        ("text.mp4", "text.mp4 cannot be read as a video"),
        ("cut.mp4", "cut.mp4 cannot be read as a video"),
        ("sound.wav", "sound.wav holds no video"),
    ):
        with pytest.raises(ValueError, match=message):
            read_video(tmp_path / name)


@given(st.integers(1, 9), st.data())
def test_grid_holds_every_view_in_reading_order(views: int, data: st.DataObject) -> None:
    columns = data.draw(st.none() | st.integers(1, views))
    videos = torch.arange(1, views + 1, dtype=torch.uint8)[:, None, None, None, None] * torch.ones(
        1, 2, 4, 6, 3, dtype=torch.uint8
    )
    picture = grid(videos, columns)
    frames, height, width, _ = picture.shape
    assert frames == 2
    rows, found = height // 4, width // 6
    if columns is None:
        assert found - rows in (0, 1)
        assert (rows - 1) * found < views  # no empty row
    else:
        assert found == columns
    cells = picture[0, ::4, ::6, 0].flatten().tolist()
    assert cells == [*range(1, views + 1), *[0] * (rows * found - views)]


def test_grid_keeps_pictures_whole() -> None:
    videos = torch.randint(0, 256, (3, 4, 8, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    picture = grid(videos)
    assert picture.shape == (4, 16, 32, 3)
    assert torch.equal(picture[:, :8, :16], videos[0])
    assert torch.equal(picture[:, :8, 16:], videos[1])
    assert torch.equal(picture[:, 8:, :16], videos[2])
    assert not picture[:, 8:, 16:].any()


@pytest.mark.parametrize(("columns", "gap"), [(None, 0), (None, 4), (1, 2), (3, 6)])
def test_a_gap_is_black_and_a_clip_holds_the_same(columns: int | None, gap: int) -> None:
    videos = torch.randint(1, 256, (3, 4, 8, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    picture = grid(videos, columns, gap)
    rows, across = {None: (2, 2), 1: (3, 1), 3: (1, 3)}[columns]
    assert picture.shape == (4, rows * 8 + (rows - 1) * gap, across * 16 + (across - 1) * gap, 3)
    assert int((picture > 0).all(-1).sum()) == 3 * 4 * 8 * 16
    assert torch.equal(picture[:, -8:, :16], videos[rows * across - across])
    clip = grid_clip(videos, columns, gap)
    assert clip.shape == picture.shape
    assert torch.equal(torch.stack(list(clip)), picture)


@pytest.mark.parametrize("columns", [0, 4, -1])
def test_grid_columns_out_of_range(columns: int) -> None:
    with pytest.raises(ValueError, match=f"the grid has {columns} columns for 3 views"):
        grid(torch.zeros(3, 1, 8, 8, 3), columns)


def test_grid_of_something_else() -> None:
    for shape in ((4, 8, 8, 3), (2, 4, 3, 8, 8), (0, 4, 8, 8, 3)):
        with pytest.raises(ValueError, match="expected \\(views, frames, height, width, 3\\)"):
            grid(torch.zeros(shape))
