"""Videos that are made picture by picture while they are written, so that memory holds one picture instead of all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import torch
from torch import Tensor


class Clip:
    """F pictures ``(H, W, 3)`` uint8, each made when it is asked for; wherever a video is written it stands for one.

    Args:
        frames: F.
        height, width: of the pictures, in pixels.
        make: the picture of a frame number, made anew at every call.
    """

    dtype = torch.uint8

    def __init__(self, frames: int, height: int, width: int, make: Callable[[int], Tensor]) -> None:
        self.shape = (frames, height, width, 3)
        self._make = make

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return map(self._make, range(len(self)))


Frames: TypeAlias = Tensor | Clip
"""``(F, H, W, 3)`` uint8, in memory or made one by one."""


def to_bytes(picture: Tensor) -> Tensor:
    """Colours in 0..1 as uint8 on the CPU, rounded; uint8 stays as it is."""
    if picture.dtype == torch.uint8:
        return picture.cpu()
    return (picture.clamp(0, 1) * 255).round().to("cpu", torch.uint8)


def as_bytes(frames: Tensor) -> Clip:
    """``(F, H, W, 3)`` with colours in 0..1 as a clip that converts one picture at a time."""
    length, height, width, _ = frames.shape
    return Clip(length, height, width, lambda frame: to_bytes(frames[frame]))
