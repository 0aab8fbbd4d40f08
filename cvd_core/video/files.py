"""Videos as files: H.264 in MP4, frame by frame what was rendered, in colours that every player agrees on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import torch
from av.container import OutputContainer
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation
from torch import Tensor

from cvd_core.files import atomic_path
from cvd_core.video.clip import Frames
from cvd_core.video.sound import Sound, add_sound, encode_sound

QUALITY = 16
"""x264's constant rate factor: visually lossless; 0 is lossless, 23 the encoder's own choice."""

_EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.BITEXACT
_SLOWEST, _FASTEST = 0.01, 1000
"""Frames per second beyond which a number is considered a mistake."""


def frame_rate(fps: float) -> Fraction:
    """Frames per second as the fraction that video files state.

    Raises:
        ValueError: an impossible number.
    """
    if not _SLOWEST <= fps <= _FASTEST:
        raise ValueError(f"frame rate is {fps}; expected frames per second from {_SLOWEST} to {_FASTEST}, such as 8")
    return Fraction(fps).limit_denominator(1001)


def write_video(
    frames: Frames,
    path: str | os.PathLike[str],
    fps: float = 8,
    *,
    crf: int = QUALITY,
    metadata: Mapping[str, str] | None = None,
    sound: Sound | None = None,
) -> None:
    """Write an MP4 (H.264, 4:2:0, BT.709, limited range, tagged as such) of exactly these frames.

    The same frames give the same bytes with the same library. No frame is reordered, so there is no edit list that some
    programs pass over: every view starts at its first frame everywhere. An interruption leaves no file behind.

    Args:
        frames: ``(F, H, W, 3)`` uint8 RGB, H and W even; pictures of a :class:`Clip` are made one by one.
        path: ends in ``.mp4``; folders are made as needed.
        fps: frames per second.
        crf: x264's constant rate factor, 0 (lossless) to 51.
        metadata: texts to store in the file, by name.
        sound: to go with it; cut off where the video ends.

    Raises:
        ValueError: other shapes or types, an odd height or width, an impossible frame rate, another extension, or a
            folder that cannot be written to.
    """
    path = Path(path)
    check_even(frames)
    if path.suffix.lower() != ".mp4":
        raise ValueError(f"cannot write {path}: videos are MP4 files; name it something.mp4")
    rate = frame_rate(fps)
    layout = {"movflags": "+faststart+use_metadata_tags" if metadata else "+faststart", "use_editlist": "0"}
    with atomic_path(path) as temporary, av.open(str(temporary), "w", options=layout) as container:
        container.metadata.update(metadata or {})
        # one thread, for the encoder's decisions depend on how many there are; the conversion averages blocks of 2 x 2
        # pixels for one chroma sample, which lies in their centre
        options = {"crf": str(crf), "bf": "0", "threads": "1", "chroma_sample_location": "center"}
        encode_yuv(container, ("libx264", "aac"), frames, rate, options, sound)


def encode_yuv(
    container: OutputContainer,
    codecs: tuple[str, str],
    frames: Frames,
    rate: Fraction,
    options: dict[str, str],
    sound: Sound | None = None,
) -> None:
    """Encode ``(F, H, W, 3)`` uint8 RGB as a video stream of ``container``: 4:2:0, BT.709, limited range, tagged so.

    Args:
        codecs: of the video and of the sound.
    """
    codec, sound_codec = codecs
    stream = cast(av.VideoStream, container.add_stream(codec, rate=rate, options=options))
    stream.height, stream.width = frames.shape[1:3]
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
    context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    sound_stream = None if sound is None else add_sound(container, sound_codec, sound)
    for index, image in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(image.cpu().contiguous().numpy(), format="rgb24").reformat(
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=_EXACT | Interpolation.FULL_CHR_H_INP,
        )
        frame.pts, frame.duration, frame.time_base = index, 1, 1 / rate
        container.mux(stream.encode(frame))
    container.mux(stream.encode())
    if sound is not None and sound_stream is not None:
        encode_sound(container, sound_stream, sound, float(len(frames) / rate))


def read_video(path: str | os.PathLike[str]) -> tuple[Tensor, float]:
    """All frames of a video, in the order they are shown, and its frame rate.

    Returns:
        ``(F, H, W, 3)`` uint8 RGB, colours converted as the file's tags say; frames per second.

    Raises:
        ValueError: no such file, or no video that can be decoded.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}; expected a video file")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError(f"{path} holds no video; expected a video file")
            stream = container.streams.video[0]
            rate = stream.average_rate
            images = [
                torch.from_numpy(frame.to_ndarray(format="rgb24", interpolation=_EXACT))
                for frame in container.decode(stream)
            ]
    except av.error.FFmpegError as error:
        raise ValueError(f"{path} cannot be read as a video ({error.strerror}); expected e.g. an MP4 file") from error
    if not images or rate is None:
        raise ValueError(f"{path} holds no frames; it was probably cut off - get it again")
    return torch.stack(images), float(rate)


def check_frames(frames: Frames) -> None:
    """Raise ValueError unless ``frames`` is ``(F, H, W, 3)`` uint8 with at least one pixel."""
    if len(frames.shape) != 4 or frames.shape[-1] != 3 or 0 in frames.shape or frames.dtype != torch.uint8:
        raise ValueError(
            f"frames have shape {tuple(frames.shape)} and type {frames.dtype}; expected uint8 of shape "
            "(frames, height, width, 3)"
        )


def check_even(frames: Frames) -> None:
    """:func:`check_frames`, and an even height and width, which 4:2:0 video needs."""
    check_frames(frames)
    height, width = frames.shape[1:3]
    if height % 2 or width % 2:
        raise ValueError(
            f"frames are {width} x {height} pixels; H.264 video takes even numbers only, as does VP9 - use a multiple "
            "of 8"
        )
