"""The collaborative network at golden weights: odd shapes, who influences whom, and what switches parts off."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cvd_core.camera_control.injection import CameraMerges
from cvd_core.engine.sd15.denoise import denoise
from cvd_core.engine.sd15.unet import CollaborativeUNet
from cvd_core.geometry.plucker import plucker_embedding
from cvd_core.networks.layout import Site, sites
from cvd_core.sampling.draws import SeededDraws
from cvd_core.sampling.pairs import Pairing
from cvd_core.sampling.recurrence import Recurrence
from cvd_core.sampling.settings import Settings
from cvd_core.sync.bias import EpipolarBias
from cvd_core.sync.context import SyncContext, groups_to_partners
from cvd_core.sync.module import SyncModules
from tests import formula
from tests.core.strategies import random_rig
from tests.golden.networks import golden_unet

WIDTHS = (32, 64, 64, 64)
Image = tuple[int, int]

pytestmark = pytest.mark.usefixtures("without_gradients")


@pytest.fixture
def without_gradients():  # type: ignore[no-untyped-def]
    with torch.no_grad():
        yield


@cache
def camera_features(views: int, frames: int, image: Image) -> tuple[Tensor, ...]:
    rig = random_rig(3, views, frames, "shared start")
    with torch.no_grad():
        return tuple(golden_unet().encode_cameras(plucker_embedding(rig, *image)))


def latents_of(views: int, frames: int, image: Image) -> Tensor:
    return formula.noise("test_unet/latents", (views, 4, frames, image[1] // 8, image[0] // 8))


def call(
    network: CollaborativeUNet,
    latents: Tensor,
    image: Image,
    *,
    groups: list[tuple[int, ...]] | None = None,
    camera: tuple[Tensor, ...] | None = None,
    branches: int = 1,
    text: Tensor | None = None,
    strength: float = 1.0,
    camera_scale: float = 1.0,
) -> Tensor:
    """One network call on all views; ``groups`` None leaves them without sync."""
    views, frames = latents.shape[0] // branches, latents.shape[2]
    context = None
    if groups is not None:
        bias = EpipolarBias.from_cameras(random_rig(3, views, frames, "shared start"), *image)
        ids = tuple(view for group in groups for view in group)
        context = SyncContext(ids, groups_to_partners(groups), SeededDraws(0).slopes, bias, branches, strength=strength)
    if text is None:
        text = formula.noise("test_unet/text", (len(latents), 77, 64))
    return network(latents, 500, text, camera, context, camera_scale)


def views_that_changed(before: Tensor, after: Tensor) -> list[bool]:
    return [bool(change > 1e-4) for change in (after - before).abs().flatten(1).amax(1)]


@pytest.mark.parametrize("image", [(72, 40), (64, 64), (40, 136)])
@pytest.mark.parametrize("frames", [1, 5])
def test_three_views_of_any_shape_talk_to_each_other(image: Image, frames: int) -> None:
    x, camera = latents_of(3, frames, image), camera_features(3, frames, image)
    out = call(golden_unet(), x, image, groups=[(0, 1, 2)], camera=camera)
    assert out.shape == x.shape
    assert out.isfinite().all()
    changed = x.clone()
    changed[1] += 0.5
    after = call(golden_unet(), changed, image, groups=[(0, 1, 2)], camera=camera)
    assert views_that_changed(out, after) == [True] * 3


def test_views_of_different_groups_do_not_hear_each_other() -> None:
    image = (72, 40)
    x = latents_of(4, 2, image)
    before = call(golden_unet(), x, image, groups=[(0, 1), (2, 3)])
    x[1] += 0.5
    after = call(golden_unet(), x, image, groups=[(0, 1), (2, 3)])
    assert views_that_changed(before, after) == [True, True, False, False]


@pytest.mark.parametrize("with_camera", [True, False])
def test_without_sync_views_are_separate_runs(with_camera: bool) -> None:
    image = (72, 40)
    x = latents_of(3, 5, image)
    camera = camera_features(3, 5, image) if with_camera else None
    text = formula.noise("test_unet/text", (3, 77, 64))
    together = call(golden_unet(), x, image, camera=camera)
    for view in range(3):
        one = slice(view, view + 1)
        own = None if camera is None else tuple(f[one] for f in camera)
        alone = call(golden_unet(), x[one], image, camera=own, text=text[one])
        torch.testing.assert_close(together[one], alone, rtol=0, atol=1e-5)
    off = call(golden_unet(), x, image, groups=[(0, 1, 2)], camera=camera, strength=0)
    torch.testing.assert_close(off, together, rtol=0, atol=1e-5)
    on = call(golden_unet(), x, image, groups=[(0, 1, 2)], camera=camera)
    assert (on - together).abs().max() > 0.1


def test_every_sync_module_connects_the_views_where_it_sits() -> None:
    """All twenty in one call: on the features they really get, at every size, and what they say is passed on."""
    image, network = (72, 40), golden_unet()
    assert network.sync is not None
    said: dict[Site, Tensor] = {}
    passed_on: dict[Site, Tensor] = {}
    influence: dict[Site, float] = {}

    def listen(site: Site, module: Any, inputs: Any, output: Tensor) -> None:
        x, context = inputs
        half = len(x) // 2
        changed = torch.cat([x[:half].flip(1), x[half:]])  # other features for view 0
        fixed = replace(context, slopes=lambda shape: torch.full(shape, 0.3))
        before, after = (module.epi_transformer(y, fixed) for y in (x, changed))
        influence[site] = float((after - before)[half:].abs().max())
        said[site] = output

    handles = []
    for site in sites(WIDTHS):
        hook = partial(listen, site)
        handles.append(network.sync.at(site).register_forward_hook(hook))
        behind = network.motion_module(site)
        handles.append(behind.register_forward_hook(lambda _m, _i, out, site=site: passed_on.update({site: out})))
    try:
        call(network, latents_of(2, 2, image), image, groups=[(0, 1)])
    finally:
        for handle in handles:
            handle.remove()
    assert list(said) == sites(WIDTHS), "each once, in order"
    assert len(said) == 20
    for site, out in said.items():
        assert out.shape[-2:] == [(5, 9), (3, 5), (2, 3), (1, 2)][site.level]
        assert influence[site] > 1e-2, f"{site} does not connect the views"
        assert torch.equal(passed_on[site], out)


def test_guidance_branches_do_not_hear_each_other() -> None:
    """Rows v0u v0c v1u v1c: a new conditional text changes conditional rows only, in both views."""
    image = (72, 40)
    x = latents_of(2, 2, image).repeat_interleave(2, 0)
    camera = camera_features(2, 2, image)
    text = formula.noise("test_unet/branches", (4, 77, 64))
    before = call(golden_unet(), x, image, groups=[(0, 1)], camera=camera, branches=2, text=text)
    other = text.clone()
    other[1] += 1
    after = call(golden_unet(), x, image, groups=[(0, 1)], camera=camera, branches=2, text=other)
    assert views_that_changed(before, after) == [False, True, False, True]
    for branch in range(2):
        alone = call(golden_unet(), x[branch::2], image, groups=[(0, 1)], camera=camera, text=text[branch::2])
        torch.testing.assert_close(before[branch::2], alone, rtol=0, atol=2e-5)


def test_each_view_follows_its_own_camera() -> None:
    image = (72, 40)
    x, camera = latents_of(3, 5, image), camera_features(3, 5, image)
    before = call(golden_unet(), x, image, camera=camera)
    other = tuple(f.clone() for f in camera)
    for feature in other:
        feature[1] += 0.5
    assert views_that_changed(before, call(golden_unet(), x, image, camera=other)) == [False, True, False]
    for level in range(4):
        one = tuple(f + 0.5 if i == level else f for i, f in enumerate(camera))
        changed = views_that_changed(before, call(golden_unet(), x, image, camera=one))
        assert changed == [True] * 3, f"the camera features of level {level} are not used"


def test_camera_strength_zero_is_no_camera() -> None:
    image = (72, 40)
    x, camera = latents_of(2, 3, image), camera_features(2, 3, image)
    plain = call(golden_unet(), x, image)
    torch.testing.assert_close(call(golden_unet(), x, image, camera=camera, camera_scale=0), plain, rtol=0, atol=1e-5)
    assert (call(golden_unet(), x, image, camera=camera) - plain).abs().max() > 0.01


def test_sync_of_the_conditional_branch_alone() -> None:
    """One step from noise: guidance between a prediction of views that know nothing of each other and one of a pair."""
    rig, text = random_rig(3, 2, 2, "shared start"), formula.noise("test_unet/branches", (2, 2, 77, 64))
    settings = Settings(("",), width=64, height=64, steps=1, guidance=3.0)

    def latents(text: Tensor, **changes: Any) -> Tensor:
        return denoise(golden_unet(), rig, text, replace(settings, **changes), SeededDraws(1))

    negative = latents(text[:, :1], guidance=1.0, sync_strength=0.0)
    positive = latents(text[:, 1:], guidance=1.0)
    found = latents(text, sync_branches="conditional")
    expected = negative + settings.guidance * (positive - negative)  # the step is linear in what the network says
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3 * float(expected.abs().max()))
    assert (latents(text) - found).abs().max() > 0.01 * expected.abs().max()
    assert torch.equal(latents(text[:, 1:], guidance=1.0, sync_branches="conditional"), positive)


def test_a_copy_is_whole_and_independent() -> None:
    """The copy's hooks must drive the copy's modules: neither nothing nor the original's."""
    image = (64, 64)
    x, camera = latents_of(2, 2, image), camera_features(2, 2, image)
    original = call(golden_unet(), x, image, groups=[(0, 1)], camera=camera)
    network = copy.deepcopy(golden_unet())
    assert torch.equal(call(network, x, image, groups=[(0, 1)], camera=camera), original)
    assert network.sync is not None
    assert network.merges is not None
    for modules in (network.sync, network.merges):
        kept = copy.deepcopy(modules.state_dict())
        for parameter in modules.parameters():
            parameter.mul_(0.5)
        assert (call(network, x, image, groups=[(0, 1)], camera=camera) - original).abs().max() > 0.01
        modules.load_state_dict(kept)
    assert torch.equal(call(golden_unet(), x, image, groups=[(0, 1)], camera=camera), original)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_runs(dtype: torch.dtype) -> None:
    image = (72, 40)
    x, camera = latents_of(3, 2, image), camera_features(3, 2, image)
    full = call(golden_unet(), x, image, groups=[(0, 1, 2)], camera=camera)
    network = copy.deepcopy(golden_unet()).to(dtype)
    features = tuple(network.encode_cameras(plucker_embedding(random_rig(3, 3, 2, "shared start"), *image)))
    half = call(network, x, image, groups=[(0, 1, 2)], camera=features)
    assert half.dtype == dtype
    assert (half.float() - full).abs().max() < (0.3 if dtype == torch.bfloat16 else 0.05) * full.std()


