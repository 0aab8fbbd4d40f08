"""Does an exported model follow its cameras and prompts? ``python -m benchmarks.camera_following MODEL_FOLDER``.

One object per held-out scene; the camera moves sideways (truck) or turns (pan), half of the scenes to each side. Prints
how far objects move in generated videos and in renders of such scenes, at each of the given camera guidances, and how
many balls are balls and cubes cubes; ``--pictures`` shows both, a row per scene.
"""

from __future__ import annotations

import argparse
import itertools
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cvd_core import Cameras, ModelPaths, Settings, load_pipeline
from cvd_core.cami2v.guidance import Schedule
from cvd_core.engine.sd15.pipeline import CollaborativePipeline
from cvd_core.evaluation.shape_test import ShapeClassifier, shape_test
from cvd_core.evaluation.truck_test import single_object_scenes, truck_test
from cvd_core.runs.make import Pipeline
from cvd_core.training.autoencoder_stage import LATENT_NOISE

AMOUNTS = {"truck": 1.2, "pan": 15.0}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="folder with base/, motion.safetensors and camera.safetensors")
    parser.add_argument("--scenes", type=int, default=32)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--camera-guidance", type=float, nargs="+", default=[1.0])
    parser.add_argument("--camera-guidance-schedule", choices=get_args(Schedule), default="constant")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=Path, help="folder for a PNG per axis")
    args = parser.parse_args()
    pipe = load_pipeline(replace(ModelPaths.in_folder(args.model), sync=None), device="cpu")
    settings = Settings(("",), width=args.size, height=args.size, steps=args.steps, guidance=args.guidance)
    settings = replace(settings, seed=args.seed, camera_guidance_schedule=args.camera_guidance_schedule)
    classifier = ShapeClassifier(lambda pictures: through_autoencoder(pipe, pictures), size=args.size)
    scenes = single_object_scenes(args.scenes, args.seed)  # those of the truck test
    for axis, camera_guidance in itertools.product(AMOUNTS, args.camera_guidance):
        amount = AMOUNTS[axis]
        kept: list[Tensor] = []
        guided = replace(settings, camera_guidance=camera_guidance)

        def generate(
            cameras: Cameras, prompts: list[str], kept: list[Tensor] = kept, guided: Settings = guided
        ) -> Tensor:
            videos = pipe(cameras, replace(guided, prompts=tuple(prompts)), progress=False).frames
            kept.append(videos)
            return videos

        test = truck_test(
            generate, axis, amount, scenes=args.scenes, frames=args.frames, size=args.size, seed=args.seed
        )
        about = {"axis": axis, "amount": amount, "camera_guidance": camera_guidance, "ratio": test.ratio}
        shapes = shape_test(kept[0], scenes, classifier)
        shown = {"shapes": {"fraction right": shapes.fraction} | asdict(shapes)}
        print(json.dumps(about | asdict(test) | shown), flush=True)
        if args.pictures:
            args.pictures.mkdir(parents=True, exist_ok=True)
            Image.fromarray(_sheet(kept[0][:12])).save(args.pictures / f"{axis}-{camera_guidance:g}.png")


@torch.no_grad()
def through_autoencoder(pipe: Pipeline, pictures: Tensor) -> Tensor:
    """``(N, 3, H, W)`` in [-1, 1], encoded, disturbed as a diffusion leaves latents, and decoded."""
    vae = cast(CollaborativePipeline, pipe.networks).base.vae
    latents = vae.encode(pictures)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    decoded: Tensor = vae.decode(latents + LATENT_NOISE * noise).sample
    return decoded


def _sheet(videos: Tensor) -> NDArray[np.uint8]:
    """``(V, F, H, W, 3)`` -> one picture, a row per video."""
    return torch.cat([torch.cat(list(video), 1) for video in videos], 0).numpy()


if __name__ == "__main__":
    main()
