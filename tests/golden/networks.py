"""Replay of unet_* and sample_* files through the engine, on the reduced golden network."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from cvd_core.camera_control.checkpoint import merge_key
from cvd_core.camera_control.injection import CameraMerges
from cvd_core.camera_control.pose_encoder import PoseEncoder
from cvd_core.engine.sd15.denoise import denoise
from cvd_core.engine.sd15.motion import build_motion_unet
from cvd_core.engine.sd15.unet import CollaborativeUNet
from cvd_core.engine.solvers import DiffusersSolver
from cvd_core.geometry.plucker import plucker_embedding
from cvd_core.sampling.collaborate import Progress
from cvd_core.sampling.pairs import Pairing
from cvd_core.sampling.recurrence import Recurrence
from cvd_core.sampling.settings import Settings
from cvd_core.sync.bias import EpipolarBias
from cvd_core.sync.context import SyncContext
from cvd_core.sync.module import SyncModules
from tests import formula
from tests.golden.case import Case, Outcome, RecordedDraws, deviation
from tests.golden.geometry import recorded_bias, recorded_partners

BRANCHES = 2


@cache
def golden_unet() -> CollaborativeUNet:
    """The reduced network with formula weights in every part."""
    from diffusers import UNet2DConditionModel

    keys = formula.key_list("reduced")
    config = formula.unet_config("reduced")
    base = UNet2DConditionModel.from_config(config)
    base.load_state_dict(formula.tensors(keys["base"]))
    unet = build_motion_unet(base, formula.tensors(keys["mm"]), file="golden motion module")
    widths = tuple(config["block_out_channels"])
    encoder, merges, sync = PoseEncoder(widths), CameraMerges(widths), SyncModules(widths)
    encoder.load_state_dict(formula.tensors(keys["pose_encoder"]))
    merge = formula.tensors(keys["attention_processor"])
    merges.load_state_dict({merge_key(key): value for key, value in merge.items()})
    sync.load_state_dict(formula.tensors(keys["epi"]))
    return CollaborativeUNet(unet, encoder, merges, sync).eval().requires_grad_(False)


def replay_unet(case: Case) -> Outcome:
    if case.path.stem.endswith("_activations"):
        return _replay_activations(case)
    expected = case.tensor("output")
    found = _network_call(case, expected.shape)
    return Outcome(deviation(found, expected), 1e-3, found)


def _network_call(case: Case, shape: torch.Size) -> Tensor:
    """One call with the inputs of a unet case; ``shape`` (rows, 4, F, h, w) tells the guidance branches."""
    network, cameras = golden_unet(), case.cameras()
    size = case.integer("image_size")
    branches = shape[0] // cameras.views
    partners = recorded_partners(case, cameras.views)
    bias = (
        recorded_bias(case, partners)
        if "H_mats" in case or "partners" in case
        else EpipolarBias.from_cameras(cameras, size, size)
    )
    context = SyncContext(tuple(range(cameras.views)), partners, RecordedDraws(case).slopes, bias, branches)
    text = case.noise("text_uncond_cond", (BRANCHES, 77, 64))[-branches:]
    latents = case.noise("latents", (cameras.views, *shape[1:]))
    with torch.no_grad():
        # Homography batches are the training on clips without cameras: CameraCtrl is off.
        camera = None if "H_mats" in case else network.encode_cameras(plucker_embedding(cameras, size, size))
        rows = latents.repeat_interleave(branches, 0)
        return network(rows, case.integer("timestep"), text.repeat(cameras.views, 1, 1), camera, context)


def _replay_activations(case: Case) -> Outcome:
    """Every recorded layer of the call whose inputs and output stand in the file of the same name."""
    call = Case(case.path.with_name(case.path.name.replace("_activations", "")))
    layers = [name.removesuffix("|idx") for name in case.arrays if name.endswith("|idx")]
    found: dict[str, Tensor] = {}
    handles = []
    for name in layers:
        module, first = _layer(golden_unet(), name)

        def keep(_module: nn.Module, _inputs: Any, output: Any, name: str = name) -> None:
            found[name] = (output[0] if isinstance(output, tuple) else output).detach()

        handles.append(module.register_forward_hook(keep, prepend=first))
    try:
        _network_call(call, call.tensor("output").shape)
    finally:
        for handle in handles:
            handle.remove()
    worst = 0.0
    sampled: list[Tensor] = []
    for name in layers:
        shape = case.arrays[f"{name}|shape"].tolist()
        x = found[name]
        if len(shape) == 5:
            x = rearrange(x, "(b f) c h w -> b c f h w", b=shape[0])
        elif name == "time_embedding" and x.shape[0] != shape[0]:
            x = x.expand(shape[0], -1)
        values = x.reshape(shape).flatten()[case.tensor(f"{name}|idx").long()]
        worst = max(worst, deviation(values, case.tensor(f"{name}|val")))
        sampled.append(values)
    return Outcome(worst, 1e-3, torch.cat(sampled))


def _layer(network: CollaborativeUNet, name: str) -> tuple[nn.Module, bool]:
    """A layer by its recorded name, and whether to look at its output before other hooks change it."""
    parts = name.split(".")
    if "epi_modules" in parts and network.sync is not None:
        return network.sync.get_submodule(name), False
    return network.unet.get_submodule(name), "motion_modules" in parts


def replay_sample(case: Case) -> Outcome:
    cameras, size = case.cameras(), case.integer("image_size")
    final = case.tensor("final_latents")
    kept: list[Tensor] = []

    def keep(progress: Progress) -> None:
        kept.append(progress.latents.flatten()[case.tensor("step_idx").long()])

    settings = Settings(
        prompts=("",),
        width=size,
        height=size,
        steps=case.integer("num_steps"),
        guidance=case.number("guidance"),
        pairing=Pairing("multi-partition", case.integer("partitions", 1)),
        recurrence=Recurrence(case.integer("recurrence", 1)),
    )
    text = formula.noise("sample/text_uncond_cond", (BRANCHES, 77, 64)).expand(cameras.views, -1, -1, -1)
    found = denoise(golden_unet(), cameras, text, settings, RecordedDraws(case), keep)
    steps = deviation(torch.stack(kept), case.tensor("step_val"))
    return Outcome(max(deviation(found, final), steps), 2e-3 * float(final.std()), found)


def replay_schedule(case: Case) -> Outcome:
    count = len(next(v for k, v in case.arrays.items() if k.startswith("timesteps")))
    solver = DiffusersSolver("ddim", count, torch.Generator)
    scheduler = solver.scheduler
    return Outcome(
        max(
            deviation(scheduler.betas, case.tensor("betas")),
            deviation(scheduler.alphas_cumprod, case.tensor("alphas_cumprod")),
            deviation(scheduler.timesteps, case.tensor(f"timesteps{count}")),
        ),
        1e-6,
    )
