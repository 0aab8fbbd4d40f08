"""Two shapes of one latent batch.

Samplers and the network see view-major rows, ``(V * F, C, h, w)``. AnimateDiff-Evolved takes the batch for the frames
of one video - it counts them, cuts them into context windows - so it is shown ``(F, V * C, h, w)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Conds = list[dict[str, Any]]
"""The host's prepared conditionings of a branch: dicts of tensors, ``model_conds`` a dict of objects that hold one."""

_PACKED = "cvd packed "


def pack(rows: Tensor, views: int) -> Tensor:
    """``(V * F, C, h, w)`` -> ``(F, V * C, h, w)``."""
    return rows.unflatten(0, (views, -1)).transpose(0, 1).flatten(1, 2)


def unpack(packed: Tensor, views: int) -> Tensor:
    """The inverse of :func:`pack`."""
    return packed.unflatten(1, (views, -1)).transpose(0, 1).flatten(0, 1)


def select_views(conds: Conds | None, selected: Sequence[int], views: int, frames: int) -> Conds | None:
    """Conditionings for some of the views.

    A batch may be 1 (for everything), F (per frame, the same in all views), V (per view) or V * F (per view and
    frame). The last two become ``len(selected) * F`` rows.

    Raises:
        ValueError: a batch of another size, or one that may mean views or frames.
    """
    rows = [view * frames + frame for view in selected for frame in range(frames)]
    of_view = [view for view in selected for _ in range(frames)]

    def select(name: str, x: Tensor) -> Tensor:
        batch = x.shape[0]
        if views > 1 and batch == views * frames:
            return x[rows]
        if views > 1 and batch == views:
            if views == frames:
                raise ValueError(
                    f"the conditioning's {name} has a batch of {batch}, which may be one per view or one per frame; "
                    f"give one for everything, or all {views * frames}"
                )
            return x[of_view]
        if batch not in (1, frames):
            raise ValueError(
                f"the conditioning's {name} has a batch of {batch}; expected 1, or one per frame ({frames}), per view "
                f"({views}), or per view and frame ({views * frames}: all frames of the first view, then the next)"
            )
        return x

    return _map_tensors(conds, lambda name, x: (name, select(name, x)))


def select_frames(conds: Conds | None, window: Sequence[int], views: int, frames: int) -> Conds | None:
    """Conditionings for some frames of every view, from those of ``views * frames`` rows.

    Raises:
        ValueError: a ControlNet with more than one hint image, which would show a window those of other frames.
    """
    rows = [view * frames + frame for view in range(views) for frame in window]

    def select(name: str, x: Tensor) -> tuple[str, Tensor]:
        if x.shape[0] == views * frames > 1:
            return name, x[rows]
        if x.shape[0] == frames > 1:
            return name, x[list(window)]
        return name, x

    for control in (cond["control"] for cond in conds or () if "control" in cond):
        link = control
        while link is not None:
            hint = getattr(link, "cond_hint_original", None)
            if hint is not None and len(hint) > 1:
                raise ValueError(
                    f"a ControlNet has {len(hint)} hint images, which context windows would mix up; give it one image "
                    "for all frames, or set context_length to 0"
                )
            link = link.previous_controlnet
    return _map_tensors(conds, select)


def pack_conds(conds: Conds | None, views: int, frames: int) -> Conds | None:
    """Give ``views * frames`` rows the shape ``(F, V, ...)`` and a marked name: windows cut the first axis."""

    def mark(name: str, x: Tensor) -> tuple[str, Tensor]:
        if views == 1 or x.shape[0] != views * frames:
            return name, x
        return _PACKED + name, x.unflatten(0, (views, frames)).transpose(0, 1)

    return _map_tensors(conds, mark)


def unpack_conds(conds: Conds | None) -> Conds | None:
    """The inverse of :func:`pack_conds`, on the frames that are left."""

    def unmark(name: str, x: Tensor) -> tuple[str, Tensor]:
        if not name.startswith(_PACKED):
            return name, x
        return name.removeprefix(_PACKED), x.transpose(0, 1).flatten(0, 1)

    return _map_tensors(conds, unmark)


def _map_tensors(conds: Conds | None, change: Callable[[str, Tensor], tuple[str, Tensor]]) -> Conds | None:
    """Copies of the conditionings with every batched tensor's name and value changed."""
    if conds is None:
        return None
    mapped = []
    for cond in conds:
        out: dict[str, Any] = {}
        for name, value in cond.items():
            if isinstance(value, Tensor) and value.ndim > 0:
                key, changed = change(name, value)
                out[key] = changed
            else:
                out[name] = value
        out["model_conds"] = {}
        for name, holder in cond["model_conds"].items():
            value = getattr(holder, "cond", None)
            if isinstance(value, Tensor) and value.ndim > 0:
                key, changed = change(name, value)
                out["model_conds"][key] = holder if changed is value else holder._copy_with(changed)
            else:
                out["model_conds"][name] = holder
        mapped.append(out)
    return mapped


def shared_rows(timestep: Tensor, rows: int) -> Tensor:
    """A timestep for ``rows`` rows: all rows of a sampler's call are at one noise level."""
    return torch.cat([timestep[:1]] * rows)
