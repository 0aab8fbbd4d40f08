"""Camera accuracy over a list of pictures and paths, as CamI2V's paper measures it (Sec. 4.4).

Every row of the list becomes a run in OUT/0, OUT/1 ...; its camera path is estimated by structure from motion, N seeded
trials, and compared with the commanded one. OUT/table.csv holds RotErr, TransErr and CamMC of every row and their
means.
A row whose run is there is measured only, so an interrupted table goes on where it was.

The list is a CSV file with a heading: ``poses`` (any camera file), ``prompt``, and for models that start from a picture
``image``; relative paths count from the list's folder.

    python -m benchmarks.camera_table list.csv --base 256_cami2v.pt --config sd15/ --out table
    python -m benchmarks.camera_table list.csv --base dynamicrafter.ckpt --camera cami2v.pt --config sd15/ --out table
"""

from __future__ import annotations

import argparse
import csv
import math
from pathlib import Path
from typing import Any

from cvd_core import StartPicture, load_pipeline, read_cameras
from cvd_core.evaluation.camera_measures import PATHS, measure_paths
from cvd_core.evaluation.footage import read_footage
from cvd_core.evaluation.results import Results, mean
from cvd_core.files import atomic_path
from cvd_core.geometry.trajectories import resample
from cvd_core.runs.make import Pipeline
from cvd_core.video.run_folder import RECORD

MEASURES = ("RotErr", "TransErr", "CamMC", "trials", "failed trials")
COLUMNS = {"poses", "prompt", "image"}


def read_list(path: Path) -> list[dict[str, str]]:
    """Rows of the list.

    Raises:
        ValueError: it is empty, no CSV file, or its columns are others.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a CSV file in UTF-8 ({error})") from error
    if not rows or not {"poses", "prompt"} <= rows[0].keys() <= COLUMNS:
        found = ", ".join(map(str, rows[0])) if rows else "nothing"
        raise ValueError(f"{path} holds {found}; expected rows with poses, prompt and, for pictures, image")
    for number, row in enumerate(rows, 1):
        if None in row or None in row.values():
            raise ValueError(f"row {number} of {path} does not have {len(rows[0])} columns, as its heading says")
    return rows


def make(pipe: Pipeline, row: dict[str, str], folder: Path, out: Path, settings: dict[str, Any], frames: int) -> None:
    """The run of a row."""
    cameras = resample(read_cameras(folder / row["poses"]), frames)
    if row.get("image"):
        settings = settings | {"picture": StartPicture(folder / row["image"])}
    pipe(cameras, row["prompt"], **settings).save(out)


def measure(run: Path, trials: int, seed: int) -> dict[str, float]:
    """The measures of a run, means over its views; NaN where structure from motion finds no path."""
    results = Results({})
    measure_paths(read_footage([run]), results, trials, seed)
    found = {m.name: m.value for m in results.measures if m.group == PATHS and m.subject == "all"}
    return {name: found.get(name, math.nan) for name in MEASURES}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("list", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    for name in ("base", "config", "camera", "motion", "sync"):
        parser.add_argument(f"--{name}", type=Path, required=name == "base")
    parser.add_argument("--frames", type=int, default=16)
    for name in ("steps", "seed", "width", "height"):
        parser.add_argument(f"--{name}", type=int)
    for name in ("guidance", "camera_guidance"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--offload", action="store_true")
    parser.add_argument("--trials", type=int, default=5)
    args = parser.parse_args()
    rows = read_list(args.list)
    given = {name: value for name, value in vars(args).items() if value is not None}
    files = {name: given[name] for name in ("base", "config", "camera", "motion", "sync") if name in given}
    settings: dict[str, Any] = {
        n: given[n] for n in ("steps", "seed", "width", "height", "guidance", "camera_guidance") if n in given
    }
    todo = [i for i in range(len(rows)) if not (args.out / str(i) / RECORD).is_file()]
    if todo:
        pipe = load_pipeline(**files, device=args.device, dtype=args.dtype, offload=args.offload)
        for i in todo:
            make(pipe, rows[i], args.list.parent, args.out / str(i), settings, args.frames)
    measured = [measure(args.out / str(i), args.trials, 0) for i in range(len(rows))]
    means = {name: mean([m[name] for m in measured]) for name in MEASURES[:3]}
    with atomic_path(args.out / "table.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["row", *rows[0], *MEASURES])
        writer.writeheader()
        writer.writerows({"row": i, **row, **m} for i, (row, m) in enumerate(zip(rows, measured, strict=True)))
        writer.writerow({"row": "mean", **means})
    print(", ".join(f"{name} {value:.4f}" for name, value in means.items()), f"-> {args.out / 'table.csv'}")


if __name__ == "__main__":
    main()
