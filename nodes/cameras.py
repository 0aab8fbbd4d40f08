"""Camera paths: drawing, loading, saving and combining them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from comfy_api.latest import io

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats import cameras_to_rows, rows_to_cameras
from cvd_core.geometry.trajectory_json import DEFAULT_TEXT, build_trajectories, parse_trajectories
from cvd_core.networks.sizes import check_size

from .camera_files import LoadCameraPoses, SaveCameraPoses
from .inputs import CONVENTION, check_choices, side_input, verdict
from .previews.paths import draw_paths
from .schema import node_schema
from .types import CameraCtrlPoses, CamerasType, RowOfView

MOST_SETS = 6


class CameraTrajectoryBuilder(io.ComfyNode):
    """Camera paths from one text."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_CameraTrajectoryBuilder",
            display_name="Camera Trajectory Builder",
            category="CVD/cameras",
            search_aliases=[
                *("camera path", "camera motion", "camera control", "orbit", "dolly", "crane", "pan", "rig"),
                *("2 views", "4 views", "several cameras"),
            ],
            description="Makes camera paths for several synchronised views from a rig, named moves or keyframes. "
            f"{CONVENTION} Lengths are in world units, angles in degrees.",
            inputs=[
                io.Int.Input(
                    "views",
                    default=4,
                    min=0,
                    max=64,
                    tooltip="Number of videos. A rig makes this many views. If the trajectory lists its views, this "
                    "must be their number, or 0 to take all of them.",
                ),
                io.Int.Input(
                    "frames",
                    default=16,
                    min=1,
                    max=1024,
                    tooltip="Frames per video. The path stays the same: more frames make the camera slower.",
                ),
                side_input(
                    "width", more="Wider pictures keep the horizontal field of view and show less above and below."
                ),
                side_input("height"),
                io.String.Input(
                    "trajectory",
                    multiline=True,
                    default=DEFAULT_TEXT,
                    tooltip="The paths as JSON: a rig (circle, upper_hemi, interpolate, orbit, stereo), or a list of "
                    "views with named moves (truck, pedestal, dolly move right, up, forward; pan, tilt, roll turn "
                    "right, up, clockwise; orbit, zoom, handheld, static) or keyframes. The help page has examples.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="A picture to see through the lenses in the editor, placed one unit in front of the first "
                    "camera. It does not affect the cameras.",
                ),
            ],
            outputs=[
                CamerasType.Output("cameras", display_name="cameras", tooltip="All views, for the other CVD nodes."),
                CameraCtrlPoses.Output(
                    "poses",
                    display_name="poses",
                    is_output_list=True,
                    tooltip="One list of poses per view, for separate runs: a node connected here runs once per view. "
                    "For the collaborative samplers, use the poses of Plücker Embed.",
                ),
                io.Image.Output(
                    "preview",
                    display_name="preview",
                    tooltip="The paths in perspective, from above, from the right and from behind. A ring marks the "
                    "first pose, a square the last.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, trajectory: str | None = None) -> bool | str:
        return True if trajectory is None else verdict(parse_trajectories, trajectory)

    @classmethod
    def execute(
        cls, views: int, frames: int, width: int, height: int, trajectory: str, image: torch.Tensor | None = None
    ) -> io.NodeOutput:
        check_size(width, height)
        built = build_trajectories(
            parse_trajectories(trajectory), views=views, frames=frames, width=width, height=height
        )
        rows = cameras_to_rows(built.cameras, width, height)
        poses = [[RowOfView(row, len(rows)) for row in view] for view in rows]
        return io.NodeOutput(built.cameras, poses, draw_paths(built.cameras, built.colors))


class CombineCameras(io.ComfyNode):
    """Several sets of views as one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs = [
            CamerasType.Input(
                f"cameras_{i}",
                optional=i > 1,
                tooltip=f"Set {i}: its views come after those of the sets before it. All sets need the same number of "
                "frames.",
            )
            for i in range(1, MOST_SETS + 1)
        ]
        return node_schema(
            node_id="CVD_CombineCameras",
            display_name="Combine Cameras",
            category="CVD/cameras",
            search_aliases=["merge cameras", "join cameras", "concatenate cameras"],
            description="Joins the views of several camera sets into one set, in order. If view names clash, all views "
            "are numbered instead.",
            inputs=inputs,
            outputs=[CamerasType.Output("cameras", display_name="cameras", tooltip="All views of all sets, in order.")],
        )

    @classmethod
    def execute(cls, cameras_1: Cameras, **more: Cameras | None) -> io.NodeOutput:
        others = (more.get(f"cameras_{i}") for i in range(2, MOST_SETS + 1))
        return io.NodeOutput(Cameras.concatenate([cameras_1, *(given for given in others if given is not None)]))


class CamerasFromPoses(io.ComfyNode):
    """From the poses that AnimateDiff-Evolved passes around."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_CamerasFromPoses",
            display_name="Cameras From Poses",
            category="CVD/cameras",
            search_aliases=["CameraCtrl poses", "convert poses"],
            description="Converts camera poses of AnimateDiff-Evolved and other packs. Several lists of poses become "
            "several views.",
            is_input_list=True,
            inputs=[
                CameraCtrlPoses.Input(
                    "poses", tooltip="Rows of 18 or 19 numbers; one list of rows is one view, a list of lists several."
                ),
                io.Combo.Input(
                    "matrix",
                    options=["w2c", "c2w"],
                    default="w2c",
                    tooltip="What the last 12 numbers of a row are. w2c, world to camera: AnimateDiff-Evolved, "
                    "CameraCtrl, Fun-Camera. c2w, camera to world: the camera nodes of ComfyUI's core. The wrong "
                    "choice reverses every move.",
                ),
            ],
            outputs=[CamerasType.Output("cameras", display_name="cameras", tooltip="One view per list of poses.")],
        )

    @classmethod
    def validate_inputs(cls, matrix: list[str] | None = None) -> bool | str:
        return verdict(check_choices, cls, matrix=matrix[0] if matrix else None)

    @classmethod
    def execute(cls, poses: list[Sequence[Sequence[float]]], matrix: list[str]) -> io.NodeOutput:
        check_choices(cls, matrix=matrix[0])
        return io.NodeOutput(rows_to_cameras(poses, cast(Literal["w2c", "c2w"], matrix[0])))


CAMERA_NODES: list[type[io.ComfyNode]] = [
    CameraTrajectoryBuilder,
    LoadCameraPoses,
    SaveCameraPoses,
    CombineCameras,
    CamerasFromPoses,
]
