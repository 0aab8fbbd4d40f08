"""Camera files in, camera files out."""

from __future__ import annotations

from dataclasses import replace

import folder_paths
from comfy_api.latest import io

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.formats import FORMATS, WRITABLE, read_cameras, write_cameras
from cvd_core.geometry.trajectories import resample

from .files import find_input, save_place, stamp
from .inputs import CONVENTION, check_choices, side_input, verdict
from .remarks import shows_warnings
from .schema import node_schema
from .types import CamerasType

AUTO = "auto"


class LoadCameraPoses(io.ComfyNode):
    """Camera paths from files."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_LoadCameraPoses",
            display_name="Load Camera Poses",
            category="CVD/cameras",
            search_aliases=[
                "import cameras",
                "read camera path",
                "RealEstate10K",
                "COLMAP",
                "transforms.json",
                "nerfstudio",
            ],
            description="Reads camera files: RealEstate10K / CameraCtrl text, nerfstudio and instant-ngp JSON, "
            "ReCamMaster and MotionCtrl JSON, COLMAP text models, LLFF, TUM, NumPy (including that of VGGT and "
            f"MegaSaM). The cameras are converted to one convention. {CONVENTION}",
            inputs=[
                io.String.Input(
                    "files",
                    multiline=True,
                    default="",
                    placeholder="left.txt\nright.txt",
                    tooltip="One file per line (a folder for COLMAP); the views of several files are put together. "
                    "Names are relative to ComfyUI's input folder, or to the output folder if [output] follows the "
                    "name; full paths may point into the input, output, temp and models folders.",
                ),
                io.Combo.Input(
                    "format",
                    options=[AUTO, *FORMATS],
                    default=AUTO,
                    tooltip="Format of the files; auto infers it from the extension and the content.",
                ),
                io.Int.Input(
                    "frames",
                    default=0,
                    min=0,
                    max=4096,
                    tooltip="Frames per view; 0 takes all poses of the file. Must match the frames of the latent.",
                ),
                io.Int.Input("start", default=0, min=0, max=1000000, tooltip="First pose to take, counting from 0."),
                io.Int.Input(
                    "step",
                    default=0,
                    min=0,
                    max=10000,
                    tooltip="0 spreads the frames evenly over the path from start to its end, interpolating the poses. "
                    "1 takes every pose as it is, 2 every second one, and so on; higher is faster.",
                ),
                io.String.Input(
                    "intrinsics",
                    default="",
                    tooltip="Only for files that hold no intrinsics (ReCamMaster, MotionCtrl, TUM, .npy): fx, fy, cx, "
                    "cy, with fx and cx divided by the image width, fy and cy by the height. Leave it empty otherwise.",
                ),
            ],
            outputs=[CamerasType.Output("cameras", display_name="cameras", tooltip="All views of all files.")],
        )

    @classmethod
    def validate_inputs(cls, files: str | None = None, format: str | None = None) -> bool | str:
        def check() -> None:
            check_choices(cls, format=format)
            for name in _names(files) if files is not None else ():
                find_input(name)

        return verdict(check)

    @classmethod
    def fingerprint_inputs(cls, files: str | None = None, **others: object) -> object:
        try:
            return [stamp(find_input(name)) for name in _names(files or "")]
        except (ValueError, OSError) as error:
            return str(error)  # execute reports it to the user

    @classmethod
    @shows_warnings
    def execute(cls, files: str, format: str, frames: int, start: int, step: int, intrinsics: str) -> io.NodeOutput:
        check_choices(cls, format=format)
        lens = _intrinsics(intrinsics)
        parts = []
        for name in _names(files):
            cameras = read_cameras(find_input(name), format=None if format == AUTO else format, intrinsics=lens)
            parts.append(_take(cameras, frames, start, step, name))
        return io.NodeOutput(Cameras.concatenate(parts))


class SaveCameraPoses(io.ComfyNode):
    """Camera paths to files."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="CVD_SaveCameraPoses",
            display_name="Save Camera Poses",
            category="CVD/cameras",
            search_aliases=[
                "export cameras",
                "write camera path",
                "RealEstate10K",
                "COLMAP",
                "transforms.json",
                "nerfstudio",
            ],
            description="Writes camera files to ComfyUI's output folder, for other programs or for Load Camera Poses.",
            is_output_node=True,
            inputs=[
                CamerasType.Input("cameras", tooltip="The camera paths to write, all views."),
                io.Combo.Input(
                    "format",
                    options=list(WRITABLE),
                    default="realestate10k",
                    tooltip="; ".join(f"{known.name}: {known.description}" for known in WRITABLE.values()),
                ),
                io.String.Input(
                    "filename_prefix",
                    default="cameras/CVD",
                    tooltip="Name of the files without number and extension; a folder before the name is created if "
                    "needed.",
                ),
                side_input("width", 512, "Stored by nerfstudio and COLMAP only."),
                side_input("height", 512, "Stored by nerfstudio and COLMAP only."),
            ],
            outputs=[
                io.String.Output(
                    "paths",
                    display_name="paths",
                    tooltip="The files written, one per line, as Load Camera Poses reads them.",
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, format: str | None = None) -> bool | str:
        return verdict(check_choices, cls, format=format)

    @classmethod
    @shows_warnings
    def execute(cls, cameras: Cameras, format: str, filename_prefix: str, width: int, height: int) -> io.NodeOutput:
        check_choices(cls, format=format)
        folder, name, _ = save_place(filename_prefix, folder_paths.get_output_directory(), width, height)
        suffix = (*WRITABLE[format].extensions, "")[0]
        target = folder / f"{name}{suffix}"
        written = write_cameras(cameras, target, format=format, width=width, height=height)
        # A COLMAP model is read by its folder, not by the files in it.
        paths = "\n".join(map(str, written if suffix else [target]))
        return io.NodeOutput(paths, ui={"text": (paths,)})


def _names(files: str) -> list[str]:
    names = [line.strip() for line in files.splitlines() if line.strip()]
    if not names:
        raise ValueError("files is empty; give the names of camera files in ComfyUI's input folder, one per line")
    return names


def _intrinsics(words: str) -> tuple[float, float, float, float] | None:
    if not words.strip():
        return None
    try:
        fx, fy, cx, cy = (float(word) for word in words.replace(",", " ").split())
    except ValueError as error:
        raise ValueError(f"intrinsics is {words!r}; expected four numbers fx, fy, cx, cy, or nothing") from error
    return fx, fy, cx, cy


def _take(cameras: Cameras, frames: int, start: int, step: int, name: str) -> Cameras:
    """The poses that the inputs ask for."""
    wanted = slice(start, None, step or 1)
    if start >= cameras.frames:
        raise ValueError(
            f"start is {start}, but {name} holds {cameras.frames} poses; expected 0 to {cameras.frames - 1}"
        )
    rest = replace(cameras, c2w=cameras.c2w[:, wanted], intrinsics=cameras.intrinsics[:, wanted])
    if frames == 0:
        return rest
    if step == 0:
        return resample(rest, frames)
    if frames > rest.frames:
        raise ValueError(
            f"{name} holds {cameras.frames} poses, which is {rest.frames} from start {start} in steps of {step}, but "
            f"frames is {frames}. Ask for fewer frames, or set step to 0 to spread them over the path"
        )
    return replace(rest, c2w=rest.c2w[:, :frames], intrinsics=rest.intrinsics[:, :frames])
