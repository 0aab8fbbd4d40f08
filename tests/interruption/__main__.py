"""``python -m tests.interruption --count 30``: a line per command and signal; exit code 1 if an attempt fails."""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before PyTorch is imported: threads do not survive a fork

import argparse
import sys
import tempfile
import time
from pathlib import Path

import torch

from tests.interruption import SIGNALS, Campaign
from tests.interruption.works import WORKS


def main() -> int:
    """Run the attempts."""
    parser = argparse.ArgumentParser(prog="python -m tests.interruption", description=__doc__)
    parser.add_argument("--count", type=int, default=30, help="attempts for each command and signal")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", metavar="COMMAND", choices=[work.name for work in WORKS])
    parser.add_argument("--signals", nargs="+", choices=SIGNALS, default=list(SIGNALS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    failed, begin = 0, time.perf_counter()
    for work in WORKS:
        if args.only is not None and work.name not in args.only:
            continue
        with tempfile.TemporaryDirectory() as folder:
            campaign = Campaign(work, Path(folder))
            for name in args.signals:
                report = campaign.run(name, args.count, args.seed)
                ends = ", ".join(f"{code}: {times}" for code, times in sorted(report.ends.items()))
                print(
                    f"{work.name:<9} {name:<8} {args.count} attempts on {campaign.seconds:.1f} s, "
                    f"{len(report.failures)} failed; exit codes {ends}; {report.partial} left some complete files",
                    flush=True,
                )
                for failure in report.failures:
                    print(f"  {failure}", flush=True)
                failed += len(report.failures)
    print(f"{failed} failures, {time.perf_counter() - begin:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
