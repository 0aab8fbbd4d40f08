"""``cvd cameras``: convert camera files, say what is in them, draw them."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from cvd_core.drawing.camera_plot import save_plot
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.epipolar import smallest_baseline
from cvd_core.geometry.formats import FORMATS, detect_format, read_cameras, write_cameras

_PER_LINE = 8
_SQUARE = 1e-3
"""Pixels whose sides differ by less than this share are called square."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command ``cameras`` with ``convert``, ``info`` and ``plot``; each sets ``run=function(args) -> None``."""
    formats = "formats: " + "; ".join(f"{f.name} - {f.description}" for f in FORMATS.values())
    cameras = subparsers.add_parser("cameras", help="convert, describe and draw camera files")
    commands = cameras.add_subparsers(dest="cameras_command", required=True, metavar="COMMAND")

    convert = commands.add_parser(
        "convert", help="from one camera format to another", description="Convert camera files.", epilog=formats
    )
    _add_inputs(convert)
    convert.add_argument("output", type=Path, metavar="OUT", help="file to write; a folder for COLMAP")
    convert.add_argument("--to", choices=FORMATS, help="format of OUT (default: told by its extension)")
    convert.add_argument("--width", type=int, metavar="PX", help="image width, for formats that count in pixels")
    convert.add_argument("--height", type=int, metavar="PX", help="image height, for formats that count in pixels")
    convert.set_defaults(run=run_convert)

    info = commands.add_parser(
        "info",
        help="views, frames, field of view, path lengths, baselines",
        description="Say what camera files hold.",
        epilog=formats,
    )
    _add_inputs(info)
    info.set_defaults(run=run_info)

    plot = commands.add_parser(
        "plot",
        help="a picture of the paths from above, the side, the front and in perspective",
        description="Draw the camera paths.",
        epilog=formats,
    )
    _add_inputs(plot)
    plot.add_argument("output", type=Path, metavar="OUT.png", help="picture to write (.png, .svg or .pdf)")
    plot.add_argument(
        "--relative", action="store_true", help="draw every view relative to its first camera, as CVD is given it"
    )
    plot.set_defaults(run=run_plot)


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "inputs", type=Path, nargs="+", metavar="IN", help="camera file (COLMAP: folder); several add up to more views"
    )
    parser.add_argument("--from", dest="source", choices=FORMATS, help="format of IN (default: told by its content)")
    parser.add_argument(
        "--intrinsics",
        type=float,
        nargs=4,
        metavar=("FX", "FY", "CX", "CY"),
        help="for files without: fx and cx divided by the image width, fy and cy by the height",
    )


def _read(args: argparse.Namespace) -> Cameras:
    intrinsics = None if args.intrinsics is None else tuple(args.intrinsics)
    return Cameras.concatenate([read_cameras(p, format=args.source, intrinsics=intrinsics) for p in args.inputs])


def run_convert(args: argparse.Namespace) -> None:
    """Read all inputs as one set of views, write them to ``args.output`` and say what was written and what was lost."""
    cameras = _read(args)
    written = write_cameras(cameras, args.output, format=args.to, width=args.width, height=args.height)
    print(f"{_size(cameras)} ({', '.join(cameras.names)}) written to:")
    for path in written:
        print(f"  {path}")
    if args.to == "recammaster" or args.output.suffix.lower() == ".npy":
        fx, fy, cx, cy = cameras.intrinsics[0, 0].tolist()
        print(f"This format holds no intrinsics. To read it back: --intrinsics {fx:.9g} {fy:.9g} {cx:.9g} {cy:.9g}")
    if args.width and args.height:
        pixel = (cameras.intrinsics[..., 1] * args.height) / (cameras.intrinsics[..., 0] * args.width)
        if bool(((pixel - 1).abs() > _SQUARE).any()):
            print(
                f"Pixels of {args.width} x {args.height} are not square for these cameras (focal length y/x is "
                f"{float(pixel[0, 0]):.4g}): they were made for images of another aspect."
            )


def run_plot(args: argparse.Namespace) -> None:
    """Draw all inputs as one set of views."""
    cameras = _read(args)
    save_plot(cameras.relative_to_first() if args.relative else cameras, args.output)
    print(f"{args.output}")


def run_info(args: argparse.Namespace) -> None:
    """Print what the inputs hold."""
    cameras = _read(args)
    for path in args.inputs:
        known = detect_format(path, args.source)
        print(f"{path}: {known.name} ({known.description})")
    print(f"\n{describe(cameras)}")


