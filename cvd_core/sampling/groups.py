"""Evaluating the groups of a sampling round: each is a separate scene, with cameras relative to its first view."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

import torch
from torch import Tensor

from cvd_core.sampling.pairs import Group, Round

GroupCall = Callable[[Tensor, tuple[Group, ...]], Tensor]
"""Evaluates rows ``(B * groups * size, ...)`` - guidance branches or scenes outermost, then groups, then their views -
of groups of one size."""


def evaluate_groups(x: Tensor, groups: Round, call: GroupCall) -> Tensor:
    """A network's output for views that are grouped; groups of one size share a call.

    Args:
        x: ``(n, B, ...)``, the views of all groups one after the other; B guidance branches or scenes of each.
        groups: who attends to whom.
        call: the network.

    Returns:
        ``(n, B, ...)``.
    """
    row = {view: i for i, view in enumerate(view for group in groups for view in group)}
    found = torch.empty_like(x)
    for _, alike in groupby(sorted(groups, key=len), key=len):
        same_size = tuple(alike)
        rows = [row[view] for group in same_size for view in group]
        output = call(x[rows].transpose(0, 1).flatten(0, 1), same_size)
        found[rows] = output.unflatten(0, (x.shape[1], -1)).transpose(0, 1).to(found)
    return found
