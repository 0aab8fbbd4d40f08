"""``cvd cameras``: convert camera files, say what is in them, draw them."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation
from torch import Tensor

from cvd_core.drawing.camera_plot import save_plot
from cvd_core.files import expand
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.epipolar import smallest_baseline
from cvd_core.geometry.formats import (
    CONVENTIONS,
    FORMATS,
    WRITABLE,
    Recording,
    detect_format,
    read_recording,
    write_cameras,
)
from cvd_core.geometry.formats.table import format_to_write

_PER_LINE = 8
_MOST_CELLS = 512
"""Frames whose baselines are listed; of longer clips, frames in even steps."""
_MOST_NAMES = 12
_MOST_ROWS = 128
"""Views that are described one by one."""
_SQUARE = 1e-3
"""Pixels whose sides differ by less than this fraction count as square."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command ``cameras`` with ``convert``, ``info`` and ``plot``; each sets ``run=function(args) -> None``."""
    formats = "formats: " + "; ".join(f"{f.name} - {f.description}" for f in FORMATS.values())
    cameras = subparsers.add_parser("cameras", help="convert, describe and draw camera files")
    commands = cameras.add_subparsers(
        dest="cameras_command", required=True, metavar="COMMAND", parser_class=_IntermixedParser
    )

    convert = commands.add_parser(
        "convert",
        help="convert from one camera format to another",
        description="Convert camera files. Timestamps, clip addresses and image names are kept where OUT can hold "
        "them. Nothing is overwritten unless --overwrite is given.",
        epilog=formats,
    )
    _add_inputs(convert)
    convert.add_argument("output", type=Path, metavar="OUT", help="file to write; a folder for COLMAP")
    convert.add_argument("--to", choices=WRITABLE, help="format of OUT (default: inferred from its extension)")
    convert.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    convert.set_defaults(run=run_convert)

    info = commands.add_parser(
        "info",
        help="show views, frames, fields of view, path lengths and baselines",
        description="Describe what camera files hold.",
        epilog=formats,
    )
    _add_inputs(info)
    info.set_defaults(run=run_info)

    plot = commands.add_parser(
        "plot",
        help="draw the paths from above, from the side, from the front and in perspective",
        description="Draw the camera paths.",
        epilog=formats,
    )
    _add_inputs(plot)
    plot.add_argument("output", type=Path, metavar="OUT.png", help="picture to write (.png, .svg or .pdf)")
    plot.add_argument(
        "--relative", action="store_true", help="draw every view relative to its first camera, as CVD receives it"
    )
    plot.set_defaults(run=run_plot)


class _IntermixedParser(argparse.ArgumentParser):
    """Takes options anywhere between the words: ``plot A B --relative OUT``."""

    _intermixing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._intermixing:  # parse_known_intermixed_args calls back
            return super().parse_known_args(args, namespace)
        self._intermixing = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._intermixing = False


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "inputs",
        type=Path,
        nargs="+",
        metavar="IN",
        help="camera file (a folder for COLMAP), folder of pose files, or pattern such as 'poses/*.txt'; the views of "
        "several inputs are put together",
    )
    parser.add_argument(
        "--from", dest="source", choices=FORMATS, help="format of IN (default: inferred from its content)"
    )
    parser.add_argument(
        "--intrinsics",
        type=float,
        nargs=4,
        metavar=("FX", "FY", "CX", "CY"),
        help="for files that hold no intrinsics: fx and cx divided by the image width, fy and cy by the height",
    )
    for name in ("width", "height"):
        parser.add_argument(
            f"--{name}",
            type=int,
            metavar="PX",
            help=f"image {name} in pixels, for output in pixels and for input in pixels that does not state it",
        )
    parser.add_argument("--frames", type=int, metavar="F", help="resample every path to this many frames")
    parser.add_argument(
        "--convention",
        choices=CONVENTIONS,
        help="what the matrices of IN are, for formats that do not define it: camera to world or world to camera, with "
        "OpenCV axes unless the name says opengl",
    )
    parser.add_argument(
        "--pinhole-only", action="store_true", help="refuse files with lens distortion instead of ignoring it"
    )
    parser.add_argument(
        "--one-view", action="store_true", help="read all images of a file as one path, whatever their names"
    )


def _read(args: argparse.Namespace) -> tuple[list[Path], Recording]:
    """The files that the inputs stand for, and all their views."""
    paths = expand(args.inputs)
    parts = [
        read_recording(
            path,
            format=args.source,
            intrinsics=None if args.intrinsics is None else tuple(args.intrinsics),
            width=args.width,
            height=args.height,
            convention=args.convention,
            pinhole_only=args.pinhole_only,
            one_view=args.one_view,
        )
        for path in paths
    ]
    if args.frames is not None:
        parts = [part.resample(args.frames) for part in parts]
    if len({part.cameras.frames for part in parts}) > 1:
        found = ", ".join(f"{path}: {part.cameras.frames}" for path, part in zip(paths, parts, strict=True))
        raise ValueError(
            f"the files have different numbers of frames ({found}); --frames {parts[0].cameras.frames} resamples all "
            "of them to one length"
        )
    return paths, Recording.concatenate(parts)


