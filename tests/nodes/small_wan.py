"""The host's Wan at a small width with formula weights, SynCamMaster's modules for it, and runs of both."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import comfy.model_base
import comfy.model_patcher
import comfy.sample
import comfy.samplers
import comfy.supported_models
import torch
from torch import Tensor

from cvd_core.geometry.cameras import Cameras
from cvd_core.syncam.module import SynCamModules
from cvd_core.syncam.presets import preset_cameras
from cvd_core.weights import is_syncam_key
from tests import formula
from tests.nodes.host_process import Host

DATA = Path(__file__).parents[1] / "golden" / "data" / "syncam"
CPU = torch.device("cpu")
WIDTH, HEADS = 48, 2


def weight(key: str, shape: list[int]) -> Tensor:
    if "modulation" in key:
        return 0.3 * formula.noise(key, shape)
    return formula.weight(key, shape) * (0.5 if "head.head" in key and len(shape) > 1 else 1.0)


@cache
def weights() -> dict[str, Tensor]:
    keys = json.loads((DATA / "syncam_keys_reduced.json").read_text())
    return {key: weight(key, shape) for key, shape in keys.items()}


def wan_model(state: dict[str, Tensor] | None = None) -> Any:
    """A MODEL: the host's Wan at a small width, as a loader would return it."""
    state = weights() if state is None else state
    base = {key: value for key, value in state.items() if not is_syncam_key(key)}
    config = comfy.supported_models.WAN21_T2V(
        {
            "image_model": "wan2.1",
            "model_type": "t2v",
            "patch_size": (1, 2, 2),
            "dim": WIDTH,
            "ffn_dim": 64,
            "freq_dim": 256,
            "text_dim": 32,
            "in_dim": 16,
            "out_dim": 16,
            "num_heads": HEADS,
            "num_layers": sum(key.endswith(".ffn.0.weight") for key in base),
            "window_size": (-1, -1),
            "qk_norm": True,
            "cross_attn_norm": True,
            "eps": 1e-6,
        }
    )
    config.set_inference_dtype(torch.float32, None)
    model = comfy.model_base.WAN21(config)
    model.diffusion_model.load_state_dict(base)
    model.eval().requires_grad_(False)
    return comfy.model_patcher.ModelPatcher(model, load_device=CPU, offload_device=CPU)


def modules(host: Host, state: dict[str, Tensor] | None = None) -> Any:
    """A CVD_SYNCAM."""
    state = weights() if state is None else state
    extra = {key: value for key, value in state.items() if is_syncam_key(key)}
    blocks = sum(key.endswith(".projector.bias") for key in extra)
    made = SynCamModules(blocks, WIDTH, HEADS, ops=host.pack("nodes.host.wan").comfy.ops.manual_cast)
    made.load_state_dict(extra)
    return host.pack("nodes.host.blocks").managed(made.eval().requires_grad_(False))


def apply(host: Host, model: Any, cameras: Cameras, syncam: Any = None, **settings: Any) -> Any:
    inputs = {
        "strength": 1.0,
        "start_percent": 0.0,
        "end_percent": 1.0,
        "pair_strategy": "joint",
        "partitions": 1,
        "views_per_pass": 0,
        "pair_seed": 0,
    }
    syncam = modules(host) if syncam is None else syncam
    return host.call("CVD_ApplySynCam", model=model, syncam=syncam, cameras=cameras, **(inputs | settings))[0]


def sample(model: Any, noise: Tensor, steps: int = 3, cfg: float = 5.0) -> Tensor:
    """The host's KSampler as the released script samples: shift 5, euler, simple."""
    context, negative = (text(name)[0][0] for name in ("context", "negative"))
    return run(with_shift(model), noise, steps, cfg, context, negative)


def run(model: Any, noise: Tensor, steps: int, cfg: float, context: Tensor, negative: Tensor) -> Tensor:
    conds = [[[c, {}]] for c in (context, negative)]
    latent = torch.zeros_like(noise)
    found: Tensor = comfy.sample.sample(model, noise, steps, cfg, "euler", "simple", *conds, latent, seed=0)
    return found


def text(name: str) -> list[Any]:
    """A CONDITIONING of the prompt ``context`` or of ``negative``."""
    return [[formula.noise(f"host/{name}", (1, 9, 32)), {}]]


def denoised(model: Any, x: Tensor, sigma: float, positive: Any, negative: Any = None, cfg: float = 1.0) -> Tensor:
    """The clean latent that the model predicts at a noise level, by one step of the host's own sampler to zero."""
    plain = comfy.samplers.CFGGuider(model)
    plain.set_conds(positive, positive if negative is None else negative)
    plain.set_cfg(cfg)
    found = plain.sample(
        x / sigma, torch.zeros_like(x), comfy.samplers.sampler_object("euler"), torch.tensor([sigma, 0.0]), seed=0
    )
    scaled: Tensor = model.model.process_latent_in(found)
    return scaled


def noise(views: int, frames: int = 3, height: int = 8, width: int = 10) -> Tensor:
    return formula.noise("host/noise", (views, 16, frames, height, width))


def rig(views: int, frames: int = 9) -> Cameras:
    return preset_cameras("az", frames, views)


def with_shift(model: Any) -> Any:
    model = model.clone()
    sampling = comfy.model_base.model_sampling(model.model.model_config, comfy.model_base.ModelType.FLOW)
    sampling.set_parameters(shift=5.0, multiplier=1000)
    model.add_object_patch("model_sampling", sampling)
    return model
