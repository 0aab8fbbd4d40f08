"""Replay of cami2v_* files: CamI2V's cameras, masks, networks, guidance and sampling, and its metrics."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cvd_core.cami2v.camera import SMALLEST_STEPS, CameraBranch, relative_path
from cvd_core.cami2v.ddim import DDIM, NoiseSchedule, Predicts, ddim_timesteps
from cvd_core.cami2v.epipolar import NO_BASELINE, EpipolarLines
from cvd_core.cami2v.guidance import camera_weight, guide_text_and_camera
from cvd_core.cami2v.network import FRAMES, DynamiCrafterUNet, Layout
from cvd_core.cami2v.resampler import Resampler
from cvd_core.cami2v.transformers import CameraFeatures
from cvd_core.engine.cami2v.denoise import DDIMSolver, predictions_of_views
from cvd_core.evaluation.poses import pose_errors
from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.plucker import plucker_embedding
from cvd_core.sampling.collaborate import NetworkCall, sample_together
from cvd_core.sampling.draws import SeededDraws
from tests import formula
from tests.golden.case import Case, Outcome, deviation

WIDTHS, HEAD_WIDTH, CONTEXT = (32, 64, 128, 128), 32, 64
STRIDE = 8
PREDICTS: dict[str, Predicts] = {"256": "noise", "512": "velocity"}


def replay_cami2v(case: Case) -> Outcome:
    check = {
        "epipolar": _masks,
        "metrics": _metrics,
        "multicfg": _guidance,
        "pose": _pose_encoder,
        "resampler": _resampler,
        "sample": _sample,
        "schedule": _schedule,
        "unet": _unet,
    }
    return check[case.tag.partition("_")[0]](case)


def weight(key: str, shape: list[int] | torch.Size) -> Tensor:
    """The parameter ``key`` of the recorded networks."""
    if key.endswith("pos_encoder.pe"):
        return formula.sinusoids(shape[1], shape[2])
    if not shape:
        return 0.5 * formula.noise(key, list(shape))
    if key.endswith(("register_tokens", ".latents")):
        return formula.noise(key, list(shape))
    return formula.weight(key, list(shape))


def filled(module: nn.Module, prefix: str) -> Any:
    state = module.state_dict()
    module.load_state_dict({key: weight(prefix + key, value.shape) for key, value in state.items()})
    return module.eval().requires_grad_(False)


@cache
def network(config: str, camera: str) -> DynamiCrafterUNet:
    layout = Layout(WIDTHS, HEAD_WIDTH, CONTEXT, learned_scale=config == "256", camera=camera)  # type: ignore[arg-type]
    unet: DynamiCrafterUNet = filled(DynamiCrafterUNet(layout), "model.diffusion_model.")
    return unet


@cache
def branch() -> CameraBranch:
    made: CameraBranch = filled(CameraBranch(WIDTHS), "")
    return made


def recorded_cameras(w2c: Tensor, K: Tensor, width: int, height: int) -> Cameras:
    """Of one video, from ``(F, 4, 4)`` and pixels ``(F, 3, 3)``."""
    intrinsics = torch.stack([K[:, 0, 0] / width, K[:, 1, 1] / height, K[:, 0, 2] / width, K[:, 1, 2] / height], -1)
    return Cameras(torch.linalg.inv(w2c.double())[None], intrinsics.double()[None])


def _features(case: Case, meta: dict[str, Any]) -> tuple[CameraFeatures, int, int]:
    height, width = STRIDE * meta["latent"][3], STRIDE * meta["latent"][4]
    path = recorded_cameras(case.tensor("w2c"), case.tensor("K"), width, height)
    path = relative_path(path, meta["cond_frame_index"], meta.get("trace_scale_factor", 1.0))
    noise = None
    if meta["epipolar"]:
        noise = formula.noise(f"{meta['tag']}/perturb/0", (1, FRAMES, FRAMES, 3, 1))[..., 0]
    step = SMALLEST_STEPS[PREDICTS[meta["config"]]]
    return branch()(path, width, height, noise, smallest_step=step), width, height


def camera_of(meta: dict[str, Any]) -> str:
    return "epipolar" if meta["epipolar"] else "plucker" if meta.get("pose_encoder", meta.get("camera")) else "none"


def _unet(case: Case) -> Outcome:
    meta = json.loads(str(case.arrays["meta"]))
    camera = camera_of(meta)
    error = 0.0
    features = None
    if camera != "none":
        features, width, height = _features(case, meta)
        for step in (8, 16, 32, 64):
            if f"mask_row_sums_d{step}" in case and features.lines is not None:
                masks = features.lines.masks((height // step, width // step), torch.device("cpu"))
                assert masks is not None
                sums = torch.cat([mask[0].sum(-1) for mask in masks])
                flipped = float((sums - case.tensor(f"mask_row_sums_d{step}")).abs().sum()) / sums.numel() ** 2
                error = max(error, flipped / 1e-6 * 1e-3)  # as many entries may differ as 1e-6 of all
    found = network(meta["config"], camera)(
        formula.noise(f"{meta['tag']}/x", meta["latent"]),
        torch.tensor([meta["timestep"]]),
        formula.noise(f"{meta['tag']}/context", meta["context"]),
        torch.tensor([meta["fs"]]),
        features,
    )
    tolerance = 1e-3 if camera == "epipolar" else 1e-4
    return Outcome(max(error, deviation(found, case.tensor("output"))), tolerance, found)


def _sample(case: Case) -> Outcome:
    """The DDIM loop with up to three predictions a step, as the engine runs it."""
    meta = json.loads(str(case.arrays["meta"]))
    tag, shape = meta["tag"], meta["latent"]
    camera = _features(case, meta)[0] if meta["camera"] else None
    picture = 0.5 * formula.noise(f"{tag}/image_latent", [*shape[:2], 1, *shape[3:]])
    uncond, cond = (formula.noise(f"{tag}/{name}", meta["context"]) for name in ("context_uncond", "context"))
    sampler = DDIM(NoiseSchedule.of(PREDICTS[meta["config"]]), meta["steps"], meta["timestep_spacing"], meta["eta"])
    errors = [float(sampler.timesteps != case.arrays["timesteps"].tolist())]
    steps = range(meta["steps"])
    expected = {"alphas": [sampler.alpha_bars(s)[0] for s in steps], "sigmas": [sampler.sigma(s) for s in steps]}
    errors += [deviation(torch.tensor(v[::-1]), case.tensor(name)) for name, v in expected.items()]
    predict = predictions_of_views(
        network(meta["config"], camera_of(meta)),
        [camera],
        picture,
        torch.stack([uncond, cond], 1),
        sampler,
        frame_rate=meta["fs"],
        guidance=meta["guidance"],
        camera_guidance=meta["camera_cfg"],
        camera_guidance_schedule=meta["camera_cfg_scheduler"],
        rescale=meta["guidance_rescale"],
    )
    clean: list[Tensor] = []
    chosen = torch.from_numpy(np.random.RandomState(7).permutation(picture.numel() * FRAMES)[:512])

    def predict_and_keep(step: int, x: Tensor, call: NetworkCall) -> Tensor:
        guided = predict(step, x, call)
        clean.append(sampler.advance(step, x, guided, torch.zeros_like(x))[1].flatten()[chosen])
        return guided

    numbers = iter(steps)
    found = sample_together(
        predict_and_keep,
        formula.noise(f"{tag}/latents", shape),
        DDIMSolver(sampler, lambda wanted: formula.noise(f"{tag}/eta/{next(numbers)}", wanted)),
        SeededDraws(0),
    )
    final = case.tensor("final")
    tolerance = 1e-3 if tag in ("eps_camera2", "eps_nocamera") else 2e-2
    errors.append(deviation(found, final) / float(final.std()))
    errors.append(deviation(torch.stack(clean), case.tensor("pred_x0_512")) / float(final.std()))
    return Outcome(max(errors), tolerance, found)


def _masks(case: Case) -> Outcome:
    """Lines and masks of rigs; three sets are of options that no released model uses."""
    errors = []
    for rig in sorted({name.removesuffix("_c2w") for name in case.arrays if name.endswith("_c2w")}):
        if rig.endswith(("rel", "_hyb", "_selfpix", "_curreg")):
            continue
        c2w, K = case.tensor(f"{rig}_rel_c2w")[0], case.tensor(f"{rig}_K")[0]
        height, width = (320, 512) if "512" in rig else (64, 64)
        cameras = Cameras(*_as_read(c2w, K, width, height))
        used = case.tensor(f"{rig}_t_used")[..., 0]
        lines = EpipolarLines.of(cameras, width, height, used / NO_BASELINE)
        for name in case.arrays:
            if name.startswith(f"{rig}_mask_d") and "noperturb" not in name.removeprefix(rig):
                step = int(name.rpartition("d")[2])
                masks = lines.masks((height // step, width // step), torch.device("cpu"))
                assert masks is not None
                found, expected = torch.cat(list(masks), 1), case.tensor(name)
                errors.append(float((found != expected).float().mean()))
        if f"{rig}_plucker" in case:
            rays = plucker_embedding(cameras, width, height)
            errors.append(deviation(rays.transpose(1, 2), case.tensor(f"{rig}_plucker")) * 1e-6 / 1e-5)
    return Outcome(max(errors), 1e-6)


def _as_read(c2w: Tensor, K: Tensor, width: int, height: int) -> tuple[Tensor, Tensor]:
    cameras = recorded_cameras(torch.linalg.inv(c2w.double()), K, width, height)
    return c2w.double()[None], cameras.intrinsics


def _guidance(case: Case) -> Outcome:
    errors = []
    for name in case.arrays:
        if name.startswith("out_"):
            s, c, schedule, r, t = name.removeprefix("out_").split("_")
            time = float(t[1:])
            found = guide_text_and_camera(
                case.tensor("e_cond"),
                case.tensor("e_uncond"),
                case.tensor("e_nocam"),
                guidance=float(s[1:]),
                camera_guidance=float(c[1:]),
                weight=camera_weight("constant" if schedule == "const" else "cosine", time),
                rescale=float(r[1:]),
            )
            errors.append(deviation(found, case.tensor(name)))
    return Outcome(max(errors), 1e-5)


def _schedule(case: Case) -> Outcome:
    errors = []
    for config, predicts in PREDICTS.items():
        schedule = NoiseSchedule.of(predicts)
        errors.append(deviation(schedule.alpha_bars, case.tensor(f"alphas_cumprod_{config}")))
        for spacing in ("uniform", "uniform_trailing"):
            sampler = DDIM(schedule, 25, spacing)  # type: ignore[arg-type]
            times = case.arrays[f"timesteps25_{spacing}_{config}"].tolist()
            errors.append(float(ddim_timesteps(25, spacing)[::-1] != times))  # type: ignore[arg-type]
            sigmas = torch.tensor([sampler.sigma(step) for step in reversed(range(25))])
            errors.append(deviation(sigmas, case.tensor(f"sigmas25_{spacing}_{config}")))
            previous = torch.tensor([sampler.alpha_bars(step)[1] for step in reversed(range(25))])
            errors.append(deviation(previous, case.tensor(f"alphas_prev25_{spacing}_{config}")))
    errors.append(deviation(NoiseSchedule.of("velocity").scales, case.tensor("scale_arr_512")))
    return Outcome(max(errors), 1e-6)


def _resampler(case: Case) -> Outcome:
    meta = json.loads(str(case.arrays["meta"]))
    sizes = (meta["embedding_dim"], meta["dim"], meta["output_dim"], meta["heads"], meta["dim_head"], meta["depth"])
    resampler = filled(Resampler(*sizes), meta["prefix"])
    found = resampler(formula.noise("resampler/x", meta["x"]))
    return Outcome(deviation(found, case.tensor("output")), 1e-4, found)


def _pose_encoder(case: Case) -> Outcome:
    meta = json.loads(str(case.arrays["meta"]))
    path = relative_path(recorded_cameras(case.tensor("w2c"), case.tensor("K"), meta["W"], meta["H"]))
    errors = [100 * deviation(path.c2w[0], case.tensor("relative_c2w"))]
    rays = plucker_embedding(path, meta["W"], meta["H"]).transpose(1, 2)
    errors.append(100 * deviation(rays.flatten()[case.tensor("plucker_idx").long()], case.tensor("plucker")))
    levels = branch()(path, meta["W"], meta["H"], None).levels
    for i, level in enumerate(levels):
        flat = level[0].transpose(0, 1).flatten()
        errors.append(deviation(flat[case.tensor(f"idx{i}").long()], case.tensor(f"feature{i}")))
    return Outcome(max(errors), 1e-3)


_RELATIVE = {"TransErr_rel": "trans_err", "CamMC_rel": "cam_mc"}
"""The metrics of the paper and their names here; the recording has them without the common scale as well."""
_ARCCOS = 1e-4
"""The released RotErr keeps the arccosine's argument off 1: equal rotations have an angle of this size, radians."""


