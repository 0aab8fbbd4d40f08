"""Objects found by their known colours: the exact measures on procedural scenes stand on these tracks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

HUE_TOLERANCE = math.radians(25)
"""Half the smallest difference of hue between two colours of the procedural scenes (52 degrees)."""
SMALLEST_SATURATION = 0.4
"""1 - min / max over the channels. Floors and skies stay below it, objects are near 0.9."""
SMALLEST_CHROMA = 0.12
"""max - min over the channels: darker pixels have no hue worth the name."""
SMALLEST_AREA = 6
"""Fewer connected pixels are noise."""
_EIGHT = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True, eq=False)
class ObjectTracks:
    """Where M objects are in V views of F frames, one row per colour.

    Attributes:
        names: of the M colours.
        centers: ``(V, F, M, 2)`` x, y of the visible region's centroid in pixels; NaN where nothing was found.
        areas: ``(V, F, M)`` pixels; 0 where nothing was found.
        roundness: ``(V, F, M)`` area over that of the circle around it: 1 for a disc, 0.64 for a square;
            NaN where nothing was found.
        rgb: ``(V, F, M, 3)`` mean colour in [0, 1]; NaN where nothing was found.
        whole: ``(V, F, M)`` bool: found, and neither cut by the picture's edge nor touching another object, which
            might hide a part of it.
        width, height: of the pictures.
    """

    names: tuple[str, ...]
    centers: Tensor
    areas: Tensor
    roundness: Tensor
    rgb: Tensor
    whole: Tensor
    width: int
    height: int

    def select(self, views: Sequence[int]) -> ObjectTracks:
        """The tracks of ``views``, in that order; ``[0, 0]`` shows view 0 as both (the copy control)."""
        index = list(views)
        names = ("centers", "areas", "roundness", "rgb", "whole")
        return replace(self, **{name: getattr(self, name)[index] for name in names})


def check_videos(videos: Tensor) -> None:
    """Raise ValueError unless ``videos`` is ``(V, F, H, W, 3)`` uint8 with at least one pixel."""
    if videos.ndim != 5 or videos.shape[-1] != 3 or 0 in videos.shape or videos.dtype != torch.uint8:
        raise ValueError(
            f"videos have shape {tuple(videos.shape)} and type {videos.dtype}; expected uint8 of shape "
            "(views, frames, height, width, 3)"
        )


def track_objects(videos: Tensor, colours: Mapping[str, Sequence[float]]) -> ObjectTracks:
    """Find one object per colour in every picture: the largest connected region of its hue.

    Args:
        videos: ``(V, F, H, W, 3)`` uint8.
        colours: RGB in [0, 1] by name, such as entries of ``OBJECT_COLOURS`` of the procedural scenes.

    Raises:
        ValueError: other shapes or types, no colours, a grey one, or two of nearly the same hue.
    """
    check_videos(videos)
    check_colours(colours)
    views, frames, height, width, _ = videos.shape
    count = len(colours)
    centers = np.full((views, frames, count, 2), np.nan)
    areas = np.zeros((views, frames, count))
    roundness = np.full((views, frames, count), np.nan)
    rgb = np.full((views, frames, count, 3), np.nan)
    whole = np.zeros((views, frames, count), dtype=bool)
    for view, frame in np.ndindex(views, frames):
        picture = videos[view, frame].cpu().numpy() / 255.0
        masks = [largest_of_hue(picture, colour) for colour in colours.values()]
        for i, mask in enumerate(masks):
            if mask.any():
                at = (view, frame, i)
                centers[at], areas[at], roundness[at] = _outline(mask)
                rgb[at] = picture[mask].mean(0)
                whole[at] = not hidden_in_part(mask, masks[:i] + masks[i + 1 :])
    return ObjectTracks(
        names=tuple(colours),
        centers=torch.from_numpy(centers),
        areas=torch.from_numpy(areas),
        roundness=torch.from_numpy(roundness),
        rgb=torch.from_numpy(rgb),
        whole=torch.from_numpy(whole),
        width=width,
        height=height,
    )


def check_colours(colours: Mapping[str, Sequence[float]]) -> None:
    """Raise ValueError unless objects of these colours can be found and told apart by hue."""
    if not colours:
        raise ValueError("no object colours given; expected at least one, such as red")
    hues = {name: _chromatic(np.asarray(colour, dtype=np.float64)) for name, colour in colours.items()}
    for name, hue in hues.items():
        if np.linalg.norm(hue) < SMALLEST_CHROMA:
            raise ValueError(f"{name} is a grey; objects are found by their hue")
    names = list(hues)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            if _cosine(hues[first], hues[second]) > math.cos(HUE_TOLERANCE):
                raise ValueError(f"{first} and {second} have nearly the same hue; such objects cannot be told apart")


def _chromatic(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part of a colour perpendicular to the grey axis; its direction is the hue."""
    return rgb - rgb.mean(-1, keepdims=True)


def _cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return np.asarray((a @ b) / np.maximum(lengths, 1e-9))


def _of_hue(picture: NDArray[np.float64], colour: Sequence[float]) -> NDArray[np.bool_]:
    highest, lowest = picture.max(-1), picture.min(-1)
    hue = _cosine(_chromatic(picture), _chromatic(np.asarray(colour, dtype=np.float64)))
    saturated = highest - lowest > np.maximum(SMALLEST_CHROMA, SMALLEST_SATURATION * highest)
    return np.asarray(saturated & (hue > math.cos(HUE_TOLERANCE)))


def largest_of_hue(picture: NDArray[np.float64], colour: Sequence[float]) -> NDArray[np.bool_]:
    """The largest connected region of a colour's hue, ``(H, W)``; nothing if it is smaller than :data:`SMALLEST_AREA`.

    Args:
        picture: ``(H, W, 3)`` in [0, 1].
        colour: RGB in [0, 1].
    """
    mask = _of_hue(picture, colour)
    labels, count = ndimage.label(mask)
    if not count:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    found = int(sizes.argmax())
    return np.asarray(labels == found) if sizes[found] >= SMALLEST_AREA else np.zeros_like(mask)


def _outline(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], int, float]:
    """Centroid x, y, area and roundness. The circle around goes through the outermost pixels' far edges."""
    rows, columns = mask.nonzero()
    points = np.stack([columns, rows], -1) + 0.5
    center = points.mean(0)
    reach = float(np.linalg.norm(points - center, axis=-1).max()) + 0.5
    return center, len(points), min(1.0, len(points) / (math.pi * reach**2))


def hidden_in_part(mask: NDArray[np.bool_], others: Sequence[NDArray[np.bool_]]) -> bool:
    """Whether a region is cut by the picture's edge or touches another, which might hide a part of it."""
    edge = mask[[0, -1]].any() or mask[:, [0, -1]].any()
    around = ndimage.binary_dilation(mask, _EIGHT, iterations=2)
    return bool(edge or any((around & other).any() for other in others))
