"""Cameras to and from the nodes of ComfyUI's core: Wan Fun-Camera, Uni3C, the 3D nodes, Depth Anything 3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfy_api.latest import io

from cvd_core.geometry.cameras import Cameras, prepare_cameras
from cvd_core.geometry.formats.depth_anything import from_depth_anything
from cvd_core.geometry.formats.load3d import DEFAULT_FOV, from_load3d, to_load3d
from cvd_core.geometry.plucker import wan_camera_embedding
from cvd_core.geometry.trajectories import resample
from cvd_core.scenes.reference import film_path
from cvd_core.syncam.cameras import SIDE
from cvd_core.video.labelled import stacked

from .inputs import side_input
from .remarks import shows_warnings
from .schema import node_schema
from .types import CamerasType

WanCameraEmbedding = io.Custom("WAN_CAMERA_EMBEDDING")
Load3DCamera = io.Custom("LOAD3D_CAMERA")
DA3Geometry = io.Custom("DA3_GEOMETRY")
ALL_FRAMES = -1


class CamerasToWan(io.ComfyNode):
    """Any path for Wan Fun-Camera."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_CamerasToWan",
            display_name="Cameras To Wan Camera",
            category="CVD/cameras",
            search_aliases=["Wan Fun Camera", "WanCameraEmbedding", "camera embedding", "camera control", "dolly"],
            description="One camera path as the camera embedding of ComfyUI's Wan nodes: in place of "
            "WanCameraEmbedding, which knows nine fixed moves, for WanCameraImageToVideo with a Fun-Camera model.",
            inputs=[
                CamerasType.Input("cameras", tooltip="The camera paths; one view of them is used."),
                _view_input(),
                *_wan_size("as in WanCameraImageToVideo"),
            ],
            outputs=[
                WanCameraEmbedding.Output(
                    "camera_embedding", display_name="camera_embedding", tooltip="For WanCameraImageToVideo."
                ),
                *(
                    io.Int.Output(display_name=name, tooltip="As set here, for WanCameraImageToVideo.")
                    for name in ("width", "height", "length")
                ),
            ],
        )

    @classmethod
    def execute(cls, cameras: Cameras, view: int, width: int, height: int, length: int) -> io.NodeOutput:
        if width % SIDE or height % SIDE:
            raise ValueError(f"width and height are {width} and {height}; Wan takes multiples of {SIDE}")
        path = resample(_one_view(cameras, view), length)
        return io.NodeOutput(
            wan_camera_embedding(prepare_cameras(path, width, height), width, height), width, height, length
        )


class CamerasToGuideVideo(io.ComfyNode):
    """A plain scene filmed along one path."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_CamerasToGuideVideo",
            display_name="Cameras To Guide Video",
            category="CVD/cameras",
            search_aliases=["Uni3C", "render video", "playblast", "camera guide", "reference video", "camera path"],
            description="A plain scene - a floor, a ball one unit ahead, cubes around it - filmed along one camera "
            "path: for models that take the motion of the camera from a video, such as Uni3C on Wan 2.1, or to see a "
            "path.",
            inputs=[
                CamerasType.Input("cameras", tooltip="The camera paths; one view of them is used."),
                _view_input(),
                *_wan_size("as in the video to be made"),
                io.Float.Input(
                    "scale",
                    default=1.0,
                    min=0.001,
                    max=1000.0,
                    step=0.01,
                    tooltip="Enlarges the path. The ball is one unit ahead: recorded paths may need less to stay in "
                    "the scene, or more to move at all.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "frames", display_name="frames", tooltip="For render_video of Apply Wan Uni3C ControlNet."
                )
            ],
        )

    @classmethod
    def execute(cls, cameras: Cameras, view: int, width: int, height: int, length: int, scale: float) -> io.NodeOutput:
        path = resample(_one_view(cameras, view), length)
        return io.NodeOutput(stacked(film_path(path, width, height, scale), length))


class CamerasToLoad3D(io.ComfyNode):
    """One path for ComfyUI's 3D nodes."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_CamerasToLoad3D",
            display_name="Cameras To 3D Camera",
            category="CVD/cameras",
            search_aliases=["camera info", "Load3D camera", "Preview 3D", "Render Splat", "fly through"],
            description="One camera path as the camera info of ComfyUI's 3D nodes. A node connected here runs once per "
            "frame: Render Splat then films a splat along the path.",
            inputs=[
                CamerasType.Input("cameras", tooltip="The camera paths; one view of them is used."),
                _view_input(),
                io.Int.Input(
                    "frame",
                    default=ALL_FRAMES,
                    min=ALL_FRAMES,
                    max=4096,
                    tooltip="Which frame of the path, counting from 0; -1 gives all of them, one after the other.",
                ),
            ],
            outputs=[
                Load3DCamera.Output(
                    "camera_info",
                    display_name="camera_info",
                    is_output_list=True,
                    tooltip="One per frame, with the vertical field of view. Render Splat measures it along the "
                    "shorter side: render landscape or square pictures.",
                )
            ],
        )

    @classmethod
    @shows_warnings
    def execute(cls, cameras: Cameras, view: int, frame: int) -> io.NodeOutput:
        (infos,) = to_load3d(_one_view(cameras, view))
        if frame >= len(infos):
            raise ValueError(
                f"frame is {frame}, but the cameras have {len(infos)} frames; expected up to {len(infos) - 1}"
            )
        return io.NodeOutput(infos if frame == ALL_FRAMES else [infos[frame]])


