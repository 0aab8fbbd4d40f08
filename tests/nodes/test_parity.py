"""The collaborative sampler against separate AnimateDiff+CameraCtrl runs, and the host against the goldens."""

from __future__ import annotations

from typing import Any

import comfy.samplers
import pytest
import torch
from comfy.k_diffusion import sampling as k_diffusion

from cvd_core.camera_control.pose_encoder import PoseEncoder
from tests import formula
from tests.golden import host as golden
from tests.golden.case import Case
from tests.nodes import small_network as small
from tests.nodes.host_process import Host
from tests.nodes.runs import Scene, relative


def stochastic_sampler(rows: slice) -> Any:
    """An SDE sampler whose noise is a formula, so that a run of some rows gets the noise of those rows."""
    calls = iter(range(1000))

    def noise(_sigma: Any, _next: Any) -> Any:
        return formula.noise(f"sde/{next(calls)}", (4, 4, 16, 16))[rows]

    return comfy.samplers.KSAMPLER(k_diffusion.sample_dpmpp_2m_sde, {"noise_sampler": noise})


@pytest.mark.parametrize(
    "options",
    [
        {"views": 3},
        {"cfg": 1.0},
        {"sync_first": True, "sampler": "dpmpp_2m"},
        {"sampler": "ddim", "scheduler": "ddim_uniform"},
        {"sampler": "uni_pc", "steps": 3},
        {"sampler": stochastic_sampler, "steps": 3},
        {"frames": 6, "context": (4, 2)},
        {"size": (192, 128)},
    ],
    ids=lambda options: ", ".join(f"{k} {v if not callable(v) else 'sde'}" for k, v in options.items()),
)
def test_modules_that_add_nothing_leave_separate_runs(host: Host, options: dict[str, Any]) -> None:
    scene = Scene(host, **options)
    assert relative(scene.together(scene.synced(identity=True)), scene.apart()) < 1e-5


def test_windows_see_their_own_frames(host: Host) -> None:
    """One frame per window with real modules: no window mixes frames, so a clip in windows is its frames' clips."""
    scene = Scene(host, frames=4, context=(2, 0))
    seen: list[tuple[int, ...] | None] = []
    animatediff = host.pack("nodes.host.animatediff").AnimateDiff
    original = animatediff.with_cameras

    def record(self: Any, options: Any, views: Any, branches: int, frames: Any, like: Any) -> Any:
        seen.append(frames)
        return original(self, options, views, branches, frames, like)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(animatediff, "with_cameras", record)
        synced = scene.together(scene.synced())
    assert set(seen) == {(0, 1), (2, 3)}
    assert relative(synced, scene.together(scene.synced(identity=True))) > 1e-2


@pytest.mark.parametrize("size", [(128, 128), (136, 72), (96, 200)])
def test_camera_features_of_any_size(host: Host, size: tuple[int, int]) -> None:
    """Through AnimateDiff-Evolved's pose encoder as through the core's, which is held to the goldens."""
    scene = Scene(host, frames=4, size=size)
    core = PoseEncoder(small.WIDTHS)
    core.load_state_dict(formula.tensors(formula.key_list("reduced")["pose_encoder"]))
    video = host.pack("nodes.host.animatediff").AnimateDiff(scene.evolved(), scene.rays)
    with torch.inference_mode():
        expected = [level.permute(0, 3, 4, 2, 1).flatten(0, 2) for level in core.eval()(scene.rays.embedding)]
        video.with_cameras({}, (0, 1), 1, None, scene.latent)
    found = video.models[0].down_blocks[0].motion_modules[0].camera_features
    assert all(relative(a, b) < 1e-5 for a, b in zip(found, expected, strict=True))


def test_any_multiple_of_8(host: Host) -> None:
    """Sizes at which the network rounds, where AnimateDiff-Evolved alone fails: views agree with runs of one view."""
    scene = Scene(host, size=(136, 200))
    with pytest.raises(RuntimeError):
        scene.apart()
    together = scene.together(scene.synced(identity=True))
    alone = Scene(host, views=1, size=(136, 200))
    alone.noise = scene.noise[:2]
    assert relative(together[:2], alone.together(alone.synced(identity=True))) < 1e-5
    assert relative(scene.together(scene.synced()), together) > 1e-2


GOLDENS = [*sorted(formula.DATA.glob("*128_*.npz")), formula.DATA / "unet_pair_cfg_16x16.npz"]


@pytest.mark.slow
@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.stem)
def test_golden_through_the_host(host: Host, path: Any) -> None:
    case = Case(path)
    outcome = (golden.replay_unet if case.kind == "unet" else golden.replay_sample)(host, case)
    if outcome is None:
        pytest.skip("the host makes no such call")
    assert outcome.ok, f"off by {outcome.error:.2e}, tolerance {outcome.tolerance:.1e}"


def test_golden_pair_through_the_host(host: Host) -> None:
    outcome = golden.replay_unet(host, Case(formula.DATA / "unet_pair128_16x16.npz"))
    assert outcome is not None
    assert outcome.error < 1e-3
