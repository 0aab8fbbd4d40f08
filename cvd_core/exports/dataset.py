"""Videos and their cameras as datasets for reconstruction: still scenes moment by moment, or one scene with time."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats import Recording, write_cameras
from cvd_core.geometry.formats.output import check_names
from cvd_core.geometry.formats.poses import OPENGL
from cvd_core.output_folder import complete_folder

SPLITS = ("train", "val", "test")
_ONE_LENS = 1e-3
"""How far lenses may differ, relatively, and principal points from the middle, in a file that states one angle."""


@dataclass(frozen=True)
class DatasetLayout:
    """How a dataset lies on disk.

    Attributes:
        name: what users call it.
        description: one line for help texts and documents.
        names: of the files and folders right inside the dataset: ``(frames, any view held out) -> names``.
        write: ``(videos, cameras, folder, views held out) -> None``.
        splits: whether it tells views to train on from others.
    """

    name: str
    description: str
    names: Callable[[int, bool], list[str]]
    write: Callable[[Tensor, Cameras, Path, Sequence[str]], None]
    splits: bool = False


def write_dataset(
    videos: Tensor, cameras: Cameras, out: Path, layout: str, *, held_out: Sequence[str] = ()
) -> list[Path]:
    """Write a dataset into ``out``, everything or nothing; returns the files and folders right inside it.

    Args:
        videos: ``(V, F, H, W, 3)`` uint8 RGB.
        cameras: of every picture, with square pixels at H x W, all views in one world.
        out: folder, made as needed; nothing in it is overwritten.
        layout: a name in :data:`DATASETS`.
        held_out: ``dnerf`` only: names of views that are not for training but for validation and test. Without any,
            these two list the pictures of training, so their measures are those of training.

    Raises:
        ValueError: an unknown layout, cameras that are not those of the videos or that the layout cannot hold, view
            names that cannot be file names, no view left to train on, or a folder that holds such files already or
            cannot be written to.
    """
    if layout not in DATASETS:
        raise ValueError(f"dataset layout is {layout!r}; expected one of {', '.join(DATASETS)}")
    known = DATASETS[layout]
    if videos.ndim != 5 or videos.shape[-1] != 3 or videos.dtype != torch.uint8:
        raise ValueError(
            f"videos have shape {tuple(videos.shape)} and type {videos.dtype}; expected uint8 of shape (views, frames, "
            "height, width, 3)"
        )
    if videos.shape[:2] != (cameras.views, cameras.frames):
        raise ValueError(
            f"the videos are {videos.shape[0]} views of {videos.shape[1]} frames, the cameras {cameras.views} of "
            f"{cameras.frames}; expected one camera per picture"
        )
    if held_out and not known.splits:
        raise ValueError(f"`held_out` is for the layout dnerf, which tells views to train on from others, not {layout}")
    if unknown := [name for name in held_out if name not in cameras.names]:
        raise ValueError(f"there is no view {unknown[0]!r} to hold out; the views are {', '.join(cameras.names)}")
    if len(set(held_out)) == cameras.views:
        raise ValueError("all views are held out; leave at least one to train on")
    check_names(cameras, out)
    names = known.names(cameras.frames, bool(held_out))
    with complete_folder(out, names) as folder:
        known.write(videos, cameras, folder, held_out)
    return [out / name for name in names]


def _moment_names(frames: int, held_out: bool) -> list[str]:
    digits = max(4, len(str(frames - 1)))
    return [f"moment_{frame:0{digits}}" for frame in range(frames)]


def _write_moments(videos: Tensor, cameras: Cameras, folder: Path, held_out: Sequence[str]) -> None:
    """A folder per frame, with what nerfstudio (transforms.json) and COLMAP and its kin (sparse/0) read."""
    height, width = videos.shape[2:4]
    for frame, name in enumerate(_moment_names(cameras.frames, False)):
        pictures = [f"{view}/frame_00000.png" for view in cameras.names]  # the names that COLMAP's writer gives them
        for view, picture in enumerate(pictures):
            _save(videos[view, frame], folder / name / "images" / picture)
        now = cameras.frame(frame)
        shown = Recording(now, images=tuple((f"images/{picture}",) for picture in pictures))
        write_cameras(shown, folder / name / "transforms.json", width=width, height=height)
        write_cameras(now, folder / name / "sparse" / "0", format="colmap", width=width, height=height)


def _dnerf_names(frames: int, held_out: bool) -> list[str]:
    return [*(f"transforms_{split}.json" for split in SPLITS), "train", *(["test"] if held_out else [])]


def _write_dnerf(videos: Tensor, cameras: Cameras, folder: Path, held_out: Sequence[str]) -> None:
    """D-NeRF's layout: ``transforms_<split>.json`` with times from 0 to 1, camera-to-world with OpenGL axes."""
    height, width = videos.shape[2:4]
    angle = _one_angle(cameras, width, height)
    last = max(1, cameras.frames - 1)
    matrices = (cameras.c2w.numpy() @ OPENGL).tolist()
    listed: dict[str, list[dict[str, Any]]] = {"train": [], "test": []}
    for view, name in enumerate(cameras.names):
        split = "test" if name in held_out else "train"
        for frame in range(cameras.frames):
            place = f"{split}/{name}_{frame:05}"
            # Opaque, but with alpha: readers of this layout blend with the last of the channels, whichever it is.
            _save(videos[view, frame], folder / f"{place}.png", mode="RGBA")
            listed[split].append(
                {"file_path": f"./{place}", "time": frame / last, "transform_matrix": matrices[view][frame]}
            )
    for split in SPLITS:
        content = {
            "camera_angle_x": angle,
            "w": width,
            "h": height,
            "frames": listed["train"] if split == "train" or not held_out else listed["test"],
        }
        (folder / f"transforms_{split}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _one_angle(cameras: Cameras, width: int, height: int) -> float:
    """The horizontal field of view in radians, where it is the same everywhere and says all about the lens."""
    lens = cameras.intrinsics
    oblong = (lens[..., 0] * width / (lens[..., 1] * height) - 1).abs() > _ONE_LENS
    changes = ((lens[..., :2] / lens[0, 0, :2] - 1).abs() > _ONE_LENS).any(-1)
    off_centre = ((lens[..., 2:] - 0.5).abs() > _ONE_LENS).any(-1)
    for wrong, problem in (
        (changes, "another focal length than the first"),
        (off_centre, "an off-centre lens"),
        (oblong, "pixels that are not square"),
    ):
        if bool(wrong.any()):
            view, frame = wrong.nonzero()[0].tolist()
            raise ValueError(
                f"D-NeRF files state one field of view for all pictures, but frame {frame} of {cameras.names[view]} "
                f"has {problem}; export moments instead, which keep every lens"
            )
    return 2 * math.atan(0.5 / float(lens[0, 0, 0]))


def _save(picture: Tensor, path: Path, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(picture)).convert(mode).save(path)


_ALL = (
    DatasetLayout(
        "moments",
        "a still scene per frame: pictures of all views, transforms.json (nerfstudio), sparse/0 (COLMAP, 3DGS)",
        _moment_names,
        _write_moments,
    ),
    DatasetLayout(
        "dnerf",
        "one scene with time: transforms_train.json and so on, as D-NeRF and 4D Gaussian splatting read them",
        _dnerf_names,
        _write_dnerf,
        splits=True,
    ),
)
DATASETS: dict[str, DatasetLayout] = {known.name: known for known in _ALL}
"""Every layout by name."""
