"""Options that say which cameras go with given videos."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_footage(group: argparse._ActionsContainer) -> None:
    """Add what :func:`cvd_core.evaluation.footage.read_footage` needs to know besides the videos."""
    group.add_argument(
        "--cameras",
        type=Path,
        metavar="FILE",
        help="cameras of the videos, in any format of `cvd cameras` (default: the folder's transforms.json)",
    )
    group.add_argument(
        "--relative",
        action="store_true",
        help="take every view relative to its first camera, as `cvd generate` does with pose files",
    )
