"""Which frame of which view is shown when: playing modes, and cuts between synchronised views."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

PlayMode = Literal["normal", "loop", "ping-pong"]
PLAY_MODES: tuple[PlayMode, ...] = get_args(PlayMode)


def play_order(frames: int, mode: PlayMode, repeats: int = 1) -> list[int]:
    """Frame numbers in the order they are shown.

    ``loop`` plays the clip ``repeats`` times. ``ping-pong`` plays it there and back as often; the frames at the turns
    are shown once, so that a player that loops sees no pause: a round trip has 2F - 2 frames.

    Raises:
        ValueError: no frames, fewer than one repeat, or another mode.
    """
    if frames < 1 or repeats < 1:
        raise ValueError(f"{frames} frames played {repeats} times; expected at least one frame and one time")
    if mode not in PLAY_MODES:
        raise ValueError(f"play mode is {mode!r}; expected one of {', '.join(PLAY_MODES)}")
    there = list(range(frames))
    if mode == "normal":
        return there
    return (there if mode == "loop" else there + there[-2:0:-1]) * repeats


class Shown(NamedTuple):
    """What a picture of a bullet-time clip shows: ``part`` of the way from ``view`` to the next one, at ``frame``."""

    view: int
    frame: int
    part: float = 0.0


def bullet_time(views: int, frames: int, at: int, hold: int = 1, between: int = 0) -> list[Shown]:
    """Every picture of a "bullet time" clip.

    The first view plays up to frame ``at``. There time stands still while the picture goes through all views in order,
    each shown for ``hold`` pictures, with ``between`` pictures from one to the next. Then the last view plays on.

    Returns:
        F - 1 + V * hold + (V - 1) * between pictures.

    Raises:
        ValueError: a frame that does not exist, no views, views held for less than one picture, or fewer than no
            pictures between them.
    """
    if not 0 <= at < frames:
        raise ValueError(f"time stops at frame {at} of {frames}; expected 0 to {frames - 1}")
    if views < 1 or hold < 1 or between < 0:
        raise ValueError(
            f"{views} views are shown for {hold} pictures each with {between} between them; expected at least one "
            "view, one picture and none between"
        )
    before = [Shown(0, frame) for frame in range(at)]
    parts = [step / (between + 1) for step in range(1, between + 1)]
    during = [
        shown
        for view in range(views)
        for shown in [Shown(view, at)] * hold + [Shown(view, at, part) for part in parts if view < views - 1]
    ]
    return before + during + [Shown(views - 1, frame) for frame in range(at + 1, frames)]
