"""The order of file names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cvd_core.files import natural_key


@given(st.lists(st.integers(0, 10**30), unique=True), st.text("ab-_.", max_size=3), st.integers(0, 3))
def test_numbers_in_names_count_as_numbers(numbers: list[int], text: str, zeros: int) -> None:
    """However long they are and however many zeros lead them."""
    names = [f"{text}{'0' * (zeros * (n % 2))}{n}{text}" for n in numbers]
    in_order = [names[i] for i in sorted(range(len(numbers)), key=numbers.__getitem__)]
    assert sorted(names, key=natural_key) == in_order


def test_places_in_names_count_from_the_left() -> None:
    names = ["cam2/10", "cam10/1", "cam2/9", "cam", "2", "10", "cam02/9", "a²", "cam2/9b"]
    assert sorted(names, key=natural_key) == [
        "2",
        "10",
        "a²",
        "cam",
        "cam02/9",
        "cam2/9",
        "cam2/9b",
        "cam2/10",
        "cam10/1",
    ]
