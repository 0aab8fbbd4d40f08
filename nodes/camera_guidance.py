"""Guidance of the camera apart from the text's."""

from __future__ import annotations

from typing import Any, get_args

from comfy_api.latest import io

from cvd_core.cami2v.guidance import Schedule

from .host.camera_guidance import with_camera_guidance
from .inputs import check_choices, verdict
from .motion import CATEGORY
from .schema import node_schema

SCHEDULES: list[str] = list(get_args(Schedule))


class CameraGuidance(io.ComfyNode):
    """Make a model follow its cameras more closely, or less."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_CameraGuidance",
            display_name="Camera Guidance",
            category=CATEGORY,
            search_aliases=["camera cfg", "follow the camera", "CameraCtrl"],
            description=(
                "Guides the camera apart from the text: predictions are moved away from those of the same text without "
                "camera. Works with the collaborative samplers and any other; each step takes one network evaluation "
                "more."
            ),
            inputs=[
                io.Model.Input("model", tooltip="A model with Apply Motion + Camera and CameraCtrl."),
                io.Float.Input(
                    "camera_guidance",
                    default=1.5,
                    min=0.0,
                    max=20.0,
                    step=0.05,
                    tooltip="1 is none and costs nothing; more follows the cameras more closely, too much distorts.",
                ),
                io.Combo.Input(
                    "schedule",
                    options=SCHEDULES,
                    default=SCHEDULES[0],
                    tooltip="constant, or falling to nothing over the steps as a cosine does.",
                ),
            ],
            outputs=[
                io.Model.Output(
                    display_name="guided model", tooltip="For Apply Sync Module, or directly for any sampler."
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, schedule: str | None = None) -> bool | str:
        return verdict(check_choices, cls, schedule=schedule)

    @classmethod
    def execute(cls, model: Any, camera_guidance: float, schedule: Schedule) -> io.NodeOutput:
        check_choices(cls, schedule=schedule)
        return io.NodeOutput(with_camera_guidance(model, camera_guidance, schedule))


CAMERA_GUIDANCE_NODES: list[type[io.ComfyNode]] = [CameraGuidance]
