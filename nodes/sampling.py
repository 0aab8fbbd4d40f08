"""Sampling all views together."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import comfy.sample
import comfy.samplers
import comfy.utils
import torch
from comfy_api.latest import io

from cvd_core.networks.sd15 import LATENT_CHANNELS, LATENT_STRIDE
from cvd_core.networks.sizes import check_size
from cvd_core.sampling.pairs import Pairing, Strategy
from cvd_core.sampling.recurrence import Recurrence

from .host.guider import CollaborativeGuider
from .host.mosaic import mosaic_callback
from .host.recurrence import recurrent_sampler
from .inputs import check_choices, side_input, verdict
from .sampling_inputs import cfg_input, model_inputs, pairing_inputs, recurrence_inputs, views_per_pass_input
from .schema import node_schema
from .sync import CATEGORY
from .types import PluckerRays

MAX_SEED = 0xFFFFFFFFFFFFFFFF
_TRAINED_SIZE = "The networks were trained at 256."


def _guider(
    model: Any,
    plucker: PluckerRays,
    positive: Any,
    negative: Any,
    cfg: float,
    pair_strategy: Strategy,
    partitions: int,
    views_per_pass: int,
) -> CollaborativeGuider:
    guider = CollaborativeGuider(model, plucker, Pairing(pair_strategy, partitions, views_per_pass or None))
    guider.set_conds(positive, negative)
    guider.set_cfg(cfg)
    return guider


class EmptyMultiViewLatent(io.ComfyNode):
    """Empty latents of several views."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_EmptyMultiViewLatent",
            display_name="Empty Multi-View Latent",
            category=CATEGORY,
            search_aliases=["empty latent", "blank latent"],
            description="Empty latents for a collaborative sampler: all frames of the first view, then of the next.",
            inputs=[
                io.Int.Input(
                    "views", default=2, min=1, max=64, tooltip="Number of videos, equal to the number of cameras."
                ),
                io.Int.Input(
                    "frames", default=16, min=1, max=4096, tooltip="Frames per video, as many as the cameras have."
                ),
                side_input("width", more=_TRAINED_SIZE),
                side_input("height", more=_TRAINED_SIZE),
            ],
            outputs=[io.Latent.Output(display_name="latent", tooltip="views x frames empty latents.")],
        )

    @classmethod
    def execute(cls, views: int, frames: int, width: int, height: int) -> io.NodeOutput:
        check_size(width, height)
        shape = (views * frames, LATENT_CHANNELS, height // LATENT_STRIDE, width // LATENT_STRIDE)
        return io.NodeOutput({"samples": torch.zeros(shape, device=comfy.model_management.intermediate_device())})


class CollaborativeKSampler(io.ComfyNode):
    """KSampler for several views."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_CollaborativeKSampler",
            display_name="Collaborative KSampler",
            category=CATEGORY,
            search_aliases=[
                *("CVD", "multi-view sampler", "2 views", "4 views"),
                *("sync", "synchronised videos", "synchronized videos", "collaborative video diffusion"),
            ],
            description=(
                "Denoises several videos of one scene together, each along its own camera path. The views attend to "
                "each other through the sync modules, in pairs that are redrawn for every network call."
            ),
            inputs=[
                *model_inputs(),
                io.Latent.Input(
                    "latent_image",
                    tooltip="views x frames latents, all frames of the first view, then of the next: from Empty "
                    "Multi-View Latent, or encoded videos with denoise below 1.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=MAX_SEED,
                    control_after_generate=True,
                    tooltip="Determines every random number of the run: noise, pairs and slopes.",
                ),
                io.Int.Input(
                    "steps", default=25, min=1, max=10000, tooltip="Number of denoising steps; published: 25."
                ),
                cfg_input(),
                io.Combo.Input(
                    "sampler_name",
                    options=comfy.samplers.KSampler.SAMPLERS,
                    default="ddim",
                    tooltip="Sampling method. Published: ddim (the same as euler).",
                ),
                io.Combo.Input(
                    "scheduler",
                    options=comfy.samplers.KSampler.SCHEDULERS,
                    default="ddim_uniform",
                    tooltip="How the noise levels are spaced. Published: ddim_uniform.",
                ),
                io.Float.Input(
                    "denoise",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Fraction of the noise schedule that is run: 1 makes new videos, less keeps more of the "
                    "given latents.",
                ),
                *pairing_inputs(),
                *recurrence_inputs(),
                views_per_pass_input(),
            ],
            outputs=[
                io.Latent.Output(
                    display_name="latent", tooltip="Denoised latents, all frames of the first view, then of the next."
                )
            ],
        )

    @classmethod
    def validate_inputs(
        cls, sampler_name: str | None = None, scheduler: str | None = None, pair_strategy: str | None = None
    ) -> bool | str:
        return verdict(check_choices, cls, sampler_name=sampler_name, scheduler=scheduler, pair_strategy=pair_strategy)

    @classmethod
    def execute(
        cls,
        model: Any,
        plucker: PluckerRays,
        positive: Any,
        negative: Any,
        latent_image: dict[str, Any],
        seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        denoise: float,
        pair_strategy: Strategy,
        partitions: int,
        recurrence: int,
        recurrence_start: float,
        recurrence_end: float,
        views_per_pass: int,
    ) -> io.NodeOutput:
        check_choices(cls, sampler_name=sampler_name, scheduler=scheduler, pair_strategy=pair_strategy)
        guider = _guider(model, plucker, positive, negative, cfg, pair_strategy, partitions, views_per_pass)
        repeats = Recurrence(recurrence, recurrence_start, recurrence_end)
        sampler = recurrent_sampler(comfy.samplers.sampler_object(sampler_name), repeats)
        sigmas = comfy.samplers.KSampler(model, steps, model.load_device, sampler_name, scheduler, denoise).sigmas
        samples = comfy.sample.fix_empty_latent_channels(model, latent_image["samples"])
        denoised = guider.sample(
            guider.make_noise(samples, seed),
            samples,
            sampler,
            sigmas,
            denoise_mask=latent_image.get("noise_mask"),
            callback=mosaic_callback(model, len(sigmas) - 1, guider.views),
            disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
            seed=seed,
        )
        return io.NodeOutput({**latent_image, "samples": denoised.to(comfy.model_management.intermediate_device())})


class CollaborativeGuiderNode(io.ComfyNode):
    """The guider for SamplerCustomAdvanced."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_CollaborativeGuider",
            display_name="Collaborative Guider",
            category=CATEGORY,
            search_aliases=["CVD", "multi-view guider"],
            description="Does what Collaborative KSampler does in each step, as a guider for SamplerCustomAdvanced.",
            inputs=[*model_inputs(), cfg_input(), *pairing_inputs(), views_per_pass_input()],
            outputs=[io.Guider.Output(display_name="guider", tooltip="For SamplerCustomAdvanced.")],
        )

    @classmethod
    def validate_inputs(cls, pair_strategy: str | None = None) -> bool | str:
        return verdict(check_choices, cls, pair_strategy=pair_strategy)

    @classmethod
    def execute(
        cls,
        model: Any,
        plucker: PluckerRays,
        positive: Any,
        negative: Any,
        cfg: float,
        pair_strategy: Strategy,
        partitions: int,
        views_per_pass: int,
    ) -> io.NodeOutput:
        check_choices(cls, pair_strategy=pair_strategy)
        return io.NodeOutput(
            _guider(model, plucker, positive, negative, cfg, pair_strategy, partitions, views_per_pass)
        )


class RecurrentSampler(io.ComfyNode):
    """Recurrent denoising for SamplerCustomAdvanced."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_RecurrentSampler",
            display_name="Recurrent Sampler",
            category=CATEGORY,
            search_aliases=["recurrence", "repeat steps", "time travel", "RePaint"],
            description=(
                "Makes any sampler repeat each denoising step, with fresh noise in between, as the paper does for more "
                "than two views."
            ),
            inputs=[
                io.Sampler.Input("sampler", tooltip="The sampler to repeat, from KSamplerSelect or a sampler node."),
                *recurrence_inputs(),
            ],
            outputs=[io.Sampler.Output(display_name="recurrent sampler", tooltip="For SamplerCustomAdvanced.")],
        )

    @classmethod
    def execute(cls, sampler: Any, recurrence: int, recurrence_start: float, recurrence_end: float) -> io.NodeOutput:
        return io.NodeOutput(recurrent_sampler(sampler, Recurrence(recurrence, recurrence_start, recurrence_end)))


SAMPLING_NODES: list[type[io.ComfyNode]] = [
    EmptyMultiViewLatent,
    CollaborativeKSampler,
    CollaborativeGuiderNode,
    RecurrentSampler,
]
