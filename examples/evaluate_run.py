"""Measures of a finished run: ``python examples/evaluate_run.py RUN``, a folder of ``cvd generate`` or ``run.save``."""

import sys
from pathlib import Path

import cvd_core
from cvd_core.evaluation.measure import Options
from cvd_core.evaluation.results import Results


def main(folder: Path) -> Results:
    footage = cvd_core.read_footage([folder])
    results = cvd_core.evaluate_views(footage, Options(trials=1), print)  # 1: one attempt at structure from motion
    for note in results.notes:
        print(note)
    for m in results.measures:
        print(f"{m.group:<40} {m.subject:<16} {m.name:<50} {m.text}")
    return results


if __name__ == "__main__":
    main(Path(sys.argv[1]))
