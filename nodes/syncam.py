"""SynCamMaster: several cameras around one moving scene, on the host's Wan 2.1 models."""

from __future__ import annotations

from typing import Any, cast

import comfy.model_management
import torch
from comfy_api.latest import io

from cvd_core.geometry.cameras import Cameras
from cvd_core.networks.sd15 import LATENT_STRIDE
from cvd_core.sampling.pairs import STRATEGIES, Pairing, Strategy
from cvd_core.syncam.cameras import FRAME_STRIDE, SIDE, beyond_training, latent_frames
from cvd_core.syncam.presets import PRESETS, preset_cameras

from .host.wan import CHANNELS, SynCamSettings, apply_syncam, load_modules
from .inputs import CONVENTION, check_choices, check_range, check_sides, strength_inputs, verdict
from .model_files import ModelFile, ModelFileNode
from .sampling_inputs import views_per_pass_input
from .schema import node_schema
from .sync import FOLDER
from .types import CamerasType, SynCamType

CATEGORY = "CVD/syncammaster"
_RELEASED = "step20000.ckpt"


def _side(name: str, default: int) -> io.Int.Input:
    return io.Int.Input(
        name,
        default=default,
        min=64,
        max=4096,
        step=SIDE,
        tooltip=f"{name.capitalize()} of the videos in pixels, a multiple of {SIDE}; trained at 832x480.",
    )


def _frames() -> io.Int.Input:
    return io.Int.Input(
        "frames",
        default=81,
        min=1,
        max=1025,
        step=FRAME_STRIDE,
        tooltip="Frames per video: 4n + 1, trained with 81.",
    )


class SynCamLoader(ModelFileNode):
    """Read SynCamMaster's modules."""

    FILE = ModelFile("module_name", FOLDER, _RELEASED)

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_SynCamLoader",
            display_name="Load SynCamMaster Module",
            category=CATEGORY,
            search_aliases=["SynCamMaster", "Wan multi-view"],
            description="Loads SynCamMaster's multi-view modules for Wan 2.1 1.3B from models/cvd.",
            inputs=[
                cls.FILE.combo(
                    "File in models/cvd: step20000.ckpt, whose Wan is ignored, or the smaller .safetensors "
                    "that `cvd convert` makes of it."
                )
            ],
            outputs=[SynCamType.Output(display_name="syncam", tooltip="The modules; connect to Apply SynCamMaster.")],
        )

    @classmethod
    def load(cls, path: str) -> Any:
        return load_modules(path)


