"""Clips longer than the networks' position tables: overlapping windows of frames, averaged where they meet.

Each window starts again at the first position; predictions of one step are averaged with weights that fall towards a
window's ends, as AnimateDiff's users know it ("static standard" windows with "pyramid" weights).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Windows:
    """How a clip is cut.

    Attributes:
        length: frames per window.
        overlap: frames that neighbouring windows share at least; the last window is moved back to end with the clip.
    """

    length: int
    overlap: int

    def __post_init__(self) -> None:
        if self.length < 1 or not 0 <= self.overlap < self.length:
            raise ValueError(
                f"windows of {self.length} frames with an overlap of {self.overlap}; expected at least 1 frame and an "
                "overlap below the length"
            )

    def of(self, frames: int) -> list[range]:
        """The windows of a clip of ``frames``, in order; one alone if it is no longer than a window."""
        if frames <= self.length:
            return [range(frames)]
        last = frames - self.length
        starts = [*range(0, last, self.length - self.overlap), last]
        return [range(start, start + self.length) for start in starts]

    @staticmethod
    def weights(frames: int) -> Tensor:
        """``(frames,)`` weights of a window's frames: 1 at its ends, rising by 1 towards the middle."""
        steps = torch.arange(frames)
        return torch.minimum(steps, steps.flip(0)) + 1.0
