"""ControlNets in a collaborative run: each batch of views gets the hints of its own views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .packing import Conds


class ViewControls:
    """Copies of ControlNets that hold the hints of some of the views.

    Args:
        views, frames: of the run. Hints of 1 image serve everything, of F each view, of V * F each view its own.
    """

    def __init__(self, views: int, frames: int) -> None:
        self.views = views
        self.frames = frames
        self._copies: dict[tuple[int, tuple[int, ...]], Any] = {}

    def select(self, conds: Conds | None, selected: Sequence[int], model: Any) -> Conds | None:
        """The conditionings with ControlNets for ``selected`` views.

        Raises:
            ValueError: a hint of another number of images.
        """
        if conds is None or not any("control" in cond for cond in conds):
            return conds
        return [
            {**cond, "control": self._of_views(cond["control"], tuple(selected), model)} if "control" in cond else cond
            for cond in conds
        ]

    def _of_views(self, control: Any, selected: tuple[int, ...], model: Any) -> Any:
        if not any(self._is_per_view(link) for link in _chain(control)):
            return control
        key = (id(control), selected)
        if key not in self._copies:
            rows = [view * self.frames + frame for view in selected for frame in range(self.frames)]
            copy, previous = None, None
            for link in _chain(control):
                fresh = link.copy()
                if self._is_per_view(link):
                    fresh.cond_hint_original = link.cond_hint_original[rows]
                if previous is None:
                    copy = fresh
                else:
                    previous.set_previous_controlnet(fresh)
                previous = fresh
            assert copy is not None
            copy.pre_run(model, model.model_sampling.percent_to_sigma)
            self._copies[key] = copy
        return self._copies[key]

    def _is_per_view(self, control: Any) -> bool:
        hint = getattr(control, "cond_hint_original", None)
        if hint is None or len(hint) in (1, self.frames):
            return False
        if len(hint) != self.views * self.frames:
            raise ValueError(
                f"a ControlNet has {len(hint)} hint images; expected 1, one per frame ({self.frames}, the same in all "
                f"views), or one per view and frame ({self.views * self.frames}: all of the first view, then the next)"
            )
        return True

    def cleanup(self) -> None:
        """Let the copies free what they cached."""
        for copy in self._copies.values():
            copy.cleanup()
        self._copies.clear()


def _chain(control: Any) -> Sequence[Any]:
    links = []
    while control is not None:
        links.append(control)
        control = control.previous_controlnet
    return links