class SynCamCameras(io.ComfyNode):
    """Cameras around a subject."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_SynCamCameras",
            display_name="Cameras Around Subject",
            category=CATEGORY,
            search_aliases=["SynCamMaster", "fixed cameras", "hemisphere"],
            description="Cameras around a subject three metres away, as in SynCamMaster's training. For your own "
            "paths, in metres, use any other camera node.",
            inputs=[
                io.Combo.Input(
                    "preset",
                    options=list(PRESETS),
                    default="az",
                    tooltip="; ".join(f"{name}: {preset.description}" for name, preset in PRESETS.items()) + ".",
                ),
                io.Int.Input("views", default=2, min=1, max=64, tooltip="Number of cameras; trained with 2."),
                _frames(),
                io.Float.Input(
                    "amount",
                    default=0.0,
                    min=-360.0,
                    max=360.0,
                    step=0.1,
                    tooltip="How far the last camera is from the first, in degrees (az, el) or metres (dis); the "
                    "others are spaced evenly in between. 0 uses the trained 30 degrees, 20 degrees or 1 metre.",
                ),
            ],
            outputs=[CamerasType.Output(display_name="cameras", tooltip=f"The cameras, in metres. {CONVENTION}")],
        )

    @classmethod
    def validate_inputs(cls, preset: str | None = None, **_: Any) -> bool | str:
        """Refuse a preset that is not on offer."""
        return verdict(check_choices, cls, preset=preset)

    @classmethod
    def execute(cls, preset: str, views: int, frames: int, amount: float) -> io.NodeOutput:
        check_choices(cls, preset=preset)
        latent_frames(frames)
        return io.NodeOutput(preset_cameras(preset, frames, views, amount or None))


class ApplySynCam(io.ComfyNode):
    """Attach SynCamMaster's modules to a Wan model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_ApplySynCam",
            display_name="Apply SynCamMaster",
            category=CATEGORY,
            search_aliases=["SynCamMaster", "Wan multi-view"],
            description="Attaches SynCamMaster's modules to a Wan 2.1 text-to-video 1.3B model, so that the videos of "
            "a batch show one moving scene from the given cameras, in any sampler. More than two views at once, moving "
            "cameras and wide angles go beyond what the released modules were trained for.",
            inputs=[
                io.Model.Input("model", tooltip="Wan 2.1 text-to-video 1.3B, with or without LoRAs."),
                SynCamType.Input("syncam", tooltip="From Load SynCamMaster Module."),
                CamerasType.Input(
                    "cameras",
                    tooltip="One camera path per video, in metres, of 4n + 1 frames; only the poses relative to the "
                    "first view matter.",
                ),
                *strength_inputs(
                    "the modules",
                    "Factor on what the modules add. 1 is as trained, 0 is plain Wan.",
                ),
                io.Combo.Input(
                    "pair_strategy",
                    options=list(STRATEGIES),
                    default="joint",
                    tooltip="Which views attend to each other. joint: every view to all others. partition: one random "
                    "matching into pairs per step, as the modules were trained. multi-partition: several, averaged. "
                    "exhaustive: all pairs, averaged. star: the first view with each of the others, for a given video "
                    "as the first view.",
                ),
                io.Int.Input(
                    "partitions",
                    default=1,
                    min=1,
                    max=64,
                    tooltip="Random matchings per step of multi-partition. Must be 1 for the other strategies.",
                ),
                views_per_pass_input(),
                io.Int.Input(
                    "pair_seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    tooltip="Seed of the random matchings; without effect where there are none.",
                ),
            ],
            outputs=[io.Model.Output(display_name="synced model", tooltip="For any sampler; one video per camera.")],
        )

    @classmethod
    def validate_inputs(cls, pair_strategy: str | None = None, **_: Any) -> bool | str:
        """Refuse a strategy that is not on offer."""
        return verdict(check_choices, cls, pair_strategy=pair_strategy)

    @classmethod
    def execute(
        cls,
        model: Any,
        syncam: Any,
        cameras: Cameras,
        strength: float,
        start_percent: float,
        end_percent: float,
        pair_strategy: str,
        partitions: int,
        views_per_pass: int,
        pair_seed: int,
    ) -> io.NodeOutput:
        check_choices(cls, pair_strategy=pair_strategy)
        check_range(start_percent, end_percent, "the modules would never be active")
        settings = SynCamSettings(
            cameras,
            strength,
            start_percent,
            end_percent,
            Pairing(cast(Strategy, pair_strategy), partitions, views_per_pass or None),
            pair_seed,
        )
        pairing, views = settings.pairing, cameras.views
        notes = beyond_training(cameras, pairing.largest_group(views), with_first_only=pair_strategy == "star")
        if views_per_pass and pairing.is_one_group(views):
            notes.append(f"views_per_pass has no effect: {views} views that attend to each other are never split")
        return io.NodeOutput(apply_syncam(model, syncam, settings), ui={"text": notes})


class EmptyMultiViewVideoLatent(io.ComfyNode):
    """Empty Wan latents of several views."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_EmptyMultiViewVideoLatent",
            display_name="Empty Multi-View Video Latent",
            category=CATEGORY,
            search_aliases=["empty latent", "Wan latent"],
            description="Empty latents of Wan 2.1, one video per camera. Decoded, they are all frames of the first "
            "view, then of the next, as Multi-View Video Combine and Split Views expect them.",
            inputs=[
                io.Int.Input("views", default=2, min=1, max=64, tooltip="Number of videos, one per camera."),
                _frames(),
                _side("width", 832),
                _side("height", 480),
            ],
            outputs=[io.Latent.Output(display_name="latent", tooltip="One empty video per view.")],
        )

    @classmethod
    def execute(cls, views: int, frames: int, width: int, height: int) -> io.NodeOutput:
        check_sides(SIDE, width=width, height=height)
        shape = (views, CHANNELS, latent_frames(frames), height // LATENT_STRIDE, width // LATENT_STRIDE)
        return io.NodeOutput({"samples": torch.zeros(shape, device=comfy.model_management.intermediate_device())})


SYNCAM_NODES: list[type[io.ComfyNode]] = [SynCamLoader, SynCamCameras, ApplySynCam, EmptyMultiViewVideoLatent]
