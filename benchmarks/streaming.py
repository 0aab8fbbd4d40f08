"""What combining and writing videos takes: time, and peak memory beyond the pictures that are given.

    python -m benchmarks.streaming --views 6 --frames 200 --side 512

Each row is a process of its own that first makes its input, then does what Multi-View Video Combine (float32 pictures
of all views -> a grid for other nodes, and an MP4 of it) or ``cvd generate`` (uint8 videos -> one MP4 each and the
grid) does at the end of a run. Memory is the process's peak minus what it held when the input was there, divided by
the size of the input; the grid that the node passes on is one more input, so 1.0 is the least for its first row.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from cvd_core.video.clip import as_bytes
from cvd_core.video.files import write_video
from cvd_core.video.labelled import LabelledViews
from cvd_core.video.side_by_side import grid_clip

ROWS = ("combine: grid", "combine: one file per view", "cvd: videos and grid")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("views", 6), ("frames", 200), ("side", 512)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.row:
        print(measure(args.row, args.views, args.frames, args.side))
        return
    print(f"| {args.views} views, {args.frames} frames, {args.side} px | seconds | input GB | peak / input |")
    print("|---|---|---|---|")
    for row in ROWS:
        command = [sys.executable, "-m", "benchmarks.streaming", "--row", row]
        command += [word for name in ("views", "frames", "side") for word in (f"--{name}", str(getattr(args, name)))]
        print(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip(), flush=True)


def measure(row: str, views: int, frames: int, side: int) -> str:
    """One row of the table, measured in this process."""
    dtype = torch.uint8 if row.startswith("cvd") else torch.float32
    videos = torch.empty(views, frames, side, side, 3, dtype=dtype)
    ramp = torch.linspace(0, 1, side)[:, None, None] * torch.ones(side, 3)
    for view in range(views):
        for frame in range(frames):
            picture = torch.roll(ramp, 3 * frame + 40 * view, 0)
            videos[view, frame] = (picture * 255).to(dtype) if dtype == torch.uint8 else picture
    given = videos.numel() * videos.element_size()
    before, start = peak(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        shown, play = LabelledViews(videos), range(frames)
        if row == ROWS[0]:
            passed_on = shown.together(range(views), play)
            write_video(as_bytes(passed_on), Path(folder) / "grid.mp4")
        elif row == ROWS[1]:
            for view in range(views):
                write_video(as_bytes(shown.apart(view, play)), Path(folder) / f"{view}.mp4")
        else:
            for view, video in enumerate(videos):
                write_video(video, Path(folder) / f"{view}.mp4")
            write_video(grid_clip(videos), Path(folder) / "grid.mp4")
    seconds = time.perf_counter() - start
    return f"| {row} | {seconds:.1f} | {given / 1e9:.2f} | {(peak() - before) / given:.2f} |"


def peak() -> int:
    """The most memory that this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
