"""Pictures between two views of one moment, by optical flow: a smoother flight around a moment that stands still.

Both pictures are moved along the flow between them, by their part of the way, and blended (Baker et al., "A Database
and Evaluation Methodology for Optical Flow", IJCV 2011, Sec. 3.3.2, without its occlusion reasoning). What only one of
the views sees, and what moves by more than a few tenths of the picture, looks torn or doubled.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cvd_core.video.clip import to_bytes

_SMALLEST = 32
"""Pixels of the shorter side, below which the flow's coarsest level would have too few."""


def in_between(first: Tensor, second: Tensor, count: int) -> Iterator[Tensor]:
    """``count`` pictures from ``first`` to ``second`` (neither included), evenly spaced.

    Args:
        first, second: ``(H, W, 3)``, uint8 or colours in 0..1.

    Yields:
        pictures like ``first``.

    Raises:
        ValueError: OpenCV is not installed, or pictures of different or too small sizes.
    """
    cv2 = _opencv()
    height, width = first.shape[:2]
    if first.shape != second.shape or min(height, width) < _SMALLEST:
        raise ValueError(
            f"pictures have shapes {tuple(first.shape)} and {tuple(second.shape)}; expected one size of at least "
            f"{_SMALLEST} pixels"
        )
    grays = [cv2.cvtColor(to_bytes(picture).contiguous().numpy(), cv2.COLOR_RGB2GRAY) for picture in (first, second)]
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    there, back = flow.calc(*grays, None), flow.calc(*grays[::-1], None)
    places = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
    pixels = [picture.cpu().float().contiguous().numpy() for picture in (first, second)]

    def moved(picture: NDArray[np.float32], along: NDArray[np.float32], part: float) -> Tensor:
        at = places - part * along
        return torch.from_numpy(cv2.remap(picture, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))

    for step in range(1, count + 1):
        part = step / (count + 1)
        blend = (1 - part) * moved(pixels[0], there, part) + part * moved(pixels[1], back, 1 - part)
        yield (blend.round() if first.dtype == torch.uint8 else blend).to(first)


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise ValueError(
            "pictures between views need OpenCV; install opencv-python-headless, or ask for none of them"
        ) from error
    return cv2
