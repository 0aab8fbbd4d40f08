"""Does an exported model follow its cameras? ``python -m benchmarks.camera_following MODEL_FOLDER``.

One object per held-out scene; the camera moves sideways (truck) or turns (pan), half of the scenes to each side. Prints
how far objects move in generated videos and in renders of such scenes; ``--pictures`` shows both, a row per scene.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cvd_core import Cameras, ModelPaths, Settings, load_pipeline
from cvd_core.evaluation.truck_test import truck_test

AMOUNTS = {"truck": 1.2, "pan": 15.0}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="folder with base/, motion.safetensors and camera.safetensors")
    parser.add_argument("--scenes", type=int, default=32)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=Path, help="folder for a PNG per axis")
    args = parser.parse_args()
    pipe = load_pipeline(replace(ModelPaths.in_folder(args.model), sync=None), device="cpu")
    settings = Settings(("",), width=args.size, height=args.size, steps=args.steps, guidance=args.guidance)
    settings = replace(settings, seed=args.seed)
    for axis, amount in AMOUNTS.items():
        kept: list[Tensor] = []

        def generate(cameras: Cameras, prompts: list[str], kept: list[Tensor] = kept) -> Tensor:
            videos = pipe(cameras, replace(settings, prompts=tuple(prompts)), progress=False).frames
            kept.append(videos)
            return videos

        test = truck_test(
            generate, axis, amount, scenes=args.scenes, frames=args.frames, size=args.size, seed=args.seed
        )
        print(json.dumps({"axis": axis, "amount": amount, "ratio": test.ratio} | asdict(test)), flush=True)
        if args.pictures:
            args.pictures.mkdir(parents=True, exist_ok=True)
            Image.fromarray(_sheet(kept[0][:12])).save(args.pictures / f"{axis}.png")


def _sheet(videos: Tensor) -> NDArray[np.uint8]:
    """``(V, F, H, W, 3)`` -> one picture, a row per video."""
    return torch.cat([torch.cat(list(video), 1) for video in videos], 0).numpy()


if __name__ == "__main__":
    main()
