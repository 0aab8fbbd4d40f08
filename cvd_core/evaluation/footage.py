"""What is evaluated: the folder of a run, or videos and a camera file, read and checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from cvd_core.files import natural_key
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats import read_cameras
from cvd_core.scenes.world import OBJECT_COLOURS, SHAPES, vocabulary
from cvd_core.video.files import read_video
from cvd_core.video.run_folder import CAMERAS, GRID, RECORD

VIDEO_ENDINGS = (".mp4", ".webm", ".mkv", ".mov", ".avi", ".gif")


@dataclass(frozen=True, eq=False)
class Footage:
    """Videos and their cameras.

    Attributes:
        videos: ``(V, F, H, W, 3)`` uint8.
        cameras: one per picture, in one world; names are the videos' names.
        prompts: one per view, or none.
        files: the videos.
        fps: frames per second of the first video.
    """

    videos: Tensor
    cameras: Cameras
    prompts: tuple[str, ...]
    files: tuple[Path, ...]
    fps: float


def read_footage(
    paths: Sequence[Path], cameras: Path | None = None, *, relative: bool = False, prompts: Sequence[str] = ()
) -> Footage:
    """Read videos and the cameras they were made with.

    Cameras that have names go with the videos of those names, never by position. Cameras without names (``view0``,
    ``view1`` ..., where no video is called that) go with the videos in the order given, or a folder's in natural order.

    Args:
        paths: the folder of one run, or video files, one per view; the views keep the order of the files.
        cameras: a camera file of any known format; by default the folder's transforms.json, whose order the views keep.
        relative: take every view relative to its first camera, as ``cvd generate`` does with pose files.
        prompts: one for all views, or one per view in their order; by default those of the folder's run.json.

    Raises:
        ValueError: a video or the cameras are missing or unreadable, or do not belong together.
    """
    folder = paths[0] if len(paths) == 1 and paths[0].is_dir() else None
    if folder is None and (folders := [path for path in paths if path.is_dir()]):
        raise ValueError(f"{folders[0]} is a folder; give the folder of one run alone, or one video file per view")
    source = _camera_file(folder, cameras)
    rig = read_cameras(source)
    if folder is None:
        files, rig = _pair(paths, rig, source)
    elif cameras is None:
        files = _recorded_videos(folder, rig)
    else:
        files, rig = _pair(_videos(folder), rig, source)
    texts = list(prompts) or _recorded_prompts(folder, files)
    if len(texts) not in (0, 1, rig.views):
        raise ValueError(f"{len(texts)} prompts for {rig.views} views; give one for all or one per view")
    videos, fps = _read_videos(files)
    if videos.shape[1] != rig.frames:
        raise ValueError(
            f"the videos have {videos.shape[1]} frames, {source} has cameras for {rig.frames}; expected one camera per "
            "frame - give the cameras that the videos were made with"
        )
    height, width = videos.shape[2:4]
    rig = replace(rig.crop_to(width, height), names=tuple(_names(files)))
    return Footage(
        videos=videos,
        cameras=rig.relative_to_first() if relative else rig,
        prompts=tuple(texts * rig.views if len(texts) == 1 else texts),
        files=tuple(files),
        fps=fps,
    )


def prompted_objects(prompts: Sequence[str]) -> dict[str, tuple[float, float, float]]:
    """Colours of the objects that prompts for procedural scenes name; none if a prompt has any other word in it."""
    words = [prompt.lower().split() for prompt in prompts]
    known = set(vocabulary())
    if not words or any(word not in known for text in words for word in text):
        return {}
    pairs = [pair for text in words for pair in pairwise(text)]
    found = {colour for colour, shape in pairs if colour in OBJECT_COLOURS and shape in SHAPES}
    return {name: rgb for name, rgb in OBJECT_COLOURS.items() if name in found}


def _camera_file(folder: Path | None, cameras: Path | None) -> Path:
    if cameras is not None:
        return cameras
    if folder is None:
        raise ValueError("videos without cameras; give the camera file that they were made with as `cameras`")
    if not (folder / CAMERAS).is_file():
        raise ValueError(f"{folder} holds no {CAMERAS}, which cvd generate writes; give a camera file as `cameras`")
    return folder / CAMERAS


def _videos(folder: Path) -> list[Path]:
    """All videos of a folder but the grid, in natural order."""
    found = (file for file in folder.iterdir() if file.suffix.lower() in VIDEO_ENDINGS and file.name != GRID)
    return sorted(found, key=lambda file: natural_key(file.name))


def _recorded_videos(folder: Path, rig: Cameras) -> list[Path]:
    """The videos of a run, by the view names of its transforms.json."""
    files = [folder / f"{name}.mp4" for name in rig.names]
    if missing := [file.name for file in files if not file.is_file()]:
        raise ValueError(
            f"{folder} lacks {', '.join(missing)}, named in {CAMERAS}; expected one MP4 per view, or the video files "
            "and their `cameras`"
        )
    return files


def _pair(files: Sequence[Path], rig: Cameras, source: Path) -> tuple[list[Path], Cameras]:
    """The videos with the cameras in their order, by name where the cameras have names."""
    stems, names = [file.stem for file in files], list(rig.names)
    listed = f"{len(files)} videos ({', '.join(file.name for file in files)})"
    unnamed = names == [f"view{view}" for view in range(rig.views)] or len(set(names)) < len(names)
    if not set(stems) & set(names) and (unnamed or rig.views == len(files) == 1):
        if len(files) != rig.views:
            raise ValueError(f"{listed} and {rig.views} views in {source}; expected one video per view")
        return list(files), rig
    if sorted(stems) != sorted(names):
        raise ValueError(
            f"{listed} and cameras called {', '.join(names)} in {source}; expected one video per camera, of the same "
            "name: rename the videos, or leave out those without a camera"
        )
    return list(files), rig.select([names.index(stem) for stem in stems])


def reference_videos(folder: Path) -> list[Path]:
    """All videos below a folder.

    Raises:
        ValueError: no folder, or no videos.
    """
    if not folder.is_dir():
        raise ValueError(
            f"{folder} {'is a file' if folder.exists() else 'does not exist'}; expected a folder of videos"
        )
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in VIDEO_ENDINGS and file.name != GRID)
    if not files:
        raise ValueError(f"{folder} holds no videos; expected the real videos to compare with")
    return files


def read_reference(files: Sequence[Path], frames: int) -> Tensor:
    """``(N, frames, H, W, 3)`` uint8: the beginnings of N videos of one size.

    Raises:
        ValueError: one that is unreadable, too short or of another size.
    """
    videos = [read_video(file)[0][:frames] for file in files]
    _check_alike(files, videos, frames)
    return torch.stack(videos)


def _read_videos(files: Sequence[Path]) -> tuple[Tensor, float]:
    videos, rates = zip(*(read_video(file) for file in files), strict=True)
    _check_alike(files, videos, len(videos[0]))
    return torch.stack(videos), rates[0]


def _check_alike(files: Sequence[Path], videos: Sequence[Tensor], frames: int) -> None:
    def size(video: Tensor) -> str:
        return f"{len(video)} frames of {video.shape[2]} x {video.shape[1]}"

    expected = (frames, *videos[0].shape[1:])
    for file, video in zip(files, videos, strict=True):
        if video.shape != expected:
            raise ValueError(
                f"{file} has {size(video)} pixels; expected {frames} frames of {expected[2]} x {expected[1]} as in "
                f"{files[0].name}: all videos must have one length and size"
            )


def _names(files: Sequence[Path]) -> list[str]:
    stems = [file.stem for file in files]
    return stems if len(set(stems)) == len(stems) else [f"view{i}" for i in range(len(files))]


def _recorded_prompts(folder: Path | None, files: Sequence[Path]) -> list[str]:
    """Prompts of the views in ``files``, or one for all, from the folder's run.json; none if there is no such file."""
    if folder is None or not (folder / RECORD).is_file():
        return []
    record = folder / RECORD
    try:
        prompts = json.loads(record.read_text(encoding="utf-8"))["settings"]["prompts"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{record} holds no prompts ({error!r}); give them as `prompts`") from error
    if not isinstance(prompts, list) or not all(isinstance(prompt, str) for prompt in prompts):
        raise ValueError(f"{record}: prompts are {prompts!r}; expected a list of texts")
    if len(prompts) < 2:
        return prompts
    names = read_cameras(folder / CAMERAS).names if (folder / CAMERAS).is_file() else ()
    of_view = dict(zip(names, prompts, strict=True)) if len(names) == len(prompts) else {}
    if unknown := [file.name for file in files if file.stem not in of_view]:
        raise ValueError(f"{record} has a prompt per view, but not for {', '.join(unknown)}; give them as `prompts`")
    return [of_view[file.stem] for file in files]
