"""Camera paths estimated from videos by global structure from motion, GLOMAP (CamI2V, Sec. 4.4 and Appendix B)."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import cvd_core
from cvd_core.evaluation.extras import require_extra
from cvd_core.evaluation.poses import is_pure_rotation, pose_errors
from cvd_core.geometry.cameras import Cameras
from cvd_core.video.files import check_frames

TRIALS = 5
"""As in CamI2V: the solver starts from random positions."""
FEWEST_FRAMES = 3
_LONGEST = 900
"""Seconds after which a trial has failed."""


@dataclass(frozen=True)
class Trial:
    """One attempt.

    Attributes:
        seed: of its random numbers.
        cameras: the path, one view, in its own world and unit; None if it failed.
        problem: why it failed, else empty.
    """

    seed: int
    cameras: Cameras | None
    problem: str = ""


@dataclass(frozen=True)
class PathError:
    """Errors of one video's path, means over the successful trials; NaN where there is none.

    Attributes:
        rot_err, trans_err, cam_mc: see :class:`cvd_core.evaluation.poses.PoseErrors`, sums over the frames.
        spread: standard deviation of ``rot_err``, ``trans_err`` and ``cam_mc`` over the successful trials.
        trials, failed: numbers of attempts.
        problems: why they failed, each reason once.
        pure_rotation: the true path only turns: structure from motion has nothing to measure and mostly fails, and
            ``trans_err`` and ``cam_mc`` are undefined.
    """

    rot_err: float
    trans_err: float
    cam_mc: float
    spread: tuple[float, float, float]
    trials: int
    failed: int
    problems: tuple[str, ...]
    pure_rotation: bool


def estimate_path(video: Tensor, intrinsics: Tensor, trials: int = TRIALS, seed: int = 0) -> list[Trial]:
    """Attempts with the seeds ``seed``, ``seed + 1`` ...; a trial succeeds if it places all frames in one model.

    The same seed gives the same path on one machine.

    Args:
        video: ``(F, H, W, 3)`` uint8.
        intrinsics: ``(F, 4)`` normalised fx, fy, cx, cy; taken as true.

    Raises:
        ValueError: pycolmap is not installed, fewer than three frames, no trials, or other shapes.
    """
    require_extra("pycolmap", "the estimation of camera paths")
    check_frames(video)
    frames, height, width, _ = video.shape
    if intrinsics.shape != (frames, 4):
        raise ValueError(f"intrinsics have shape {tuple(intrinsics.shape)}; expected {(frames, 4)}")
    if frames < FEWEST_FRAMES or trials < 1:
        raise ValueError(f"{frames} frames, {trials} trials; expected at least {FEWEST_FRAMES} frames and 1 trial")
    pixels = intrinsics * torch.tensor([width, height, width, height], dtype=torch.float64)
    names = [f"{frame:04d}.png" for frame in range(frames)]
    with tempfile.TemporaryDirectory(prefix="cvd-sfm-") as temporary:
        folder = Path(temporary)
        (folder / "images").mkdir()
        for name, image in zip(names, video, strict=True):
            Image.fromarray(image.cpu().numpy()).save(folder / "images" / name)
        (folder / "intrinsics.json").write_text(json.dumps(dict(zip(names, pixels.tolist(), strict=True))))
        if problem := _work(folder):
            return [Trial(seed + i, None, problem) for i in range(trials)]
        return [_attempt(folder, names, intrinsics, seed + i) for i in range(trials)]


def path_error(attempts: Sequence[Trial], true: Cameras) -> PathError:
    """Compare the paths that were found with the one the video was made for, one view.

    Raises:
        ValueError: another number of frames.
    """
    errors = [pose_errors(attempt.cameras, true) for attempt in attempts if attempt.cameras is not None]
    columns = [[float(getattr(e, name)) for e in errors] for name in ("rot_err", "trans_err", "cam_mc")]
    rot_err, trans_err, cam_mc = (float(np.mean(column)) if column else math.nan for column in columns)
    rot_spread, trans_spread, cam_spread = (float(np.std(column)) if column else math.nan for column in columns)
    return PathError(
        rot_err=rot_err,
        trans_err=trans_err,
        cam_mc=cam_mc,
        spread=(rot_spread, trans_spread, cam_spread),
        trials=len(attempts),
        failed=len(attempts) - len(errors),
        problems=tuple(dict.fromkeys(attempt.problem for attempt in attempts if attempt.problem)),
        pure_rotation=bool(is_pure_rotation(true)),
    )


def _attempt(folder: Path, names: list[str], intrinsics: Tensor, seed: int) -> Trial:
    result = folder / "poses.json"
    result.unlink(missing_ok=True)
    if problem := _work(folder, str(seed)):
        return Trial(seed, None, problem)
    poses = json.loads(result.read_text())
    if len(poses) < len(names):
        return Trial(seed, None, f"{len(poses)} of {len(names)} frames could be placed")
    w2c = torch.eye(4, dtype=torch.float64).repeat(len(names), 1, 1)
    w2c[:, :3] = torch.tensor([poses[name] for name in names], dtype=torch.float64)
    return Trial(seed, Cameras(torch.linalg.inv(w2c)[None], intrinsics[None]))


def _work(folder: Path, *words: str) -> str:
    """Run the worker; why it failed, else an empty text."""
    paths = [str(Path(cvd_core.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    command = [sys.executable, "-m", "cvd_core.evaluation.sfm_worker", str(folder), *words]
    # TMPDIR: pycolmap's log files go where they are removed again
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "TMPDIR": str(folder)}
    try:
        done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, timeout=_LONGEST, check=False)
    except subprocess.TimeoutExpired:
        return f"no result within {_LONGEST} s"
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        return f"pycolmap ended with code {done.returncode}: {lines[-1] if lines else 'no message'}"
    return ""
