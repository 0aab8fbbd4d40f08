"""Attention in tiles of neighbouring queries is attention under the whole mask, and passes over what is masked out."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.epipolar import Band, epipolar_lines, feature_pixels, nearest_key
from cvd_core.geometry.pencils import line_angles, pencil_basis, pixel_angles, raster_in_tiles
from cvd_core.geometry.rigs import RIGS, make_rig
from cvd_core.networks.tiles import AttentionKind, TileMask, TilePlan, passes_over_masked, plan_tiles, tile_length
from cvd_core.sync.attention import cross_view_attention
from cvd_core.sync.bias import RELEVANT, EpipolarBias
from cvd_core.sync.cache import BiasCache
from cvd_core.sync.context import Partners, SyncContext, groups_to_partners
from cvd_core.sync.flex import AttentionBlocks
from cvd_core.sync.tiles import AttentionTiles
from tests.core.strategies import random_rig, seeds

CPU = torch.device("cpu")
HEADS = 2
KINDS: tuple[AttentionKind, AttentionKind] = ("dense", "sparse")
PAIR = {0: (1,), 1: (0,)}


def towards(views: int = 2, frames: int = 3) -> Cameras:
    """Views that go forward at different speeds: their epipoles lie inside the picture."""
    cameras = make_rig("circle", views, frames)
    c2w = torch.eye(4, dtype=torch.float64).repeat(views, frames, 1, 1)
    c2w[:, :, 2, 3] = torch.linspace(0, 1, frames, dtype=torch.float64) * torch.arange(1, views + 1)[:, None]
    return Cameras(c2w, cameras.intrinsics)


def turning(views: int = 2, frames: int = 3) -> Cameras:
    """Views that only turn: pseudo lines in every frame."""
    cameras = random_rig(3, views, frames, "shared start")
    c2w = cameras.c2w.clone()
    c2w[..., :3, 3] = 0
    return Cameras(c2w, cameras.intrinsics)


def attend(
    bias: EpipolarBias, partners: Partners, size: tuple[int, int], kind: AttentionKind, cache: BiasCache | None = None
) -> Tensor:
    """``(V, F, N, B, C)`` of one attention, its scores spread as those of trained modules may be."""
    generator = torch.Generator().manual_seed(0)
    shape = (len(partners), bias.frames, size[0] * size[1], 2, 8 * HEADS)
    q, k, v = (scale * torch.randn(shape, generator=generator) for scale in (1.5, 1.5, 1))
    context = SyncContext(
        tuple(partners), partners, lambda shape: torch.full(shape, 0.3), bias, 2, cache=cache, attention=kind
    )
    with torch.no_grad():
        return torch.stack(list(cross_view_attention(lambda i: q[i], k, v, context, size, HEADS)))


def assert_equal(bias: EpipolarBias, partners: Partners, size: tuple[int, int]) -> None:
    dense, sparse = (attend(bias, partners, size, kind) for kind in KINDS)
    torch.testing.assert_close(sparse, dense, rtol=0, atol=5e-6)


def kept(bias: EpipolarBias, view: int, partners: tuple[int, ...], size: tuple[int, int]) -> float:
    """Fraction of the matrix that is computed, over all frames."""
    angles = torch.full((4, bias.frames), 0.3, dtype=torch.float64)
    planned = AttentionTiles(bias, None, angles, size, CPU).of_view(0, view, partners)
    return float(torch.stack([plan.kept.double().mean() for _, plan in planned]).mean())


@pytest.mark.parametrize("size", [(4, 4), (16, 16), (24, 17), (40, 40)])
@pytest.mark.parametrize("rig", RIGS)
def test_every_rig_at_every_size(rig: str, size: tuple[int, int]) -> None:
    bias = EpipolarBias.from_cameras(make_rig(rig, 2, 2), 8 * size[1], 8 * size[0])
    assert_equal(bias, PAIR, size)


@pytest.mark.parametrize("band", ["soft", "hard"])
@pytest.mark.parametrize("cameras", [towards(), turning(), random_rig(5, 2, 3, "shared start")])
def test_epipoles_in_the_picture_no_baseline_hard_bands(cameras: Cameras, band: Band) -> None:
    assert_equal(EpipolarBias.from_cameras(cameras, 256, 192, band=band), PAIR, (24, 32))


def test_views_that_attend_to_several() -> None:
    """One softmax over all partners, also where some of them have no baseline to the view."""
    cameras = random_rig(7, 4, 3, "shared start")
    c2w = cameras.c2w.clone()
    c2w[1, 2] = c2w[0, 2]
    bias = EpipolarBias.from_cameras(Cameras(c2w, cameras.intrinsics), 192, 192)
    assert_equal(bias, groups_to_partners([(0, 1, 2, 3)]), (24, 24))
    assert_equal(bias, {0: (1, 2), 1: (2,), 2: (0, 1)}, (24, 24))


@given(seeds, st.sampled_from(["soft", "hard"]))
def test_what_is_passed_over_changes_nothing(seed: int, band: Band) -> None:
    """Every key whose bias is within e^-30 of the best of its row is kept."""
    size = (9, 11)
    bias = EpipolarBias.from_cameras(random_rig(seed, 2, 2, "shared start"), 704, 576, band=band)
    angles = torch.full((2, 2), 0.4, dtype=torch.float64)
    whole = bias.rows(0, (1,), slice(0, 2), slice(0, 99), size, angles[0], dtype=torch.float32, device=CPU)
    for frame, (_, plan) in enumerate(AttentionTiles(bias, None, angles, size, CPU).of_view(0, 0, (1,))):
        assert plan.order.sort().values.tolist() == list(range(99))
        for queries, keys in zip(plan.order.split(tile_length(99)), plan.kept, strict=True):
            rows = whole[frame, queries]
            needed = (rows > rows.amax(-1, keepdim=True) - RELEVANT).any(0)
            assert bool((keys | ~needed).all())


@pytest.mark.parametrize(("side", "most"), [(64, 0.45), (96, 0.35)])
@pytest.mark.parametrize("cameras", [make_rig("circle", 2, 3), towards(), turning()])
def test_most_is_passed_over_at_512_and_768_pixels(cameras: Cameras, side: int, most: float) -> None:
    bias = EpipolarBias.from_cameras(cameras, 8 * side, 8 * side)
    assert kept(bias, 0, (1,), (side, side)) < most


def test_plans_are_made_once_per_run_but_for_new_slopes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 5 frames the common first one has new slopes: its plan is made once per attention, for all views together."""
    made: list[TileMask] = []

    def counted(mask: TileMask) -> TilePlan:
        made.append(mask)
        return plan_tiles(mask)

    monkeypatch.setattr("cvd_core.sync.tiles.plan_tiles", counted)
    bias = EpipolarBias.from_cameras(make_rig("circle", 4, 5), 128, 128)
    cache = BiasCache()
    counts = []
    for _ in range(3):
        made.clear()
        attend(bias, groups_to_partners([(0, 1), (2, 3)]), (16, 16), "sparse", cache=cache)
        counts.append(len(made))
    assert counts == [4 * 4 + 1, 1, 1]
    assert 0 < cache.size < 4 * 4 * 256 * 256
    made.clear()
    attend(bias, PAIR, (16, 16), "sparse", cache=BiasCache(0))
    assert len(made) == 2 * 4 + 1


