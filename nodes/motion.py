"""Motion modules and cameras without another pack."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from cvd_core.sampling.windows import Windows

from .host.native import apply_motion, load_camera, load_motion, with_motion_lora
from .inputs import check_choices, verdict
from .model_files import ModelFile, ModelFileNode, register_folder
from .schema import node_schema
from .types import CameraControlType, MotionType, PluckerRays, PluckerType

CATEGORY = "CVD/motion"
FOLDER = "animatediff_models"
LORA_FOLDER = "animatediff_motion_lora"
"""AnimateDiff-Evolved's names, so that files lie in one place for both."""
MOTION_FILE, CAMERA_FILE, LORA_FILE = "v3_sd15_mm.ckpt", "CameraCtrl_pruned.safetensors", "v2_lora_ZoomIn.ckpt"
LINEAR, OF_MODEL = "linear (AnimateDiff)", "model"

register_folder(FOLDER)
register_folder(LORA_FOLDER)


class LoadMotionModule(ModelFileNode):
    """Read an AnimateDiff motion module."""

    FILE = ModelFile("motion_name", FOLDER, MOTION_FILE)

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_LoadMotionModule",
            display_name="Load Motion Module",
            category=CATEGORY,
            search_aliases=["AnimateDiff", "motion model", "mm", "v3_sd15_mm"],
            description="Loads an AnimateDiff motion module (v2, v3 or a fine-tune of either) from "
            f"models/{FOLDER}. CVD is trained with v3.",
            inputs=[cls.FILE.combo(f"File with the motion modules, in models/{FOLDER}, such as {MOTION_FILE}.")],
            outputs=[
                MotionType.Output(display_name="motion", tooltip="The motion module; connect to Apply Motion + Camera.")
            ],
        )

    @classmethod
    def load(cls, path: str) -> Any:
        return load_motion(path)


class LoadCameraCtrl(ModelFileNode):
    """Read CameraCtrl."""

    FILE = ModelFile("camera_name", FOLDER, CAMERA_FILE)

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_LoadCameraCtrl",
            display_name="Load CameraCtrl",
            category=CATEGORY,
            search_aliases=["CameraCtrl", "camera adapter", "pose encoder"],
            description="Loads CameraCtrl, which makes motion modules follow cameras, from the original checkpoint or "
            "from the file that AnimateDiff-Evolved uses.",
            inputs=[
                cls.FILE.combo(f"File with CameraCtrl, in models/{FOLDER}, such as {CAMERA_FILE} or CameraCtrl.ckpt.")
            ],
            outputs=[
                CameraControlType.Output(
                    display_name="camera control", tooltip="CameraCtrl; connect to Apply Motion + Camera."
                )
            ],
        )

    @classmethod
    def load(cls, path: str) -> Any:
        return load_camera(path)


class MotionLora(ModelFileNode):
    """Add a motion LoRA to a motion module."""

    FILE = ModelFile("lora_name", LORA_FOLDER, LORA_FILE)

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_MotionLora",
            display_name="Motion LoRA",
            category=CATEGORY,
            search_aliases=["AnimateDiff LoRA", "camera LoRA"],
            description="Adds a motion LoRA to a motion module, such as AnimateDiff's camera moves, which were trained "
            f"for v2. Files are in models/{LORA_FOLDER}. Chain several of these nodes to add several LoRAs.",
            inputs=[
                MotionType.Input("motion", tooltip="The motion module from Load Motion Module."),
                cls.FILE.combo(f"File with the motion LoRA, in models/{LORA_FOLDER}, such as {LORA_FILE}."),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=-10.0,
                    max=10.0,
                    step=0.05,
                    tooltip="Factor on the LoRA; 1 is as trained.",
                ),
            ],
            outputs=[MotionType.Output(display_name="motion with LoRA", tooltip="For Apply Motion + Camera.")],
        )

    @classmethod
    def load(cls, path: str, motion: Any, strength: float) -> Any:
        return with_motion_lora(motion, path, strength)


class ApplyMotion(io.ComfyNode):
    """Attach motion modules and cameras to a model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_ApplyMotion",
            display_name="Apply Motion + Camera",
            category=CATEGORY,
            search_aliases=["AnimateDiff", "CameraCtrl", "camera control", "context windows"],
            description=(
                "Makes a Stable Diffusion 1.5 model produce videos: one per view of the cameras, each along its own "
                "path. Works with the collaborative samplers and with any other; the latent holds all frames of the "
                "first view, then of the next."
            ),
            inputs=[
                io.Model.Input("model", tooltip="A Stable Diffusion 1.5 model, with or without LoRAs."),
                MotionType.Input("motion", tooltip="The motion module from Load Motion Module."),
                PluckerType.Input(
                    "plucker",
                    tooltip="The cameras of all views, from Plücker Embed; sets the number of views and frames.",
                ),
                CameraControlType.Input(
                    "camera_control",
                    optional=True,
                    tooltip="CameraCtrl from Load CameraCtrl. Without it the videos do not follow the cameras.",
                ),
                io.Float.Input(
                    "camera_strength",
                    default=1.0,
                    min=0.0,
                    max=10.0,
                    step=0.05,
                    tooltip="How strongly the videos follow the cameras; 1 is as trained.",
                ),
                io.Int.Input(
                    "context_length",
                    default=0,
                    min=0,
                    max=1024,
                    tooltip="Frames per context window, for videos longer than the networks were trained with (16). "
                    "0 runs all frames at once.",
                ),
                io.Int.Input(
                    "context_overlap",
                    default=4,
                    min=0,
                    max=1023,
                    tooltip="Frames that neighbouring context windows share; more is smoother and slower.",
                ),
                io.Combo.Input(
                    "beta_schedule",
                    options=[LINEAR, OF_MODEL],
                    default=LINEAR,
                    tooltip="Noise schedule: the linear one that AnimateDiff is trained with, or the model's own, for "
                    "instance from a ModelSampling node.",
                ),
            ],
            outputs=[
                io.Model.Output(
                    display_name="motion model", tooltip="For Apply Sync Module, or directly for any sampler."
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, beta_schedule: str | None = None) -> bool | str:
        return verdict(check_choices, cls, beta_schedule=beta_schedule)

    @classmethod
    def execute(
        cls,
        model: Any,
        motion: Any,
        plucker: PluckerRays,
        camera_strength: float,
        context_length: int,
        context_overlap: int,
        beta_schedule: str,
        camera_control: Any = None,
    ) -> io.NodeOutput:
        check_choices(cls, beta_schedule=beta_schedule)
        return io.NodeOutput(
            apply_motion(
                model,
                motion,
                camera_control,
                plucker,
                camera_strength=camera_strength,
                windows=Windows(context_length, context_overlap) if context_length else None,
                linear_betas=beta_schedule == LINEAR,
            )
        )


MOTION_NODES: list[type[io.ComfyNode]] = [LoadMotionModule, LoadCameraCtrl, MotionLora, ApplyMotion]