def test_a_failed_call_leaves_the_network_unsynchronised() -> None:
    image = (64, 64)
    x = latents_of(2, 2, image)
    plain = call(golden_unet(), x, image)
    with pytest.raises(ValueError, match="batch of 4; expected 3 views"):
        golden_unet()(
            x,
            500,
            torch.zeros(2, 77, 64),
            None,
            SyncContext((0, 1, 2), groups_to_partners([(0, 1, 2)]), SeededDraws(0).slopes, _bias(3, 2)),
        )
    text = formula.noise("test_unet/text", (2, 77, 64)).repeat_interleave(2, 0)
    assert torch.equal(golden_unet().unet(x, 500, text, return_dict=False)[0], plain), "nothing of the call is left"


def _bias(views: int, frames: int) -> EpipolarBias:
    return EpipolarBias.from_cameras(random_rig(3, views, frames, "shared start"), 64, 64)


def test_more_frames_than_a_network_knows_are_refused() -> None:
    network = golden_unet()
    network.check_frames(16)
    with pytest.raises(ValueError, match="17 frames: the CameraCtrl pose encoder holds positions for 16"):
        network.check_frames(17)
    with pytest.raises(ValueError, match=r"33 frames: the motion module holds positions for 32; .* at most 16 frames"):
        network.check_frames(33)
    without_camera = CollaborativeUNet(copy.deepcopy(network.unet))
    without_camera.check_frames(32)
    with pytest.raises(ValueError, match=r"33 frames: the motion module .* at most 32 frames"):
        without_camera.check_frames(33)
    with pytest.raises(ValueError, match="built without CameraCtrl"):
        without_camera.encode_cameras(torch.zeros(1, 1, 6, 64, 64))


