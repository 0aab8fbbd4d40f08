"""What SynCamMaster learns from, out of folders: several cameras around one scene, and what stands in for it where that
is scarce (SynCamMaster, Sec. 3.3 and 3.4)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats import read_cameras
from cvd_core.syncam.cameras import TRAINED_FOCAL
from cvd_core.training.data.decode import VIDEO_SUFFIXES, Frames, VideoFile, fit, open_frames
from cvd_core.training.data.folders import ClipFolder, at_frames, cut, find_estates, find_videos, open_estate

EXTRINSICS = "camera_extrinsics.json"
MOST_APART = 100
"""Frames of a clip from the first to the last of the pictures that are taken of it (App. C)."""
Angles = tuple[float, float]
ANY_ANGLES = (0.0, 180.0)
_ROUNDING = 1e-6
_LENS = (TRAINED_FOCAL, TRAINED_FOCAL, 0.5, 0.5)
"""The network is not told of lenses, and the files hold none: any will do."""


@dataclass(frozen=True, eq=False)
class SceneViews:
    """V views of one scene at the same times.

    Attributes:
        videos: ``(V, F, 3, H, W)`` in [-1, 1]; of pictures, F is 1.
        prompt: of all.
        cameras: V x F, in metres where the folder has metres.
    """

    videos: Tensor
    prompt: str
    cameras: Cameras


class SceneFolder(ClipFolder):
    """Gives V views of one scene.

    Args:
        root, seed: see :class:`ClipFolder`.
        views: V.
        frames: F of a video.
        width, height: in pixels.
    """

    def __init__(self, root: Path, views: int, frames: int, width: int, height: int, seed: int = 0) -> None:
        super().__init__(root, seed)
        self.views, self.frames, self.width, self.height = views, frames, width, height

    @abstractmethod
    def sample(self, index: int, *epoch: int, angles: Angles = ANY_ANGLES) -> SceneViews:
        """Views of clip ``index``, which depend on nothing but seed, epoch, index and angles.

        Args:
            index: of the clip.
            epoch: any numbers.
            angles: degrees, the least and the most between where the first view looks and where each other does, of
                cameras that film at once.

        Raises:
            ValueError: the clip cannot be read, is too short, or has no such views.
        """

    def _read(self, source: Frames, indices: Sequence[int]) -> Tensor:
        return fit(source.read(indices), self.width, self.height)


class MultiCameraVideos(SceneFolder):
    """Synchronised videos by cameras that stand around a scene, laid out as SynCamVideo-Dataset is.

    Anywhere in ``root``, a scene is a folder with ``cameras/camera_extrinsics.json`` (or that file itself) and,
    anywhere in it, the video ``cam01.mp4`` or the folder ``cam01`` of pictures for every camera that the file names.
    The file has poses of every frame, or of one for cameras that stand still. In ``captions.json`` a scene goes by its
    folder's name.
    """

    WANTED = f"scenes ({EXTRINSICS} with the videos of its cameras)"
    STREAM = 5

    def _find(self) -> Iterator[Path]:
        return self.root.rglob(EXTRINSICS)

    def _name(self, clip: Path) -> str:
        return _scene(clip).name

    def sample(self, index: int, *epoch: int, angles: Angles = ANY_ANGLES) -> SceneViews:
        clip, prompt, rng = self.draw(index, *epoch)
        cameras, videos = _open_scene(clip)
        chosen = choose_views(cameras, self.views, angles, rng)
        if not chosen:
            raise ValueError(self._unfit(clip, cameras, angles))
        sources = [open_frames(videos[cameras.names[view]]) for view in chosen]
        if len({len(source) for source in sources}) > 1:
            lengths = ", ".join(f"{source.path.name} {len(source)}" for source in sources)
            raise ValueError(f"the videos of {_scene(clip)} are not equally long ({lengths} frames); mend or remove it")
        indices = cut(sources[0], self.frames, rng, longest_step=1)
        chosen_cameras = cameras.select(chosen)
        if cameras.frames == 1:
            poses = at_frames(chosen_cameras, [0] * self.frames)
        elif cameras.frames == len(sources[0]):
            poses = at_frames(chosen_cameras, indices)
        else:
            raise ValueError(
                f"{clip} has {cameras.frames} poses, the videos {len(sources[0])} frames; expected one each, or one "
                "pose"
            )
        return SceneViews(torch.stack([self._read(source, indices) for source in sources]), prompt, poses)

    def check(self, ranges: Sequence[Angles]) -> None:
        """Raise ValueError unless every scene has cameras with such angles between them."""
        for clip in self.clips:
            cameras, _ = _open_scene(clip)
            for angles in ranges:
                if not choose_views(cameras, self.views, angles, np.random.default_rng(0)):
                    raise ValueError(self._unfit(clip, cameras, angles))

    def _unfit(self, clip: Path, cameras: Cameras, angles: Angles) -> str:
        return (
            f"{clip}: none of its {cameras.views} cameras has {self.views - 1} others that look {angles[0]:g} to "
            f"{angles[1]:g} degrees away; train on fewer views or other angles, or remove the scene"
        )


class StaticPictures(SceneFolder):
    """V pictures of a clip of a static scene as views of one moment: clips with poses as RealEstate10K's come.

    The pictures are at most :data:`MOST_APART` frames apart, which keeps them overlapping.
    """

    WANTED = "pose files (NAME.txt) with a video NAME.mp4 or a folder NAME of pictures besides"
    STREAM = 6

    def _find(self) -> Iterator[Path]:
        return find_estates(self.root)

    def sample(self, index: int, *epoch: int, angles: Angles = ANY_ANGLES) -> SceneViews:
        clip, prompt, rng = self.draw(index, *epoch)
        source, cameras = open_estate(clip)
        if len(source) < self.views:
            raise ValueError(f"{source.path} has {len(source)} frames; {self.views} are taken of a clip: remove it")
        window = min(len(source), MOST_APART + 1)
        start = int(rng.integers(0, len(source) - window + 1))
        indices = [start + int(i) for i in rng.choice(window, self.views, replace=False)]
        poses = at_frames(cameras, indices)
        by_view = Cameras(poses.c2w.transpose(0, 1), poses.intrinsics.transpose(0, 1))
        return SceneViews(self._read(source, indices)[:, None], prompt, by_view)


class StillVideos(SceneFolder):
    """Videos by a camera that stands still, V times the same: views that overlap wholly."""

    WANTED = f"videos ({', '.join(sorted(VIDEO_SUFFIXES))})"
    STREAM = 7

    def _find(self) -> Iterator[Path]:
        return find_videos(self.root)

    def sample(self, index: int, *epoch: int, angles: Angles = ANY_ANGLES) -> SceneViews:
        clip, prompt, rng = self.draw(index, *epoch)
        source = VideoFile(clip)
        video = self._read(source, cut(source, self.frames, rng, longest_step=1))
        poses = torch.eye(4, dtype=torch.float64).expand(self.views, self.frames, 4, 4)
        lens = torch.tensor(_LENS, dtype=torch.float64).expand(self.views, self.frames, 4)
        return SceneViews(video.expand(self.views, *video.shape), prompt, Cameras(poses, lens))


def choose_views(cameras: Cameras, views: int, angles: Angles, rng: np.random.Generator) -> list[int] | None:
    """Random views; in the first frame, all others look so many degrees apart from the first. None: there are none.

    The paper speaks of the azimuths of each pair, but four cameras 60 to 120 degrees apart from each other do not
    exist. For cameras at one height that look at one point, directions and azimuths are the same.
    """
    forward = cameras.c2w[:, 0, :3, 2]
    between = torch.rad2deg(torch.acos((forward @ forward.T).clamp(-1, 1)))
    fits = (between >= angles[0] - _ROUNDING) & (between <= angles[1] + _ROUNDING)
    order = [int(view) for view in rng.permutation(cameras.views)]
    for first in order:
        others = [view for view in order if view != first and fits[first, view]]
        if len(others) >= views - 1:
            return [first, *others[: views - 1]]
    return None


def _scene(clip: Path) -> Path:
    return clip.parent.parent if clip.parent.name == "cameras" else clip.parent


def _open_scene(clip: Path) -> tuple[Cameras, dict[str, Path]]:
    """The cameras of a scene, and each one's video or folder of pictures."""
    cameras = read_cameras(clip, format="recammaster", intrinsics=_LENS)
    videos: dict[str, Path] = {}
    for path in sorted(_scene(clip).rglob("*")):
        if path.stem in cameras.names and path.suffix.lower() in VIDEO_SUFFIXES:
            videos[path.stem] = path
        elif path.name in cameras.names and path.is_dir():
            videos[path.name] = path
    if missing := [name for name in cameras.names if name not in videos]:
        raise ValueError(f"{_scene(clip)} has no video of {', '.join(missing)}, which {clip.name} names")
    return cameras, videos
