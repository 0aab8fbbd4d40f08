"""Sampling the latents of all views with SynCamMaster's network."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

import torch
from einops import repeat
from torch import Tensor

from cvd_core.engine.wan.network import SynCamTransformer
from cvd_core.sampling.collaborate import NetworkCall
from cvd_core.sampling.flow import FlowEuler
from cvd_core.sampling.guidance import guide
from cvd_core.sampling.pairs import Group


def velocity_of_views(
    network: SynCamTransformer,
    embedding: Callable[[Group], Tensor],
    text: Tensor,
    solver: FlowEuler,
    *,
    guidance: float,
    strength: float = 1.0,
) -> Callable[[int, Tensor, NetworkCall], Tensor]:
    """The prediction that :func:`cvd_core.sampling.collaborate.sample_together` asks for.

    Every group of views is denoised as a scene of its own, its cameras relative to its own first view, as the released
    pairs are. Groups of one size share a network call.

    Args:
        network: on the device where it is to compute.
        embedding: the cameras ``(views, f, 12)`` of a group of views, relative to its first:
            :func:`cvd_core.syncam.cameras.camera_embedding` of the run's cameras.
        text: ``(V, B, L, C)``, branches uncond and cond, or cond alone.
        solver: tells the network the time of a step.
        guidance: classifier-free guidance scale; both branches keep cameras and synchronisation.
        strength: factor on what the modules add.
    """
    branches = text.shape[1]

    def predict(step: int, x: Tensor, call: NetworkCall) -> Tensor:
        position = {view: row for row, view in enumerate(call.views)}
        found = torch.empty_like(x)
        for size, same_size in groupby(sorted(call.groups, key=len), key=len):
            groups = list(same_size)
            views = [view for group in groups for view in group]
            rows = [position[view] for view in views]
            cameras = torch.cat([embedding(group) for group in groups]).to(x.device)
            output = network(
                repeat(x[rows], "n ... -> (b n) ...", b=branches),
                torch.full((branches * len(rows),), solver.timestep(step), device=x.device),
                text[views].transpose(0, 1).flatten(0, 1),
                cameras.repeat(branches, 1, 1),
                size,
                strength,
            )
            split = output.float().unflatten(0, (branches, -1)).unbind(0)
            found[rows] = guide(split[0], split[1], guidance) if branches == 2 else split[0]
        return found

    return predict