def test_no_matrix_is_ever_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest mask made at once is a tile's."""
    made: list[int] = []
    of_lines = EpipolarBias.of_lines

    def counted(*args: object) -> Tensor:
        found: Tensor = of_lines(*args)  # type: ignore[arg-type]
        made.append(found.numel())
        return found

    monkeypatch.setattr(EpipolarBias, "of_lines", counted)
    attend(EpipolarBias.from_cameras(make_rig("circle", 2, 2), 512, 512), PAIR, (64, 64), "sparse")
    assert max(made) <= 256 * 4096


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 4e-3), (torch.bfloat16, 3e-2)])
def test_half_precision(dtype: torch.dtype, tolerance: float) -> None:
    bias = EpipolarBias.from_cameras(make_rig("circle", 2, 2), 192, 192)
    context = SyncContext((0, 1), PAIR, lambda shape: torch.full(shape, 0.3), bias, attention="sparse")
    q, k, v = (torch.randn(2, 2, 576, 1, 16, generator=torch.Generator().manual_seed(i)) for i in range(3))

    def found(kind: torch.dtype) -> Tensor:
        own = (x.to(kind) for x in (q, k, v))
        q_, k_, v_ = own
        return torch.stack(list(cross_view_attention(lambda i: q_[i], k_, v_, context, (24, 24), HEADS)))

    assert found(dtype).dtype == dtype
    assert (found(dtype).float() - found(torch.float32)).abs().max() < tolerance


def test_gradients_are_those_of_the_whole_mask() -> None:
    bias = EpipolarBias.from_cameras(make_rig("circle", 2, 2), 128, 128)
    context = SyncContext((0, 1), PAIR, lambda shape: torch.full(shape, 0.3), bias)
    found = []
    for kind in KINDS:
        x = torch.randn(3, 2, 2, 256, 1, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
        own = replace(context, attention=kind)
        q, k, v = x
        out = torch.stack(list(cross_view_attention(q.__getitem__, k, v, own, (16, 16), HEADS)))
        out.square().sum().backward()
        found.append(x.grad)
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-5)


def test_the_automatic_choice() -> None:
    gpu = torch.device("cuda")
    assert passes_over_masked("auto", 64 * 64, 64 * 64, CPU)
    assert not passes_over_masked("auto", 16 * 16, 32 * 32, CPU)
    assert not passes_over_masked("auto", 64 * 64, 64 * 64, gpu)
    assert not passes_over_masked("dense", 64 * 64, 64 * 64, CPU)
    assert passes_over_masked("sparse", 16, 16, CPU)


# Orders along a pencil


