"""Stage "consistency": few steps instead of many, learned from the model itself as a LoRA of its base.

Latent consistency distillation (Luo et al., 2023, "Latent Consistency Models", Alg. 1; as a LoRA: "LCM-LoRA"): the
student's answer at one noise level should be its answer one step of DDIM further down, where the step is the guided
model's own. Guidance so becomes part of the LoRA: runs with it take guidance 1, which halves their cost again.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from torch import Tensor

from cvd_core.engine.prediction import signal_and_noise, to_clean, to_noise
from cvd_core.engine.sd15.unet import CollaborativeUNet
from cvd_core.engine.solvers import MOST_LCM_STEPS
from cvd_core.motion.noise_schedule import TIMESTEPS
from cvd_core.training.diffusion_stage import DiffusionStage, Material
from cvd_core.training.seeding import initial_weights
from cvd_core.training.stage import StageBatch
from cvd_core.training.video_stage import single_videos

STEP = TIMESTEPS // MOST_LCM_STEPS
"""Timesteps of one step of DDIM."""
TIMESTEP_SCALING = 10.0
SIGMA = 0.5
"""Of the boundary condition, as diffusers' LCMScheduler has them, which samples with the LoRA."""
HUBER = 1e-3
"""Where the loss turns from squares to absolute values (LCM's released training)."""
_BASE_LAYERS = r"(?!.*motion_modules).*\.(to_q|to_k|to_v|to_out\.0|proj_in|proj_out|net\.0\.proj|net\.2|conv1|conv2)"
"""Of resnets and spatial attention: a LoRA of Stable Diffusion's UNet, which any motion module goes with."""


class ConsistencyStage(DiffusionStage):
    """Trains a LoRA on single videos, with their cameras.

    Args:
        unet: the model; it stays as it is.
        material: what it learns from.
    """

    def __init__(self, unet: CollaborativeUNet, material: Material) -> None:
        config = material.config.consistency
        student = _same_weights(unet.requires_grad_(False))
        with initial_weights(material.config.seed, "consistency"):
            student.unet.add_adapter(LoraConfig(r=config.rank, lora_alpha=config.rank, target_modules=_BASE_LAYERS))
        super().__init__(student, material)
        self._teacher = [unet]  # no module of its own: all its parameters are the student's

    def batch(self, step: int, positions: Sequence[int]) -> StageBatch:
        clips, rng = self.draw(step, positions)
        latents, batch = single_videos(clips, self.config.data, rng)
        level = torch.randint(1, MOST_LCM_STEPS + 1, (len(positions),), generator=rng)
        least, most = self.config.consistency.guidance
        return batch | {
            "latents": latents,
            "noise": torch.randn(latents.shape, generator=rng),
            "timestep": level * STEP - 1,
            "guidance": least + (most - least) * torch.rand(len(positions), generator=rng),
        }

    def forward(self, batch: StageBatch) -> dict[str, Tensor]:
        latents, t = batch["latents"], batch["timestep"]
        lower = (t - STEP).clamp(min=0)
        a, s = signal_and_noise(t, latents)
        noisy = a * latents + s * batch["noise"]
        with torch.no_grad():
            text = self.encode_text(batch["tokens"])
            features = self.unet.encode_cameras(batch["plucker"]) if "plucker" in batch else None
            further = self._guided_step(noisy, t, lower, text, features, batch["guidance"])
            target = self._answer(further, lower, text, features)
        error = self._answer(noisy, t, text, features) - target
        return {"loss": ((error.square() + HUBER**2).sqrt() - HUBER).mean()}

    def lora(self) -> dict[str, Tensor]:
        """The trained matrices by the names that diffusers gives them in files."""
        found = get_peft_model_state_dict(self.unet.unet)
        return {f"unet.{name}": value.detach() for name, value in found.items()}

    def _guided_step(
        self, noisy: Tensor, t: Tensor, lower: Tensor, text: Tensor, features: list[Tensor] | None, guidance: Tensor
    ) -> Tensor:
        """One step of DDIM by the model with classifier-free guidance."""
        (teacher,) = self._teacher
        empty = self.encode_text(self.empty[None]).expand_as(text)
        without, given = (teacher(noisy, t, words, features).float() for words in (empty, text))
        output = without + guidance[:, None, None, None, None] * (given - without)
        clean, noise = (to(teacher.prediction, output, noisy, t) for to in (to_clean, to_noise))
        a, s = signal_and_noise(lower, noisy)
        return a * clean + s * noise

    def _answer(self, noisy: Tensor, t: Tensor, text: Tensor, features: list[Tensor] | None) -> Tensor:
        """The student's picture, mixed with its input so that at timestep 0 it is that (LCM, Eq. 9)."""
        output = self.unet(noisy, t, text, features).float()
        scaled = (t * TIMESTEP_SCALING)[:, None, None, None, None]
        skip, out = SIGMA**2 / (scaled**2 + SIGMA**2), scaled / (scaled**2 + SIGMA**2).sqrt()
        return skip * noisy + out * to_clean(self.unet.prediction, output, noisy, t)


def _same_weights(unet: CollaborativeUNet) -> CollaborativeUNet:
    """A second network of the same parameters: what is added to it leaves the first one alone."""
    tensors = [*unet.parameters(), *unet.buffers()]
    return copy.deepcopy(unet, {id(tensor): tensor for tensor in tensors})