def _metrics(case: Case) -> Outcome:
    """RotErr, TransErr and CamMC of pairs of paths; an estimate that moves where the truth stands has no scale."""
    errors = []
    for name in (key.removesuffix("_w2c_gt") for key in case.arrays if key.endswith("_w2c_gt")):
        truth, estimate = (_proper(case.tensor(f"{name}_w2c_{which}")) for which in ("gt", "est"))
        found = pose_errors(estimate, truth)
        names = json.loads(str(case.arrays["names"]))
        expected = dict(zip(names, case.tensor(f"{name}_metrics").tolist(), strict=True))
        errors.append(abs(float(found.rot_err) - expected["RotErr"]) * 1e-6 / (FRAMES * _ARCCOS))
        for theirs, ours in _RELATIVE.items():
            value = float(getattr(found, ours))
            scaleless = bool(found.pure_rotation) and expected[theirs] > 1
            errors.append(float(not np.isnan(value)) if scaleless else abs(value - expected[theirs]))
    return Outcome(max(errors), 1e-6)


def _proper(w2c: Tensor) -> Cameras:
    """Most recorded worlds are mirrored, which poses relative to the first do not tell."""
    mirror = torch.diag(torch.tensor([float(torch.linalg.det(w2c[0, :3, :3]).sign()), 1, 1, 1], dtype=torch.float64))
    return Cameras(torch.linalg.inv(w2c @ mirror)[None], torch.full((1, FRAMES, 4), 0.5))
