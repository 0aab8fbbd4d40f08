"""The collaborative sampler against separate AnimateDiff+CameraCtrl runs, and the host against the goldens."""

from __future__ import annotations

from typing import Any

import comfy.samplers
import pytest
from comfy.k_diffusion import sampling as k_diffusion

from tests import formula
from tests.golden import host as golden
from tests.golden.case import Case
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
    original = animatediff.set_cameras

    def record(self: Any, views: Any, branches: int, frames: Any, like: Any) -> None:
        seen.append(frames)
        original(self, views, branches, frames, like)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(animatediff, "set_cameras", record)
        synced = scene.together(scene.synced())
    assert set(seen) == {(0, 1), (2, 3)}
    assert relative(synced, scene.together(scene.synced(identity=True))) > 1e-2


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
