"""New views of a given video on the host: the paper's guidance step by step, and what a graph may get wrong."""

from __future__ import annotations

from copy import copy
from typing import Any

import comfy.ldm.wan.vae
import comfy.samplers
import comfy.sd
import pytest
import torch
from torch import Tensor, nn

from cvd_core.syncam.novel_view import UNGUIDED, UNTRAINED
from tests import formula
from tests.nodes.host_process import Host
from tests.nodes.small_wan import apply, denoised, noise, rig, text, wan_model, with_shift

VIDEO, TEXT = 1.8, 7.5
CONDS = [text(name) for name in ("context", "negative")]


def given(views: int, scenes: int = 1) -> Tensor:
    """A latent as Encode Reference View makes it, in the VAE's scale, with zeros for the views to be made."""
    latent = torch.zeros_like(noise(views * scenes))
    latent[::views] = formula.noise("host/reference", latent[::views].shape)
    return latent


def guider(host: Host, model: Any, cfg_video: float = VIDEO, cfg_text: float = TEXT) -> Any:
    inputs = {"positive": CONDS[0], "negative": CONDS[1], "cfg_video": cfg_video, "cfg_text": cfg_text}
    return host.call("CVD_NovelViewGuider", model=model, **inputs)[0]


def run(
    host: Host,
    model: Any,
    latent: Tensor,
    steps: int = 3,
    sampler: str = "euler",
    start: Tensor | None = None,
    **cfg: float,
) -> Tensor:
    sigmas = schedule(model, steps)
    start = noise(len(latent)) if start is None else start
    made = guider(host, model, **cfg).sample(start, latent, comfy.samplers.sampler_object(sampler), sigmas, seed=0)
    return torch.as_tensor(made)


def schedule(model: Any, steps: int) -> Tensor:
    return comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "simple", steps)


