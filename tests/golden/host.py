"""Replay of unet_* and sample_* files through ComfyUI's UNet, with the motion and camera modules of either backend.

The network is called by the nodes' own sampler path; only weights, cameras and random numbers are the recorded ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.plucker import plucker_embedding
from cvd_core.sampling.pairs import Pairing
from cvd_core.sampling.recurrence import Recurrence
from tests import formula
from tests.golden.case import Case, Outcome, RecordedDraws, deviation
from tests.golden.geometry import recorded_partners
from tests.nodes.host_process import Host

UNET_TOLERANCE = 2e-3
SAMPLE_TOLERANCE = 5e-3
"""Of the final latents' standard deviation."""


class _CaseDraws(RecordedDraws):
    """Recorded draws; where the case names partners instead of a permutation, the order that pairs them so."""

    def permutation(self, views: int) -> Tensor:
        if "partner" not in self.case:
            return super().permutation(views)
        partners = recorded_partners(self.case, views)
        pairs = [(view, other[0]) for view, other in partners.items() if view < other[0]]
        return torch.tensor([a for a, _ in pairs] + [b for _, b in pairs])


def replay_unet(host: Host, case: Case, *, native: bool = False) -> Outcome | None:
    """One network call; None if the host has no such call (training batches without cameras, activations)."""
    if case.path.stem.endswith("_activations") or "c2w" not in case or "H_mats" in case:
        return None
    cameras, expected = case.cameras(), case.tensor("output")
    branches = expected.shape[0] // cameras.views
    text = case.noise("text_uncond_cond", (2, 77, 64))
    base, guider = _guider(host, case, text, cfg=7.0 if branches == 2 else 1.0, native=native)
    sigma = base.get_model_object("model_sampling").sigmas[case.integer("timestep")]
    latents = case.noise("latents", (cameras.views, *expected.shape[1:])).transpose(1, 2).flatten(0, 1)
    found: dict[tuple[int, int], Tensor] = {}

    def keep(_unet: Any, _args: Any, kwargs: Any, output: Tensor) -> None:
        kinds, views = kwargs["transformer_options"]["cond_or_uncond"], guider._calls.batch.views
        if native:  # AnimateDiff-Evolved needs them counted by view
            kinds = [kind for kind in kinds for _ in views]
        for i, (kind, chunk) in enumerate(zip(kinds, output.chunk(len(kinds)), strict=True)):
            found[views[i % len(views)], kind] = chunk.transpose(0, 1)

    def call_once(model: Any, _x: Tensor, sigmas: Tensor, extra_args: Any, **_: Any) -> Tensor:
        seen = latents * (1 + sigmas[0] ** 2) ** 0.5  # what the host scales back before the network sees it
        out: Tensor = model(seen, sigmas[0].expand(len(seen)), **extra_args)
        return out

    handle = base.model.diffusion_model.register_forward_hook(keep, with_kwargs=True)
    try:
        _sample(guider, call_once, torch.stack([sigma, torch.zeros(())]), torch.zeros_like(latents))
    finally:
        handle.remove()
    kinds = (1, 0) if branches == 2 else (0,)  # the host's numbers of uncond and cond
    rows = torch.stack([found[view, kind] for view in range(cameras.views) for kind in kinds])
    return Outcome(deviation(rows, expected), UNET_TOLERANCE, rows)


def replay_sample(host: Host, case: Case, *, native: bool = False) -> Outcome:
    """The whole loop: euler on DDIM's noise levels."""
    import comfy.samplers

    final = case.tensor("final_latents")
    text = formula.noise("sample/text_uncond_cond", (2, 77, 64))
    base, guider = _guider(
        host,
        case,
        text,
        cfg=case.number("guidance"),
        strategy="multi-partition",
        partitions=case.integer("partitions", 1),
        native=native,
    )
    schedule = comfy.samplers.calculate_sigmas(
        base.get_model_object("model_sampling"), "ddim_uniform", case.integer("num_steps")
    )
    sampler = host.pack("nodes.host.recurrence").recurrent_sampler(
        comfy.samplers.sampler_object("euler"), Recurrence(case.integer("recurrence", 1))
    )
    # The host scales noise by sigma where the recorded run starts at unit variance.
    noise = case.noise("latents", tuple(final.shape)).transpose(1, 2).flatten(0, 1)
    noise = noise * (1 + schedule[0] ** 2) ** 0.5 / schedule[0]
    with torch.inference_mode():
        out = guider.sample(noise, torch.zeros_like(noise), sampler, schedule, disable_pbar=True, seed=0)
    latents = base.model.process_latent_in(out).unflatten(0, (final.shape[0], -1)).transpose(1, 2)
    return Outcome(deviation(latents, final), SAMPLE_TOLERANCE * float(final.std()), latents)


def _guider(host: Host, case: Case, text: Tensor, *, cfg: float, native: bool, **pairing: Any) -> tuple[Any, Any]:
    """A model as the usual graph makes it, and the guider on it with the recorded draws."""
    from tests.nodes import small_network as small

    cameras, size = case.cameras(), case.integer("image_size")
    base = small.base_model()
    types, injection = host.pack("nodes.types"), host.pack("nodes.host.injection")
    rays = _rays(types, cameras, size)
    if native:
        model = small.native(host, base, small.native_motion(host), small.native_camera(host), rays)
    else:
        model = small.evolved(host, base, small.motion_model(host), small.pose_rows(cameras, 0, size))
    settings = injection.SyncSettings(types.EpipolarSpec(cameras, size, size, "soft", 3.0), 1.0, 0.0, 1.0)
    model = injection.apply_sync(model, injection.managed(small.sync_modules()), settings)
    guider = host.pack("nodes.host.guider").CollaborativeGuider(model, rays, Pairing(**pairing))
    guider.make_draws = lambda _seed: _CaseDraws(case)
    guider.set_conds([[text[1:], {}]], [[text[:1], {}]])
    guider.set_cfg(cfg)
    return model, guider


def _rays(types: Any, cameras: Cameras, size: int) -> Any:
    return types.PluckerRays(cameras, size, size, plucker_embedding(cameras, size, size))


def _sample(guider: Any, function: Callable[..., Tensor], sigmas: Tensor, latents: Tensor) -> None:
    import comfy.samplers

    sampler = comfy.samplers.KSAMPLER(function)
    with torch.inference_mode():
        guider.sample(torch.zeros_like(latents), latents, sampler, sigmas, disable_pbar=True, seed=0)