def run_convert(args: argparse.Namespace) -> None:
    """Read all inputs as one set of views, write them to ``args.output`` and say what was written and what was lost."""
    target = format_to_write(args.output, args.to)
    if not args.overwrite and args.output.is_file():  # before the work; the writer makes sure
        raise ValueError(f"{args.output} already exists; choose another name, or allow `overwrite`")
    _, recording = _read(args)
    written = write_cameras(
        recording, args.output, format=args.to, width=args.width, height=args.height, overwrite=args.overwrite
    )
    cameras = recording.cameras
    print(f"{_size(cameras)} ({_names(cameras)}) written to:")
    for path in written:
        print(f"  {path}")
    lost = [words for name, words in recording.extras.items() if name not in target.keeps]
    if lost:
        print(f"This format cannot hold the {', '.join(lost)}.")
    if "intrinsics" not in target.keeps or args.output.suffix.lower() == ".npy":
        fx, fy, cx, cy = cameras.intrinsics[0, 0].tolist()
        print(f"This format holds no intrinsics. To read it back: --intrinsics {fx:.9g} {fy:.9g} {cx:.9g} {cy:.9g}")
    if args.width and args.height:
        pixel = (cameras.intrinsics[..., 1] * args.height) / (cameras.intrinsics[..., 0] * args.width)
        if bool(((pixel - 1).abs() > _SQUARE).any()):
            print(
                f"Pixels of {args.width} x {args.height} are not square for these cameras (focal length y/x is "
                f"{float(pixel[0, 0]):.4g}): they were made for images of another aspect ratio, which are squeezed "
                "into this size, not cropped."
            )


def run_plot(args: argparse.Namespace) -> None:
    """Draw all inputs as one set of views."""
    _, recording = _read(args)
    cameras = recording.cameras
    save_plot(cameras.relative_to_first() if args.relative else cameras, args.output)
    print(f"{args.output}")


def run_info(args: argparse.Namespace) -> None:
    """Print what the inputs hold."""
    paths, recording = _read(args)
    for path in paths:
        known = detect_format(path, args.source)
        print(f"{path}: {known.name} ({known.description})")
    if recording.extras:
        print(f"with {', '.join(recording.extras.values())}")
    print(f"\n{describe(recording.cameras)}")


def _names(cameras: Cameras) -> str:
    more = len(cameras.names) - _MOST_NAMES
    return ", ".join([*cameras.names[:_MOST_NAMES], *([f"and {more} more"] if more > 0 else [])])


def describe(cameras: Cameras) -> str:
    """Several lines of text: size, lenses and motion of every view, first poses and baselines between views."""
    rows = [
        ("view", "focal x, y", "field of view", "path", "extent", "rotation"),
        *(_view_row(cameras.select([v])) for v in range(min(cameras.views, _MOST_ROWS))),
    ]
    if cameras.views > _MOST_ROWS:
        rows.append((f"and {cameras.views - _MOST_ROWS} more", "", "", "", "", ""))
    lines = [
        f"{_size(cameras)}; extent of the whole rig {cameras.extent():.4g} units",
        "",
        *_table(rows),
        "Focal lengths are fractions of the image width and height; the field of view is horizontal; path is the",
        "distance travelled, extent the largest distance between two positions (world units); rotation is the sum over",
        "all frames.",
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
        return True, "First poses: the same in all views, as CVD needs them."
    return False, (
        f"First poses: different, by up to {distance:.4g} units and {angle:.1f} degrees. CVD needs a common first\n"
        "pose, so it takes every view relative to its first camera."
    )


def _baselines(cameras: Cameras, title: str) -> list[str]:
    """The smallest distance between two views in every frame; a dash where it is too small for an epipolar line."""
    step = -(-cameras.frames // _MOST_CELLS)
    shown = range(0, cameras.frames, step)
    # The nearest neighbour by a tree: all pairs of many views would not fit into the memory.
    smallest = [float(KDTree(c).query(c, 2)[0][:, 1].min()) for c in cameras.centers[:, ::step].numpy().swapaxes(0, 1)]
    least = smallest_baseline(cameras)
    cells = ["-" if baseline < least else f"{baseline:.4g}" for baseline in smallest]
    rows = [
        (f"frame {shown[start]}", *cells[start : start + _PER_LINE], *[""] * (start + _PER_LINE - len(cells)))
        for start in range(0, len(cells), _PER_LINE)
    ]
    frames = [str(frame) for frame, cell in zip(shown, cells, strict=True) if cell == "-"]
    listed = ", ".join([*frames[:_PER_LINE], *(["..."] if len(frames) > _PER_LINE else [])])
    end = f"vanishes (-) in frame {listed}: no epipolar lines there" if frames else "vanishes in no frame"
    every = f", every {step} frames" if step > 1 else ""
    return [f"Smallest baseline between two views, {title}{every}; it {end}.", *_table(rows)]
