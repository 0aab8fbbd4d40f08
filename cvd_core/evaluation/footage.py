"""What is evaluated: the folder of a run, or videos and a camera file, read and checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

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
    """

    videos: Tensor
    cameras: Cameras
    prompts: tuple[str, ...]
    files: tuple[Path, ...]


def read_footage(
    paths: Sequence[Path], cameras: Path | None = None, *, relative: bool = False, prompts: Sequence[str] = ()
) -> Footage:
    """Read videos and cameras.

    Args:
        paths: the folder of one run, or video files, one per view.
        cameras: a camera file of any known format; by default the folder's transforms.json.
        relative: take every view relative to its first camera, as ``cvd generate`` does with pose files.
        prompts: one for all views or one per view; by default those of the folder's run.json.

    Raises:
        ValueError: a video or the cameras are missing or unreadable, or their numbers do not match.
    """
    folder = paths[0] if len(paths) == 1 and paths[0].is_dir() else None
    if folder is None and (folders := [path for path in paths if path.is_dir()]):
        raise ValueError(f"{folders[0]} is a folder; give the folder of one run alone, or one video file per view")
    source = _camera_file(folder, cameras)
    rig = read_cameras(source)
    files = _videos(folder, rig, own_cameras=cameras is not None) if folder else list(paths)
    if len(files) != rig.views:
        raise ValueError(
            f"{len(files)} videos ({', '.join(file.name for file in files)}) and {rig.views} views in {source}; "
            "expected one video per view, in the same order"
        )
    videos = _read_videos(files)
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
        prompts=_prompts(list(prompts) or _recorded_prompts(folder), rig.views),
        files=tuple(files),
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
        raise ValueError("videos without cameras; name their camera file with --cameras")
    if not (folder / CAMERAS).is_file():
        raise ValueError(
            f"{folder} holds no {CAMERAS}, which `cvd generate` writes; name the camera file with --cameras"
        )
    return folder / CAMERAS


def _videos(folder: Path, rig: Cameras, *, own_cameras: bool) -> list[Path]:
    """The views' videos: by the names of transforms.json, or all of the folder in the order of their names."""
    if own_cameras:
        return sorted(file for file in folder.iterdir() if file.suffix.lower() in VIDEO_ENDINGS and file.name != GRID)
    files = [folder / f"{name}.mp4" for name in rig.names]
    if missing := [file.name for file in files if not file.is_file()]:
        raise ValueError(
            f"{folder} lacks {', '.join(missing)}, which {CAMERAS} names; expected one MP4 per view, or video files "
            "and --cameras"
        )
    return files


def read_reference(folder: Path, frames: int) -> Tensor:
    """``(N, frames, H, W, 3)`` uint8: the beginning of every video of a folder, of one size.

    Raises:
        ValueError: no folder, no videos, one that is too short or of another size.
    """
    if not folder.is_dir():
        raise ValueError(
            f"{folder} {'is a file' if folder.exists() else 'does not exist'}; expected a folder of videos"
        )
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in VIDEO_ENDINGS and file.name != GRID)
    if not files:
        raise ValueError(f"{folder} holds no videos; expected the real videos to compare with")
    videos = [read_video(file)[0][:frames] for file in files]
    _check_alike(files, videos, frames)
    return torch.stack(videos)


def _read_videos(files: Sequence[Path]) -> Tensor:
    videos = [read_video(file)[0] for file in files]
    _check_alike(files, videos, len(videos[0]))
    return torch.stack(videos)


def _check_alike(files: Sequence[Path], videos: Sequence[Tensor], frames: int) -> None:
    def size(video: Tensor) -> str:
        return f"{len(video)} frames of {video.shape[2]} x {video.shape[1]}"

    expected = (frames, *videos[0].shape[1:])
    for file, video in zip(files, videos, strict=True):
        if video.shape != expected:
            raise ValueError(
                f"{file} has {size(video)} pixels; expected {frames} frames of {expected[2]} x {expected[1]} as in "
                f"{files[0].name}: all videos must be alike"
            )


def _names(files: Sequence[Path]) -> list[str]:
    stems = [file.stem for file in files]
    return stems if len(set(stems)) == len(stems) else [f"view{i}" for i in range(len(files))]


def _recorded_prompts(folder: Path | None) -> list[str]:
    """Prompts of a run.json, if there is one that holds them."""
    if folder is None or not (folder / RECORD).is_file():
        return []
    try:
        prompts = json.loads((folder / RECORD).read_text(encoding="utf-8"))["settings"]["prompts"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / RECORD} holds no prompts ({error!r}); give them with --prompt") from error
    if not isinstance(prompts, list) or not all(isinstance(prompt, str) for prompt in prompts):
        raise ValueError(f"{folder / RECORD}: prompts are {prompts!r}; expected a list of texts")
    return prompts


def _prompts(prompts: list[str], views: int) -> tuple[str, ...]:
    if len(prompts) not in (0, 1, views):
        raise ValueError(f"{len(prompts)} prompts for {views} views; give one for all or one per view")
    return tuple(prompts * views if len(prompts) == 1 else prompts)
