"""The sync module against a plain float64 evaluation, who hears whom, and what must not change the result."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import group_norm, layer_norm

from cvd_core.camera_control.injection import CameraMerges
from cvd_core.camera_control.pose_encoder import POSITIONS, PoseEncoder
from cvd_core.geometry.epipolar import PairGeometry
from cvd_core.networks.layout import sites
from cvd_core.sync import attention
from cvd_core.sync.bias import EpipolarBias
from cvd_core.sync.cache import BiasCache
from cvd_core.sync.context import Layout, Partners, SyncContext, groups_to_partners
from cvd_core.sync.module import SyncModule, SyncModules
from tests import formula
from tests.core.strategies import random_rig, seeds

CHANNELS = 64
HEADS = 8
LAYOUTS: tuple[Layout, ...] = ("view branch", "branch view")


def random_module(seed: int = 0, channels: int = CHANNELS, attentions: int = 2) -> SyncModule:
    """Weights of order one everywhere, so that nothing hides behind a zero."""
    module = SyncModule(channels, attentions=attentions)
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        fan_in = parameter.shape[1] if parameter.ndim > 1 else 4
        parameter.data = torch.randn(parameter.shape, generator=generator) / math.sqrt(fan_in)
    return module.eval().requires_grad_(False)


def rig_bias(views: int, frames: int, side: int = 64, **options: Any) -> EpipolarBias:
    """Masks of a rig whose first frames agree: pseudo lines at frame 0, epipolar lines elsewhere."""
    return EpipolarBias.from_cameras(random_rig(1, views, frames, "shared start"), side, side, **options)


def without_cameras(frames: int) -> EpipolarBias:
    """Masks of training on homographies: pseudo lines alone, a slope for each view and frame."""
    H = torch.eye(3).repeat(6, frames, 1, 1)
    H[..., :2, :] += 0.1 * torch.randn(6, frames, 2, 3, generator=torch.Generator().manual_seed(0))
    return EpipolarBias(lambda v, p: PairGeometry.from_homographies(H[v]), frames, 64, 64, slope_per_frame=True)


def slope(call: int, row: int = 0) -> float:
    """Another one at each call and for each row, the same in each run."""
    return (0.15 * (call + 1) + 0.06 * row) % 1


def slopes_in_order() -> Callable[[tuple[int, ...]], Tensor]:
    calls = count()
    return lambda shape: torch.tensor([slope(k, row) for k in [next(calls)] for row in range(math.prod(shape))])


def context_of(
    partners: Partners, bias: EpipolarBias | None, branches: int = 1, layout: Layout = "view branch", **options: Any
) -> SyncContext:
    return SyncContext(tuple(partners), partners, slopes_in_order(), bias, branches, layout, **options)


def features(seed: int, views: int, branches: int, frames: int, size: tuple[int, int]) -> Tensor:
    """``(V, B, F, C, h, w)``, different in every entry."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(views, branches, frames, CHANNELS, *size, generator=generator)


@torch.no_grad()
def synchronise(module: SyncModule, x: Tensor, context: SyncContext) -> Tensor:
    """``(V, B, F, C, h, w)`` -> the same, through the context's batch layout."""
    ordered = x if context.layout == "view branch" else x.transpose(0, 1)
    out = module(ordered.flatten(0, 2), context).unflatten(0, ordered.shape[:3])
    return out if context.layout == "view branch" else out.transpose(0, 1)