class CamerasFromLoad3D(io.ComfyNode):
    """A path from cameras of ComfyUI's 3D nodes."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_CamerasFromLoad3D",
            display_name="Cameras From 3D Camera",
            category="CVD/cameras",
            search_aliases=["camera info", "Load3D camera", "Create Camera Info"],
            description="Cameras of ComfyUI's 3D nodes (Load 3D, Create Camera Info) as one path. A list of them is "
            "passed in order and interpolated; a single one stands still.",
            is_input_list=True,
            inputs=[
                Load3DCamera.Input("camera_info", tooltip="One camera, or a list of them along the path."),
                io.Int.Input(
                    "frames",
                    default=16,
                    min=0,
                    max=4096,
                    tooltip="Frames of the path; 0 takes one per camera. Must match the frames of the latent.",
                ),
                side_input("width", more="Gives the shape of the picture."),
                side_input("height", more="Gives the shape of the picture."),
                io.Float.Input(
                    "fov",
                    default=DEFAULT_FOV,
                    min=1.0,
                    max=170.0,
                    step=0.1,
                    tooltip="Vertical field of view in degrees, for cameras that state none: those of older ComfyUI.",
                ),
            ],
            outputs=[CamerasType.Output("cameras", display_name="cameras", tooltip="One view.")],
        )

    @classmethod
    @shows_warnings
    def execute(
        cls,
        camera_info: list[Mapping[str, Any]],
        frames: list[int],
        width: list[int],
        height: list[int],
        fov: list[float],
    ) -> io.NodeOutput:
        cameras = from_load3d(camera_info, width[0], height[0], fov[0])
        return io.NodeOutput(resample(cameras, frames[0] or cameras.frames))


class CamerasFromGeometry(io.ComfyNode):
    """Cameras that Depth Anything 3 estimates."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_CamerasFromGeometry",
            display_name="Cameras From Geometry",
            category="CVD/cameras",
            search_aliases=["Depth Anything 3", "DA3", "camera recovery", "camera tracking", "structure from motion"],
            description="The camera paths of existing videos, as Depth Anything 3 estimates them in multiview mode "
            "(ComfyUI 0.33 and newer): to make new videos along the same paths. Their scale is arbitrary.",
            inputs=[
                DA3Geometry.Input(
                    "geometry", tooltip="From Run Depth Anything 3 in multiview mode, all frames at once."
                ),
                io.Int.Input(
                    "views",
                    default=1,
                    min=1,
                    max=64,
                    tooltip="How many videos the frames belong to, one after the other; 1 for a single video.",
                ),
            ],
            outputs=[CamerasType.Output("cameras", display_name="cameras", tooltip="One camera per frame.")],
        )

    @classmethod
    @shows_warnings
    def execute(cls, geometry: Mapping[str, Any], views: int) -> io.NodeOutput:
        return io.NodeOutput(from_depth_anything(geometry, views))


def _view_input() -> io.Int.Input:
    return io.Int.Input("view", default=0, min=0, max=63, tooltip="Which view's path, counting from 0.")


def _wan_size(where: str) -> list[io.Input]:
    """Width, height and length of a video that Wan makes."""
    return [
        *(
            io.Int.Input(
                name,
                default=default,
                min=SIDE,
                max=4096,
                step=SIDE,
                tooltip=f"{name.capitalize()} of the video in pixels, {where}.",
            )
            for name, default in (("width", 832), ("height", 480))
        ),
        io.Int.Input(
            "length",
            default=81,
            min=1,
            max=4097,
            step=4,
            tooltip="Frames of the video: 1, 5, 9 and so on. The path is spread over them, so that it starts and ends "
            "where it does.",
        ),
    ]


def _one_view(cameras: Cameras, view: int) -> Cameras:
    if not 0 <= view < cameras.views:
        raise ValueError(
            f"view is {view}, but the cameras have {cameras.views} views; expected 0 to {cameras.views - 1}"
        )
    return cameras.select([view])


EXCHANGE_NODES: list[type[io.ComfyNode]] = [
    CamerasToWan,
    CamerasToGuideVideo,
    CamerasToLoad3D,
    CamerasFromLoad3D,
    CamerasFromGeometry,
]
