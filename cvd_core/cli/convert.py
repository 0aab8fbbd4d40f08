"""``cvd convert IN OUT.safetensors``: pickled checkpoints as safetensors."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser of ``cvd``."""
    parser = subparsers.add_parser("convert", help="turn a checkpoint into a safetensors file", description=run.__doc__)
    parser.add_argument("source", type=Path, metavar="IN", help="a .ckpt, .pt, .pth, .bin or .safetensors file")
    parser.add_argument("target", type=Path, metavar="OUT.safetensors", help="the file to write")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Write a checkpoint as safetensors, without wrappers; CameraCtrl becomes the flat file that ComfyUI takes."""
    from cvd_core.weights import convert_checkpoint

    info = convert_checkpoint(args.source, args.target)
    print(f"{args.source} ({info.label}) -> {args.target}, {args.target.stat().st_size / 1e6:.1f} MB")
