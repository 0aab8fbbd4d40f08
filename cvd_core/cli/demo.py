"""``cvd demo``: what the program does, shown offline with the small model in the package."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from cvd_core.cli import COMMANDS, note

SHEET = "contact_sheet.png"
PATHS = Path(__file__).resolve().parents[1] / "assets" / "demo"
"""A pose file for each direction in which a view can go, one unit far: all of them leave the centre of a circle."""

SCENES: dict[str, dict[str, Any]] = {
    "circle": {
        "views": ("right", "forward", "left", "back"),
        "prompts": "a green ball and a purple cube on a white striped floor under a pink sky",
        "seed": 4,
    },
    "pair": {
        "views": ("left", "right"),
        "prompts": "a yellow cube and a purple ball on a brown striped floor under a pink sky",
        "seed": 1,
    },
}
"""Directions of the views and settings by the name of the scene."""
REPEATS = 4
"""How often a video plays there and back: eight frames are over in a second. The animations go on by themselves."""
ANIMATION_QUALITY = 85
UNSYNCED = "-unsynced"
"""Suffix of the name of a scene without sync modules."""

TO_LOOK_AT = """
{sheet}
    Look here first: one row per view, one column per frame; on the left with sync modules, on the right without, from
    the same noise. All cameras start in the same place. With sync modules, the first column should therefore show one
    picture, and later columns the same objects from places that are further and further apart; without them, every view
    shows a different scene.
{videos}
    The same as enlarged videos and animations, played forwards and backwards, all views in step.
{runs}
    The runs: one video per view, grid.mp4, transforms.json (the cameras), run.json (repeats it with --from).

Measure a run:  cvd evaluate {pair}
Make your own:  cvd generate --rig stereo --rig-baseline 2 --prompt "a green cube on a white striped floor" --out my"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser of ``cvd``."""
    parser = subparsers.add_parser(
        "demo",
        help=COMMANDS["demo"],
        description="Make four views on a circle and a wide pair of views with the small model in the package, with "
        "and without sync modules, and a picture of them all. This needs no files and no network and takes less than "
        "a minute on two CPU cores.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("cvd-demo"),
        metavar="DIR",
        help="folder for all files (default: %(default)s). Existing files are never overwritten",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Make everything, then say where it is and what to look at."""
    from cvd_core.cli.generate import quiet_libraries

    quiet_libraries(offline=True)
    from cvd_core.runs import mini

    note(f"{mini.ABOUT}; `cvd generate` makes videos with the models that you name")
    make_demo(args.out)
    out: Path = args.out
    shown = {
        "sheet": out / SHEET,
        "videos": ", ".join(str(out / name) for name in _enlarged()),
        "runs": ", ".join(str(out / name) for name in runs()),
        "pair": shlex.quote(str(out / "pair")),
    }
    print(TO_LOOK_AT.format(**shown))


def _enlarged() -> list[str]:
    """The files that show a scene: to play, and to put into a page."""
    return [f"{scene}{ending}" for scene in SCENES for ending in (".mp4", ".webp")]


def runs() -> list[str]:
    """Names of all runs, which are those of their folders."""
    return [scene + ending for scene in SCENES for ending in ("", UNSYNCED)]


def make_demo(out: Path, *, frames: int | None = None, **changes: Any) -> None:
    """Make all runs, the sheet and the enlarged videos; write everything into ``out`` at once.

    Args:
        frames: per video; by default as many as the small model makes.
        changes: settings of all runs.

    Raises:
        ValueError: ``out`` cannot be written to or already holds such files.
    """
    from cvd_core import Cameras, load_pipeline, read_cameras
    from cvd_core.drawing.panels import Panel, draw_sheet, side_by_side
    from cvd_core.geometry.trajectories import resample
    from cvd_core.output_folder import complete_folder
    from cvd_core.runs import mini
    from cvd_core.video.files import write_video
    from cvd_core.video.formats import write_animation

    with complete_folder(out, [*runs(), *_enlarged(), SHEET]) as folder:
        pipe = load_pipeline("mini")
        panels: dict[str, Panel] = {}
        for scene, chosen in SCENES.items():
            poses = [PATHS / f"{view}.txt" for view in chosen["views"]]
            cameras = resample(Cameras.concatenate([read_cameras(path) for path in poses]), frames or mini.FRAMES)
            settings = {name: chosen[name] for name in ("prompts", "seed")}
            for name, strength in ((scene, 1.0), (scene + UNSYNCED, 0.0)):
                print(f"{name} ...", flush=True)
                source = {"poses": [str(path) for path in poses], "frames": cameras.frames}
                run = pipe(cameras, source=source, **{**settings, "sync_strength": strength, **changes})
                (folder / name).mkdir()
                run.write(folder / name)
                title = f"{name}, {'with' if strength else 'without'} sync modules"
                panels[name] = Panel(title, run.record.settings.prompts[0], run.cameras.names, run.frames)
        rows = [(panels[scene], panels[scene + UNSYNCED]) for scene in SCENES]
        for scene, row in zip(SCENES, rows, strict=True):
            videos = [panel.videos for panel in row]
            write_video(side_by_side(videos, REPEATS), folder / f"{scene}.mp4")
            write_animation(side_by_side(videos), folder / f"{scene}.webp", quality=ANIMATION_QUALITY)
        draw_sheet(rows).savefig(folder / SHEET)
