"""Inputs that several nodes share."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec

from comfy_api.latest import io

from cvd_core.networks.sizes import SIDE_STEP, SMALLEST_SIDE

P = ParamSpec("P")

CONVENTION = "OpenCV axes: x right, y down, z forward."


def side_input(name: str, default: int = 256, more: str = "") -> io.Int.Input:
    """Width or height of the videos."""
    return io.Int.Input(
        name,
        default=default,
        min=SMALLEST_SIDE,
        max=4096,
        step=SIDE_STEP,
        tooltip=f"{name.capitalize()} of the videos in pixels, a multiple of {SIDE_STEP}. {more}".strip(),
    )


def check_sides(step: int, **sides: int) -> None:
    """Refuse sides of videos that are no multiples of ``step``.

    Raises:
        ValueError: one is not; the message names it.
    """
    for name, side in sides.items():
        if side < step or side % step:
            raise ValueError(f"{name} is {side} pixels; expected a multiple of {step}")


def strength_inputs(what: str, tooltip: str, *, plural: bool = True) -> list[io.Input]:
    """How much of what a node attaches is used, and in which part of the noise schedule.

    Args:
        what: is attached.
        tooltip: of the strength.
        plural: whether that is several.
    """
    verbs = ("start", "stop") if plural else ("starts", "stops")
    ends = (
        ("start_percent", 0.0, verbs[0], "0 is its noisy beginning"),
        ("end_percent", 1.0, verbs[1], "1 is its clean end"),
    )
    return [
        io.Float.Input("strength", default=1.0, min=0.0, max=2.0, step=0.05, tooltip=tooltip),
        *(
            io.Float.Input(
                name,
                default=default,
                min=0.0,
                max=1.0,
                step=0.001,
                tooltip=f"Fraction of the noise schedule at which {what} {verb}; {where}.",
            )
            for name, default, verb, where in ends
        ),
    ]


def check_range(start: float, end: float, never: str) -> None:
    """Refuse a part of the noise schedule that is none.

    Args:
        never: what would not happen: "the cameras would never be seen".
    """
    if start > end:
        raise ValueError(f"start_percent is {start} and end_percent {end}, so {never}; set the start before the end")


def guidance_input(name: str, default: float, tooltip: str) -> io.Float.Input:
    """A guidance scale."""
    return io.Float.Input(name, default=default, min=0.0, max=100.0, step=0.1, round=0.01, tooltip=tooltip)


def check_choices(node: type[io.ComfyNode], **chosen: str | None) -> None:
    """Refuse values that a node's combos do not offer; hosts such as 0.3.64 accept anything for a V3 combo.

    Args:
        chosen: by input id; None for a linked value, which a validation hook does not know yet.

    Raises:
        ValueError: a value that is not offered.
    """
    offered = {given.id: given.options for given in node.define_schema().inputs if isinstance(given, io.Combo.Input)}
    for name, value in chosen.items():
        if value is not None and value not in offered[name]:
            raise ValueError(f"{name} is {value!r}; expected one of {', '.join(offered[name])}")


def verdict(check: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> bool | str:
    """What a validation hook answers: True, or the message of the ValueError that ``check`` raises."""
    try:
        check(*args, **kwargs)
    except ValueError as error:
        return str(error)
    return True
