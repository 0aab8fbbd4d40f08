"""Replay of cami2v_unet_* and cami2v_sample_* files through the host's samplers, with the nodes' model and guider."""

from __future__ import annotations

import json
from typing import Any

import comfy.ops
import torch
from einops import rearrange
from torch import Tensor, nn

from cvd_core.cami2v.camera import CameraBranch
from cvd_core.cami2v.checkpoint import PictureToVideo
from cvd_core.cami2v.network import FRAMES, TEXT_TOKENS, DynamiCrafterUNet
from tests import formula
from tests.golden import cami2v
from tests.golden.case import Case, Outcome, deviation
from tests.nodes.host_process import Host


class RecordedDraws:
    """The random numbers of a recorded run."""

    def __init__(self, tag: str) -> None:
        self.tag, self.step = tag, -1

    def lines(self, shape: tuple[int, ...]) -> Tensor:
        return formula.noise(f"{self.tag}/perturb/0", (*shape, 1))[..., 0]

    def renoise(self, shape: tuple[int, ...]) -> Tensor:
        self.step += 1
        return formula.noise(f"{self.tag}/eta/{self.step}", shape)


class RecordedTokens(nn.Module):
    """In place of the resampler, whose output the recordings hold."""

    def __init__(self) -> None:
        super().__init__()
        self.proj_in = nn.Linear(cami2v.CONTEXT, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens


def small_model(host: Host, config: str = "256", camera: str = "epipolar") -> Any:
    """A MODEL of the recorded network, as Load CamI2V / DynamiCrafter returns it."""
    plain = cami2v.network(config, camera)
    unet = DynamiCrafterUNet(plain.layout, comfy.ops.manual_cast)
    unet.load_state_dict(plain.state_dict())
    branch = None
    if camera != "none":
        branch = CameraBranch(cami2v.WIDTHS, comfy.ops.manual_cast)
        branch.load_state_dict(cami2v.branch().state_dict())
    parts = PictureToVideo(unet, RecordedTokens(), branch, cami2v.PREDICTS[config])  # type: ignore[arg-type]
    model = host.pack("nodes.host.dynamicrafter").as_host_model(parts, torch.float32)
    return host.pack("nodes.host.blocks").managed(model)


def with_cameras(host: Host, model: Any, case: Case, meta: dict[str, Any]) -> Any:
    """The MODEL with the recorded cameras and random lines."""
    paths = host.pack("nodes.host.path_features")
    height, width = (cami2v.STRIDE * side for side in meta["latent"][3:])
    cameras = cami2v.recorded_cameras(case.tensor("w2c"), case.tensor("K"), width, height)
    settings = paths.PathSettings(cameras, meta["cond_frame_index"], meta.get("trace_scale_factor", 1.0))
    model = paths.apply_camera_path(model, settings)
    paths.camera_path_of(model).make_draws = lambda: RecordedDraws(meta["tag"])
    return model


def rows(video: Tensor) -> Tensor:
    """``(N, C, F, h, w)`` as the host's batch."""
    return rearrange(video, "n c f h w -> (n f) c h w")


def conditioning(host: Host, context: Tensor, latent: Tensor, rate: int) -> Any:
    """A CONDITIONING of recorded tokens ``(1, 77 + 16 * 16, C)`` and the picture's latent ``(1, 4, h, w)``."""
    names = host.pack("nodes.host.dynamicrafter")
    held = {names.PICTURE: context[:, TEXT_TOKENS:], names.LATENT: latent, names.RATE: rate}
    return [[context[:, :TEXT_TOKENS], held]]


def replay_cami2v(host: Host, case: Case) -> Outcome | None:
    """None for files of parts, which the host runs as they are."""
    check = {"sample": _sample, "unet": _unet}.get(case.tag.partition("_")[0])
    return None if check is None else check(host, case)


def _unet(host: Host, case: Case) -> Outcome:
    from comfy.patcher_extension import WrappersMP

    meta = json.loads(str(case.arrays["meta"]))
    camera = cami2v.camera_of(meta)
    model = small_model(host, meta["config"], camera)
    wrappers = {}
    if camera != "none":
        model = with_cameras(host, model, case, meta)
        wrappers = model.wrappers[WrappersMP.DIFFUSION_MODEL]
    context = formula.noise(f"{meta['tag']}/context", meta["context"])
    options = {"wrappers": {WrappersMP.DIFFUSION_MODEL: wrappers}, "sigmas": torch.ones(1), "cond_or_uncond": [0]}
    found = model.model.diffusion_model(
        rows(formula.noise(f"{meta['tag']}/x", meta["latent"])),
        torch.full((FRAMES,), meta["timestep"]),
        context[:, :TEXT_TOKENS].expand(FRAMES, -1, -1),
        None,
        options,
        picture=context[0, TEXT_TOKENS:].unflatten(0, (FRAMES, -1)),
        frame_rate=torch.full((FRAMES,), float(meta["fs"])),
    )
    tolerance = 1e-3 if camera == "epipolar" else 1e-4
    return Outcome(deviation(found, rows(case.tensor("output"))), tolerance, found)


def _sample(host: Host, case: Case) -> Outcome:
    meta = json.loads(str(case.arrays["meta"]))
    tag = meta["tag"]
    model = small_model(host, meta["config"], cami2v.camera_of(meta))
    if meta["camera"]:
        model = with_cameras(host, model, case, meta)
    guiders, samplers = host.pack("nodes.host.camera_guider"), host.pack("nodes.host.ddim_sampler")
    guider = guiders.CameraGuider(
        model,
        guiders.CameraGuidance(
            meta["guidance"], meta["camera_cfg"], meta["camera_cfg_scheduler"], meta["guidance_rescale"]
        ),
    )
    picture = 0.5 * formula.noise(f"{tag}/image_latent", [*meta["latent"][:2], 1, *meta["latent"][3:]])[:, :, 0]
    latent = model.model.process_latent_out(picture)
    contexts = (formula.noise(f"{tag}/{name}", meta["context"]) for name in ("context", "context_uncond"))
    guider.set_conds(*(conditioning(host, context, latent, meta["fs"]) for context in contexts))
    sampler = samplers.ddim_sampler(meta["eta"], lambda _seed: RecordedDraws(tag))
    sigmas = samplers.ddim_sigmas(model, meta["steps"], meta["timestep_spacing"])
    noise = rows(formula.noise(f"{tag}/latents", meta["latent"]))
    with torch.inference_mode():
        out = guider.sample(noise, torch.zeros_like(noise), sampler, sigmas, disable_pbar=True, seed=0)
    found, final = model.model.process_latent_in(out), rows(case.tensor("final"))
    tolerance = 1e-3 if tag in ("eps_camera2", "eps_nocamera") else 2e-2
    return Outcome(deviation(found, final) / float(final.std()), tolerance, found)