@given(seeds)
def test_pixels_lie_on_the_line_of_their_angle(seed: int) -> None:
    """The angle of a pixel's line is that of the lines of all queries that it lies on the epipolar line of."""
    generator = torch.Generator().manual_seed(seed)
    fundamental = torch.linalg.svd(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    F = fundamental.U @ torch.diag(torch.tensor([1.0, 0.5, 0], dtype=torch.float64)) @ fundamental.Vh
    queries = feature_pixels(64, 64, 8, 8)
    lines = epipolar_lines(F, queries)
    basis = pencil_basis(lines)
    x = torch.linspace(-50, 50, len(lines), dtype=torch.float64)
    steep = lines[:, 1].abs() < lines[:, 0].abs()
    on_line = torch.where(
        steep[:, None],
        torch.stack([-(lines[:, 1] * x + lines[:, 2]) / lines[:, 0], x, torch.ones_like(x)], -1),
        torch.stack([x, -(lines[:, 0] * x + lines[:, 2]) / lines[:, 1], torch.ones_like(x)], -1),
    )
    difference = (line_angles(lines, basis) - pixel_angles(on_line, basis)).abs()
    assert float(torch.minimum(difference, math.pi - difference).max()) < 1e-5


def test_zero_lines_come_last() -> None:
    lines = torch.tensor([[0.0, 0, 0], [1, 0, -3], [0.6, 0.8, -3]])
    angles = line_angles(lines, pencil_basis(lines))
    assert angles.argsort()[-1] == 0
    assert bool(angles[1:].isfinite().all())


@given(seeds)
def test_a_line_has_a_key_as_near_as_said(seed: int) -> None:
    keys = feature_pixels(96, 64, 6, 8)
    lines = torch.randn(1, 50, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    lines[..., 2] *= 60
    lines /= lines[..., :2].norm(dim=-1, keepdim=True)
    real = (lines @ keys.mT).abs().amin(-1)
    said = nearest_key(lines, keys, (16**2 + 8**2) ** 0.5 / 2)
    assert bool((real <= said + 1e-9).all())
    assert bool((said <= real.clamp(min=9) + 1e-9).all())


def test_raster_in_tiles() -> None:
    assert raster_in_tiles((3, 4), (2, 2)).tolist() == [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 10, 11]


# FlexAttention, the counterpart on graphics cards: uncompiled, it masks what the compiled kernel skips


@pytest.mark.parametrize("band", ["soft", "hard"])
@pytest.mark.parametrize("cameras", [make_rig("circle", 3, 2), towards(3, 2), turning(3, 2)])
@pytest.mark.parametrize("partners", [(1,), (1, 2)])
def test_blocks_of_flex_attention(cameras: Cameras, band: Band, partners: tuple[int, ...]) -> None:
    """24x20 pixels are no multiple of a block."""
    size, angles = (24, 20), torch.full((3, 2), 0.3 * math.pi, dtype=torch.float64)
    bias = EpipolarBias.from_cameras(cameras, 320, 384, band=band)
    planned = AttentionBlocks(bias, None, angles, size, CPU).of_view(0, 0, partners)
    mask = bias.rows(0, partners, slice(0, 2), slice(0, 480), size, angles[0], dtype=torch.float32, device=CPU)
    generator = torch.Generator().manual_seed(0)
    keys = 480 * len(partners)
    q, k, v = (torch.randn(2, HEADS, n, 8, generator=generator) for n in (480, keys, keys))
    with torch.no_grad():
        found = planned.attend(q, k, v, compiled=False)
    expected = scaled_dot_product_attention(q, k, v, mask[:, None])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)  # far from all keys the bias takes bits of the score


@pytest.mark.parametrize(("cameras", "most"), [(make_rig("circle", 2, 2), 0.5), (towards(2, 2), 0.7)])
def test_blocks_are_passed_over_at_512_pixels(cameras: Cameras, most: float) -> None:
    """Where the epipole is inside the picture, rectangles of the map are chosen."""
    bias = EpipolarBias.from_cameras(cameras, 512, 512)
    cache = BiasCache()
    blocks = AttentionBlocks(bias, cache, torch.full((2, 2), 0.3, dtype=torch.float64), (64, 64), CPU)
    planned = blocks.of_view(0, 0, (1,))
    assert float(planned.kept.double().mean()) < most
    assert 0 < cache.size < 1 << 20
    assert blocks.of_view(0, 0, (1,)).queries[1].equal(planned.queries[1])


@pytest.mark.slow
def test_flex_attention_compiled() -> None:
    """The kernel that skips, through the compiler for CPUs: over a minute."""
    size, angles = (16, 24), torch.full((2, 2), 0.3, dtype=torch.float64)
    bias = EpipolarBias.from_cameras(make_rig("circle", 2, 2), 384, 256)
    planned = AttentionBlocks(bias, None, angles, size, CPU).of_view(0, 0, (1,))
    q, k, v = (torch.randn(2, HEADS, 384, 16, generator=torch.Generator().manual_seed(i)) for i in range(3))
    with torch.no_grad():
        found, expected = (planned.attend(q, k, v, compiled=kind) for kind in (True, False))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
