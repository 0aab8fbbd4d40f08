"""``python -m tests.fuzz --count 5000``: many inputs of every kind; exit code 1 if one was neither read nor refused."""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz import Target, fuzz
from tests.fuzz.registry import TARGETS


def main() -> int:
    """Run the targets and print a line for each; failures with how to run them again."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=5000, help="inputs in all, spread over the targets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="number of each target's first input")
    parser.add_argument("--only", nargs="+", metavar="TARGET", choices=[target.name for target in TARGETS])
    args = parser.parse_args()
    targets = [target for target in TARGETS if args.only is None or target.name in args.only]
    begin, failed = time.perf_counter(), 0
    print(f"{'target':<24} {'read':>6} {'refused':>8} {'failed':>7} {'slowest':>9} {'memory':>10}")
    for i, target in enumerate(targets):
        share = args.count // len(targets) + (i < args.count % len(targets))
        failed += _run(target, share, args.seed, args.start)
    print(f"{args.count} inputs, {failed} failures, {time.perf_counter() - begin:.0f} s")
    return 1 if failed else 0


def _run(target: Target, count: int, seed: int, start: int) -> int:
    report = fuzz(target, count, seed, start)
    print(
        f"{target.name:<24} {report.read:>6} {report.refused:>8} {len(report.failures):>7} {report.slowest:>7.2f} s "
        f"{report.growth:>6.0f} MiB",
        flush=True,
    )
    for failure in report.failures[:5]:
        print(f"  --only {target.name} --seed {seed} --start {failure.number} --count 1: {failure.problem}")
        print("    " + failure.details.replace("\n", "\n    "), file=sys.stderr)
    return len(report.failures)


if __name__ == "__main__":
    sys.exit(main())
