"""Inputs that the samplers share."""

from __future__ import annotations

from comfy_api.latest import io

from cvd_core.sampling.pairs import STRATEGIES

from .inputs import guidance_input
from .types import PluckerType


def model_inputs() -> list[io.Input]:
    """Model, cameras and prompts."""
    return [
        io.Model.Input(
            "model",
            tooltip="A Stable Diffusion 1.5 model with Apply Motion + Camera (or AnimateDiff+CameraCtrl through Use "
            "Evolved Sampling) and Apply Sync Module.",
        ),
        PluckerType.Input(
            "plucker",
            tooltip="The cameras of all views, from Plücker Embed; sets the number of views and frames and the size.",
        ),
        io.Conditioning.Input(
            "positive",
            tooltip="What the scene shows. One prompt serves all views and frames; a batch with one per view, per "
            "frame, or per view and frame also works.",
        ),
        io.Conditioning.Input("negative", tooltip="What the scene should not show; the same batches as positive."),
    ]


def cfg_input() -> io.Input:
    """Guidance."""
    return guidance_input(
        "cfg",
        8.5,
        "Guidance scale: higher follows the prompt more closely, 1 turns guidance off. Published: 8.5 for "
        "two views, 14 for more.",
    )


def pairing_inputs() -> list[io.Input]:
    """Which views attend to each other."""
    return [
        io.Combo.Input(
            "pair_strategy",
            options=list(STRATEGIES),
            default=STRATEGIES[0],
            tooltip="Which views attend to each other in a step. partition: one random matching into pairs. "
            "multi-partition: several, averaged. exhaustive: all pairs, averaged. joint: every view to all others in "
            "one call. star: the first view with each of the others, averaged.",
        ),
        io.Int.Input(
            "partitions",
            default=1,
            min=1,
            max=64,
            tooltip="Random matchings per step of multi-partition (Q in the paper, which uses 2 for six views); each "
            "costs a network call for all views. Must be 1 for the other strategies.",
        ),
    ]


def views_per_pass_input() -> io.Input:
    """Memory limit."""
    return io.Int.Input(
        "views_per_pass",
        default=0,
        min=0,
        max=64,
        tooltip="Most views in one network call, to save memory: 2 needs the memory of two videos, 0 runs all at once. "
        "A pair is never split, and the result stays the same.",
    )


def recurrence_inputs() -> list[io.Input]:
    """How often steps are denoised, and which."""
    return [
        io.Int.Input(
            "recurrence",
            default=1,
            min=1,
            max=64,
            tooltip="How many times each step is denoised, with fresh noise in between (R in the paper: 4 for four "
            "views, 6 for six). More makes many views agree better and takes that many times longer. Multistep "
            "samplers lose their history.",
        ),
        io.Float.Input(
            "recurrence_start",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="Where repeating begins, as a fraction of the steps; 0 is the first step.",
        ),
        io.Float.Input(
            "recurrence_end",
            default=1.0,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="Where repeating ends, as a fraction of the steps; 1 is the end. The last step is never repeated.",
        ),
    ]
