"""From cameras to what the networks are given: rays for the camera encoder, the epipolar mask for the sync modules."""

from __future__ import annotations

from typing import cast

from comfy_api.latest import io, ui
from einops import rearrange
from torch import Tensor

from cvd_core.geometry.cameras import Cameras, prepare_cameras
from cvd_core.geometry.epipolar import Band
from cvd_core.geometry.formats import cameras_to_rows
from cvd_core.geometry.plucker import plucker_embedding
from cvd_core.networks.sizes import check_size

from .inputs import check_choices, side_input, verdict
from .previews.band import draw_band
from .previews.rays import draw_rays
from .schema import node_schema
from .types import CameraCtrlPoses, CamerasType, EpipolarSpec, EpipolarType, PluckerRays, PluckerType

PREVIEW_FPS = 8.0
_SAME = "The same as in the empty latent; the published networks were trained at 256."


class PluckerEmbed(io.ComfyNode):
    """The camera input of CameraCtrl."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_PluckerEmbed",
            display_name="Plücker Embed",
            category="CVD/conditioning",
            search_aliases=["Plücker", "Plucker", "CameraCtrl", "camera embedding", "rays"],
            has_intermediate_output=True,
            is_output_node=True,  # so that the preview is made where nothing else uses the rays or the mask
            description="Turns cameras into one ray per pixel (the Plücker embedding), the form in which CameraCtrl "
            "takes camera paths. Source pictures are cropped to the aspect of the video, and every path is taken "
            "relative to its own first pose, so that all views start with the same picture.",
            inputs=[
                CamerasType.Input(
                    "cameras", tooltip="The camera paths: V views, each with the number of frames of the videos."
                ),
                side_input("width", more=_SAME),
                side_input("height", more=_SAME),
            ],
            outputs=[
                PluckerType.Output("plucker", display_name="plucker", tooltip="Rays for the collaborative samplers."),
                io.Image.Output(
                    "preview",
                    display_name="preview",
                    tooltip="One picture per frame: for every view, the directions of the rays above and their moments "
                    "below.",
                ),
                CameraCtrlPoses.Output(
                    "poses",
                    display_name="poses",
                    tooltip="The poses of the first view, for Apply AnimateDiff+CameraCtrl Model, which needs poses to "
                    "run. The collaborative samplers replace them with each view's own.",
                ),
            ],
        )

    @classmethod
    def execute(cls, cameras: Cameras, width: int, height: int) -> io.NodeOutput:
        check_size(width, height)
        prepared = prepare_cameras(cameras, width, height)
        rays = PluckerRays(prepared, width, height, plucker_embedding(prepared, width, height))
        preview = draw_rays(rays)
        (poses,) = cameras_to_rows(prepared.select([0]), width, height)
        return io.NodeOutput(rays, preview, poses, ui=_playing(preview, cls))


class EpipolarMask(io.ComfyNode):
    """Where the sync modules may look."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_EpipolarMask",
            display_name="Epipolar Mask",
            category="CVD/conditioning",
            search_aliases=["epipolar line", "epipolar attention", "attention mask"],
            has_intermediate_output=True,
            is_output_node=True,  # so that the preview is made where nothing else uses the rays or the mask
            description="Limits what a pixel may attend to in the other views to a band around its epipolar line, "
            "where the same point of the scene can appear. The query inputs only choose what the preview shows.",
            inputs=[
                CamerasType.Input("cameras", tooltip="The camera paths, the same as for Plücker Embed."),
                side_input("width", more=_SAME),
                side_input("height", more=_SAME),
                io.Combo.Input(
                    "band",
                    options=["soft", "hard"],
                    default="soft",
                    tooltip="soft: attention fades outside the band, as the published sync weights were trained. hard: "
                    "nothing outside the band, as in the paper.",
                ),
                io.Float.Input(
                    "threshold",
                    default=3.0,
                    min=0.1,
                    max=64.0,
                    step=0.1,
                    tooltip="Half the width of the band; higher is wider. hard: in image pixels. soft: relative to "
                    "half the image height and to the pixel farthest from the line. Published: 3.",
                ),
                io.Int.Input(
                    "query_view",
                    default=0,
                    min=0,
                    max=63,
                    tooltip="Preview only: the view that the query point is in, counting from 0.",
                ),
                io.Float.Input(
                    "query_x",
                    default=0.4,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Preview only: horizontal position of the query point, 0 at the left edge, 1 at the right.",
                ),
                io.Float.Input(
                    "query_y",
                    default=0.4,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Preview only: vertical position of the query point, 0 at the top, 1 at the bottom.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="Preview only: what to draw on, either the videos as one batch, view after view (V x F "
                    "images), or one image for all. Without it, the cameras look into a tiled room.",
                ),
            ],
            outputs=[
                EpipolarType.Output("epipolar", display_name="epipolar", tooltip="The mask, for Apply Sync Module."),
                io.Image.Output(
                    "preview",
                    display_name="preview",
                    tooltip="One picture per frame: the query point in its view, and what it may attend to in the "
                    "others.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, band: str | None = None) -> bool | str:
        return verdict(check_choices, cls, band=band)

    @classmethod
    def execute(
        cls,
        cameras: Cameras,
        width: int,
        height: int,
        band: str,
        threshold: float,
        query_view: int,
        query_x: float,
        query_y: float,
        image: Tensor | None = None,
    ) -> io.NodeOutput:
        check_choices(cls, band=band)
        check_size(width, height)
        if not 0 <= query_view < cameras.views:
            raise ValueError(
                f"query_view is {query_view}, but the cameras have {cameras.views} views; expected 0 to "
                f"{cameras.views - 1}"
            )
        spec = EpipolarSpec(prepare_cameras(cameras, width, height), width, height, cast(Band, band), threshold)
        spec.bias()  # checks the threshold
        backdrop = None if image is None else _backdrop(image, cameras, width, height)
        preview = draw_band(spec, query_view, (query_x, query_y), backdrop)
        return io.NodeOutput(spec, preview, ui=_playing(preview, cls))


def _backdrop(image: Tensor, cameras: Cameras, width: int, height: int) -> Tensor:
    """``(V, F, H, W, 3)`` from an IMAGE batch."""
    views, frames = cameras.views, cameras.frames
    if len(image) not in (1, views * frames):
        raise ValueError(
            f"image holds {len(image)} pictures; expected 1, or {views * frames}: {frames} frames of {views} views, "
            "one view after the other"
        )
    h, w = image.shape[1:3]
    if abs(w / h * height / width - 1) > 0.02:
        raise ValueError(f"image is {w} x {h} pixels; the mask is for {width} x {height}, so use images of that shape")
    if len(image) == 1:
        return image.expand(views * frames, -1, -1, -1).unflatten(0, (views, frames))
    return rearrange(image, "(v f) h w c -> v f h w c", v=views)


def _playing(frames: Tensor, node: type[io.ComfyNode]) -> ui.SavedImages:
    """Show frames as an animation inside the node."""
    saved = ui.ImageSaveHelper.save_animated_webp(
        frames, "CVD_preview", io.FolderType.temp, node, fps=PREVIEW_FPS, lossless=False, quality=85, method=0
    )
    return ui.SavedImages([saved], is_animated=True)


CONDITIONING_NODES: list[type[io.ComfyNode]] = [PluckerEmbed, EpipolarMask]
