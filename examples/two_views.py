"""Two views of one scene with the small model of the package: ``python examples/two_views.py OUT``.

Writes what ``cvd generate`` writes, then the same noise without sync modules to compare with. No files are needed.
"""

import sys
from pathlib import Path

import cvd_core


def main(out: Path, steps: int = 20) -> None:
    pipe = cvd_core.load_pipeline("mini")
    cameras = cvd_core.make_rig("stereo", views=2, frames=8, baseline=2)
    settings = pipe.settings("a red ball and a blue cube on a gray checkered floor", seed=2, steps=steps)
    for hint in pipe.hints(cameras, settings):
        print(hint)
    for name, strength in (("synced", 1.0), ("unsynced", 0.0)):
        run = pipe(cameras, settings, sync_strength=strength)
        run.save(out / name)
        apart = (run.frames[0, 0].float() - run.frames[1, 0].float()).abs().mean()
        print(f"{name}: the common first frames differ by {apart:.1f} of 255 levels")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