def describe(cameras: Cameras) -> str:
    """Several lines of text: size, lenses and motion of every view, first poses and baselines between views."""
    rows = [
        ("view", "focal x, y", "field of view", "path", "extent", "rotation"),
        *(_view_row(cameras.select([v])) for v in range(cameras.views)),
    ]
    lines = [
        f"{_size(cameras)}; extent of the whole rig {cameras.extent():.4g} units",
        "",
        *_table(rows),
        "Focal length as a share of image width, height; field of view is horizontal; path is the way travelled,",
        "extent the largest distance between two positions (world units); rotation is the sum over all frames.",
    ]
    if cameras.views == 1:
        return "\n".join([*lines, "", "One view: no baselines."])
    coincide, first = _first_poses(cameras)
    lines += ["", first, "", *_baselines(cameras, "as stored")]
    if not coincide:
        lines += ["", *_baselines(cameras.relative_to_first(), "every view relative to its first camera")]
    return "\n".join(lines)


def _size(cameras: Cameras) -> str:
    return f"{cameras.views} view{'s' * (cameras.views > 1)} x {cameras.frames} frame{'s' * (cameras.frames > 1)}"


def _view_row(view: Cameras) -> tuple[str, ...]:
    fx, fy, cx, _ = view.intrinsics[0].unbind(-1)
    fov = torch.rad2deg(torch.atan(cx / fx) + torch.atan((1 - cx) / fx))
    steps = (view.centers[0, 1:] - view.centers[0, :-1]).norm(dim=-1)
    return (
        view.names[0],
        f"{_range(fx, '.4f')}, {_range(fy, '.4f')}",
        f"{_range(fov, '.1f')} deg",
        f"{float(steps.sum()):.4g}",
        f"{view.extent():.4g}",
        f"{float(_angles(view.c2w[0, :-1], view.c2w[0, 1:]).sum()):.1f} deg",
    )


def _range(values: Tensor, form: str) -> str:
    """The value, or first to last where it changes."""
    texts = [format(float(value), form) for value in values]
    return texts[0] if len(set(texts)) == 1 else f"{texts[0]} -> {texts[-1]}"


def _angles(a: Tensor, b: Tensor) -> Tensor:
    """Degrees of rotation between ``(N, 4, 4)`` poses a and b."""
    turns = (a[:, :3, :3].mT @ b[:, :3, :3]).numpy()
    return torch.from_numpy(np.degrees(Rotation.from_matrix(turns).magnitude()))


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    return ["   ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _first_poses(cameras: Cameras) -> tuple[bool, str]:
    """Whether the first frames of all views were taken from one place in one direction, and a sentence about it."""
    first = cameras.c2w[:, 0]
    distance = float((first[:, :3, 3] - first[0, :3, 3]).norm(dim=-1).max())
    angle = float(_angles(first[:1].expand_as(first), first).max())
    if distance < smallest_baseline(cameras) and angle < math.degrees(1e-4):
        return True, "First poses: the same in all views, as CVD needs it."
    return False, (
        f"First poses: different, by up to {distance:.4g} units and {angle:.1f} degrees. CVD needs one common\n"
        "first pose; it gets it by taking every view relative to its first camera."
    )


def _baselines(cameras: Cameras, title: str) -> list[str]:
    """The smallest distance between two views in every frame; a dash where it is too small for an epipolar line."""
    between = torch.cdist(cameras.centers.transpose(0, 1), cameras.centers.transpose(0, 1))
    pairs = torch.triu_indices(cameras.views, cameras.views, 1)
    smallest = between[:, pairs[0], pairs[1]].amin(-1)
    vanishes = (smallest < smallest_baseline(cameras)).tolist()
    cells = ["-" if gone else f"{float(b):.4g}" for b, gone in zip(smallest, vanishes, strict=True)]
    rows = [
        (f"frame {start}", *cells[start : start + _PER_LINE], *[""] * (start + _PER_LINE - len(cells)))
        for start in range(0, len(cells), _PER_LINE)
    ]
    frames = [str(f) for f, gone in enumerate(vanishes) if gone]
    end = f"vanishes (-) in frame {', '.join(frames)}: no epipolar lines there" if frames else "vanishes in no frame"
    return [f"Smallest baseline between two views, {title}; it {end}.", *_table(rows)]
