"""``cvd evaluate``: measure finished videos."""

from __future__ import annotations

import argparse
from pathlib import Path

from cvd_core.cli import COMMANDS, note
from cvd_core.cli.footage_options import add_footage
from cvd_core.output_folder import complete_folder

JSON, CSV, HTML = "evaluation.json", "evaluation.csv", "report.html"

EXAMPLES = """\
examples:
  a run of `cvd generate`:
    cvd evaluate runs/car
  videos from elsewhere, one per view of the camera file:
    cvd evaluate left.mp4 right.mp4 --cameras rig.json --out scores
  with text and fidelity measures, from files on this machine:
    cvd evaluate runs/car --clip clip-vit-base-patch16 --reference real --inception inception-2015-12-05.pt
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser of ``cvd``."""
    parser = subparsers.add_parser(
        "evaluate",
        help=COMMANDS["evaluate"],
        description="Measure whether videos follow their cameras and agree with each other, and write the results as "
        "JSON, CSV and an HTML report.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "inputs",
        type=Path,
        nargs="+",
        metavar="IN",
        help="the folder of a run, or one video per view with the name of its camera",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"folder for {JSON}, {CSV} and {HTML} (default: `evaluation` next to the videos). Nothing is overwritten",
    )
    _add_videos(parser.add_argument_group("videos"))
    _add_measures(parser.add_argument_group("measures"))
    parser.set_defaults(run=run)


def _add_videos(group: argparse._ArgumentGroup) -> None:
    add_footage(group)
    group.add_argument(
        "--prompt",
        dest="prompts",
        nargs="+",
        default=[],
        metavar="TEXT",
        help="prompt of the videos, one for all or one per view (default: from the folder's run.json)",
    )


def _add_measures(group: argparse._ArgumentGroup) -> None:
    from cvd_core.scenes.world import OBJECT_COLOURS

    group.add_argument(
        "--objects",
        nargs="+",
        choices=OBJECT_COLOURS,
        metavar="COLOUR",
        help=f"procedural scenes: colours of the objects, out of {', '.join(OBJECT_COLOURS)} (default: those that the "
        "prompt names, if it has only words of procedural scenes)",
    )
    group.add_argument(
        "--trials",
        type=int,
        default=5,
        metavar="N",
        help="structure-from-motion trials per view; 0 skips it (default: %(default)s)",
    )
    group.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the trials (default: %(default)s)")
    group.add_argument(
        "--clip", type=Path, metavar="DIR", help="CLIP model as a transformers folder, for CLIP-T, -F, -V"
    )
    group.add_argument("--reference", type=Path, metavar="DIR", help="real videos for FID, KID, FVD")
    group.add_argument("--inception", type=Path, metavar="FILE", help="inception-2015-12-05.pt, for FID and KID")
    group.add_argument(
        "--i3d", type=Path, metavar="FILE", help="i3d_torchscript.pt, for FVD, and for FVD-V between the views"
    )
    group.add_argument(
        "--truth",
        type=Path,
        metavar="DIR",
        help="true videos of some or all views, called as these are: PSNR and SSIM",
    )
    group.add_argument("--lpips", type=Path, metavar="FILE", help="vgg16.pt of StyleGAN2-ADA, for LPIPS with --truth")


def run(args: argparse.Namespace) -> None:
    """Read and measure the videos, write all files, and print the results over all views."""
    from cvd_core.cli.generate import quiet_libraries

    quiet_libraries(offline=True)
    from tqdm import tqdm

    from cvd_core.drawing.report import write_report
    from cvd_core.evaluation.footage import read_footage
    from cvd_core.evaluation.measure import PARTS, Options, evaluate_views
    from cvd_core.scenes.world import OBJECT_COLOURS

    options = Options(
        objects={name: OBJECT_COLOURS[name] for name in args.objects} if args.objects else None,
        trials=args.trials,
        seed=args.seed,
        clip=args.clip,
        inception=args.inception,
        i3d=args.i3d,
        reference=args.reference,
        truth=args.truth,
        lpips=args.lpips,
    )
    footage = read_footage(args.inputs, args.cameras, relative=args.relative, prompts=args.prompts)
    first: Path = args.inputs[0]
    out: Path = args.out or (first if first.is_dir() else first.parent) / "evaluation"
    with complete_folder(out, [JSON, CSV, HTML]) as folder:
        with tqdm(total=len(PARTS), disable=None, leave=False, bar_format="{n_fmt}/{total_fmt} {desc}") as bar:

            def advance(part: str) -> None:
                bar.update()
                bar.set_description_str(part)

            results = evaluate_views(footage, options, advance)
        results.save_json(folder / JSON)
        results.save_csv(folder / CSV)
        write_report(results, footage, folder / HTML)
    for text in results.notes:
        note(text)
    for group in results.groups:
        print(group)
        for m in results.measures:
            if m.group == group and m.subject == results.subjects(group)[0]:
                print(f"  {m.name:<50} {m.text}")
    print(out / HTML)
