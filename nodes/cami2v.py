"""Camera paths on CamI2V's models."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from cvd_core.cami2v.network import FRAMES
from cvd_core.geometry.cameras import Cameras

from .host.path_features import PathSettings, apply_camera_path
from .inputs import check_range, strength_inputs
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


CAMI2V_NODES: list[type[io.ComfyNode]] = [ApplyCamI2V]
