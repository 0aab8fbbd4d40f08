"""``cvd generate``: from options to runs.

Options are None when they are not given, so that a repeated run knows what to override; defaults are in the help texts
and in :class:`cvd_core.sampling.settings.Settings`.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from cvd_core.cli import COMMANDS, explain, note
from cvd_core.cli.generate_inputs import add_inputs
from cvd_core.cli.generate_sampling import add_sampling
from cvd_core.cli.job_file import read_jobs
from cvd_core.engine.model_paths import ModelPaths
from cvd_core.runs.request import RIG_PARAMETERS, Request
from cvd_core.sampling.pairs import Pairing
from cvd_core.sampling.settings import GivenView, Settings, StartPicture

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
    add_inputs(parser)
    add_sampling(parser)


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
