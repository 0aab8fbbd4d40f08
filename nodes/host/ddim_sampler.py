"""DynamiCrafter's DDIM sampler and its noise levels in the host's terms."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import comfy.model_management
import comfy.samplers
import torch
from einops import rearrange

from cvd_core.cami2v.ddim import DDIM, NoiseSchedule, Spacing, ddim_timesteps
from cvd_core.cami2v.network import FRAMES
from cvd_core.sampling.draws import Draws, SeededDraws

from .dynamicrafter import VideoNetwork, network_of

if TYPE_CHECKING:
    from torch import Tensor


def ddim_sigmas(model: Any, steps: int, spacing: Spacing) -> Tensor:
    """``(steps + 1,)`` noise levels of a run, the last 0.

    Raises:
        ValueError: the model is of another kind, or not 1 to 1000 steps.
    """
    network_of(model)
    levels: Tensor = model.get_model_object("model_sampling").sigmas
    return torch.cat([levels[ddim_timesteps(steps, spacing)].cpu(), torch.zeros(1)])


def ddim_sampler(eta: float, make_draws: Callable[[int], Draws] = SeededDraws) -> Any:
    """A SAMPLER for picture-to-video models.

    Args:
        eta: 1 adds as much noise as the reverse process has, 0 none.
        make_draws: where the random numbers of a run come from, by its seed.
    """
    return comfy.samplers.KSAMPLER(partial(_sample, eta, make_draws))


@torch.no_grad()
def _sample(
    eta: float,
    make_draws: Callable[[int], Draws],
    model: Any,
    x: Tensor,
    sigmas: Tensor,
    extra_args: dict[str, Any] | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
    disable: bool | None = None,
) -> Tensor:
    """From ``(N * 16, 4, h, w)`` at the first noise level to the last; the host's latents are x0 + sigma * noise."""
    guider = model.inner_model
    inner = guider.inner_model
    network = inner.diffusion_model
    if not isinstance(network, VideoNetwork):
        raise ValueError(
            f"the model is a {type(network).__name__}; CamI2V Sampler is for models of Load CamI2V / DynamiCrafter - "
            "choose another sampler"
        )
    extra_args = extra_args or {}
    draws = make_draws(extra_args.get("seed") or 0)
    to_clean = float(sigmas[-1]) == 0
    times = inner.model_sampling.timestep(sigmas[:-1] if to_clean else sigmas).tolist()
    sampler = DDIM.through(NoiseSchedule.of(network.predicts), times, eta)
    shared = _alike(model.noise)
    scale = (1 + sigmas**2) ** 0.5
    x = x / scale[0]
    for step in range(len(sigmas) - 1):
        comfy.model_management.throw_exception_if_processing_interrupted()
        sigma = sigmas[step].expand(len(x))
        noisy = x * scale[step]
        denoised = model(noisy, sigma, **extra_args)
        if callback is not None:
            callback({"x": noisy, "i": step, "sigma": sigmas[step], "sigma_hat": sigmas[step], "denoised": denoised})
        said = inner.network_output(denoised, noisy, sigma)
        x, _ = sampler.advance(step, x, said, _noise(x, draws, shared=shared))
    return x * scale[-1]


def _alike(noise: Tensor) -> bool:
    """Whether all videos start from the same noise; then every step gives them the same, too."""
    videos = noise.unflatten(0, (-1, FRAMES))
    return bool(noise.any()) and all(torch.equal(video, videos[0]) for video in videos)


def _noise(x: Tensor, draws: Draws, *, shared: bool) -> Tensor:
    """Noise for ``(N * 16, C, h, w)`` rows, drawn as ``(N, C, 16, h, w)`` as everywhere in the project."""
    videos = len(x) // FRAMES
    shape = (1 if shared else videos, x.shape[1], FRAMES, *x.shape[2:])
    drawn = draws.renoise(shape).to(x).expand(videos, -1, -1, -1, -1)
    return rearrange(drawn, "n c f h w -> (n f) c h w")