def plain(module: SyncModule, x: Tensor, partners: Partners, bias: EpipolarBias | None) -> Tensor:
    """The module as the paper's formulas say it, in float64: no batching, a loop over views, branches, frames, heads.

    The masks come from their own evaluation, one pair and frame at a time.
    """
    state = {key.removeprefix("epi_transformer."): value.double() for key, value in module.state_dict().items()}
    order = list(partners)
    views, branches, frames, channels, h, w = x.shape

    def linear(name: str, value: Tensor) -> Tensor:
        out = value @ state[f"{name}.weight"].T
        return out + state[f"{name}.bias"] if f"{name}.bias" in state else out

    def norm(name: str, value: Tensor) -> Tensor:
        return layer_norm(value, (channels,), state[f"{name}.weight"], state[f"{name}.bias"])

    def mask(view: int, partner: int, frame: int, call: int) -> Tensor:
        if bias is None:
            return torch.zeros(h * w, h * w, dtype=torch.float64)
        row = order.index(view) * frames + frame if bias.slope_per_frame else 0
        return bias.rows(
            view,
            (partner,),
            slice(frame, frame + 1),
            slice(0, h * w),
            (h, w),
            torch.full((frames,), math.pi * slope(call, row), dtype=torch.float64),
            dtype=torch.float64,
            device=torch.device("cpu"),
        )[0]

    tokens = {}
    for v in range(views):
        for b in range(branches):
            for f in range(frames):
                normed = group_norm(x[v, b, f, None].double(), 32, state["norm.weight"], state["norm.bias"], 1e-6)
                tokens[v, b, f] = linear("proj_in", normed[0].flatten(1).T)
    block = "transformer_blocks.0"
    for k in range(sum(".to_q." in key for key in state)):
        name = f"{block}.attention_blocks.{k}"
        z = {at: norm(f"{block}.norms.{k}", value) for at, value in tokens.items()}
        updated = {}
        for (v, b, f), own in z.items():
            others = [order.index(p) for p in partners[order[v]]]
            seen = torch.cat([z[o, b, f] for o in others])
            allowed = torch.cat([mask(order[v], order[o], f, k) for o in others], -1)
            q, key, value = (
                linear(f"{name}.to_{which}", source) for which, source in (("q", own), ("k", seen), ("v", seen))
            )
            heads = []
            for head in range(HEADS):
                part = slice(head * channels // HEADS, (head + 1) * channels // HEADS)
                scores = q[:, part] @ key[:, part].T / math.sqrt(channels // HEADS) + allowed
                weights = (scores - scores.amax(-1, keepdim=True)).exp()
                heads.append(weights / weights.sum(-1, keepdim=True) @ value[:, part])
            updated[v, b, f] = tokens[v, b, f] + linear(f"{name}.to_out.0", torch.cat(heads, -1))
        tokens = updated
    out = x.double().clone()
    for (v, b, f), y in tokens.items():
        hidden, gate = linear(f"{block}.ff.net.0.proj", norm(f"{block}.ff_norm", y)).chunk(2, -1)
        opened = hidden * gate * 0.5 * (1 + torch.erf(gate / math.sqrt(2)))
        y = y + linear(f"{block}.ff.net.2", opened)
        out[v, b, f] += linear("proj_out", y).T.unflatten(-1, (h, w))
    return out


@st.composite
def talks(draw: st.DrawFn) -> dict[int, tuple[int, ...]]:
    """Views with arbitrary ids, each listening to one or more of the others."""
    ids = draw(st.lists(st.integers(0, 5), min_size=2, max_size=4, unique=True))
    return {
        view: tuple(draw(st.lists(st.sampled_from([i for i in ids if i != view]), min_size=1, unique=True)))
        for view in ids
    }


@settings(deadline=None, max_examples=25)
@given(
    talks(),
    seeds,
    st.sampled_from(LAYOUTS),
    st.integers(1, 2),
    st.integers(1, 3),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.sampled_from(["soft", "hard", "homographies", None]),
    st.integers(1, 2),
)
def test_the_module_is_its_definition(
    partners: dict[int, tuple[int, ...]],
    seed: int,
    layout: Layout,
    branches: int,
    frames: int,
    size: tuple[int, int],
    band: Any,
    attentions: int,
) -> None:
    module = random_module(seed, attentions=attentions).double()  # few pixels a group: float32 is not exact there
    bias = without_cameras(frames) if band == "homographies" else rig_bias(6, frames, band=band) if band else None
    x = features(seed, len(partners), branches, frames, size).double()
    found = synchronise(module, x, context_of(partners, bias, branches, layout))
    expected = plain(module, x, partners, bias)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)  # of masks, which are made of float32 lines


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("synced", [(), (0,), (1,), (2, 0), (0, 1, 2)])
def test_some_branches_alone(layout: Layout, synced: tuple[int, ...]) -> None:
    """Those are what they are without the others, which pass as they came."""
    partners, bias, module = {4: (2,), 2: (4, 0), 0: (2,)}, rig_bias(6, 2), random_module()
    x = features(0, 3, 3, 2, (3, 4))
    found = synchronise(module, x, context_of(partners, bias, 3, layout, synced=synced))
    for branch in range(3):
        if branch in synced:
            alone = synchronise(module, x[:, branch : branch + 1], context_of(partners, bias, 1))
            torch.testing.assert_close(found[:, branch : branch + 1], alone, rtol=0, atol=1e-5)
            assert (alone - x[:, branch : branch + 1]).abs().max() > 0.01
        else:
            assert torch.equal(found[:, branch], x[:, branch])


# Who hears whom


def heard(partners: Partners, frames: int = 2, branches: int = 2, size: tuple[int, int] = (3, 4)) -> Tensor:
    """``(V, B, F, V, B, F)`` bool: does the output there depend on the input here?"""
    module, bias = random_module(), rig_bias(len(partners), frames)
    x = features(0, len(partners), branches, frames, size)
    before = synchronise(module, x, context_of(partners, bias, branches))
    links = torch.zeros(*x.shape[:3], *x.shape[:3], dtype=torch.bool)
    for index in torch.ones(x.shape[:3]).nonzero().tolist():
        changed = x.clone()
        changed[tuple(index)] += features(9, 1, 1, 1, size)[0, 0, 0]
        after = synchronise(module, changed, context_of(partners, bias, branches))
        links[(..., *index)] = (after - before).abs().amax((-1, -2, -3)) > 1e-4
    return links


@pytest.mark.parametrize(
    "groups",
    [[(0, 1)], [(0, 1), (2, 3)], [(0, 3), (2, 1, 4)], [(0, 1, 2)], [(i, i + 5) for i in range(5)]],
    ids=["pair", "two pairs", "five views", "joint", "ten views"],
)
def test_views_hear_their_group_frames_and_branches_only_themselves(groups: list[tuple[int, ...]]) -> None:
    views = sum(map(len, groups))
    small = {"frames": 2 if views < 10 else 1, "size": (3, 4) if views < 10 else (2, 2)}
    links = heard(groups_to_partners(groups), **small)  # type: ignore[arg-type]
    order = [view for group in groups for view in group]
    group_of = torch.tensor([next(i for i, group in enumerate(groups) if view in group) for view in order])
    together = group_of[:, None] == group_of
    branch, frame = torch.eye(2, dtype=torch.bool), torch.eye(links.shape[2], dtype=torch.bool)
    expected = (
        together[:, None, None, :, None, None] & branch[:, None, None, :, None] & frame[None, None, :, None, None]
    )
    assert torch.equal(links, expected.expand_as(links))


def test_a_view_never_attends_to_itself() -> None:
    """Keys and values come from the partner alone: no gradient of a view's attention reaches its own keys."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(3, 2, 6, 1, CHANNELS, generator=generator).requires_grad_() for _ in range(3))
    context = context_of({0: (2,), 1: (0, 2), 2: (1,)}, rig_bias(3, 2))
    outputs = list(attention.cross_view_attention(lambda v: query[v], key, value, context, (2, 3), HEADS))
    for view, out in enumerate(outputs):
        for source in (key, value):
            grad = torch.autograd.grad(out.square().sum(), source, retain_graph=True)[0]
            reached = {v for v in range(3) if grad[v].abs().max() > 0}
            assert reached == set(context.partners[view])


@pytest.mark.parametrize(("side", "largest"), [(512, 64), (384, 48), pytest.param(512, None, marks=pytest.mark.slow)])
def test_every_module_hears_the_partner_at_every_resolution(side: int, largest: int | None) -> None:
    """A partner whose picture is one colour has one value to give: what arrives is known exactly, at any size.

    The largest maps take seconds each: the fast runs put one module on them, the other four on half the size.
    """
    chosen = sites((CHANNELS,) * 4)
    assert len(chosen) == 20
    modules, bias = SyncModules((CHANNELS,) * 4), rig_bias(2, 1, side)
    for i, site in enumerate(chosen):
        n = side // 8 >> site.level
        if n == largest and i > 0:
            n //= 2
        module = modules.at(site)
        module.load_state_dict(random_module(i).state_dict())
        block: Any = module.epi_transformer.transformer_blocks[0]
        torch.nn.init.zeros_(block.attention_blocks[1].to_out[0].weight)  # the partner is of one colour only at first
        own = features(i, 1, 1, 1, (n, n))
        colour = features(i + 1, 1, 1, 1, (1, 1))
        found = synchronise(module, torch.cat([own, colour.expand_as(own)]), context_of({0: (1,), 1: (0,)}, bias))
        with torch.no_grad():
            expected = _with_one_colour(module, own[0, 0], colour[0, 0])
        assert (found[0, 0] - expected).abs().max() < 1e-3, f"{site} on {n}x{n}"


def _with_one_colour(module: SyncModule, own: Tensor, colour: Tensor) -> Tensor:
    """``own`` ``(1, C, n, n)`` after the module if all keys are the token of ``colour`` ``(1, C, 1, 1)``."""
    t: Any = module.epi_transformer
    block = t.transformer_blocks[0]
    y, there = (t.proj_in(t.norm(x).flatten(2).mT) for x in (own, colour))
    first = block.attention_blocks[0]
    y = y + first.to_out[0](first.to_v(block.norms[0](there))) + block.attention_blocks[1].to_out[0].bias
    y = y + block.ff(block.ff_norm(y))
    return own + t.proj_out(y).mT.unflatten(-1, own.shape[-2:])


# Off switches


def test_modules_start_as_the_identity_and_then_learn() -> None:
    modules = SyncModules((32, 64))
    modules.reset_parameters()
    for site in sites((32, 64)):
        x = torch.randn(4, site.channels, 3, 5)
        context = context_of({0: (1,), 1: (0,)}, rig_bias(2, 2))
        out = modules.at(site)(x, context)
        assert torch.equal(out, x)
        out.sum().backward()
        assert modules.at(site).epi_transformer.proj_out.weight.grad.abs().max() > 0


def test_without_partners_nothing_changes() -> None:
    x = features(0, 2, 1, 2, (4, 4))
    assert torch.equal(synchronise(random_module(), x, context_of({0: (), 1: ()}, rig_bias(2, 2))), x)


def test_strength_scales_what_the_module_adds() -> None:
    module, bias, x = random_module(), rig_bias(2, 2), features(0, 2, 2, 2, (4, 4))
    pair = {0: (1,), 1: (0,)}
    off, half, full = (synchronise(module, x, context_of(pair, bias, 2, strength=s)) for s in (0.0, 0.5, 1.0))
    assert torch.equal(off, x)
    torch.testing.assert_close(half, (x + full) / 2, rtol=0, atol=1e-5)
    assert (full - x).abs().max() > 0.1


# What must not matter


@pytest.mark.parametrize("budget", [1, 1000, 5000])
@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_pieces_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch, budget: int, cache_bytes: int) -> None:
    """One query at a time, several, or whole frames; 30 queries and 5 frames divide by none of them."""
    module, x = random_module(), features(0, 3, 2, 5, (5, 6))
    partners = groups_to_partners([(0, 1, 2)])
    whole = synchronise(module, x, context_of(partners, rig_bias(3, 5), 2))
    monkeypatch.setattr(attention, "CHUNK_BYTES", budget)
    cache = BiasCache(cache_bytes)
    context = context_of(partners, rig_bias(3, 5), 2, cache=cache)
    for _ in range(2):  # the second from what the first has kept
        assert (synchronise(module, x, replace(context, slopes=slopes_in_order())) - whole).abs().max() < (
            1e-6 * whole.abs().max()
        )
    assert (cache.size > 0) == (cache_bytes > 0)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.02), (torch.bfloat16, 0.15)])
@pytest.mark.parametrize("band", ["soft", "hard"])
def test_half_precision_stays_near_full(dtype: torch.dtype, tolerance: float, band: Any) -> None:
    module, x = random_module(), features(0, 2, 2, 3, (6, 6))
    pair = {0: (1,), 1: (0,)}
    full = synchronise(module, x, context_of(pair, rig_bias(2, 3, band=band), 2))
    half = synchronise(module.to(dtype), x.to(dtype), context_of(pair, rig_bias(2, 3, band=band), 2))
    assert half.dtype == dtype
    assert (half.float() - full).abs().max() < tolerance * (full - x).abs().max()


def test_gradients_flow_with_masks_and_new_slopes() -> None:
    """Both attentions of a module ask for the same pair's mask, each with a slope of its own."""
    x = features(0, 2, 1, 2, (4, 4)).flatten(0, 2).requires_grad_()
    module = random_module().requires_grad_()
    module(x, context_of({0: (1,), 1: (0,)}, rig_bias(2, 2))).square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in module.parameters())


