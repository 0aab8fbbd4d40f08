"""Replay golden files through the project's code: ``python -m tests.golden.replay DIR``.

Any folder of files in the golden format will do: the check is chosen by a file's kind (the part of its name before the
first underscore) and by the arrays in it. Prints a row per file and exits with 1 if any deviates by more than its
tolerance.

The column "float32" is the reproducibility of the case itself: how far the network's own output moves when GroupNorm
takes its variance in one pass (PyTorch's kernel for channels-last tensors) instead of two (its kernel for others), both
in float32. Where this exceeds the tolerance, the recorded numbers depend on the processor that recorded them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from tests.golden.case import Case, Outcome
from tests.golden.geometry import replay_geometry, replay_mask, replay_module
from tests.golden.networks import one_pass_group_norm, replay_sample, replay_schedule, replay_unet

CHECKS: dict[str, Callable[[Case], Outcome]] = {
    "geometry": replay_geometry,
    "mask": replay_mask,
    "module": replay_module,
    "schedule": replay_schedule,
    "unet": replay_unet,
    "sample": replay_sample,
}
NETWORK_KINDS = ("unet", "sample")


def golden_files(folder: Path) -> list[Path]:
    """The replayable files of a folder.

    Raises:
        ValueError: there are none.
    """
    files = [path for path in sorted(folder.glob("*.npz")) if path.stem.partition("_")[0] in CHECKS]
    if not files:
        raise ValueError(f"{folder} holds no golden files ({', '.join(f'{kind}_*.npz' for kind in CHECKS)})")
    return files


def replay(path: Path) -> Outcome:
    """Run the check of one golden file."""
    case = Case(path)
    return CHECKS[case.kind](case)


def float32_reproducibility(path: Path) -> float | None:
    """How far the case's own output moves between two float32 kernels of GroupNorm; None where there is no network."""
    case = Case(path)
    if case.kind not in NETWORK_KINDS:
        return None
    plain = CHECKS[case.kind](case).found
    with one_pass_group_norm():
        other = CHECKS[case.kind](case).found
    return float((plain - other).abs().max())


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.golden.replay", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder with golden .npz files")
    folder = parser.parse_args(argv).folder
    torch.manual_seed(0)  # nothing may depend on it; a fixed start makes a violation repeatable
    failed = 0
    print(f"{'file':36} {'max abs error':>13} {'tolerance':>10} {'float32':>9}")
    try:
        files = golden_files(folder)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    for path in files:
        outcome = replay(path)
        noise = None if outcome.ok else float32_reproducibility(path)
        failed += not outcome.ok
        shown = "" if noise is None else f"{noise:9.1e}"
        verdict = "ok" if outcome.ok else "FAIL"
        print(f"{path.stem:36} {outcome.error:13.2e} {outcome.tolerance:10.1e} {shown:>9} {verdict}", flush=True)
    print(f"{len(files) - failed} of {len(files)} within tolerance")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
