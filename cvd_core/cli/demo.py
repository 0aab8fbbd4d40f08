"""``cvd demo``: what the program does, shown offline with the small model of the package."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from cvd_core.cli import COMMANDS, note

SHEET = "contact_sheet.png"
PATHS = Path(__file__).resolve().parents[1] / "assets" / "demo"
"""A pose file for each direction in which a view can go, one unit far: all of them leave the centre of a circle."""

SCENES = {
    "circle": [
        *("--poses", *(str(PATHS / f"{name}.txt") for name in ("right", "forward", "left", "back"))),
        *("--prompt", "a red ball and a blue cube on a gray checkered floor under a pale sky"),
        *("--recurrence", "3", "--recurrence-range", "0", "0.6", "--seed", "2"),
    ],
    "pair": [
        *("--poses", *(str(PATHS / f"{name}.txt") for name in ("left", "right"))),
        *("--prompt", "a yellow cube and a purple ball on a brown striped floor under a pink sky"),
        *("--seed", "1"),
    ],
}
"""Options of ``cvd generate`` by the name of the scene."""
UNSYNCED = "-unsynced"
"""Ending of the name of a scene without sync modules."""

TO_LOOK_AT = """
{sheet}
    Look here first: one row per view, one column per frame; left with sync modules, right without, from the same noise.
    All cameras start at one place. So with sync modules the first column should show one picture, and later columns the
    same things from places further and further apart; without them every view makes up a scene of its own.
{videos}
    The same as videos, enlarged, there and back; all views in step.
{runs}
    The runs: one video per view, grid.mp4, transforms.json (the cameras), run.json (repeats it with --from).

Measure a run:  cvd evaluate {pair}
Make your own:  cvd generate --rig stereo --rig-baseline 2 --prompt "a green cube on a white striped floor" --out my"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser of ``cvd``."""
    parser = subparsers.add_parser(
        "demo",
        help=COMMANDS["demo"],
        description="Make four views on a circle and a wide pair of views with the small model of the package, with "
        "sync modules and without, and a picture of them all. It needs no files and no network and takes less than a "
        "minute on two CPU cores.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("cvd-demo"),
        metavar="DIR",
        help="folder for everything (default: %(default)s). Files that exist are never overwritten",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Make everything, then say where it is and what there is to see."""
    from cvd_core.cli.generate import quiet_libraries

    quiet_libraries(offline=True)
    from cvd_core.runs import mini

    note(mini.ABOUT)
    make_demo(args.out)
    out: Path = args.out
    shown = {
        "sheet": out / SHEET,
        "videos": ", ".join(str(out / f"{scene}.mp4") for scene in SCENES),
        "runs": ", ".join(str(out / name) for name in runs()),
        "pair": shlex.quote(str(out / "pair")),
    }
    print(TO_LOOK_AT.format(**shown))


def runs() -> dict[str, list[str]]:
    """Options of ``cvd generate`` of every run, by the name of its folder."""
    return {
        name + ending: [*words, *more]
        for name, words in SCENES.items()
        for ending, more in (("", []), (UNSYNCED, ["--sync-strength", "0"]))
    }


def make_demo(out: Path, *options: str) -> None:
    """Make all runs, the sheet and the enlarged videos; write everything into ``out`` at once.

    Args:
        options: more options of ``cvd generate``, for all runs.

    Raises:
        ValueError: ``out`` cannot be written to or holds such files already.
    """
    from cvd_core.cli.generate import parse
    from cvd_core.drawing.panels import Panel, draw_sheet, side_by_side
    from cvd_core.runs.make import make_run
    from cvd_core.runs.output import complete_folder
    from cvd_core.runs.plan import read_inputs
    from cvd_core.video.files import write_video

    with complete_folder(out, [*runs(), *(f"{scene}.mp4" for scene in SCENES), SHEET]) as folder:
        panels: dict[str, Panel] = {}
        for name, words in runs().items():
            print(f"{name} ...", flush=True)
            inputs = read_inputs(parse([*words, *options, "--out", str(out / name)]))
            (folder / name).mkdir()
            made = make_run(inputs, folder / name)
            title = f"{name}, {'with' if inputs.settings.sync_strength else 'without'} sync modules"
            panels[name] = Panel(title, inputs.settings.prompts[0], inputs.cameras.names, made.videos)
        rows = [(panels[scene], panels[scene + UNSYNCED]) for scene in SCENES]
        for scene, row in zip(SCENES, rows, strict=True):
            write_video(side_by_side([panel.videos for panel in row]), folder / f"{scene}.mp4")
        draw_sheet(rows).savefig(folder / SHEET)
