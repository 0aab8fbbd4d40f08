"""``cvd export``: runs as datasets for reconstruction, cameras as scenes for 3D programs."""

from __future__ import annotations

import argparse
from pathlib import Path

from cvd_core.cli import COMMANDS, note
from cvd_core.cli.footage_options import add_footage

GLTF = "gltf"
EXAMPLES = """\
examples:
  a folder per moment, for nerfstudio, COLMAP and Gaussian splatting:
    cvd export runs/car --to moments --out datasets/car
  one scene with time, for D-NeRF and 4D Gaussian splatting, with one view kept for the test:
    cvd export runs/car --to dnerf --held-out right --out datasets/car-4d
  cameras for Blender, Unreal and others:
    cvd export runs/car --to gltf --out car.gltf
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser of ``cvd``."""
    from cvd_core.exports.dataset import DATASETS
    from cvd_core.runs.request import DEFAULT_FPS

    parser = subparsers.add_parser(
        "export",
        help=COMMANDS["export"],
        description="Turn videos and their cameras into a dataset that reconstruction programs read, or cameras into a "
        "scene for 3D programs. Nothing is overwritten.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "inputs",
        type=Path,
        nargs="+",
        metavar="IN",
        help="the folder of a run, or one video per view with the name of its camera; for gltf also a camera file",
    )
    known = [*((d.name, d.description) for d in DATASETS.values()), (GLTF, "animated cameras in one .gltf file")]
    parser.add_argument(
        "--to", required=True, choices=dict(known), help="; ".join(f"{name}: {text}" for name, text in known)
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="PATH", help="folder of the dataset; for gltf the file to write"
    )
    add_footage(parser)
    parser.add_argument(
        "--held-out",
        nargs="+",
        default=[],
        metavar="VIEW",
        help="dnerf: names of views for validation and test instead of training (default: none; these then list the "
        "pictures of training)",
    )
    parser.add_argument(
        "--fps",
        type=float,
        metavar="N",
        help=f"gltf: frames per second (default: that of the videos, or {DEFAULT_FPS:g} for a camera file)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Read the inputs, write the export and say where it is."""
    from cvd_core.evaluation.footage import VIDEO_ENDINGS, read_footage
    from cvd_core.exports.dataset import write_dataset
    from cvd_core.exports.gltf import write_gltf
    from cvd_core.geometry.formats import read_cameras
    from cvd_core.runs.request import DEFAULT_FPS

    first: Path = args.inputs[0]
    if args.to == GLTF and len(args.inputs) == 1 and first.is_file() and first.suffix.lower() not in VIDEO_ENDINGS:
        cameras = read_cameras(first)
        cameras = cameras.relative_to_first() if args.relative else cameras
        print(write_gltf(cameras, args.out, DEFAULT_FPS if args.fps is None else args.fps))
        return
    footage = read_footage(args.inputs, args.cameras, relative=args.relative)
    if args.to == GLTF:
        print(write_gltf(footage.cameras, args.out, footage.fps if args.fps is None else args.fps))
        return
    written = write_dataset(footage.videos, footage.cameras, args.out, args.to, held_out=args.held_out)
    if args.to == "dnerf" and not args.held_out:
        note("validation and test list the pictures of training; `held_out` keeps views back")
    for path in written:
        print(path)
