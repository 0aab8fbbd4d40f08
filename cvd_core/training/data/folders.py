"""Video pairs from folders on disk: RealEstate10K clips with their poses, folded; any videos, with a deformed copy."""

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
from torch.utils.data import Dataset

from cvd_core.declared import read_declared
from cvd_core.geometry.formats import read_cameras
from cvd_core.training.data.clips import ClipPair, deformed_pair, folded_pair
from cvd_core.training.data.decode import VIDEO_SUFFIXES, Frames, PictureFolder, VideoFile, fit

CAPTIONS = "captions.json"
LONGEST_STEP = 8
"""Most source frames between two of a clip: more would be a jump."""


class FolderPairs(Dataset[ClipPair], ABC):
    """Pairs from the clips of a folder; pair ``index`` depends on nothing but seed, epoch and index.

    Args:
        root: the folder; ``captions.json`` in it may map clip names to a prompt, or to several to choose from.
        frames: F of each of the two videos.
        width, height: of the videos in pixels.
        seed: decides starts, speeds, prompts and deformations.
    """

    def __init__(self, root: Path, frames: int, width: int, height: int, seed: int = 0) -> None:
        self.root, self.frames, self.width, self.height, self.seed = root, frames, width, height, seed
        self.epoch = 0
        self.clips = sorted(self._find())
        if not self.clips:
            raise ValueError(f"{root} holds no {self.WANTED}")
        self._captions = _read_captions(root / CAPTIONS)

    WANTED: str
    STREAM: int
    """Sets the random numbers of this kind of data apart."""

    @abstractmethod
    def _find(self) -> Iterator[Path]:
        """The clips."""

    @abstractmethod
    def _pair(self, clip: Path, prompt: str, rng: np.random.Generator) -> ClipPair:
        """One pair of a clip."""

    def __len__(self) -> int:
        return len(self.clips)

    def prompts(self) -> set[str]:
        """Every prompt that a pair can have."""
        return {prompt for clip in self.clips for prompt in self._prompts(clip)}

    def __getitem__(self, index: int) -> ClipPair:
        return self.pair(index, self.epoch)

    def pair(self, index: int, *epoch: int) -> ClipPair:
        """The pair of clip ``index`` in an epoch, which any numbers may name."""
        rng = np.random.default_rng((self.seed, self.STREAM, *epoch, index))
        clip = self.clips[index]
        return self._pair(clip, str(rng.choice(self._prompts(clip))), rng)

    def _prompts(self, clip: Path) -> list[str]:
        return self._captions.get(clip.stem, [""])

    def _cut(self, source: Frames, length: int, rng: np.random.Generator) -> list[int]:
        """``length`` evenly spaced frames of a clip, from a random start at a random speed."""
        longest = (len(source) - 1) // (length - 1)
        if longest < 1:
            raise ValueError(f"{source.path} has {len(source)} frames; pairs of {self.frames} take {length}: remove it")
        step = int(rng.integers(1, min(longest, LONGEST_STEP) + 1))
        start = int(rng.integers(0, len(source) - step * (length - 1)))
        return list(range(start, start + step * length, step))

    def _read(self, source: Frames, indices: list[int]) -> Tensor:
        return fit(source.read(indices), self.width, self.height)


class RealEstate10KPairs(FolderPairs):
    """Static clips with cameras, folded at the middle (CVD paper, Sec. 4.2).

    ``root`` holds pose files ``NAME.txt``, anywhere, and besides each the video ``NAME.mp4`` or the folder ``NAME`` of
    its pictures, with one frame per pose.
    """

    WANTED = "pose files (NAME.txt) with a video NAME.mp4 or a folder NAME of pictures besides"
    STREAM = 3

    def _find(self) -> Iterator[Path]:
        return (file for file in self.root.rglob("*.txt") if _besides(file) is not None)

    def _pair(self, clip: Path, prompt: str, rng: np.random.Generator) -> ClipPair:
        place = _besides(clip)
        if place is None:
            raise ValueError(f"the video or pictures of {clip} are gone")
        source: Frames = PictureFolder(place) if place.is_dir() else VideoFile(place)
        cameras = read_cameras(clip)
        if len(source) != cameras.frames:
            raise ValueError(
                f"{source.path} has {len(source)} frames, {clip.name} {cameras.frames} poses; expected one each"
            )
        indices = self._cut(source, 2 * self.frames - 1, rng)
        path = replace(cameras, c2w=cameras.c2w[:, indices], intrinsics=cameras.intrinsics[:, indices])
        path = path.crop_to(self.width, self.height)
        return folded_pair(self._read(source, indices), path, prompt)


class VideoPairs(FolderPairs):
    """Any videos, each with a copy deformed by a homography that grows from the first frame (CVD paper, Sec. 4.2)."""

    WANTED = f"videos ({', '.join(sorted(VIDEO_SUFFIXES))})"
    STREAM = 4

    def _find(self) -> Iterator[Path]:
        return (file for file in self.root.rglob("*") if file.suffix.lower() in VIDEO_SUFFIXES)

    def _pair(self, clip: Path, prompt: str, rng: np.random.Generator) -> ClipPair:
        source = VideoFile(clip)
        return deformed_pair(self._read(source, self._cut(source, self.frames, rng)), prompt, rng)


def collate(pairs: list[ClipPair]) -> list[ClipPair]:
    """For a DataLoader: pairs with and without cameras do not stack."""
    return pairs


def _besides(pose_file: Path) -> Path | None:
    """The video or the folder of pictures that a pose file belongs to."""
    places = [pose_file.with_suffix(suffix) for suffix in (*sorted(VIDEO_SUFFIXES), "")]
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
