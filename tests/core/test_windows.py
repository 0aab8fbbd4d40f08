"""Windows of frames cover a clip."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvd_core.sampling.windows import Windows


@given(st.integers(1, 40), st.data(), st.integers(1, 120))
def test_they_cover_the_clip_and_overlap(length: int, data: st.DataObject, frames: int) -> None:
    overlap = data.draw(st.integers(0, length - 1))
    windows = Windows(length, overlap).of(frames)
    assert {frame for window in windows for frame in window} == set(range(frames))
    assert all(len(window) == min(length, frames) for window in windows)
    for before, after in pairwise(windows):
        assert before.start < after.start <= before.stop - overlap
    assert len(set(windows)) == len(windows)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [(4, [(0, 4)]), (5, [(0, 4), (1, 5)]), (6, [(0, 4), (2, 6)]), (9, [(0, 4), (2, 6), (4, 8), (5, 9)])],
)
def test_the_last_one_ends_with_the_clip(frames: int, expected: list[tuple[int, int]]) -> None:
    assert Windows(4, 2).of(frames) == [range(*ends) for ends in expected]


def test_weights_fall_towards_the_ends() -> None:
    assert Windows.weights(4).tolist() == [1, 2, 2, 1]
    assert Windows.weights(5).tolist() == [1, 2, 3, 2, 1]


@pytest.mark.parametrize(("length", "overlap"), [(0, 0), (4, 4), (4, -1)])
def test_impossible_windows(length: int, overlap: int) -> None:
    with pytest.raises(ValueError, match=f"windows of {length} frames with an overlap of {overlap}"):
        Windows(length, overlap)
