"""Denoising V videos together with a network that denoises a few (CVD paper, Sec. 4.3, Algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from cvd_core.sampling.draws import Draws
from cvd_core.sampling.pairs import Pairing, Round, batches, view_weights, views_of
from cvd_core.sampling.recurrence import NoiseLevel, Recurrence, renoise
from cvd_core.sampling.team import ALONE, Team
from cvd_core.sync.context import Exchange
from cvd_core.sync.slopes import SlopeTape


@dataclass(frozen=True)
class NetworkCall:
    """Views that share one network call.

    Attributes:
        groups: who attends to whom.
        slopes: the call's pseudo-line slopes.
        own: the views whose latents this process denoises, if not all views of the groups.
        exchange: reaches the others, where there is ``own``.
    """

    groups: Round
    slopes: SlopeTape
    own: tuple[int, ...] | None = None
    exchange: Exchange | None = None

    @property
    def views(self) -> tuple[int, ...]:
        """The views whose latents are denoised, group after group."""
        return views_of(self.groups) if self.own is None else self.own


Denoise = Callable[[Tensor, NetworkCall], Tensor]
"""Predicts for the latents of a call's views, ``(len(call.views), ...)``, what the solver needs (noise or x0)."""


class Solver(Protocol):
    """A sampling method over a fixed list of noise levels."""

    @property
    def steps(self) -> int: ...

    def level(self, step: int) -> NoiseLevel:
        """Noise level before step ``step``; ``level(steps)`` is the end."""
        ...

    def scale_input(self, step: int, latents: Tensor) -> Tensor:
        """The network's input for these latents."""
        ...

    def advance(self, step: int, latents: Tensor, prediction: Tensor, *, final: bool) -> Tensor:
        """Latents after the step. Unless ``final``, the step will be repeated and must not change the solver's "
        "state."""
        ...


@dataclass(frozen=True)
class Progress:
    """State after one pass of a step: ``repeat`` of ``repeats`` (both from 1) at ``step`` of ``steps`` (from 0)."""

    step: int
    steps: int
    repeat: int
    repeats: int
    latents: Tensor


def predict_together(
    denoise: Denoise,
    latents: Tensor,
    schedule: list[Round],
    draws: Draws,
    views_per_pass: int | None = None,
    team: Team = ALONE,
    *,
    divisible: bool = False,
) -> Tensor:
    """Average each view's predictions over the network calls it takes part in (paper, Eq. 6).

    Args:
        denoise: the network.
        latents: ``(V, ...)``.
        schedule: rounds of this step, from :meth:`cvd_core.sampling.pairs.Pairing.rounds`.
        draws: source of the slopes; one network call's worth per round.
        views_per_pass: memory limit; None runs every round in one call. Does not change the result.
        team: the processes that share the work; all of them get the result.
        divisible: see :func:`sample_together`.

    Raises:
        ValueError: more processes than groups, and the network is not divisible.
    """
    weights = view_weights(schedule, len(latents))
    total = torch.zeros_like(latents)
    for groups in schedule:
        found = torch.zeros_like(latents)
        slopes = SlopeTape(draws.slopes)
        for call, firsts in _calls(groups, slopes, views_per_pass, team, divisible):
            slopes.rewind()
            prediction = denoise(latents[list(call.views)], call)
            for position, view in enumerate(call.views[:firsts]):
                found[view] = weights[view] * prediction[position].to(total)
        total += team.sum(found)  # of each view one process has the prediction, all others zero: the sum is exact
    return total


def _calls(
    groups: Round, slopes: SlopeTape, views_per_pass: int | None, team: Team, divisible: bool
) -> Iterator[tuple[NetworkCall, int]]:
    """The network calls that this process makes in a round, and for how many of their first views it answers.

    Whole groups if there is one for each process: the calls are then those of a run in one process. Else views, whose
    partners are within reach through an exchange.
    """
    if team.count <= len(groups):
        own = team.own(groups)
        answered = views_of(own[: team.firsts(len(groups))])
        for part in batches(own, views_per_pass):
            call = NetworkCall(part, slopes)
            yield call, sum(view in answered for view in call.views)
        return
    if not divisible:
        raise ValueError(
            f"{team.count} processes for {len(groups)} groups of views that attend to each other, each of which this "
            f"model denoises in one process; start at most {len(groups)}, or give each process runs of its own with "
            "`jobs`"
        )
    views = views_of(groups)
    exchange = Exchange(views, lambda own: team.gather(own, len(views)))
    yield NetworkCall(groups, slopes, team.own(views), exchange), team.firsts(len(views))


def sample_together(
    denoise: Callable[[int, Tensor, NetworkCall], Tensor],
    latents: Tensor,
    solver: Solver,
    draws: Draws,
    *,
    pairing: Pairing = Pairing(),  # noqa: B008 - frozen
    recurrence: Recurrence = Recurrence(),  # noqa: B008 - frozen
    on_progress: Callable[[Progress], object] | None = None,
    team: Team = ALONE,
    divisible: bool = False,
) -> Tensor:
    """Sample all views: the paper's Algorithm 1 with any solver.

    Args:
        denoise: ``(step, latents of the call's views, call) -> prediction``.
        latents: ``(V, ...)`` at the solver's first noise level.
        solver: sampling method.
        draws: matchings, slopes and renoise; a recurrence redraws all three.
        pairing: which views attend to each other in a step.
        recurrence: how many times each step is denoised.
        on_progress: called after every pass of every step; may raise to stop.
        team: the processes that share the network calls; all of them must sample the same run, and get the result.
        divisible: whether ``denoise`` heeds a call's ``own`` views and ``exchange``, so that the views of one group can
            be spread over processes.

    Returns:
        ``(V, ...)`` denoised latents.
    """
    for step in range(solver.steps):
        repeats = recurrence.at(step, solver.steps)
        for repeat in range(1, repeats + 1):
            schedule = pairing.rounds(len(latents), draws)
            seen = solver.scale_input(step, latents)
            prediction = predict_together(
                partial(denoise, step), seen, schedule, draws, pairing.views_per_pass, team, divisible=divisible
            )
            latents = solver.advance(step, latents, prediction, final=repeat == repeats)
            if on_progress is not None:
                on_progress(Progress(step, solver.steps, repeat, repeats, latents))
            if repeat < repeats:
                noise = draws.renoise(tuple(latents.shape)).to(latents)
                latents = renoise(latents, solver.level(step + 1), solver.level(step), noise)
    return latents
