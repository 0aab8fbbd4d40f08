"""Replay of syncam_* files: SynCamMaster's cameras, blocks, networks and sampling, through diffusers' Wan classes."""

from __future__ import annotations

import json
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from torch import Tensor

from cvd_core.engine.wan.denoise import velocity_of_views
from cvd_core.engine.wan.network import SynCamTransformer
from cvd_core.geometry.cameras import Cameras
from cvd_core.sampling.collaborate import sample_together
from cvd_core.sampling.draws import SeededDraws
from cvd_core.sampling.flow import FlowEuler
from cvd_core.sampling.pairs import Pairing
from cvd_core.syncam.attach import ViewCall
from cvd_core.syncam.cameras import FRAME_STRIDE, UNIT_METRES, camera_embedding
from cvd_core.syncam.module import SynCamModules
from cvd_core.syncam.rope import ViewGrid
from cvd_core.weights import is_syncam_key
from tests import formula
from tests.golden.case import Case, Outcome, deviation

FRAMES = 81


def replay_syncam(case: Case) -> Outcome:
    check = {"cameras": _cameras, "block": _block, "model": _model, "sampler": _sampler, "sample": _sample_formula}
    return check[case.tag.partition("_")[0]](case)


_PRESET_CAMERAS = {"az": (0, 2), "el": (2, 6), "dis": (8, 9)}
"""Which of the data set's ten cameras make a preset."""


