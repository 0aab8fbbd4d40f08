"""Does an exported model follow its cameras and prompts? ``python -m benchmarks.camera_following MODEL_FOLDER``.

One object per held-out scene; the camera moves sideways (truck), turns (pan), or both (an orbit around a point behind
the object, which thus passes before it), half of the scenes to each side. Prints how far objects move in generated
videos and in renders of such scenes, at each of the given camera guidances, how much too wide they are, and how many
balls are balls and cubes cubes; ``--pictures`` shows the videos, a row per scene.
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
from cvd_core.runs import mini
from cvd_core.sampling.settings import Sampler
from cvd_core.training.autoencoder_stage import LATENT_NOISE

PATHS = {"truck": {"truck": 1.2}, "pan": {"pan": 15.0}, "orbit": {"truck": 1.2, "pan": -12.0}}
"""Amounts by axis. A model that does not turn in the orbit moves objects twice as far."""


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="folder with base/, motion.safetensors and camera.safetensors")
    parser.add_argument("--scenes", type=int, default=32)
    parser.add_argument("--size", type=int, default=mini.SETTINGS["width"])
    parser.add_argument("--frames", type=int, default=mini.FRAMES)
    parser.add_argument("--guidance", type=float, default=mini.SETTINGS["guidance"])
    parser.add_argument("--camera-guidance", type=float, nargs="+", default=[1.0])
    parser.add_argument("--camera-guidance-schedule", choices=get_args(Schedule), default="constant")
    parser.add_argument("--steps", type=int, default=mini.SETTINGS["steps"])
    parser.add_argument("--sampler", choices=get_args(Sampler), default=mini.SETTINGS["sampler"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=Path, help="folder for a PNG per path")
    args = parser.parse_args()
    pipe = load_pipeline(replace(ModelPaths.in_folder(args.model), sync=None), device="cpu")
    settings = Settings(
        ("",),
        width=args.size,
        height=args.size,
        steps=args.steps,
        sampler=args.sampler,
        guidance=args.guidance,
        camera_guidance_schedule=args.camera_guidance_schedule,
        seed=args.seed,
    )
    networks = cast(CollaborativePipeline, pipe.networks)
    classifier = ShapeClassifier(lambda pictures: through_autoencoder(networks, pictures), size=args.size)
    scenes = single_object_scenes(args.scenes, args.seed)  # those of the truck test
    for path, camera_guidance in itertools.product(PATHS, args.camera_guidance):
        kept: list[Tensor] = []
        guided = replace(settings, camera_guidance=camera_guidance)

        def generate(
            cameras: Cameras, prompts: list[str], kept: list[Tensor] = kept, guided: Settings = guided
        ) -> Tensor:
            videos = pipe(cameras, replace(guided, prompts=tuple(prompts)), progress=False).frames
            kept.append(videos)
            return videos

        test = truck_test(generate, PATHS[path], scenes=args.scenes, frames=args.frames, size=args.size, seed=args.seed)
        about = {"path": path, "amounts": PATHS[path], "camera_guidance": camera_guidance, "ratio": test.ratio}
        shapes = shape_test(kept[0], scenes, classifier)
        shown = {"shapes": {"fraction right": shapes.fraction} | asdict(shapes)}
        print(json.dumps(about | asdict(test) | shown), flush=True)
        if args.pictures:
            args.pictures.mkdir(parents=True, exist_ok=True)
            Image.fromarray(_sheet(kept[0][:12])).save(args.pictures / f"{path}-{camera_guidance:g}.png")


@torch.no_grad()
def through_autoencoder(networks: CollaborativePipeline, pictures: Tensor) -> Tensor:
    """``(N, 3, H, W)`` in [-1, 1], encoded, disturbed as a diffusion leaves latents, and decoded."""
    vae = networks.base.vae
    latents = vae.encode(pictures)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    decoded: Tensor = vae.decode(latents + LATENT_NOISE * noise).sample
    return decoded


def _sheet(videos: Tensor) -> NDArray[np.uint8]:
    """``(V, F, H, W, 3)`` -> one picture, a row per video."""
    return torch.cat([torch.cat(list(video), 1) for video in videos], 0).numpy()


if __name__ == "__main__":
    main()
