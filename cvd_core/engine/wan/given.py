"""A given video as the first view: read, encoded, and put into the predictions (SynCamMaster, Sec. 3.5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cvd_core.fields import FieldError
from cvd_core.sampling.settings import Settings
from cvd_core.syncam.cameras import FRAME_STRIDE
from cvd_core.syncam.novel_view import REFERENCE, guide_novel_view, velocity_to, with_reference
from cvd_core.video.files import read_video
from cvd_core.video.stills import fit_picture


def read_given(settings: Settings, path: Path, frames: int) -> Tensor:
    """``(1, 3, F, H, W)`` in -1 ... 1: the beginning of a video at the size of the others.

    Raises:
        ValueError: unreadable, or fewer frames than the cameras have.
    """
    video, _ = read_video(path)
    if len(video) < frames:
        longest = (len(video) - 1) // FRAME_STRIDE * FRAME_STRIDE + 1
        raise FieldError(
            "reference", f"{path} has {len(video)} frames, the cameras {frames}; set `frames` to {longest} or less"
        )
    pictures = video[:frames].movedim(-1, 1).float() / 127.5 - 1
    return fit_picture(pictures, settings.width, settings.height).transpose(0, 1)[None]


@dataclass(frozen=True, eq=False)
class GivenLatent:
    """A given video among the views that are sampled.

    Attributes:
        clean: ``(1, C, f, h, w)`` float32.
        video_guidance, text_guidance: s_V and s_T of Eq. 7.
    """

    clean: Tensor
    video_guidance: float
    text_guidance: float

    def branches(self, x: Tensor, views: Sequence[int]) -> Tensor:
        """``(n, 3, ...)`` inputs for :meth:`join` of views ``(n, ...)``: without and twice with the clean video."""
        shown = with_reference(x, self.clean, views)
        return torch.stack([x, shown, shown], 1)

    def join(self, velocities: Tensor, x: Tensor, views: Sequence[int], sigma: float) -> Tensor:
        """Eq. 7 of ``(n, 3, ...)`` predictions; the given view moves straight to what it is."""
        guided = guide_novel_view(
            *velocities.unbind(1), video_guidance=self.video_guidance, text_guidance=self.text_guidance
        )
        own = [row for row, view in enumerate(views) if view == REFERENCE]
        return with_reference(guided, velocity_to(x[own], self.clean.to(x), sigma), views)
