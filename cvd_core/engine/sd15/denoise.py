"""Sampling the latents of all views with the collaborative network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from einops import repeat
from torch import Tensor

from cvd_core.cami2v.guidance import camera_weight
from cvd_core.engine.branches import join_branches
from cvd_core.engine.prediction import to_noise
from cvd_core.engine.sd15.unet import CollaborativeUNet
from cvd_core.engine.solvers import DiffusersSolver
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.plucker import plucker_embedding
from cvd_core.networks.sd15 import LATENT_STRIDE
from cvd_core.sampling.collaborate import NetworkCall, Progress, sample_together
from cvd_core.sampling.draws import Draws
from cvd_core.sampling.settings import Settings
from cvd_core.sampling.team import ALONE, Team
from cvd_core.sync.bias import EpipolarBias
from cvd_core.sync.cache import BiasCache
from cvd_core.sync.context import SyncContext, groups_to_partners


@torch.no_grad()
def denoise(
    unet: CollaborativeUNet,
    cameras: Cameras,
    text: Tensor,
    settings: Settings,
    draws: Draws,
    on_progress: Callable[[Progress], object] | None = None,
    team: Team = ALONE,
) -> Tensor:
    """Sample the latents of all views.

    Args:
        unet: on the device where it is to compute.
        cameras: square pixels at the settings' size, every path relative to its first pose.
        text: ``(V, B, 77, C)``, branches uncond and cond, or cond alone.
        settings: the run (its prompts are not used here).
        draws: every random number.
        on_progress: called after every pass of every step.
        team: the processes that share the network calls.

    Returns:
        ``(V, C, F, H/8, W/8)`` float32 on the network's device.

    Raises:
        ValueError: more frames than a network's position table holds.
    """
    unet.check_frames(cameras.frames)
    width, height, device = settings.width, settings.height, unet.device
    solver = DiffusersSolver(settings.sampler, settings.steps, draws.solver_noise, device)
    bias, cache = None, BiasCache.on(device)
    if settings.band != "none":
        bias = EpipolarBias.from_cameras(cameras, width, height, band=settings.band, threshold=settings.threshold)
    channels = int(unet.unet.config.in_channels)
    shape = (cameras.views, channels, cameras.frames, height // LATENT_STRIDE, width // LATENT_STRIDE)
    latents = draws.latents(shape).to(device) * solver.initial_noise
    text = text.to(device)
    features = None
    if unet.pose_encoder is not None:
        features = unet.encode_cameras(plucker_embedding(cameras, width, height).to(device))

    def evaluate(step: int, x: Tensor, call: NetworkCall, text: Tensor, camera: list[Tensor] | None) -> Tensor:
        """Noise ``(v, B, ...)`` in latents ``(v, ...)`` with the texts ``(v, B, 77, C)``; each sees the same slopes."""
        call.slopes.rewind()
        branches = text.shape[1]
        context = SyncContext(
            call.views,
            groups_to_partners(call.groups),
            call.slopes,
            bias,
            branches=branches,
            strength=settings.sync_strength_at(solver.progress(step)),
            synced=(branches - 1,) if settings.sync_branches == "conditional" else None,
            cache=cache,
            exchange=call.exchange,
            attention=settings.attention,
        )
        rows = repeat(x, "v c f h w -> (v b) c f h w", b=branches)
        t = solver.timestep(step)
        output = unet(rows, t, text.flatten(0, 1), camera, context, settings.camera_strength).float()
        return to_noise(unet.prediction, output, rows, t).unflatten(0, (len(x), branches))

    def predict(step: int, x: Tensor, call: NetworkCall) -> Tensor:
        views = list(call.views)
        camera = None if features is None else [f[views] for f in features]
        noise = evaluate(step, x, call, text[views], camera)
        if settings.camera_guidance == 1 or camera is None:
            return join_branches(noise, settings.guidance)
        return join_branches(
            noise,
            settings.guidance,
            evaluate(step, x, call, text[views][:, -1:], None)[:, 0],
            camera_guidance=settings.camera_guidance,
            camera_weight=camera_weight(settings.camera_guidance_schedule, float(solver.timestep(step))),
        )

    return sample_together(
        predict,
        latents,
        solver,
        draws,
        pairing=settings.pairing,
        recurrence=settings.recurrence,
        on_progress=on_progress,
        team=team,
        divisible=True,
    )
