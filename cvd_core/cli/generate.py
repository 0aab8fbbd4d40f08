"""``cvd generate``: its options.

All are None when they are not given, so that a repeated run knows what to override; defaults are in the help texts and
in :class:`cvd_core.sampling.settings.Settings`.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from cvd_core.cami2v.guidance import Schedule
from cvd_core.cli import COMMANDS, explain, note
from cvd_core.engine.model_paths import ModelPaths
from cvd_core.geometry.epipolar import Mask
from cvd_core.geometry.interpolation import EASINGS
from cvd_core.geometry.rigs import RIGS
from cvd_core.networks.sizes import SIDE_STEP, SMALLEST_SIDE
from cvd_core.networks.tiles import AttentionKind
from cvd_core.runs import mini
from cvd_core.runs.request import DEFAULT_FPS, DEFAULT_FRAMES, DEFAULT_VIEWS, RIG_PARAMETERS, Request
from cvd_core.sampling.pairs import STRATEGIES, Pairing
from cvd_core.sampling.settings import GivenView, Sampler, Settings, StartPicture
from cvd_core.syncam.novel_view import TEXT_GUIDANCE
from cvd_core.syncam.presets import PRESETS

if TYPE_CHECKING:
    from cvd_core.runs.record import RunRecord

SETTINGS = [
    field.name
    for kind in (Settings, Pairing)
    for field in fields(kind)
    if field.name not in ("pairing", "recurrence", "picture", "given")
]
PARTS = {"picture": [f.name for f in fields(StartPicture)], "given": [f.name for f in fields(GivenView)]}
"""Options that make up a part of the settings."""
MODELS = [field.name for field in fields(ModelPaths)]
REST = ("poses", "intrinsics", "rig", "views", "rig_easing", "frames", "fps", "device", "dtype", "offload")
"""Options, grouped by what they belong to."""

EXAMPLES = """\
examples:
  two views with the small model in the package, which needs no files (`cvd demo` shows more):
    cvd generate --rig stereo --rig-baseline 2 --prompt "a red ball and a blue cube on a gray checkered floor" \\
      --out runs/balls
  four views that move out to the points of a circle:
    cvd generate --rig circle --views 4 --recurrence 3 --guidance 14 --prompt "a red car on a forest road" \\
      --base realistic.safetensors --config sd15/ --motion v3_sd15_mm.ckpt --camera CameraCtrl.ckpt --sync CVD.ckpt \\
      --out runs/car
  two camera paths from pose files:
    cvd generate --poses left.txt right.txt --prompt "..." --base sd15/ --motion ... --out runs/pair
  a picture that comes alive along two camera paths, with CamI2V:
    cvd generate --image room.png --rig stereo --prompt "a room" --base 256_cami2v.pt --config sd15/ --out runs/room
  the same run again with another seed:
    cvd generate --from runs/car/run.json --seed 7 --out runs/car-7
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser of ``cvd``."""
    parser = subparsers.add_parser(
        "generate",
        help=COMMANDS["generate"],
        description="Make videos of one scene, one along each camera path, in step with each other.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
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
    _add_sampling(parser.add_argument_group("picture and sampling"))
    _add_views(parser.add_argument_group("how views work together"))
    _add_machine(parser.add_argument_group("machine"))


def run(args: argparse.Namespace) -> None:
    """Read the inputs, make the videos, write everything at the end."""
    quiet_libraries(offline=not args.allow_download)
    if args.jobs:
        _run_jobs(args)
        return
    from cvd_core.runs.launched import launched_team, placed
    from cvd_core.runs.make import file_names, make_run
    from cvd_core.runs.plan import plan_run

    with launched_team() as team:
        plan = plan_run(request(args))
        for text in plan.hints if team.leads else ():
            note(text)
        plan = replace(plan, placement=placed(plan.placement, team))
        record = make_run(plan, args.out, allow_download=args.allow_download)
    if team.leads:
        for name in file_names(plan.cameras):
            print(args.out / name)
        print(_times(record))


def _run_jobs(args: argparse.Namespace) -> None:
    """Make the runs of a file of jobs that are missing."""
    from cvd_core.cli.job_file import read_jobs
    from cvd_core.runs.jobs import Job, check_folders, do_jobs
    from cvd_core.runs.launched import placed
    from cvd_core.runs.plan import plan_run

    jobs = []
    for name, own in read_jobs(args):
        try:
            plan = plan_run(request(own))
            plan = replace(plan, placement=placed(plan.placement))
        except ValueError as error:
            raise ValueError(f"{name}: {explain(error)}") from error
        jobs.append(Job(name, plan, own.out, own.allow_download))
    check_folders(jobs)
    for text in dict.fromkeys(text for job in jobs for text in job.plan.hints):
        note(text)
    failed = []
    for outcome in do_jobs(jobs):
        if outcome.error is not None:
            failed.append(outcome.job.name)
            print(f"cvd: error: {outcome.job.name}: {explain(outcome.error)}", file=sys.stderr)
        elif outcome.record is not None:
            print(f"{outcome.job.out}: {_times(outcome.record)}", flush=True)
        else:
            state = "another process is making it" if outcome.elsewhere else "finished before"
            print(f"{outcome.job.out}: {state}", flush=True)
    if failed:
        raise ValueError(f"{len(failed)} of {len(jobs)} jobs failed; the same command tries them again")


def _times(record: RunRecord) -> str:
    return ", ".join(f"{stage}: {duration:.1f} s" for stage, duration in record.seconds.items())


def request(args: argparse.Namespace) -> Request:
    """What the options ask for."""
    from cvd_core.runs.record import RunRecord

    given = {name: value for name, value in vars(args).items() if value is not None}
    recurrence = dict(zip(("start", "end"), given.get("recurrence_range", ()), strict=False))
    if "recurrence" in given:
        recurrence["times"] = given["recurrence"]
    nested = {part: {name: given[name] for name in names if name in given} for part, names in PARTS.items()}
    return Request(
        settings={name: given[name] for name in SETTINGS if name in given} | nested | {"recurrence": recurrence},
        models={name: given[name] for name in MODELS if name in given},
        rig_parameters={name: given[f"rig_{name}"] for name in RIG_PARAMETERS if f"rig_{name}" in given},
        earlier=RunRecord.load(args.repeat) if args.repeat else None,
        **{name: given[name] for name in REST if name in given},
    )


def quiet_libraries(*, offline: bool) -> None:
    """Set what diffusers, transformers and huggingface_hub take from the environment when they are imported.

    Their messages are for programmers, so only errors pass unless the variables say otherwise. Offline, they do not
    even check whether the files they have are the newest.
    """
    for library in ("DIFFUSERS", "TRANSFORMERS", "HF_HUB"):
        os.environ.setdefault(f"{library}_VERBOSITY", "error")
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"


def lora(text: str) -> tuple[Path, float]:
    """``FILE`` or ``FILE:SCALE``. A colon that no number follows belongs to the file's name, as in ``C:\\x.ckpt``."""
    file, colon, scale = text.rpartition(":")
    try:
        return (Path(file), float(scale)) if colon and file else (Path(text), 1.0)
    except ValueError:
        return Path(text), 1.0


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
        "diffusers folder of Wan 2.1 T2V 1.3B; the whole file of CamI2V (256_cami2v.pt ...) or DynamiCrafter; or "
        f"{mini.NAME}, the small model in the package with its own motion, camera and sync modules, which knows balls "
        f"and cubes on a floor (default: {mini.NAME})",
    )
    group.add_argument(
        "--config",
        type=Path,
        metavar="DIR",
        help="if --base is a single file: any SD1.5 diffusers folder, for configs and tokenizer (no weights needed)",
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
        help="CVD.ckpt, the sync modules; without it the videos are independent of each other",
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


def _add_sampling(group: argparse._ArgumentGroup) -> None:
    sides = f"multiple of {SIDE_STEP}, at least {SMALLEST_SIDE} (default: %s, as the networks were trained)"
    group.add_argument("--width", type=int, metavar="PX", help=sides % _default("width"))
    group.add_argument("--height", type=int, metavar="PX", help=sides % _default("height"))
    group.add_argument("--steps", type=int, metavar="N", help=f"denoising steps (default: {_default('steps')})")
    group.add_argument(
        "--guidance",
        type=float,
        metavar="N",
        help="guidance scale: higher follows the prompt more closely, 1 turns guidance off and halves the time "
        f"(default: {_default('guidance')}; the released code uses 14 for more than two views)",
    )
    group.add_argument(
        "--camera-guidance",
        type=float,
        metavar="N",
        help="guidance scale of the camera, apart from the text's; above 1 the camera is followed more closely, at the "
        f"cost of one more network evaluation per step (default: {Settings.camera_guidance:g}, none)",
    )
    group.add_argument(
        "--camera-guidance-schedule",
        choices=get_args(Schedule),
        help="constant, or falling to nothing over the steps as a cosine does (default: "
        f"{Settings.camera_guidance_schedule})",
    )
    group.add_argument(
        "--sampler",
        metavar="NAME",
        help=f"one of {', '.join(get_args(Sampler))} (default: {Settings.sampler}, the paper's)",
    )
    group.add_argument(
        "--seed", type=int, metavar="N", help=f"determines every random number of the run (default: {Settings.seed})"
    )


def _default(name: str) -> str:
    """A setting's default at full size and that of the mini model."""
    return f"{getattr(Settings, name):g}, mini: {mini.SETTINGS[name]:g}"


def _add_views(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--strategy",
        choices=STRATEGIES,
        help="which views attend to each other in a step. partition: one random matching into pairs; multi-partition: "
        "several, averaged; exhaustive: all pairs, averaged; joint: every view attends to all others at once, which "
        f"the networks were not trained for (default: {Pairing.strategy})",
    )
    group.add_argument(
        "--partitions",
        type=int,
        metavar="N",
        help="random matchings per step of multi-partition; takes that many times longer "
        f"(default: {Pairing.partitions}; paper: 2 for six views)",
    )
    group.add_argument(
        "--recurrence",
        type=int,
        metavar="N",
        help="denoise each step N times, each time with other pairs; takes that many times longer "
        "(default: 1; paper: 1 for two views, 4 for four, 6 for six)",
    )
    group.add_argument(
        "--recurrence-range",
        type=float,
        nargs=2,
        metavar=("START", "END"),
        help="repeat only in this part of the steps, as fractions from 0 to 1 (default: 0 1)",
    )
    group.add_argument(
        "--sync-strength",
        type=float,
        metavar="N",
        help="factor on what the sync modules add; 0 disconnects the views "
        f"(default: {Settings.sync_strength:g}, as trained)",
    )
    for name, text in (
        ("start", "before this fraction of the noise schedule, from 0, its noisy beginning"),
        ("end", "after this fraction of the noise schedule, to 1, its clean end"),
    ):
        default = getattr(Settings, f"sync_{name}")
        group.add_argument(
            f"--sync-{name}",
            type=float,
            metavar="N",
            help=f"no synchronisation {text}; those steps take less time (default: {default:g})",
        )
    group.add_argument(
        "--camera-strength",
        type=float,
        metavar="N",
        help=f"factor on the camera control (default: {Settings.camera_strength:g}, as trained)",
    )
    group.add_argument(
        "--band",
        choices=get_args(Mask),
        help="edge of the band around its epipolar line that a pixel may attend to in the other view: soft as the "
        "released weights were trained, hard as in the paper, or none for weights trained without it (default: "
        f"{Settings.band})",
    )
    group.add_argument(
        "--threshold",
        type=float,
        metavar="N",
        help=f"half the width of that band; hard: in pixels (default: {Settings.threshold:g})",
    )


def _add_machine(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1, mps or auto (default: auto)")
    group.add_argument(
        "--dtype",
        choices=("auto", "float32", "float16", "bfloat16"),
        help="what the networks compute in; auto: float16 on a GPU, float32 on the CPU (default: auto)",
    )
    group.add_argument(
        "--attention",
        choices=get_args(AttentionKind),
        help="attention along epipolar lines: sparse passes over pixels that are masked out, dense computes all; the "
        "same result within rounding. auto: sparse on a CPU where maps are large (default: auto)",
    )
    group.add_argument(
        "--offload",
        action="store_true",
        default=None,
        help="save GPU memory: keep each network in main memory while it is not in use",
    )
    group.add_argument(
        "--views-per-pass",
        type=int,
        metavar="N",
        help="save GPU memory: most views in one network call, but at least a pair; slower, with the same result up to "
        "rounding (default: all views at once)",
    )
    group.add_argument(
        "--allow-download",
        action="store_true",
        help="download configs and tokenizer, a few MB, if --base is a single file and --config is not given; nothing "
        "else is ever downloaded",
    )
