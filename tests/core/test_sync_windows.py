"""A network call that sees only some frames of the clip."""

from __future__ import annotations

import pytest
import torch

from cvd_core.geometry.epipolar import Band
from cvd_core.geometry.rigs import make_rig
from cvd_core.sync.bias import EpipolarBias


@pytest.mark.parametrize("band", ["soft", "hard"])
@pytest.mark.parametrize("frames", [(0, 1, 2), (3, 4, 5), (5, 0, 2)])
def test_bias_of_a_window_is_that_of_its_frames(band: Band, frames: tuple[int, ...]) -> None:
    """First frames included: a window that starts later has none, one that wraps around has it somewhere else."""
    whole = EpipolarBias.from_cameras(make_rig("circle", 3, 6), 64, 64, band=band)
    window = whole.at_frames(frames)
    angles = torch.full((6,), 0.7, dtype=torch.float64)
    every = slice(0, 64)
    to = (torch.float32, torch.device("cpu"))
    with torch.no_grad():
        for partners in ((1,), (1, 2)):
            expected = whole.rows(0, partners, slice(0, 6), every, (8, 8), angles, dtype=to[0], device=to[1])[
                list(frames)
            ]
            found = window.rows(0, partners, slice(0, 3), every, (8, 8), angles[:3], dtype=to[0], device=to[1])
            assert torch.equal(found, expected)
