"""``cvd generate``: options that say what is made - from which cameras, texts, pictures and models, and where to."""

from __future__ import annotations

import argparse
from pathlib import Path

from cvd_core.geometry.interpolation import EASINGS
from cvd_core.geometry.rigs import RIGS
from cvd_core.runs import mini
from cvd_core.runs.request import DEFAULT_FPS, DEFAULT_FRAMES, DEFAULT_VIEWS, RIG_PARAMETERS
from cvd_core.sampling.settings import GivenView, StartPicture
from cvd_core.syncam.novel_view import TEXT_GUIDANCE
from cvd_core.syncam.presets import PRESETS


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Add the options in groups."""
    _add_output(parser.add_argument_group("output"))
    _add_cameras(parser.add_argument_group("cameras", "Either pose files or a rig. Every path is one view, one video."))
    _add_scene(parser.add_argument_group("scene"))
    _add_picture(
        parser.add_argument_group(
            "picture to start from", "With CamI2V and DynamiCrafter, whose base needs one. They make 16 frames."
        )
    )
    _add_given(
        parser.add_argument_group(
            "given video",
            "With SynCamMaster: new views of a video. Experimental - no released weights were trained for it.",
        )
    )
    _add_models(
        parser.add_argument_group(
            "models",
            "Files on this machine; `cvd inspect FILE` says what a file is for. Without any, the small model in the "
            "package is used.",
        )
    )


def _add_output(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for one MP4 per view, grid.mp4 with all of them in step, transforms.json (the cameras, for "
        "nerfstudio and Blender) and run.json (to repeat the run). Existing files are never overwritten. With --jobs, "
        "the folder in which the folders of the runs lie",
    )
    group.add_argument(
        "--jobs",
        type=Path,
        metavar="FILE.jsonl",
        help="make many runs, one per line of this file: a JSON object of options without their dashes, such as "
        '{"out": "car", "rig": "circle", "prompt": "a red car"}, which go before those of the command line. Runs that '
        "are finished, or that another process is making, are left out: the same command goes on where it was stopped, "
        "and several of them at once share the work",
    )
    group.add_argument("--fps", type=float, metavar="N", help=f"frames per second (default: {DEFAULT_FPS:g})")
    group.add_argument(
        "--from",
        dest="repeat",
        type=Path,
        metavar="RUN.json",
        help="repeat an earlier run: everything is taken from its run.json except the options given here. Models must "
        "be the same files, or be given again",
    )


def _add_cameras(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--poses",
        type=Path,
        nargs="+",
        action="extend",
        metavar="FILE",
        help="camera paths in any format of `cvd cameras`: RealEstate10K .txt, transforms.json, COLMAP, .npz ...; "
        "all views of all files are used, each moved so that they share one first camera",
    )
    group.add_argument(
        "--intrinsics",
        type=float,
        nargs=4,
        metavar=("FX", "FY", "CX", "CY"),
        help="for pose files that hold no intrinsics: fx and cx divided by the image width, fy and cy by the height",
    )
    known = [*((r.name, r.description) for r in RIGS.values()), *((n, p.description) for n, p in PRESETS.items())]
    group.add_argument("--rig", choices=dict(known), help="; ".join(f"{name}: {text}" for name, text in known))
    group.add_argument(
        "--views", type=int, metavar="N", help=f"number of videos of the rig, even or odd (default: {DEFAULT_VIEWS})"
    )
    for name in RIG_PARAMETERS:
        found = [(rig.name, p) for rig in RIGS.values() for p in rig.parameters if p.name == name]
        text = "; ".join(f"{rig}: {p.unit} (default {p.default:g})" for rig, p in found)
        group.add_argument(f"--rig-{name}", type=float, metavar="N", help=text)
    group.add_argument(
        "--rig-easing", choices=EASINGS, help="how the rig's cameras speed up and slow down (default: linear)"
    )
    group.add_argument(
        "--frames",
        type=int,
        metavar="N",
        help=f"frames per video: rigs are made with this many (default: {DEFAULT_FRAMES}), pose files are resampled to "
        f"it (default: as many as they have). The networks were trained with {DEFAULT_FRAMES}, the mini model with "
        f"{mini.FRAMES}, which is its default for both",
    )


def _add_scene(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--prompt",
        dest="prompts",
        nargs="+",
        action="extend",
        metavar="TEXT",
        help="what to show: one text for all views, or one per view in order. Describe ONE scene: training used the "
        "same text for all views, so let texts differ only in what a single camera sees",
    )
    group.add_argument(
        "--negative",
        dest="negative_prompts",
        nargs="+",
        action="extend",
        metavar="TEXT",
        help='what not to show, in the same way (default: none; try "worst quality, low quality, letterboxed")',
    )


def _add_picture(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--image", type=Path, metavar="FILE", help="scaled to cover the video and cropped around its centre"
    )
    group.add_argument(
        "--reference-frame",
        type=int,
        metavar="N",
        help=f"frame of the video that shows the picture, 0 to 15 (default: {StartPicture.reference_frame})",
    )
    group.add_argument(
        "--path-scale",
        type=float,
        metavar="N",
        help="factor on the translations of the camera paths, whose unit no picture tells (default: "
        f"{StartPicture.path_scale:g})",
    )
    group.add_argument(
        "--frame-rate",
        type=float,
        metavar="N",
        help="what the network is told of the speed: frame stride 1 to 10 of the 256 model (default: 3; higher is "
        "faster), frames per second 5 to 30 of the 512 model (default: 10; lower is faster)",
    )
    group.add_argument(
        "--eta",
        type=float,
        metavar="N",
        help=f"noise that is added in every step, 0 to 1 (default: {StartPicture.eta:g})",
    )
    group.add_argument(
        "--shared-noise",
        action=argparse.BooleanOptionalAction,
        help="several camera paths: give all videos the same noise, which makes them more alike; the network does not "
        "synchronise them (default: each its own)",
    )


def _add_given(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--reference",
        type=Path,
        metavar="FILE",
        help="a video that is the first view, seen by the first camera; its beginning is used, scaled to cover the "
        "others' size and cropped around its centre. --guidance is that of the text then "
        f"(default: {TEXT_GUIDANCE:g}, the paper's)",
    )
    group.add_argument(
        "--video-guidance",
        type=float,
        metavar="N",
        help=f"guidance scale of the given video (default: {GivenView.video_guidance:g}, the paper's)",
    )


def _add_models(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--base",
        metavar="PATH",
        help="Stable Diffusion 1.5 or a fine-tune of it: a diffusers folder, or a .safetensors or .ckpt file; the "
        "diffusers folder of Wan 2.1 T2V 1.3B, or a file with its transformer; the whole file of CamI2V "
        f"(256_cami2v.pt ...) or DynamiCrafter; or {mini.NAME}, the small model in the package with its own motion, "
        f"camera and sync modules, which knows balls and cubes on a floor (default: {mini.NAME})",
    )
    group.add_argument(
        "--config",
        type=Path,
        metavar="DIR",
        help="if --base is a single file: any SD1.5 diffusers folder, for configs and tokenizer (no weights needed); "
        "for Wan's transformer the diffusers folder of Wan 2.1 T2V 1.3B, whose other networks are used",
    )
    group.add_argument("--motion", type=Path, metavar="FILE", help="AnimateDiff motion module: v3_sd15_mm.ckpt")
    group.add_argument(
        "--camera",
        type=Path,
        metavar="FILE",
        help="CameraCtrl.ckpt, or with DynamiCrafter a file with what CamI2V trained on it; without it the videos do "
        "not follow the cameras",
    )
    group.add_argument(
        "--sync",
        type=Path,
        metavar="FILE",
        help="what synchronises the views: CVD.ckpt, or with Wan 2.1 SynCamMaster's step20000.ckpt; without it the "
        "videos are independent of each other",
    )
    group.add_argument(
        "--lora",
        dest="loras",
        type=lora,
        nargs="+",
        action="extend",
        metavar="FILE[:SCALE]",
        help="LoRA for the base with its strength, e.g. style.safetensors:0.8 (default strength: 1); may be several",
    )


def lora(text: str) -> tuple[Path, float]:
    """``FILE`` or ``FILE:SCALE``. A colon that no number follows belongs to the file's name, as in ``C:\\x.ckpt``."""
    file, colon, scale = text.rpartition(":")
    try:
        return (Path(file), float(scale)) if colon and file else (Path(text), 1.0)
    except ValueError:
        return Path(text), 1.0
