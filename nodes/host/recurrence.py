"""Recurrent denoising around any of the host's samplers (CVD paper, Algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import comfy.model_management
import comfy.model_sampling
import comfy.samplers
import torch
from torch import Tensor

from cvd_core.sampling.draws import Draws, SeededDraws
from cvd_core.sampling.recurrence import NoiseLevel, Recurrence, renoise

from .animatediff_settings import repeats_its_noise

_SEED_STEP = 0x9E3779B97F4A7C15
"""Odd, so that the seeds of successive calls never meet; 2**64 divided by the golden ratio spreads them."""


def recurrent_sampler(sampler: Any, recurrence: Recurrence) -> Any:
    """A SAMPLER that denoises steps several times, with fresh noise in between.

    Raises:
        ValueError: the sampler is not made of a function over noise levels, as all of the host's own are.
    """
    if recurrence.times == 1:
        return sampler
    if not hasattr(sampler, "sampler_function"):
        raise ValueError(
            f"the sampler is a {type(sampler).__name__}, which cannot be run step by step; connect KSamplerSelect or "
            "another sampler node of ComfyUI"
        )
    return comfy.samplers.KSAMPLER(partial(_sample, sampler, recurrence), inpaint_options=sampler.inpaint_options)


@torch.no_grad()
def _sample(
    sampler: Any,
    recurrence: Recurrence,
    model: Any,
    x: Tensor,
    sigmas: Tensor,
    extra_args: dict[str, Any] | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
    disable: bool | None = None,
) -> Tensor:
    """Run ``sampler`` on pieces of the schedule; steps in a row that are denoised once stay one piece."""
    guider = model.inner_model
    if isinstance(guider.inner_model.model_sampling, comfy.model_sampling.CONST):
        raise ValueError(
            "recurrent sampling adds diffusion noise, but this model is a rectified flow (CONST); set recurrence to 1 "
            "or use another model"
        )
    if repeats_its_noise(guider.model_patcher):
        raise ValueError(
            "the sample settings have Ancestral Options, which would draw the same noise in every repetition; "
            "disconnect them or set recurrence to 1"
        )
    extra_args = extra_args or {}
    seed = extra_args.get("seed") or 0
    draws = getattr(guider, "draws", None) or SeededDraws(seed)
    calls = 0

    def run(x: Tensor, first: int, last: int, report: bool) -> Tensor:
        nonlocal calls
        arguments = {**extra_args, "seed": (seed + calls * _SEED_STEP) % 2**63 if calls else extra_args.get("seed")}
        calls += 1

        def outer(info: dict[str, Any]) -> None:
            if callback is not None:
                callback({**info, "i": first + min(info["i"], last - first - 1)})

        piece = sigmas[first : last + 1]
        out: Tensor = sampler.sampler_function(
            model,
            x,
            piece,
            extra_args=arguments,
            callback=outer if report else None,
            disable=True,
            **sampler.extra_options,
        )
        return out

    steps = len(sigmas) - 1
    step = 0
    while step < steps:
        repeats = recurrence.at(step, steps)
        last = step + 1
        while repeats == 1 and last < steps and recurrence.at(last, steps) == 1:
            last += 1
        for repeat in range(1, repeats + 1):
            comfy.model_management.throw_exception_if_processing_interrupted()
            x = run(x, step, last, repeat == repeats)
            if repeat < repeats:
                reached, back_to = (NoiseLevel(1.0, float(sigmas[i])) for i in (step + 1, step))
                x = renoise(x, reached, back_to, _noise_like(x, draws, getattr(guider, "views", None)))
        step = last
    return x


def _noise_like(x: Tensor, draws: Draws, views: int | None) -> Tensor:
    """Noise for ``(V * F, C, h, w)`` rows, drawn as ``(V, C, F, h, w)`` as everywhere in the project."""
    if views is None:
        return draws.renoise(tuple(x.shape)).to(x)
    rows = x.unflatten(0, (views, -1)).transpose(1, 2)
    return draws.renoise(tuple(rows.shape)).transpose(1, 2).flatten(0, 1).to(x)