@pytest.mark.parametrize(("views", "strategy"), [(2, "joint"), (3, "joint"), (4, "partition")])
def test_every_step_is_the_papers_equation_7(host: Host, views: int, strategy: str) -> None:
    """Against Euler's method by hand, around single predictions of the patched model in its plain sampler."""
    model = with_shift(apply(host, wan_model(), rig(views), pair_strategy=strategy))
    latent = given(views)
    clean = model.model.process_latent_in(latent)[0]
    x = start = noise(views)
    sigmas = schedule(model, 3)
    for sigma, after in zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True):
        x = torch.cat([((1 - sigma) * clean + sigma * start[0])[None], x[1:]])
        shown = torch.cat([clean[None], x[1:]])
        nothing = denoised(model, x, sigma, CONDS[1])
        video, both = (denoised(model, shown, sigma, cond) for cond in (CONDS[1], CONDS[0]))
        guided = nothing + VIDEO * (video - nothing) + TEXT * (both - video)
        x = x + (x - guided) / sigma * (after - sigma)
    found = model.model.process_latent_in(run(host, model, latent))
    torch.testing.assert_close(found[1:], x[1:], atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(found[0], clean, atol=1e-5, rtol=1e-5)


def test_star_shows_the_given_video_to_every_view(host: Host) -> None:
    """Each new view comes out as in a run of its own with the given one: no other view is among them."""
    model = with_shift(apply(host, wan_model(), rig(4), pair_strategy="star"))
    found = run(host, model, given(4))
    for view in (1, 2, 3):
        pair = with_shift(apply(host, wan_model(), rig(4).select([0, view])))
        alone = run(host, pair, given(2), start=noise(4)[[0, view]])
        torch.testing.assert_close(found[[0, view]], alone, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize(("strategy", "guided"), [("joint", True), ("star", True), ("partition", False)])
def test_strategies_that_leave_the_given_view_out_are_named(host: Host, strategy: str, guided: bool) -> None:
    """Shown on the node: pairs without the given view are not guided by it."""
    model = apply(host, wan_model(), rig(4), pair_strategy=strategy)
    inputs = {"positive": CONDS[0], "negative": CONDS[1], "cfg_video": VIDEO, "cfg_text": TEXT}
    node = host.nodes.NODE_CLASS_MAPPINGS["CVD_NovelViewGuider"].PREPARE_CLASS_CLONE({})
    assert (UNGUIDED in node.execute(model=model, **inputs).ui["text"]) is not guided


@pytest.mark.parametrize("sampler", ["euler_ancestral", "dpmpp_2m", "heun"])
def test_the_given_video_comes_out_of_any_sampler_as_it_is(host: Host, sampler: str) -> None:
    model = with_shift(apply(host, wan_model(), rig(2)))
    found = run(host, model, given(2), sampler=sampler)
    torch.testing.assert_close(found[0], given(2)[0], atol=1e-4, rtol=1e-4)
    assert bool(found.isfinite().all())


def test_the_other_views_depend_on_it(host: Host) -> None:
    model = with_shift(apply(host, wan_model(), rig(3)))
    first, other = run(host, model, given(3)), given(3)
    other[0] = -other[0]
    assert float((run(host, model, other)[1:] - first[1:]).abs().max()) > 1e-2
    assert not torch.equal(run(host, model, given(3), cfg_video=3.0)[1:], first[1:])
    assert not torch.equal(run(host, model, given(3), cfg_text=3.0)[1:], first[1:])


def test_two_scenes_in_one_batch_and_branches_apart(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    model = with_shift(apply(host, wan_model(), rig(2)))
    both = run(host, model, given(2, scenes=2))
    torch.testing.assert_close(both[:2], run(host, model, given(2)), atol=2e-4, rtol=1e-4)
    monkeypatch.setattr(type(model.model), "memory_required", lambda *_, **__: 1e30)
    torch.testing.assert_close(run(host, model, given(2, scenes=2)), both, atol=2e-4, rtol=1e-4)


def test_bad_graphs(host: Host) -> None:
    model = wan_model()
    with pytest.raises(ValueError, match="put an Apply SynCamMaster node before"):
        guider(host, model)
    synced = with_shift(apply(host, model, rig(2)))
    with pytest.raises(ValueError, match="the first video in the latent is empty"):
        run(host, synced, torch.zeros_like(noise(2)))
    with pytest.raises(ValueError, match="first video of scene 1 in the latent is empty"):
        run(host, synced, torch.cat([given(2), torch.zeros_like(noise(2))]))
    with pytest.raises(ValueError, match=r"a video for each of the 2 cameras"):
        run(host, synced, given(3))
    with pytest.raises(ValueError, match=r"a video for each of the 2 cameras"):
        run(host, synced, torch.ones(2, 4, 8, 8))
    rescaled = synced.clone()
    rescaled.set_model_sampler_post_cfg_function(lambda args: args["denoised"])
    with pytest.raises(ValueError, match=r"changes guidance \(sampler_post_cfg_function\)"):
        guider(host, rescaled)


@pytest.fixture(scope="module")
def vae() -> Any:
    """The host's Wan 2.1 VAE; older hosts know no other width than the published one."""
    torch.manual_seed(0)
    network = comfy.ldm.wan.vae.WanVAE(dim=96, z_dim=16, temperal_downsample=[False, True, True])
    for name, value in network.named_parameters():  # the host's layers start with whatever is in memory
        torch.nn.init.normal_(value, 1.0 if "gamma" in name else 0.0, 0.02)
    return comfy.sd.VAE(sd=network.state_dict())


def test_encoding_the_given_video(host: Host, vae: Any) -> None:
    images = torch.rand(5, 32, 48, 3)
    (latent,) = host.call("CVD_EncodeReferenceView", vae=vae, images=images, views=3)
    samples = latent["samples"]
    assert samples.shape == (3, 16, 2, 4, 6)
    torch.testing.assert_close(samples[:1], vae.encode(images))
    assert not samples[1:].any()
    for bad, message in (
        (images[:4], r"4 frames; Wan makes 4n \+ 1"),
        (images[:, :24], "24 pixels high; expected a multiple of 16"),
        (images[:, :, :40], "40 pixels wide"),
    ):
        with pytest.raises(ValueError, match=message):
            host.call("CVD_EncodeReferenceView", vae=vae, images=bad, views=3)
    for other, message in (
        (None, "there is no VAE"),
        (another_vae(vae), "the VAE is a Identity"),
        (wider_vae(), "of shape"),
    ):
        with pytest.raises(ValueError, match=rf"{message}.* load Wan 2\.1's"):
            host.call("CVD_EncodeReferenceView", vae=other, images=images, views=3)


def another_vae(vae: Any) -> Any:
    """Latents of the same shape by another network, as HunyuanVideo's."""
    other = copy(vae)
    other.first_stage_model = nn.Identity()
    return other


def wider_vae() -> Any:
    """The same class with latents of another shape, as Wan 2.2's."""

    class WanVAE:
        pass

    other = comfy.sd.VAE.__new__(comfy.sd.VAE)
    other.first_stage_model = WanVAE()
    other.encode = lambda pixels: torch.zeros(1, 48, 2, 2, 3)
    return other


def test_both_nodes_say_that_they_are_experimental(host: Host) -> None:
    for name in ("CVD_EncodeReferenceView", "CVD_NovelViewGuider"):
        assert host.nodes.NODE_CLASS_MAPPINGS[name].GET_NODE_INFO_V1()["experimental"] is True
    assert "experimental" in UNTRAINED