# Bad input


def test_a_batch_of_another_size_is_refused() -> None:
    module, pair = random_module(), {0: (1,), 1: (0,)}
    with pytest.raises(ValueError, match="batch of 6; expected 2 views x 2 guidance branches x 2 frames"):
        module(torch.zeros(6, CHANNELS, 2, 2), context_of(pair, rig_bias(2, 2), 2))
    with pytest.raises(ValueError, match="batch of 5; expected 2 views x 1 guidance branches"):
        module(torch.zeros(5, CHANNELS, 2, 2), context_of(pair, None))


@pytest.mark.parametrize(
    ("views", "partners", "message"),
    [
        ((0, 1), {0: (1,), 1: (2,)}, r"view 1 is to attend to \[2\], but the batch holds views \[0, 1\]"),
        ((0, 1), {0: (0,), 1: (0,)}, r"view 0 is to attend to \[0\]"),
        ((0, 1, 2), {0: (1,), 1: (0,)}, r"views \[2\] have no partner"),
        ((1, 1), {1: ()}, r"views \[1, 1\] .* not distinct"),
    ],
)
def test_impossible_partners_are_refused(views: tuple[int, ...], partners: Partners, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SyncContext(views, partners, slopes_in_order(), None)


# Full size


def shapes(module: torch.nn.Module) -> formula.Shapes:
    return {key: list(value.shape) for key, value in module.state_dict().items()}


def test_full_size_networks_have_the_released_keys_and_shapes() -> None:
    keys = formula.key_list("full")
    path = ".temporal_transformer.transformer_blocks.0.attention_blocks.0.processor"
    with torch.device("meta"):
        sync, encoder, merges = SyncModules(), PoseEncoder(), CameraMerges()
    assert shapes(sync) == keys["epi"]
    assert shapes(encoder) == keys["pose_encoder"]
    assert shapes(merges) == {key.replace(path, ""): shape for key, shape in keys["attention_processor"].items()}
    assert sum(p.numel() for p in sync.parameters()) == pytest.approx(417.1e6, rel=1e-4)


# The pose encoder


@pytest.mark.parametrize("frames", [1, 5, POSITIONS])
@pytest.mark.parametrize("size", [(72, 40), (64, 64), (8, 8), (200, 136)])
def test_camera_features_have_the_sizes_of_the_unets_features(frames: int, size: tuple[int, int]) -> None:
    """Oracle: the strided convolutions that halve the UNet's features, which round odd sizes up."""
    width, height = size
    encoder = PoseEncoder((32, 32, 64, 64)).requires_grad_(False)
    latent = torch.zeros(1, 1, height // 8, width // 8)
    halve = torch.nn.Conv2d(1, 1, 3, stride=2, padding=1)
    features = encoder(torch.randn(2, frames, 6, height, width))
    for feature, channels in zip(features, (32, 32, 64, 64), strict=True):
        assert feature.shape == (2, channels, frames, *latent.shape[2:])
        latent = halve(latent)


def test_pose_encoder_views_do_not_mix_and_frames_do() -> None:
    encoder = PoseEncoder((32, 32)).requires_grad_(False)
    plucker = torch.randn(2, 4, 6, 16, 24)
    before = encoder(plucker)
    plucker[0, 1] += 1
    for old, new in zip(before, encoder(plucker), strict=True):
        assert torch.equal(old[1], new[1])
        assert ((old[0] - new[0]).abs().amax((0, 2, 3)) > 1e-5).all(), "temporal attention reaches every frame"
    for forwards, backwards in zip(encoder(plucker), encoder(plucker.flip(1)), strict=True):
        assert (forwards - backwards.flip(2)).abs().max() > 1e-3, "the order of the frames counts"


def test_more_frames_than_positions_are_refused() -> None:
    encoder = PoseEncoder((32, 32))
    with pytest.raises(ValueError, match="CameraCtrl pose encoder holds positions for 16 frames, the cameras have 17"):
        encoder(torch.zeros(1, 17, 6, 16, 16))
