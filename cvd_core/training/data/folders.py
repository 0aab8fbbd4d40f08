"""Clips from folders on disk: RealEstate10K's with their poses, folded; any videos, with deformed copies."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, Strict, TypeAdapter
from torch import Tensor

from cvd_core.declared import read_declared
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats import read_cameras
from cvd_core.training.data.clip_views import fold, fold_frames
from cvd_core.training.data.clips import ClipViews, deformed_views, views_with_cameras
from cvd_core.training.data.decode import VIDEO_SUFFIXES, Frames, VideoFile, fit, open_frames

CAPTIONS = "captions.json"
LONGEST_STEP = 8
"""Most source frames between two of a clip: more would be a jump."""


class ClipFolder(ABC):
    """The clips of a folder and their captions.

    Args:
        root: the folder; ``captions.json`` in it may map clip names to a prompt, or to several to choose from.
        seed: decides what is cut from the clips.

    Raises:
        ValueError: there are no clips, or the captions are damaged.
    """

    WANTED: str
    STREAM: int
    """Sets the random numbers of this kind of data apart."""

    def __init__(self, root: Path, seed: int = 0) -> None:
        self.root, self.seed = root, seed
        self.clips = sorted(self._find())
        if not self.clips:
            raise ValueError(f"{root} holds no {self.WANTED}")
        self._captions = _read_captions(root / CAPTIONS)

    @abstractmethod
    def _find(self) -> Iterator[Path]:
        """The clips."""

    def __len__(self) -> int:
        return len(self.clips)

    def prompts(self) -> set[str]:
        """Every prompt that a clip can have."""
        return {prompt for clip in self.clips for prompt in self._prompts(clip)}

    def draw(self, index: int, *epoch: int) -> tuple[Path, str, np.random.Generator]:
        """Clip ``index``, a prompt of it, and the random numbers for what is cut from it in an epoch, which any numbers
        may name."""
        rng = np.random.default_rng((self.seed, self.STREAM, *epoch, index))
        clip = self.clips[index]
        return clip, str(rng.choice(self._prompts(clip))), rng

    def _prompts(self, clip: Path) -> list[str]:
        return self._captions.get(self._name(clip), [""])

    def _name(self, clip: Path) -> str:
        """What the captions call a clip."""
        return clip.stem


def cut(source: Frames, length: int, rng: np.random.Generator, longest_step: int = LONGEST_STEP) -> list[int]:
    """``length`` evenly spaced frames of a clip, from a random start at a random speed.

    Raises:
        ValueError: the clip is too short.
    """
    longest = (len(source) - 1) // (length - 1)
    if longest < 1:
        raise ValueError(f"{source.path} has {len(source)} frames; training takes {length} of a clip: remove it")
    step = int(rng.integers(1, min(longest, longest_step) + 1))
    start = int(rng.integers(0, len(source) - step * (length - 1)))
    return list(range(start, start + step * length, step))


class FolderViews(ClipFolder):
    """Synchronised views made from the clips of a folder.

    Args:
        root, seed: see :class:`ClipFolder`.
        frames: F of each video.
        width, height: of the videos in pixels.
    """

    def __init__(self, root: Path, frames: int, width: int, height: int, seed: int = 0) -> None:
        super().__init__(root, seed)
        self.frames, self.width, self.height = frames, width, height

    def views(self, index: int, *epoch: int, views: int = 2) -> ClipViews:
        """V views of clip ``index``, which depend on nothing but seed, epoch, index and V."""
        return self._views(*self.draw(index, *epoch), views)

    @abstractmethod
    def _views(self, clip: Path, prompt: str, rng: np.random.Generator, views: int) -> ClipViews:
        """V views of a clip."""

    def _read(self, source: Frames, indices: list[int]) -> Tensor:
        return fit(source.read(indices), self.width, self.height)


class RealEstate10KViews(FolderViews):
    """Static clips with cameras, folded (CVD paper, Sec. 4.2).

    ``root`` holds pose files ``NAME.txt``, anywhere, and besides each the video ``NAME.mp4`` or the folder ``NAME`` of
    its pictures, with one frame per pose.
    """

    WANTED = "pose files (NAME.txt) with a video NAME.mp4 or a folder NAME of pictures besides"
    STREAM = 3

    def _find(self) -> Iterator[Path]:
        return find_estates(self.root)

    def _views(self, clip: Path, prompt: str, rng: np.random.Generator, views: int) -> ClipViews:
        source, cameras = open_estate(clip)
        indices = cut(source, int(np.max(fold_frames(self.frames, views))) + 1, rng)
        path = at_frames(cameras, indices).crop_to(self.width, self.height)
        return views_with_cameras(*fold(self._read(source, indices), path, self.frames, views), prompt)


class VideoViews(FolderViews):
    """Any videos, with copies deformed by homographies that grow from the first frame (CVD paper, Sec. 4.2)."""

    WANTED = f"videos ({', '.join(sorted(VIDEO_SUFFIXES))})"
    STREAM = 4

    def _find(self) -> Iterator[Path]:
        return find_videos(self.root)

    def _views(self, clip: Path, prompt: str, rng: np.random.Generator, views: int) -> ClipViews:
        source = VideoFile(clip)
        return deformed_views(self._read(source, cut(source, self.frames, rng)), views, prompt, rng)


def find_videos(root: Path) -> Iterator[Path]:
    """Video files anywhere in a folder."""
    return (file for file in root.rglob("*") if file.suffix.lower() in VIDEO_SUFFIXES)


def find_estates(root: Path) -> Iterator[Path]:
    """Pose files anywhere in a folder that have their pictures besides."""
    return (file for file in root.rglob("*.txt") if _besides(file) is not None)


def open_estate(pose_file: Path) -> tuple[Frames, Cameras]:
    """The pictures of a clip as RealEstate10K's come, and their cameras, one view.

    Raises:
        ValueError: there are not as many pictures as poses, or no pictures.
    """
    place = _besides(pose_file)
    if place is None:
        raise ValueError(f"the video or pictures of {pose_file} are gone")
    source = open_frames(place)
    cameras = read_cameras(pose_file)
    if len(source) != cameras.frames:
        raise ValueError(
            f"{source.path} has {len(source)} frames, {pose_file.name} {cameras.frames} poses; expected one each"
        )
    return source, cameras


def at_frames(cameras: Cameras, indices: list[int]) -> Cameras:
    """The cameras of some frames, in that order."""
    return replace(cameras, c2w=cameras.c2w[:, indices], intrinsics=cameras.intrinsics[:, indices])


def _besides(file: Path) -> Path | None:
    """The video or the folder of pictures of the same name as a file."""
    places = [file.with_suffix(suffix) for suffix in (*sorted(VIDEO_SUFFIXES), "")]
    return next((place for place in places if place.exists()), None)


_CAPTIONS = TypeAdapter(dict[str, Annotated[str, Strict()] | Annotated[list[str], Field(min_length=1)]])


def _read_captions(path: Path) -> dict[str, list[str]]:
    if not path.exists():
        return {}
    try:
        given = read_declared(_CAPTIONS, json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a map from clip names to prompts (JSON): {error}") from error
    return {name: [text] if isinstance(text, str) else text for name, text in given.items()}
