"""Writing videos as MP4, WebM, GIF or WebP, inferred from the extension: the same frames at the same times in all."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from PIL import Image

from cvd_core.files import atomic_path
from cvd_core.video.clip import Frames
from cvd_core.video.files import check_even, check_frames, encode_yuv, frame_rate, write_video
from cvd_core.video.sound import Sound

Metadata = Mapping[str, str]

BEST = 90
"""Default quality; MP4 then has x264's rate factor 16, which is visually lossless."""
_MAKE, _MODEL = 0x010F, 0x0110
_FASTEST_GIF = 50
"""Players slow down GIFs whose frames last less than two hundredths of a second."""


@dataclass(frozen=True)
class VideoFormat:
    """A file format.

    Attributes:
        name: what users call it; also the file extension.
        description: one line for menus and help.
        write: ``(frames, path, rate, quality, metadata, sound)``.
        sounds: whether it can hold sound.
    """

    name: str
    description: str
    write: Callable[[Frames, Path, Fraction, int, Metadata, Sound | None], None]
    sounds: bool = False


def write_animation(
    frames: Frames,
    path: str | os.PathLike[str],
    fps: float = 8,
    *,
    quality: int = BEST,
    metadata: Metadata | None = None,
    sound: Sound | None = None,
) -> None:
    """Write exactly these frames as a file of the format that ``path`` ends in, a key of :data:`VIDEO_FORMATS`.

    GIF and WebP play again and again. Where a format counts in hundredths (GIF) or thousandths (WebP) of a second,
    every frame starts at the nearest of them, so that errors do not add up.

    Args:
        frames: ``(F, H, W, 3)`` uint8 RGB; H and W even for MP4 and WebM.
        path: folders are made as needed; an interruption leaves no file behind.
        fps: frames per second, at most 50 for GIF.
        quality: 1 to 100, higher is better and larger; GIF knows none.
        metadata: texts to store in the file, by name. MP4 and WebM hold them as tags, WebP in EXIF as ``name:text``
            under Model, Make and the numbers before it (what ComfyUI reads), GIF as one comment of ``name:text`` lines.
        sound: for MP4 and WebM; cut off where the video ends.

    Raises:
        ValueError: another extension, sound for a format without it, other shapes or types, an odd side, an impossible
            frame rate, a quality out of range, or a folder that cannot be written to.
    """
    path = Path(path)
    known = VIDEO_FORMATS.get(path.suffix.lower().removeprefix("."))
    if known is None:
        raise ValueError(f"cannot write {path}: expected a name that ends in .{', .'.join(VIDEO_FORMATS)}")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality is {quality}; expected 1 (smallest files) to 100 (best)")
    if sound is not None and not known.sounds:
        silent = " or ".join(name for name, other in VIDEO_FORMATS.items() if other.sounds)
        raise ValueError(f"{known.name} files hold no sound; write {silent}, or leave the sound out")
    check_frames(frames)
    known.write(frames, path, frame_rate(fps), quality, metadata or {}, sound)


def _write_mp4(
    frames: Frames, path: Path, rate: Fraction, quality: int, metadata: Metadata, sound: Sound | None
) -> None:
    crf = min(51, _rate_factor(quality, best=8))
    write_video(frames, path, float(rate), crf=crf, metadata=metadata, sound=sound)


def _write_webm(
    frames: Frames, path: Path, rate: Fraction, quality: int, metadata: Metadata, sound: Sound | None
) -> None:
    check_even(frames)
    options = {"crf": str(min(63, _rate_factor(quality, best=12))), "b": "0", "deadline": "good", "cpu-used": "3"}
    with atomic_path(path) as temporary, av.open(str(temporary), "w") as container:
        container.metadata.update(metadata)
        encode_yuv(container, ("libvpx-vp9", "libopus"), frames, rate, options, sound)


def _rate_factor(quality: int, best: int) -> int:
    """The constant rate factor of x264 (51 is worst) or VP9 (63): ``best`` at quality 100, 8 more at 90."""
    return best + round((100 - quality) * 0.8)


def _write_webp(
    frames: Frames, path: Path, rate: Fraction, quality: int, metadata: Metadata, sound: Sound | None
) -> None:
    with atomic_path(path) as temporary:
        with av.open(str(temporary), "w", format="webp", options={"loop": "0"}) as container:
            # not libwebp_anim, which merges frames that look alike
            stream = container.add_stream("libwebp", rate=1000, options={"quality": str(quality)})
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "bgra"
            stream.codec_context.time_base = Fraction(1, 1000)
            for frame in _timed(frames, rate, 1000):
                for packet in stream.encode(frame.reformat(format="bgra")):
                    packet.duration = frame.duration
                    container.mux(packet)
            container.mux(stream.encode())
        if metadata:
            _add_exif(temporary, metadata)


