"""``cvd generate``: options that say how videos are sampled, and on which machine."""

from __future__ import annotations

import argparse
from typing import get_args

from cvd_core.cami2v.guidance import Schedule
from cvd_core.geometry.epipolar import Mask
from cvd_core.networks.sizes import SIDE_STEP, SMALLEST_SIDE
from cvd_core.networks.tiles import AttentionKind
from cvd_core.runs import mini
from cvd_core.sampling.pairs import STRATEGIES, Pairing
from cvd_core.sampling.settings import Sampler, Settings
from cvd_core.sync.context import SyncBranches


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """Add the options in groups."""
    _add_sampling(parser.add_argument_group("picture and sampling"))
    _add_views(parser.add_argument_group("how views work together"))
    _add_machine(parser.add_argument_group("machine"))


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
        help=f"one of {', '.join(get_args(Sampler))} (default: {Settings.sampler}, the paper's; mini: "
        f"{mini.SETTINGS['sampler']})",
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
        "modules trained on pairs do not know; star: the first view with each of the others, for --reference (default: "
        f"{Pairing.strategy}, with Wan 2.1 and mini joint)",
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
        "--sync-branches",
        choices=get_args(SyncBranches),
        help="branches of guidance that are synchronised: both as in the paper, or the conditional one alone; guidance "
        "then multiplies what the sync modules add by its scale, and they take half the time (default: "
        f"{Settings.sync_branches}, mini: {mini.SETTINGS['sync_branches']})",
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
