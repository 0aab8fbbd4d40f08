"""Inputs that several nodes share."""

from __future__ import annotations

from comfy_api.latest import io

CONVENTION = "OpenCV axes: x right, y down, z forward."
SMALLEST, STEP = 64, 8


def side_input(name: str, default: int = 256, more: str = "") -> io.Int.Input:
    """Width or height of the videos."""
    return io.Int.Input(
        name,
        default=default,
        min=SMALLEST,
        max=4096,
        step=STEP,
        tooltip=f"{name.capitalize()} of the videos in pixels, a multiple of {STEP}. {more}".strip(),
    )


def check_size(width: int, height: int) -> None:
    """Refuse a video size that the networks cannot make; a linked value escapes the host's own check.

    Raises:
        ValueError: not a multiple of 8, or below 64 pixels.
    """
    for name, side in (("width", width), ("height", height)):
        if side < SMALLEST or side % STEP:
            raise ValueError(f"{name} is {side} pixels; expected a multiple of {STEP}, at least {SMALLEST}")