def _cameras(case: Case) -> Outcome:
    """The released presets, and every pair of the data set's cameras."""
    # The data set's world is Unreal's left-handed one: with its axes renamed, every pose is a proper rotation.
    world = torch.tensor([[0.0, 1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=torch.float64)
    c2w = world @ case.tensor("converted_c2w")
    c2w[:, :3, 3] *= UNIT_METRES

    def embedding(first: int, *others: int) -> Tensor:
        chosen = c2w[[first, *others], None].expand(-1, FRAMES, -1, -1)
        return camera_embedding(Cameras(chosen, torch.full((1 + len(others), FRAMES, 4), 0.5, dtype=torch.float64)))

    errors = [deviation(embedding(*pair), case.tensor(f"{name}_f32")) for name, pair in _PRESET_CAMERAS.items()]
    errors += [
        float((embedding(*pair).bfloat16().float() - case.tensor(f"{name}_bf16_as_f32")).abs().max() > 0)
        for name, pair in _PRESET_CAMERAS.items()
    ]
    for first in range(len(c2w)):
        found = embedding(first, *range(len(c2w)))[1:, 0].view(-1, 3, 4)
        errors.append(deviation(found, case.tensor("all_pairs_rel")[first]))
    return Outcome(max(errors), 1e-6)


HEADS = 2
"""Of every recorded network; all other sizes stand in the shapes of its weights."""


def network(weights: dict[str, Tensor]) -> SynCamTransformer:
    """Diffusers' transformer and the modules from parameters under the released names; a single block will do."""
    extra = {key: value for key, value in weights.items() if is_syncam_key(key)}
    base = {key: value for key, value in weights.items() if key not in extra}
    feed_forward, width = base["blocks.0.ffn.0.weight"].shape
    blocks = sum(key.endswith(".ffn.0.weight") for key in base)
    whole = "patch_embedding.weight" in base
    transformer = WanTransformer3DModel(
        num_attention_heads=HEADS,
        attention_head_dim=width // HEADS,
        text_dim=base["text_embedding.0.weight"].shape[1] if whole else width,
        ffn_dim=feed_forward,
        num_layers=blocks,
    )
    transformer.load_state_dict(convert_wan_transformer_to_diffusers(base), strict=whole)
    modules = SynCamModules(blocks, width, HEADS)
    modules.load_state_dict(extra)
    return SynCamTransformer(transformer, modules).eval().requires_grad_(False)


def _stored(case: Case, prefix: str = "") -> dict[str, Tensor]:
    return {prefix + name[2:]: case.tensor(name) for name in case.arrays if name.startswith("w.")}


def _meta(case: Case) -> dict[str, Any]:
    return dict(json.loads(str(case.arrays["meta"])))


def _block(case: Case) -> Outcome:
    """One block, with its module and with a zero projector, which must leave the block as it is."""
    meta = _meta(case)
    weights = _stored(case, "blocks.0.")
    views, grid = meta["v"], ViewGrid(meta["v"], meta["f"], meta["h"], meta["w"])
    errors = []
    for name, scale in (("out", 1.0), ("out_projector_zero", 0.0)):
        net = network({key: value * scale if "projector" in key else value for key, value in weights.items()})
        positions = net.transformer.rope(torch.empty(1, 16, meta["f"], 2 * meta["h"], 2 * meta["w"]))
        context, modulation = (case.tensor(name).expand(views, -1, -1) for name in ("context", "t_mod"))
        with net.synchronising(ViewCall(case.tensor("cam_emb"), grid)):
            found = net.transformer.blocks[0](case.tensor("x"), context, modulation, positions)
        errors.append(deviation(found, case.tensor(name)))
    return Outcome(max(errors), 5e-5)


def _model(case: Case) -> Outcome:
    meta = _meta(case)
    views = meta["v"]
    found = network(_stored(case))(
        case.tensor("x"),
        case.tensor("timestep").expand(views),
        case.tensor("context").expand(views, -1, -1),
        case.tensor("cam_emb"),
        views,
    )
    return Outcome(deviation(found, case.tensor("out")), 5e-5, found)


def _sampler(case: Case) -> Outcome:
    """The released loop from its recorded noise."""
    meta = _meta(case)
    found, error = _sample(
        network(_stored(case)),
        case.tensor("cam_emb"),
        case.tensor("negative"),
        case.tensor("context"),
        case.tensor("noise"),
        meta,
        case.tensor("sigmas"),
    )
    return Outcome(max(error, deviation(found, case.tensor("latents"))), 1e-4, found)


def _sample_formula(case: Case) -> Outcome:
    """Formula weights and cameras in metres: embedding, first prediction of the conditional branch, final latents."""
    meta = _meta(case)
    tag, views = meta["tag"], meta["views"]
    keys = json.loads(case.path.with_name("syncam_keys_reduced.json").read_text())
    net = network({key: _weight(key, shape) for key, shape in keys.items()})
    noise = formula.noise(f"{tag}/noise", meta["latent"])
    context, negative = (formula.noise(f"{tag}/{name}", meta["context"]) for name in ("context", "negative"))
    embedding = camera_embedding(_per_video_frame(case.tensor("c2w_opencv_metres")))
    first = net(noise, torch.full((views,), FlowEuler.TIMESTEPS), context.expand(views, -1, -1), embedding, views)
    found, error = _sample(net, embedding, negative, context, noise, meta, case.tensor("sigmas"))
    errors = [
        100 * deviation(embedding, case.tensor("cam_emb")),  # its tolerance is 1e-6
        error,
        deviation(first, case.tensor("first_prediction")),
        deviation(found, case.tensor("final")),
    ]
    return Outcome(max(errors), 1e-4, found)


def _weight(key: str, shape: list[int]) -> Tensor:
    if "modulation" in key:
        return 0.3 * formula.noise(key, shape)
    return formula.weight(key, shape) * (0.5 if "head.head" in key and len(shape) > 1 else 1.0)


def _sample(
    net: SynCamTransformer,
    embedding: Tensor,
    negative: Tensor,
    context: Tensor,
    noise: Tensor,
    meta: dict[str, Any],
    sigmas: Tensor,
) -> tuple[Tensor, float]:
    """Final latents of a run, all views attending to each other, and the deviation of its noise levels."""
    solver = FlowEuler(meta["steps"], meta["shift"])
    branches = [context] if meta["cfg"] == 1 else [negative, context]
    text = torch.cat(branches)[None].expand(len(embedding), -1, -1, -1)
    predict = velocity_of_views(net, lambda _: embedding, text, solver, guidance=meta["cfg"])
    found = sample_together(predict, noise, solver, SeededDraws(0), pairing=Pairing("joint"))
    return found, deviation(torch.tensor(solver.sigmas[:-1]), sigmas)


def _per_video_frame(c2w: Tensor) -> Cameras:
    """The recordings have a pose ``(V, f, 4, 4)`` per latent frame."""
    c2w = c2w.double().repeat_interleave(FRAME_STRIDE, 1)[:, : 1 - FRAME_STRIDE]
    return Cameras(c2w, torch.full((*c2w.shape[:2], 4), 0.5, dtype=torch.float64))
