"""What a run keeps of its masks: bounded, right, and worth keeping where not everything fits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from itertools import product
from types import MappingProxyType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.epipolar import Band, PairGeometry
from cvd_core.geometry.rigs import make_rig
from cvd_core.networks.layout import sites
from cvd_core.sampling.draws import SeededDraws
from cvd_core.sampling.pairs import Pairing
from cvd_core.sync.bias import EpipolarBias
from cvd_core.sync.cache import BiasCache
from cvd_core.sync.masks import AttentionMasks
from cvd_core.sync.module import ATTENTIONS
from tests.core.strategies import random_rig

CPU = torch.device("cpu")
SIZE, PIXELS, FRAMES = (4, 5), 20, 5
EVERY = slice(0, PIXELS)
ENTRY = 4 * PIXELS * PIXELS * (FRAMES - 1)
"""Bytes of a pair with a common first frame."""
LIMITS = [None, 0, ENTRY, 1 << 30]


class Asked:
    """A cache under a sequence of requests."""

    def __init__(self, limit: int) -> None:
        self.cache = BiasCache(limit)
        self.built = 0

    def misses(self, keys: str, sizes: Mapping[str, int] = MappingProxyType({})) -> int:
        """How many of the requests found nothing kept; keys are of one byte unless ``sizes`` says otherwise."""
        missed = 0
        for key in keys:
            size, built = sizes.get(key, 1), self.built
            kept = self.cache.get(key, size, partial(self._build, key, size))
            missed += kept is None or self.built > built
            assert kept is None or kept.tolist() == [ord(key)] * size
            assert self.cache.size <= self.cache.limit
        return missed

    def _build(self, key: str, size: int) -> Tensor:
        self.built += 1
        return torch.full((size,), ord(key), dtype=torch.uint8)


@given(st.lists(st.sampled_from("abcdef"), max_size=60), st.integers(0, 12))
def test_any_sequence_stays_within_the_limit(keys: list[str], limit: int) -> None:
    Asked(limit).misses("".join(keys), {key: i + 1 for i, key in enumerate("abcdef")})


def test_pairs_asked_for_in_turn_are_kept_as_far_as_there_is_room() -> None:
    """Four pairs, room for two: half of the requests are met at every attention of a call, not none."""
    asked = Asked(2)
    assert asked.misses("abcd") == 4
    assert asked.misses("abcd" * 10) == 20


def test_the_next_matching_takes_the_place_of_the_last() -> None:
    asked = Asked(2)
    asked.misses("abcd" * 10)
    assert asked.misses("efgh") == 4
    assert asked.misses("efgh") == 4, "now they are known to be in use and what is kept is not"
    assert asked.misses("efgh" * 10) == 20
    assert Asked(4).misses("abcd" * 10 + "efgh" * 10) == 12


def test_a_large_entry_does_not_push_out_smaller_ones_in_use() -> None:
    asked = Asked(4)
    assert asked.misses("aXb" * 5, {"X": 4}) == 2 + 5
    assert asked.misses("XXXX", {"X": 4}) == 2, "once they are not, it does"


def masks_of(
    bias: EpipolarBias, cache: BiasCache | None, angle: float = 0.7, dtype: torch.dtype = torch.float32
) -> AttentionMasks:
    return AttentionMasks(bias, cache, torch.full((4, bias.frames), angle, dtype=torch.float64), SIZE, dtype, CPU)


def whole(masks: AttentionMasks, view: int, *partners: int) -> Tensor:
    own = masks.of_view(0, view, partners)
    return torch.cat([own.rows(run, EVERY) for run in own.runs()])


def mixed_rig() -> Cameras:
    """Views that meet in some frames, one of them in all."""
    cameras = random_rig(7, 4, FRAMES, "shared start")
    c2w = cameras.c2w.clone()
    c2w[1, 3], c2w[3] = c2w[0, 3], c2w[0]
    return Cameras(c2w, cameras.intrinsics)


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("band", ["soft", "hard"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_masks_are_the_bias_whatever_is_kept(limit: int | None, band: Band, dtype: torch.dtype) -> None:
    bias = EpipolarBias.from_cameras(mixed_rig(), 80, 64, band=band)
    cache = None if limit is None else BiasCache(limit)
    handed_out = []
    for angle in (0.2, 1.3, 0.2):
        masks = masks_of(bias, cache, angle, dtype)
        for view, partners in ((0, (1,)), (1, (0,)), (2, (0, 1, 3)), (3, (0,)), (0, (1,)), (1, (3, 2))):
            found = whole(masks, view, *partners)
            angles = torch.full((FRAMES,), angle, dtype=torch.float64)
            expected = bias.rows(view, partners, slice(0, FRAMES), EVERY, SIZE, angles, dtype=dtype, device=CPU)
            assert torch.equal(found, expected)
            handed_out.append((found, expected))
    assert all(torch.equal(found, expected) for found, expected in handed_out), "nothing changes under its holder"


def test_only_frames_with_a_baseline_are_kept() -> None:
    cache = BiasCache()
    masks = masks_of(EpipolarBias.from_cameras(mixed_rig(), 80, 64), cache)
    whole(masks, 0, 3)
    assert cache.size == 0
    whole(masks, 0, 1)
    assert cache.size == 4 * PIXELS * PIXELS * (FRAMES - 2)
    whole(masks, 0, 2)
    whole(masks, 0, 2)
    assert cache.size == 4 * PIXELS * PIXELS * (FRAMES - 2) + ENTRY


def test_common_first_frames_are_built_once_for_all_pairs() -> None:
    bias = EpipolarBias.from_cameras(make_rig("circle", 4, FRAMES), 80, 64)
    masks = masks_of(bias, None)
    first = slice(0, 1)
    pairs = [(view, partner) for view in range(4) for partner in range(4) if partner != view]
    places = {masks.of_view(0, view, (partner,)).rows(first, EVERY).data_ptr() for view, partner in pairs}
    assert len(places) == 1
    lenses = EpipolarBias.from_cameras(random_rig(7, 3, FRAMES, "shared start"), 80, 64)
    masks = masks_of(lenses, None)
    one, other = (masks.of_view(0, 0, (partner,)).rows(first, EVERY) for partner in (1, 2))
    assert not torch.equal(one, other), "other lenses, another homography"


def test_nothing_waits_for_a_device() -> None:
    """On the meta device a value that is asked for is an error."""
    bias = EpipolarBias.from_cameras(mixed_rig(), 80, 64)
    meta = torch.device("meta")
    for band in ("soft", "hard"):
        bias.band = band  # type: ignore[assignment]
        masks = AttentionMasks(bias, BiasCache(), torch.zeros(4, FRAMES), SIZE, torch.float16, meta)
        for _ in range(2):
            assert whole(masks, 2, 0, 1, 3).shape == (FRAMES, PIXELS, 3 * PIXELS)


def test_homographies_of_every_frame_have_angles_of_their_own() -> None:
    H = torch.eye(3, dtype=torch.float64).repeat(FRAMES, 1, 1)
    bias = EpipolarBias(lambda view, partner: PairGeometry.from_homographies(H), FRAMES, 80, 64, slope_per_frame=True)
    angles = math.pi * torch.arange(2 * FRAMES, dtype=torch.float64).view(2, FRAMES) / 11
    masks = AttentionMasks(bias, BiasCache(), angles, SIZE, torch.float32, CPU)
    for position in range(2):
        found = masks.of_view(position, position, (1 - position,)).rows(slice(0, FRAMES), EVERY)
        expected = bias.rows(0, (1,), slice(0, FRAMES), EVERY, SIZE, angles[position], dtype=torch.float32, device=CPU)
        assert torch.equal(found, expected)


@pytest.mark.parametrize(("limit", "most"), [(1 << 30, 0.65), (8 << 30, 0.02)])
def test_four_views_of_512_pixels_in_pairs(limit: int, most: float) -> None:
    """Bytes of masks that are built, of those used, over 25 steps: the pairs of a call take 2.1 GiB in half precision,
    all twelve 6.4 GiB. The best that any choice could keep of a call's masks in 1 GiB is half of them."""
    cache, draws = BiasCache(limit), SeededDraws(0)
    levels = [site.level for site in sites()]
    used = built = 0

    def build(nbytes: int) -> Tensor:
        nonlocal built
        built += nbytes
        return torch.empty(nbytes, dtype=torch.uint8, device="meta")

    for _ in range(25):
        (pairs,) = Pairing().rounds(4, draws)
        for level in levels:
            nbytes = 15 * (64 >> level) ** 4 * 2
            for _, (view, partner) in product(range(ATTENTIONS), [p for a, b in pairs for p in ((a, b), (b, a))]):
                used += nbytes
                if cache.get((view, partner, level), nbytes, partial(build, nbytes)) is None:
                    built += nbytes
    assert built < most * used
