"""``cvd train``: train networks from a configuration."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "train",
        help="train networks, all stages of a configuration",
        description="Train the stages of a configuration in order. Ctrl-C saves a checkpoint, from which --resume "
        "continues.",
    )
    parser.add_argument(
        "config",
        type=Path,
        metavar="CONFIG",
        help="a YAML file, or one of the configurations in the package: `mini`, `mini-continue`, `mini-lcm`, `sd15`, "
        "`sd15-joint`, `syncam`, `cami2v`",
    )
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoints in the output folder")
    parser.add_argument(
        "--export", type=Path, metavar="FOLDER", help="write the model trained so far as model files, without training"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    from cvd_core.training.config import load_config
    from cvd_core.training.trainers import trainer_for

    trainer = trainer_for(load_config(args.config), resume=args.resume)
    if args.export is not None:
        trainer.export(args.export)
    else:
        trainer.train()
