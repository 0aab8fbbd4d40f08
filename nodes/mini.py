"""The small model that ships in the package."""

from __future__ import annotations

from comfy_api.latest import io

from cvd_core.runs.mini import EXAMPLE, FRAMES, SETTINGS

from .host.mini import load_mini
from .schema import node_schema
from .types import CameraControlType, MotionType, SyncType


class LoadMiniModel(io.ComfyNode):
    """Read the small model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_LoadMiniModel",
            display_name="Load Mini Model",
            category="CVD",
            search_aliases=["demo model", "offline", "no download", "example model"],
            description="Loads the small model that ships with this pack, for trying things out without downloads: "
            f"balls and cubes on a floor, {FRAMES} frames of {SETTINGS['width']}x{SETTINGS['height']} pixels, prompts "
            f'such as "{EXAMPLE}".',
            inputs=[],
            outputs=[
                io.Model.Output(display_name="model", tooltip="The UNet; connect to Apply Motion + Camera."),
                io.Clip.Output(display_name="clip", tooltip="The text encoder; it knows the words of the help page."),
                io.Vae.Output(display_name="vae", tooltip="The autoencoder, latents of 8 channels."),
                MotionType.Output(display_name="motion", tooltip="Motion modules; connect to Apply Motion + Camera."),
                CameraControlType.Output(
                    display_name="camera control", tooltip="CameraCtrl; connect to Apply Motion + Camera."
                ),
                SyncType.Output(display_name="sync", tooltip="Sync modules; connect to Apply Sync Module."),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        mini = load_mini()
        return io.NodeOutput(mini.model, mini.clip, mini.vae, mini.motion, mini.camera, mini.sync)


MINI_NODES: list[type[io.ComfyNode]] = [LoadMiniModel]
