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
