"""Videos and cameras for the programs that come after ComfyUI."""

from __future__ import annotations

from dataclasses import replace

import folder_paths
import torch
from comfy_api.latest import io
from torch import Tensor

from cvd_core.exports.dataset import DATASETS, write_dataset
from cvd_core.exports.gltf import write_gltf
from cvd_core.geometry.cameras import Cameras
from cvd_core.runs.file_names import file_stems

from .files import save_place
from .inputs import check_choices, verdict
from .remarks import shows_warnings
from .schema import node_schema
from .types import CamerasType

GLTF = "gltf"
_LAYOUTS = {name: known.description for name, known in DATASETS.items()} | {
    GLTF: "animated cameras in one .gltf file, for Blender, Unreal and others; needs no images"
}


class ExportScene(io.ComfyNode):
    """A dataset for reconstruction, or cameras for 3D programs."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_ExportScene",
            display_name="Export Scene",
            category="CVD/video",
            search_aliases=[
                "export dataset",
                "nerfstudio",
                "COLMAP",
                "gaussian splatting",
                "NeRF",
                "D-NeRF",
                "4D",
                "glTF",
                "Blender",
                "Unreal",
            ],
            description="Writes videos with their cameras as a dataset that reconstruction programs read, or the "
            "cameras alone for 3D programs, to ComfyUI's output folder. Nothing is overwritten.",
            is_output_node=True,
            inputs=[
                CamerasType.Input("cameras", tooltip="The camera paths that the videos were made with."),
                io.Image.Input(
                    "images",
                    optional=True,
                    tooltip="The frames of all views in one batch, one view after the other, as the VAE decodes them.",
                ),
                io.Combo.Input(
                    "layout",
                    options=list(_LAYOUTS),
                    default=next(iter(_LAYOUTS)),
                    tooltip="; ".join(f"{name}: {text}" for name, text in _LAYOUTS.items()),
                ),
                io.Boolean.Input(
                    "shared_start",
                    default=True,
                    tooltip="On: all views start in one place, as CVD makes them whatever was drawn. Off: the cameras "
                    "stand where they were drawn, as SynCamMaster takes them.",
                ),
                io.Float.Input(
                    "fps", default=8.0, min=0.01, max=1000.0, step=0.01, tooltip="gltf only: frames per second."
                ),
                io.String.Input(
                    "filename_prefix",
                    default="scenes/CVD",
                    tooltip="Name of the folder or file without number; a folder before the name is created if needed.",
                ),
            ],
            outputs=[
                io.String.Output("path", display_name="path", tooltip="The folder of the dataset, or the file written.")
            ],
        )

    @classmethod
    def validate_inputs(cls, layout: str | None = None) -> bool | str:
        return verdict(check_choices, cls, layout=layout)

    @classmethod
    @shows_warnings
    def execute(
        cls,
        cameras: Cameras,
        layout: str,
        shared_start: bool,
        fps: float,
        filename_prefix: str,
        images: Tensor | None = None,
    ) -> io.NodeOutput:
        check_choices(cls, layout=layout)
        seen = cameras.relative_to_first() if shared_start else cameras
        seen = replace(seen, names=tuple(file_stems(seen.names)))
        height, width = (0, 0) if images is None else images.shape[1:3]
        folder, name, _ = save_place(filename_prefix, folder_paths.get_output_directory(), width, height)
        if layout == GLTF:
            path = write_gltf(seen if images is None else seen.crop_to(width, height), folder / f"{name}.gltf", fps)
        else:
            path = folder / name
            write_dataset(_videos(images, cameras, layout), seen.crop_to(width, height), path, layout)
        return io.NodeOutput(str(path), ui={"text": (str(path),)})


def _videos(images: Tensor | None, cameras: Cameras, layout: str) -> Tensor:
    """``(V, F, H, W, 3)`` uint8."""
    if images is None:
        raise ValueError(f"layout {layout} needs the images of all views; connect them, or export cameras as {GLTF}")
    wanted = cameras.views * cameras.frames
    if len(images) != wanted:
        raise ValueError(
            f"images holds {len(images)} images; expected {wanted}: {cameras.frames} frames of {cameras.views} views, "
            "one view after the other"
        )
    pixels = (images[..., :3].clamp(0, 1) * 255).round().to("cpu", torch.uint8)
    return pixels.unflatten(0, (cameras.views, cameras.frames))


EXPORT_NODES: list[type[io.ComfyNode]] = [ExportScene]
