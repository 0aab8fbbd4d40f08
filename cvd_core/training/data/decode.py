"""Single frames out of videos and folders of pictures, and their way to the size of the network."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import torch
from av.error import FFmpegError
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.nn.functional import interpolate

VIDEO_SUFFIXES = frozenset({".mp4", ".webm", ".mkv", ".mov", ".avi"})
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})


class Frames(ABC):
    """The frames of one clip, read when asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, indices: Sequence[int]) -> Tensor:
        """``(N, 3, H, W)`` uint8 RGB of the frames ``indices``, in that order."""


class VideoFile(Frames):
    """A video of constant frame rate.

    Raises:
        ValueError: no video that can be read.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with _decoding(path), av.open(str(path)) as container:
            stream = container.streams.video[0]
            self._count = stream.frames or sum(1 for _ in container.decode(stream))

    def __len__(self) -> int:
        return self._count

    def read(self, indices: Sequence[int]) -> Tensor:
        wanted = set(indices)
        found: dict[int, Tensor] = {}
        with _decoding(self.path), av.open(str(self.path)) as container:
            stream = container.streams.video[0]
            rate, base = stream.average_rate, stream.time_base
            if not rate or not base:
                raise ValueError(f"{self.path} does not tell its frame rate; encode it anew")
            start = stream.start_time or 0
            container.seek(start + round(min(wanted) / rate / base), stream=stream)
            for frame in container.decode(stream):
                if frame.pts is None:
                    raise ValueError(f"{self.path} does not tell the times of its frames; encode it anew")
                index = round((frame.pts - start) * base * rate)
                if index in wanted:
                    found[index] = torch.from_numpy(frame.to_ndarray(format="rgb24"))
                if index >= max(wanted):
                    break
        if missing := sorted(wanted - found.keys()):
            raise ValueError(
                f"{self.path} has no frame {missing[0]} at {float(rate):g} frames per second; its frame rate may vary: "
                "encode it anew with a constant one"
            )
        if len({picture.shape for picture in found.values()}) > 1:
            raise ValueError(f"{self.path} holds pictures of different sizes; encode it anew with one")
        return torch.stack([found[i] for i in indices]).movedim(-1, 1)


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """Say of a video that FFmpeg stumbles over which one it is."""
    try:
        yield
    except (FFmpegError, IndexError) as error:
        raise ValueError(f"{path} cannot be read as a video: {error}; replace or remove it") from error


class PictureFolder(Frames):
    """A folder of pictures in the order of the numbers in their names, as RealEstate10K's timestamps are."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._files = sorted((f for f in path.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES), key=_number)

    def __len__(self) -> int:
        return len(self._files)

    def read(self, indices: Sequence[int]) -> Tensor:
        pictures = []
        for file in (self._files[i] for i in indices):
            try:
                with Image.open(file) as picture:
                    pictures.append(torch.from_numpy(np.array(picture.convert("RGB"))))
            except (UnidentifiedImageError, OSError) as error:
                raise ValueError(
                    f"{file} cannot be read as a picture: {error}; replace the clip or remove it"
                ) from error
        if len({picture.shape for picture in pictures}) > 1:
            raise ValueError(f"{self.path} holds pictures of different sizes; those of a clip must be equal")
        return torch.stack(pictures).movedim(-1, 1)


def open_frames(path: Path) -> Frames:
    """The frames of a video, or of a folder of pictures.

    Raises:
        ValueError: no video that can be read.
    """
    return PictureFolder(path) if path.is_dir() else VideoFile(path)


def fit(frames: Tensor, width: int, height: int) -> Tensor:
    """The largest centred window of the wanted aspect, at the wanted size: what :meth:`.Cameras.crop_to` describes.

    Args:
        frames: ``(N, 3, H, W)`` uint8.

    Returns:
        ``(N, 3, height, width)`` float32 in [-1, 1].
    """
    *_, h, w = frames.shape
    window_h, window_w = min(h, round(w * height / width)), min(w, round(h * width / height))
    top, left = (h - window_h) // 2, (w - window_w) // 2
    window = frames[..., top : top + window_h, left : left + window_w].float() / 127.5 - 1
    return interpolate(window, (height, width), mode="bilinear", align_corners=False, antialias=True).clamp_(-1, 1)


def _number(file: Path) -> tuple[int, str]:
    numbers = re.findall(r"\d+", file.stem)
    return (int(numbers[-1]) if numbers else -1, file.name)
