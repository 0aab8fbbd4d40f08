"""Videos along camera paths from files: ``python examples/own_cameras.py OUT [POSES ...]``.

Any format that ``cvd cameras`` reads will do; without files, two recorded paths of this repository are used. The paths
are resampled to the model's number of frames and scaled to what it has learned.
"""

import sys
from dataclasses import replace
from pathlib import Path

import cvd_core
from cvd_core.geometry.trajectories import resample

POSES = Path(__file__).parents[1] / "example_workflows" / "poses"
REACH = 1.0
"""How far the small model's cameras may go, in its units."""


def main(out: Path, *files: Path, steps: int = 20) -> None:
    parts = [resample(cvd_core.read_cameras(file), 8) for file in files or sorted(POSES.glob("*.txt"))]
    cameras = cvd_core.Cameras.concatenate(parts).relative_to_first()
    c2w = cameras.c2w.clone()
    c2w[..., :3, 3] *= REACH / c2w[..., :3, 3].norm(dim=-1).max().clamp(min=1e-9)
    cameras = replace(cameras, c2w=c2w)
    pipe = cvd_core.load_pipeline("mini")
    run = pipe(cameras, "a yellow cube and a purple ball on a brown striped floor", seed=1, steps=steps)
    run.save(out)
    cvd_core.write_cameras(run.cameras, out / "colmap", format="colmap", width=64, height=64)  # for other programs


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(Path, sys.argv[2:]))
