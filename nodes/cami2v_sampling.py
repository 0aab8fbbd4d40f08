"""CamI2V's guider and sampler, for SamplerCustomAdvanced."""

from __future__ import annotations

from typing import Any, get_args

from comfy_api.latest import io

from cvd_core.cami2v.ddim import TIMESTEPS, Spacing
from cvd_core.cami2v.guidance import RESCALE, Schedule

from .host.camera_guider import CameraGuidance, CameraGuider
from .host.ddim_sampler import ddim_sampler, ddim_sigmas
from .inputs import check_choices, guidance_input, verdict
from .picture_to_video import CATEGORY
from .schema import node_schema


class CamI2VGuider(io.ComfyNode):
    """The guider for SamplerCustomAdvanced."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_CamI2VGuider",
            display_name="CamI2V Guider",
            category=CATEGORY,
            search_aliases=["CamI2V", "DynamiCrafter", "camera guidance", "camera cfg"],
            description="Guides text and camera apart, as CamI2V does, for SamplerCustomAdvanced. Also for "
            "DynamiCrafter without cameras.",
            inputs=[
                io.Model.Input("model", tooltip="From Load CamI2V / DynamiCrafter or Apply CamI2V Cameras."),
                io.Conditioning.Input("positive", tooltip="From Picture To Video Conditioning."),
                io.Conditioning.Input("negative", tooltip="From Picture To Video Conditioning."),
                guidance_input(
                    "cfg",
                    7.5,
                    "Guidance towards text and picture; 1 turns it off. Published: 7.5; released demo: 5.5.",
                ),
                guidance_input(
                    "camera_cfg",
                    1.0,
                    "Guidance towards the camera: above 1 follows it more strictly, and costs one more network "
                    "call per step. 1, as published, turns it off.",
                ),
                io.Combo.Input(
                    "camera_cfg_schedule",
                    options=list(get_args(Schedule)),
                    default="constant",
                    tooltip="constant: camera_cfg in all steps. cosine: falling to none at the clean end.",
                ),
                io.Float.Input(
                    "rescale",
                    default=RESCALE,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="How far guided predictions take on the spread of unguided ones, against oversaturation.",
                ),
            ],
            outputs=[io.Guider.Output(display_name="guider", tooltip="For SamplerCustomAdvanced.")],
        )

    @classmethod
    def validate_inputs(cls, camera_cfg_schedule: str | None = None) -> bool | str:
        """Refuse a schedule that is not on offer."""
        return verdict(check_choices, cls, camera_cfg_schedule=camera_cfg_schedule)

    @classmethod
    def execute(
        cls,
        model: Any,
        positive: Any,
        negative: Any,
        cfg: float,
        camera_cfg: float,
        camera_cfg_schedule: Schedule,
        rescale: float,
    ) -> io.NodeOutput:
        check_choices(cls, camera_cfg_schedule=camera_cfg_schedule)
        guider = CameraGuider(model, CameraGuidance(cfg, camera_cfg, camera_cfg_schedule, rescale))
        guider.set_conds(positive, negative)
        return io.NodeOutput(guider)


class CamI2VSampler(io.ComfyNode):
    """Sampler and noise levels for SamplerCustomAdvanced."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_CamI2VSampler",
            display_name="CamI2V Sampler",
            category=CATEGORY,
            search_aliases=["CamI2V", "DynamiCrafter", "DDIM"],
            description="DynamiCrafter's own DDIM sampler with its noise levels, for SamplerCustomAdvanced. The 512 "
            "models need it: they start from pure noise and scale their predictions, which no other sampler does.",
            inputs=[
                io.Model.Input("model", tooltip="From Load CamI2V / DynamiCrafter; its noise schedule is read."),
                io.Int.Input(
                    "steps", default=25, min=1, max=TIMESTEPS, tooltip="Number of denoising steps; published: 25."
                ),
                io.Combo.Input(
                    "spacing",
                    options=list(get_args(Spacing)),
                    default="uniform_trailing",
                    tooltip="uniform_trailing, as published, starts from pure noise. uniform starts a little later.",
                ),
                io.Float.Input(
                    "eta",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Fresh noise in every step: 1 as published, 0 none.",
                ),
            ],
            outputs=[
                io.Sampler.Output(display_name="sampler", tooltip="For SamplerCustomAdvanced."),
                io.Sigmas.Output(display_name="sigmas", tooltip="Noise levels for SamplerCustomAdvanced."),
            ],
        )

    @classmethod
    def validate_inputs(cls, spacing: str | None = None) -> bool | str:
        """Refuse a spacing that is not on offer."""
        return verdict(check_choices, cls, spacing=spacing)

    @classmethod
    def execute(cls, model: Any, steps: int, spacing: Spacing, eta: float) -> io.NodeOutput:
        check_choices(cls, spacing=spacing)
        return io.NodeOutput(ddim_sampler(eta), ddim_sigmas(model, steps, spacing))


CAMI2V_SAMPLING_NODES: list[type[io.ComfyNode]] = [CamI2VGuider, CamI2VSampler]
