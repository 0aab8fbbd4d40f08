"""Denoising V videos together with a network that denoises a few (CVD paper, Sec. 4.3, Algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from cvd_core.sampling.draws import Draws
from cvd_core.sampling.pairs import Pairing, Round, batches, view_weights
from cvd_core.sampling.recurrence import NoiseLevel, Recurrence, renoise
from cvd_core.sync.slopes import SlopeTape


@dataclass(frozen=True)
class NetworkCall:
    """Views that share one network call, group after group; ``slopes`` gives the call's pseudo-line slopes."""

    groups: Round
    slopes: SlopeTape

    @property
    def views(self) -> tuple[int, ...]:
        return tuple(view for group in self.groups for view in group)


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
    denoise: Denoise, latents: Tensor, schedule: list[Round], draws: Draws, views_per_pass: int | None = None
) -> Tensor:
    """Average each view's predictions over the network calls it takes part in (paper, Eq. 6).

    Args:
        denoise: the network.
        latents: ``(V, ...)``.
        schedule: rounds of this step, from :meth:`cvd_core.sampling.pairs.Pairing.rounds`.
        draws: source of the slopes; one network call's worth per round.
        views_per_pass: memory limit; None runs every round in one call. Does not change the result.
    """
    weights = view_weights(schedule, len(latents))
    total = torch.zeros_like(latents)
    for groups in schedule:
        slopes = SlopeTape(draws.slopes)
        for part in batches(groups, views_per_pass):
            slopes.rewind()
            call = NetworkCall(part, slopes)
            prediction = denoise(latents[list(call.views)], call)
            for position, view in enumerate(call.views):
                total[view] += weights[view] * prediction[position].to(total)
    return total


def sample_together(
    denoise: Callable[[int, Tensor, NetworkCall], Tensor],
    latents: Tensor,
    solver: Solver,
    draws: Draws,
    *,
    pairing: Pairing = Pairing(),  # noqa: B008 - frozen
    recurrence: Recurrence = Recurrence(),  # noqa: B008 - frozen
    on_progress: Callable[[Progress], object] | None = None,
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

    Returns:
        ``(V, ...)`` denoised latents.
    """
    for step in range(solver.steps):
        repeats = recurrence.at(step, solver.steps)
        for repeat in range(1, repeats + 1):
            schedule = pairing.rounds(len(latents), draws)
            seen = solver.scale_input(step, latents)
            prediction = predict_together(partial(denoise, step), seen, schedule, draws, pairing.views_per_pass)
            latents = solver.advance(step, latents, prediction, final=repeat == repeats)
            if on_progress is not None:
                on_progress(Progress(step, solver.steps, repeat, repeats, latents))
            if repeat < repeats:
                noise = draws.renoise(tuple(latents.shape)).to(latents)
                latents = renoise(latents, solver.level(step + 1), solver.level(step), noise)
    return latents
