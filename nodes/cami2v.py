"""CamI2V's cameras, guidance and sampler."""

from __future__ import annotations

from typing import Any, cast

from comfy_api.latest import io

from cvd_core.cami2v.ddim import TIMESTEPS, Spacing
from cvd_core.cami2v.guidance import RESCALE, Schedule
from cvd_core.cami2v.network import FRAMES
from cvd_core.geometry.cameras import Cameras

from .host.camera_guider import CameraGuidance, CameraGuider
from .host.ddim_sampler import ddim_sampler, ddim_sigmas
from .host.path_features import PathSettings, apply_camera_path
from .inputs import check_choices, check_range, guidance_input, strength_inputs, verdict
from .picture_to_video import CATEGORY
from .schema import node_schema
from .types import CamerasType

_MAX_SEED = 0xFFFFFFFFFFFFFFFF


class ApplyCamI2V(io.ComfyNode):
    """Give a CamI2V model its camera path."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_ApplyCamI2V",
            display_name="Apply CamI2V Cameras",
            category=CATEGORY,
            search_aliases=["CamI2V", "camera control", "camera motion"],
            description="Makes the videos of a CamI2V model follow camera paths, in any sampler. The picture is what "
            "the camera of the reference frame sees.",
            inputs=[
                io.Model.Input("model", tooltip="From Load CamI2V / DynamiCrafter, a file with the camera parts."),
                CamerasType.Input(
                    "cameras",
                    tooltip=f"Paths of {FRAMES} frames, one per video of the batch, or one for all. Cropped to the "
                    "shape of the video; only poses relative to the reference frame matter.",
                ),
                io.Int.Input(
                    "reference_frame",
                    default=0,
                    min=0,
                    max=FRAMES - 1,
                    tooltip=f"The frame that shows the picture: 0, the first, to {FRAMES - 1}, the last.",
                ),
                io.Float.Input(
                    "trace_scale",
                    default=1.0,
                    min=0.0,
                    max=100.0,
                    step=0.05,
                    tooltip="Factor on how far the camera moves; turns stay as they are. The models learned paths of "
                    "about one unit.",
                ),
                *strength_inputs(
                    "the camera",
                    "Factor on what the camera adds. 1 is as trained, 0 is DynamiCrafter.",
                    plural=False,
                ),
                io.Int.Input(
                    "line_seed",
                    default=0,
                    min=0,
                    max=_MAX_SEED,
                    tooltip="Two frames from one place, such as a frame and itself, have no epipolar lines; the "
                    "model was trained with random ones there. This is their seed.",
                ),
            ],
            outputs=[io.Model.Output(display_name="camera model", tooltip="For CamI2V Guider, or any sampler.")],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        cameras: Cameras,
        reference_frame: int,
        trace_scale: float,
        strength: float,
        start_percent: float,
        end_percent: float,
        line_seed: int,
    ) -> io.NodeOutput:
        check_range(start_percent, end_percent, "the cameras would never be seen")
        settings = PathSettings(cameras, reference_frame, trace_scale, strength, start_percent, end_percent, line_seed)
        return io.NodeOutput(apply_camera_path(model, settings))


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
                    options=["constant", "cosine"],
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
        camera_cfg_schedule: str,
        rescale: float,
    ) -> io.NodeOutput:
        check_choices(cls, camera_cfg_schedule=camera_cfg_schedule)
        guider = CameraGuider(model, CameraGuidance(cfg, camera_cfg, cast(Schedule, camera_cfg_schedule), rescale))
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
                    options=["uniform_trailing", "uniform"],
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
    def execute(cls, model: Any, steps: int, spacing: str, eta: float) -> io.NodeOutput:
        check_choices(cls, spacing=spacing)
        return io.NodeOutput(ddim_sampler(eta), ddim_sigmas(model, steps, cast(Spacing, spacing)))


CAMI2V_NODES: list[type[io.ComfyNode]] = [ApplyCamI2V, CamI2VGuider, CamI2VSampler]
