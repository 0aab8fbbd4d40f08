"""``cvd inspect FILE``: what a model file is and where it goes."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from cvd_core.engine.fit import COMPONENT_KINDS, Family, of_widths, stable_diffusion, try_alone, try_in
from cvd_core.engine.model_folder import read_config
from cvd_core.engine.sd15.folder import SD15_FOLDER
from cvd_core.runs import mini
from cvd_core.weights import (
    PLACES,
    Checkpoint,
    CheckpointInfo,
    Kind,
    identify,
    is_index,
    read_checkpoint,
    sha256,
    shard_files,
)

_OPTIONS = {place.argument: f"--{place.argument}" for place in PLACES.values()} | {"loras": "--lora"}
"""How ``cvd generate`` spells the arguments that files are given as."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser of ``cvd``."""
    parser = subparsers.add_parser(
        "inspect", help="say what a model file is and where it goes", description=run.__doc__
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        help=f"a model file, a diffusers folder, or {mini.NAME} for the small model in the package",
    )
    parser.add_argument(
        "--sha256", action="store_true", help="also print the file's SHA-256, to compare with the one on its page"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Print what a model file is, what is known about it, and where it goes. No code in the file is run."""
    path = mini.FOLDER if args.file == mini.NAME else Path(args.file)
    families = [
        stable_diffusion(),
        Family("the small model of the package", SD15_FOLDER.read_configs(mini.FOLDER / "base")),
    ]
    for file in _model_files(path) if path.is_dir() else [path]:
        checkpoint = read_checkpoint(file)
        info = identify(checkpoint)
        print(f"{file}: {info.label}")
        facts = _facts(checkpoint, info, families)
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
        if file.suffix in (".safetensors", ".bin", ".ckpt", ".pt", ".pth") or is_index(file)
    ]
    shards = {index.with_name(name) for index in files if is_index(index) for name in shard_files(index)}
    if not files:
        raise ValueError(f"{folder} holds no model files; expected a diffusers folder, or give a file")
    return [file for file in files if file not in shards]


def _facts(checkpoint: Checkpoint, info: CheckpointInfo, families: Sequence[Family]) -> dict[str, str]:
    """What is worth knowing, by name, in the order it is printed."""
    facts: dict[str, str] = {}
    loads, fits = _fits(checkpoint, info, families)
    if loads and (place := PLACES.get(info.kind)):
        facts["goes into"] = f"{_OPTIONS[place.argument]}; in ComfyUI {place.folder}"
    if loads and (component := COMPONENT_KINDS.get(info.kind)):
        facts["goes into"] = f"--base, as {component}/ of a diffusers folder"
    if info.kind is Kind.CAMERA and info.variant == "nested":
        facts["note"] = "AnimateDiff-Evolved takes it only after `cvd convert IN OUT.safetensors`"
    facts["fits"] = fits
    facts["tensors"] = f"{info.tensors} with {info.parameters:,} parameters, {', '.join(info.dtypes)}"
    if info.widths:
        facts["widths"] = ", ".join(map(str, info.widths))
    if info.text_width:
        facts["text width"] = str(info.text_width)
    if info.frames:
        facts["frames"] = f"at most {info.frames}"
    if info.in_channels:
        facts["channels in"] = str(info.in_channels)
    if info.kind is Kind.BASE or info.parts:
        facts["parts"] = ", ".join(("UNet", *info.parts))
    if wrappers := [name for name in checkpoint.sections if name]:
        facts["wrapped in"] = ", ".join(wrappers)
    if info.kind is Kind.UNKNOWN:
        facts["first keys"] = ", ".join(sorted(checkpoint.tensors)[:3])
    return facts


def _fits(checkpoint: Checkpoint, info: CheckpointInfo, families: Sequence[Family]) -> tuple[bool, str]:
    """Whether anything here loads the file, and what: the loaders are asked."""
    problems = []
    try:
        if alone := try_alone(checkpoint, info):
            return True, alone
    except ValueError as error:
        return False, f"nothing here. {error}"
    for family in families:
        try:
            note = try_in(family, checkpoint, info)
        except ValueError as error:
            problems.append(str(error))
        else:
            return True, f"{family.name}; {note}" if note else family.name
    if other := _fits_others(checkpoint, info):
        return True, other
    reason = re.sub(r"`(\w+)`", lambda match: _OPTIONS.get(match[1], match[0]), problems[0])
    return False, f"nothing here. {reason}"


def _fits_others(checkpoint: Checkpoint, info: CheckpointInfo) -> str:
    """What loads a file of other widths than those of published models, "" if nothing does."""
    config = checkpoint.path.with_name("config.json")
    component = COMPONENT_KINDS.get(info.kind)
    try:
        if component and config.is_file():
            family = Family("the other parts of its folder", {component: read_config(config)})
        elif info.kind in (Kind.MOTION, Kind.ANIMATELCM, Kind.CAMERA, Kind.SYNC) and info.widths:
            family = of_widths(info.widths)
        else:
            return ""
        try_in(family, checkpoint, info)
    except ValueError:
        return ""
    return f"only {family.name}; SD1.5 has other widths"