def _add_exif(path: Path, metadata: Metadata) -> None:
    """Append an EXIF chunk to an animated WebP and say so in its header (WebP container specification)."""
    exif = Image.Exif()
    for index, (name, words) in enumerate(metadata.items()):
        exif[_MODEL if index == 0 else _MAKE - (index - 1)] = f"{name}:{words}"
    chunk = exif.tobytes().removeprefix(b"Exif\0\0")
    data = bytearray(path.read_bytes())
    assert data[12:16] == b"VP8X", "animations have an extended header"
    data[20] |= 0x08
    data += b"EXIF" + struct.pack("<I", len(chunk)) + chunk + b"\0" * (len(chunk) % 2)
    data[4:8] = struct.pack("<I", len(data) - 8)
    path.write_bytes(data)


def _write_gif(
    frames: Frames, path: Path, rate: Fraction, quality: int, metadata: Metadata, sound: Sound | None
) -> None:
    if rate > _FASTEST_GIF:
        raise ValueError(f"frame rate is {float(rate):g}; GIF plays at most {_FASTEST_GIF} frames per second")
    with atomic_path(path) as temporary:
        with av.open(str(temporary), "w", format="gif", options={"loop": "0"}) as container:
            stream = container.add_stream("gif", rate=100)
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "pal8"
            stream.codec_context.time_base = Fraction(1, 100)
            durations = (_time(index + 1, rate, 100) - _time(index, rate, 100) for index in range(len(frames)))
            for frame in _one_palette(frames, rate):
                for packet in stream.encode(frame):
                    packet.duration = next(durations)
                    container.mux(packet)
            container.mux(stream.encode())
        if metadata:
            _add_comment(temporary, "\n".join(f"{name}:{words}" for name, words in metadata.items()))


def _one_palette(frames: Frames, rate: Fraction) -> Iterator[av.VideoFrame]:
    """The frames in 256 colours that are chosen once for all of them, so that still surfaces do not flicker."""
    graph = av.filter.Graph()
    height, width = frames.shape[1:3]
    source = graph.add_buffer(width=width, height=height, format="rgb24", time_base=Fraction(1, 100))
    copies, palette = graph.add("split"), graph.add("palettegen", "stats_mode=full")
    use, sink = graph.add("paletteuse", "dither=sierra2_4a"), graph.add("buffersink")
    source.link_to(copies)
    copies.link_to(palette, 0, 0)
    copies.link_to(use, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    for frame in _timed(frames, rate, 100):
        graph.push(frame)
    graph.push(None)
    for _ in range(len(frames)):
        yield graph.pull()


def _add_comment(path: Path, words: str) -> None:
    """Insert a comment extension before the trailer of a GIF (GIF89a, section 24)."""
    data, text = path.read_bytes(), words.encode()
    blocks = b"".join(bytes([len(part)]) + part for part in (text[i : i + 255] for i in range(0, len(text), 255)))
    path.write_bytes(data[:-1] + b"\x21\xfe" + blocks + b"\0" + data[-1:])


def _time(index: int, rate: Fraction, ticks: int) -> int:
    """When a frame starts, in ``ticks`` per second."""
    return round(index * ticks / rate)


def _timed(frames: Frames, rate: Fraction, ticks: int) -> Iterator[av.VideoFrame]:
    """RGB frames with start and duration in ``ticks`` per second."""
    for index, image in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(image.cpu().contiguous().numpy(), format="rgb24")
        frame.time_base, frame.pts = Fraction(1, ticks), _time(index, rate, ticks)
        frame.duration = _time(index + 1, rate, ticks) - frame.pts
        yield frame


_ALL = (
    VideoFormat("mp4", "H.264, plays everywhere", _write_mp4, sounds=True),
    VideoFormat("webm", "VP9, smaller, plays in browsers", _write_webm, sounds=True),
    VideoFormat("gif", "256 colours, loops; ComfyUI does not read the workflow in it", _write_gif),
    VideoFormat("webp", "animated picture, loops", _write_webp),
)
VIDEO_FORMATS: dict[str, VideoFormat] = {known.name: known for known in _ALL}
"""Every format by name, which is also its extension."""
