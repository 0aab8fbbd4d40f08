"""``cvd inspect FILE``: what a model file is and where it goes."""

from __future__ import annotations

import argparse
from pathlib import Path

from cvd_core.networks.sd15 import SD15_WIDTHS
from cvd_core.runs import mini
from cvd_core.weights import PLACES, Checkpoint, CheckpointInfo, Kind, identify, read_checkpoint, sha256

_COMPONENTS = {Kind.UNET: "unet", Kind.VAE: "vae", Kind.TEXT_ENCODER: "text_encoder"}
_TEXT_WIDTH = 768


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser of ``cvd``."""
    parser = subparsers.add_parser(
        "inspect", help="tell what a model file is and where it goes", description=run.__doc__
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        help=f"a model file, a diffusers folder, or {mini.NAME} for the small model of the package",
    )
    parser.add_argument("--sha256", action="store_true", help="also print the file's SHA-256, to compare with its page")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Print what a model file is, its facts, and what takes it. Nothing in the file is run."""
    path = mini.FOLDER if args.file == mini.NAME else Path(args.file)
    for file in _model_files(path) if path.is_dir() else [path]:
        checkpoint = read_checkpoint(file)
        info = identify(checkpoint)
        print(f"{file}: {info.label}")
        facts = _facts(checkpoint, info)
        if args.sha256:
            facts["sha256"] = sha256(file)
        for name, fact in facts.items():
            print(f"  {name:<11} {fact}")


def _model_files(folder: Path) -> list[Path]:
    """Weight files of a diffusers folder, of one of its components, or of a folder with a whole model."""
    files = [
        file
        for pattern in ("*", "*/*", "*/*/*")
        for file in sorted(folder.glob(pattern))
        if file.suffix in (".safetensors", ".bin", ".ckpt", ".pt", ".pth")
    ]
    if not files:
        raise ValueError(f"{folder} holds no model files; expected a diffusers folder, or give a file")
    return files


def _facts(checkpoint: Checkpoint, info: CheckpointInfo) -> dict[str, str]:
    """What is worth knowing, by name, in the order it is printed."""
    facts: dict[str, str] = {}
    if place := PLACES.get(info.kind):
        facts["goes into"] = f"--{place.argument.removesuffix('s')}; in ComfyUI {place.folder}"
    if component := _COMPONENTS.get(info.kind):
        facts["goes into"] = f"--base, as {component}/ of a diffusers folder"
    if info.kind is Kind.CAMERA and info.variant == "nested":
        facts["note"] = "AnimateDiff-Evolved takes it only after `cvd convert IN OUT.safetensors`"
    facts["fits"] = _fits(info)
    facts["tensors"] = f"{info.tensors} with {info.parameters:,} parameters, {', '.join(info.dtypes)}"
    if info.widths:
        facts["widths"] = ", ".join(map(str, info.widths))
    if info.text_width:
        facts["text width"] = str(info.text_width)
    if info.frames:
        facts["frames"] = f"at most {info.frames}"
    if info.in_channels:
        facts["channels in"] = str(info.in_channels)
    if info.kind is Kind.BASE:
        facts["parts"] = ", ".join(("UNet", *info.parts))
    if wrappers := [name for name in checkpoint.sections if name]:
        facts["wrapped in"] = ", ".join(wrappers)
    if info.kind is Kind.UNKNOWN:
        facts["first keys"] = ", ".join(sorted(checkpoint.tensors)[:3])
    return facts


def _fits(info: CheckpointInfo) -> str:
    if info.kind in (Kind.SD2, Kind.SDXL) or info.variant.startswith("for "):
        return "nothing here: CVD runs on Stable Diffusion 1.5"
    if info.kind not in PLACES and info.kind not in _COMPONENTS:
        return "nothing here"
    if info.widths and info.kind is not Kind.VAE and info.widths != SD15_WIDTHS:
        small = ", such as the mini model" if info.widths == mini.WIDTHS else ""
        return f"only networks of widths {', '.join(map(str, info.widths))}{small}; SD1.5 has other widths"
    if info.text_width not in (None, _TEXT_WIDTH):
        return f"only a base with text width {info.text_width}; SD1.5 has {_TEXT_WIDTH}"
    if info.kind is Kind.VAE and info.variant:
        return "only bases that were trained with it, such as the mini model"
    return "Stable Diffusion 1.5"
