"""Sampling the latents of all views with SynCamMaster's network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cvd_core.engine.branches import join_branches
from cvd_core.engine.wan.given import GivenLatent
from cvd_core.engine.wan.network import SynCamTransformer
from cvd_core.sampling.collaborate import NetworkCall
from cvd_core.sampling.flow import FlowEuler
from cvd_core.sampling.groups import evaluate_groups
from cvd_core.sampling.pairs import Group


def velocity_of_views(
    network: SynCamTransformer,
    embedding: Callable[[Group], Tensor],
    text: Tensor,
    solver: FlowEuler,
    *,
    guidance: float,
    given: GivenLatent | None = None,
    strength: Callable[[int], float] = lambda step: 1.0,
) -> Callable[[int, Tensor, NetworkCall], Tensor]:
    """The prediction that :func:`cvd_core.sampling.collaborate.sample_together` asks for.

    Args:
        network: on the device where it is to compute.
        embedding: the cameras ``(views, f, 12)`` of a group of views, relative to its first:
            :func:`cvd_core.syncam.cameras.camera_embedding` of the run's cameras.
        text: ``(V, B, L, C)``, branches uncond and cond, or cond alone; uncond, uncond and cond with a given video.
        solver: tells the network the time of a step.
        guidance: classifier-free guidance scale; both branches keep cameras and synchronisation.
        given: a video that is the first view; it brings guidance of its own.
        strength: of a step, factor on what the modules add.
    """
    branches = text.shape[1]

    def predict(step: int, x: Tensor, together: NetworkCall) -> Tensor:
        def call(rows: Tensor, groups: tuple[Group, ...]) -> Tensor:
            views = [view for group in groups for view in group]
            cameras = torch.cat([embedding(group) for group in groups]).to(rows.device)
            return network(
                rows,
                torch.full((len(rows),), solver.timestep(step), device=rows.device),
                text[views].transpose(0, 1).flatten(0, 1),
                cameras.repeat(branches, 1, 1),
                len(groups[0]),
                strength(step),
            )

        if given is not None:
            output = evaluate_groups(given.branches(x, together.views), together.groups, call)
            return given.join(output, x, together.views, solver.sigmas[step])
        output = evaluate_groups(x[:, None].expand(-1, branches, *x.shape[1:]), together.groups, call)
        return join_branches(output, guidance)

    return predict