def test_modules_of_other_widths_are_refused() -> None:
    unet = golden_unet().unet
    with pytest.raises(ValueError, match=r"sync modules have widths \(320, 640\), the UNet \(32, 64, 64, 64\)"):
        CollaborativeUNet(unet, sync=SyncModules((320, 640)))
    with pytest.raises(ValueError, match="CameraCtrl merges have widths"):
        CollaborativeUNet(unet, merges=CameraMerges((32, 64, 64)))


def test_a_whole_run_depends_on_its_seed_alone_and_not_on_memory() -> None:
    def states() -> list[object]:
        return [torch.get_rng_state().tolist(), repr(np.random.get_state()), random.getstate()]  # noqa: NPY002

    rig = random_rig(3, 5, 2, "shared start")
    text = formula.noise("test_unet/run", (5, 1, 77, 64))

    def run(limit: int | None) -> Tensor:
        settings = Settings(
            ("",),
            width=72,
            height=64,
            steps=2,
            sampler="euler_ancestral",
            recurrence=Recurrence(2),
            pairing=Pairing(views_per_pass=limit),
        )
        return denoise(golden_unet(), rig, text, settings, SeededDraws(1))

    before = states()
    whole = run(None)
    assert states() == before
    assert whole.shape == (5, 4, 2, 8, 9)
    torch.manual_seed(5)
    torch.testing.assert_close(run(2), whole, rtol=0, atol=1e-3)
