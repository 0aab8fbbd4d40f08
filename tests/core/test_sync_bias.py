"""The attention bias between views against a float64 evaluation of its definition, and its degenerate frames."""

from __future__ import annotations

import math

import kornia.geometry.epipolar as kornia_epipolar
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from cvd_core.geometry.cameras import Cameras
from cvd_core.geometry.epipolar import HARD_BIAS, Band, PairGeometry, feature_pixels, pair_geometry
from cvd_core.sync.bias import EpipolarBias
from tests.core.strategies import maps, random_rig, rectangles, rigs, seeds

Size = tuple[int, int]
CPU = torch.device("cpu")
angles = st.floats(0, math.pi, exclude_max=True)
broad_maps = st.tuples(st.integers(2, 9), st.integers(2, 9))
"""Maps on which some key is off some line, so that the soft band has a width."""


@torch.no_grad()
def rows(
    bias: EpipolarBias,
    size: Size,
    angle: float = 0.7,
    *,
    view: int = 0,
    partners: tuple[int, ...] = (1,),
    frames: slice | None = None,
    queries: slice | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """The bias of ``view``, all frames and queries unless told, with one pseudo-line angle for all frames."""
    turned = torch.full((bias.frames,), angle, dtype=torch.float64)
    everything = slice(0, size[0] * size[1])
    return bias.rows(
        view,
        partners,
        frames or slice(0, bias.frames),
        queries or everything,
        size,
        turned,
        dtype=dtype,
        device=CPU,
    )


def soften(distance: Tensor, height: int, threshold: float = 3.0) -> Tensor:
    """The definition: ``(F, Q, K)`` pixels between line and key -> bias."""
    tau = threshold / (height // 2) * distance.amax((-1, -2), keepdim=True)
    return -(distance - tau).clamp(min=0) * 3 / tau


def distances_by_kornia(cameras: Cameras, image: Size, size: Size) -> Tensor:
    P = cameras.K(*image) @ torch.linalg.inv(cameras.c2w)[..., :3, :]
    pixels = feature_pixels(*image, size[1], size[0])
    lines = pixels @ kornia_epipolar.fundamental_from_projections(P[0], P[1]).mT
    normals = lines[..., :2].norm(dim=-1, keepdim=True)
    assume(bool((normals > 0.02 * normals.mean(1, keepdim=True)).all()))  # on the epipole a pixel has no line
    return (lines @ pixels.mT).abs() / normals


def distances_by_angle(cameras: Cameras, image: Size, size: Size, angle: float) -> Tensor:
    """Pixels from a line at ``angle`` through each pixel's image under the rotation from view 0 to view 1."""
    K = cameras.K(*image)
    R = torch.linalg.inv(cameras.c2w[1, :, :3, :3]) @ cameras.c2w[0, :, :3, :3]
    pixels = feature_pixels(*image, size[1], size[0])
    target = pixels @ (K[1] @ R @ torch.linalg.inv(K[0])).mT
    in_front = target[..., 2] > 0
    target = target / target[..., 2:]
    far = (target[..., :2] - torch.tensor(image) / 2).norm(dim=-1) > 3.9 * max(image)
    assume(not bool((far | ~in_front).any()))  # what turns out of sight gets no line
    apart = pixels[:, :2] - target[:, :, None, :2]
    return (apart * torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64)).sum(-1).abs()


def assert_bias(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=5e-3)


@settings(deadline=None, max_examples=30)
@given(rigs(min_views=2, max_views=2, max_frames=4), rectangles, broad_maps)
def test_bias_is_its_definition(cameras: Cameras, image: Size, size: Size) -> None:
    found = rows(EpipolarBias.from_cameras(cameras, *image), size)
    assert_bias(found, soften(distances_by_kornia(cameras, image, size), image[1]))


@settings(deadline=None, max_examples=30)
@given(rigs(min_views=2, max_views=2, max_frames=4), rectangles, broad_maps)
def test_bias_has_the_released_floor(cameras: Cameras, image: Size, size: Size) -> None:
    """The frame's largest distance reaches -(S/2 - 3), whatever the cameras are; nothing goes below."""
    found = rows(EpipolarBias.from_cameras(cameras, *image), size)
    floor = 3 - image[1] / 2
    torch.testing.assert_close(found.amin((1, 2)), torch.full((cameras.frames,), floor), rtol=1e-4, atol=1e-3)
    assert (found <= 0).all()


@settings(deadline=None, max_examples=30)
@given(seeds, st.floats(-3, 3), rectangles, st.sampled_from(["soft", "hard"]))
def test_bias_does_not_depend_on_the_unit_of_translations(seed: int, power: float, image: Size, band: str) -> None:
    cameras = random_rig(seed, 2, 3, "shared start")
    c2w = cameras.c2w.clone()
    c2w[..., :3, 3] *= 10**power
    here, there = (
        rows(EpipolarBias.from_cameras(c, *image, band=band), (5, 6))  # type: ignore[arg-type]
        for c in (cameras, Cameras(c2w, cameras.intrinsics))
    )
    if band == "soft":
        torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-3)
    else:
        assert (here != there).float().mean() < 0.01, "only a key on the very edge of the band may change sides"


@settings(deadline=None, max_examples=40)
@given(rigs(min_views=2, max_views=2, max_frames=4), rectangles, maps, st.floats(0.1, 10), angles)
def test_hard_band_leaves_every_line_a_key(
    cameras: Cameras, image: Size, size: Size, threshold: float, angle: float
) -> None:
    """However coarse the map and narrow the band, a line that crosses the picture keeps an open key."""
    width, height = image
    found = rows(EpipolarBias.from_cameras(cameras, *image, band="hard", threshold=threshold), size)
    assert set(found.unique().tolist()) <= {0.0, HARD_BIAS}
    pixels = feature_pixels(*image, size[1], size[0])
    lines = pixels @ pair_geometry(cameras, 0, 1, *image).fundamental.mT
    edge = torch.tensor([[x, y, 1] for x in (-0.5, width - 0.5) for y in (-0.5, height - 0.5)]).double()
    side = lines @ edge.mT
    crosses = (side.amax(-1) > 0) & (side.amin(-1) < 0)
    assert (found == 0).any(-1)[crosses].all()
    # pseudo lines through the pixel itself always cross
    still = Cameras(cameras.c2w[:1].expand(2, -1, -1, -1), cameras.intrinsics[:1].expand(2, -1, -1))
    found = rows(EpipolarBias.from_cameras(still, *image, band="hard", threshold=threshold), size, angle)
    assert (found.diagonal(dim1=1, dim2=2) == 0).all()


@settings(deadline=None, max_examples=20)
@given(rigs(min_views=2, max_views=2, max_frames=3), rectangles, st.floats(3, 60))
def test_hard_band_is_open_within_its_threshold_in_pixels(cameras: Cameras, image: Size, threshold: float) -> None:
    size = (image[1] // 8, image[0] // 8) if max(image) <= 128 else (6, 6)
    sx, sy = image[0] / size[1], image[1] / size[0]
    half_width = max(threshold, math.hypot(sx, sy) / 2)
    distance = distances_by_kornia(cameras, image, size)
    found = rows(EpipolarBias.from_cameras(cameras, *image, band="hard", threshold=threshold), size)
    assert (found[distance < half_width - 0.01] == 0).all()
    assert (found[distance > half_width + 0.01] == HARD_BIAS).all()


@settings(deadline=None, max_examples=25)
@given(seeds, st.integers(1, 32), rectangles, broad_maps, angles)
def test_identical_trajectories_get_pseudo_lines_in_every_frame(
    seed: int, frames: int, image: Size, size: Size, angle: float
) -> None:
    cameras = random_rig(seed, 2, frames, "identical")
    rounded = Cameras(torch.stack([cameras.c2w[0], cameras.c2w[1].float().double()]), cameras.intrinsics)
    distance = distances_by_angle(cameras, image, size, angle)
    assert (distance.diagonal(dim1=1, dim2=2) < 1e-6).all(), "through the pixel itself"
    for rig in (cameras, rounded):
        assert_bias(rows(EpipolarBias.from_cameras(rig, *image), size, angle), soften(distance, image[1]))


@settings(deadline=None, max_examples=25)
@given(seeds, rectangles, st.integers(1, 9), angles)
def test_a_map_of_one_column_or_pixel_is_not_masked_by_rounding(
    seed: int, image: Size, rows_of_map: int, angle: float
) -> None:
    """Every key is on the line, so that the largest distance, the measure of the band, is rounding."""
    cameras = random_rig(seed, 2, 3, "identical")
    assert (rows(EpipolarBias.from_cameras(cameras, *image), (1, 1), angle) == 0).all()
    assert (rows(EpipolarBias.from_cameras(cameras, *image), (rows_of_map, 1), 0.0) == 0).all()


@settings(deadline=None, max_examples=25)
@given(seeds, st.integers(1, 32), rectangles, angles)
def test_rotations_get_pseudo_lines_through_the_rotated_pixel(
    seed: int, frames: int, image: Size, angle: float
) -> None:
    cameras = random_rig(seed, 2, frames, "rotating")
    found = rows(EpipolarBias.from_cameras(cameras, *image), (4, 5), angle)
    assert_bias(found, soften(distances_by_angle(cameras, image, (4, 5), angle), image[1]))


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(1, 5), st.data(), rectangles, angles)
def test_frames_that_share_a_pose_take_pseudo_lines_and_the_others_do_not(
    seed: int, frames: int, data: st.DataObject, image: Size, angle: float
) -> None:
    """Anywhere in the sequence, and with three frames, where a cross product may pick the wrong axis."""
    cameras = random_rig(seed, 2, frames)
    expected = soften(distances_by_kornia(cameras, image, (5, 9)), image[1])
    shared = data.draw(st.integers(0, frames - 1))
    c2w = cameras.c2w.clone()
    c2w[1, shared] = c2w[0, shared]
    cameras = Cameras(c2w, cameras.intrinsics)
    pseudo = soften(distances_by_angle(_at(cameras, shared), image, (5, 9), angle), image[1])
    expected[shared] = pseudo[0]
    assert_bias(rows(EpipolarBias.from_cameras(cameras, *image), (5, 9), angle), expected)


def _at(cameras: Cameras, frame: int) -> Cameras:
    return Cameras(cameras.c2w[:, frame : frame + 1], cameras.intrinsics[:, frame : frame + 1])


def test_bias_does_not_depend_on_the_worlds_origin() -> None:
    cameras = random_rig(2, 2, 6)
    c2w = cameras.c2w.clone()
    c2w[..., :3, 3] += torch.tensor([1e3, -2e3, 5e2])
    far = EpipolarBias.from_cameras(Cameras(c2w, cameras.intrinsics), 256, 192)
    near = EpipolarBias.from_cameras(cameras, 256, 192)
    torch.testing.assert_close(rows(far, (6, 8)), rows(near, (6, 8)), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("band", ["soft", "hard"])
@pytest.mark.parametrize("baseline", [0.0, 0.5])
def test_half_a_turn_is_finite(band: str, baseline: float) -> None:
    c2w = torch.eye(4, dtype=torch.float64).repeat(2, 2, 1, 1)
    c2w[1] = torch.diag(torch.tensor([-1.0, 1, -1, 1]))
    c2w[1, :, :3, 3] = baseline
    cameras = Cameras(c2w, torch.tensor([1, 1, 0.5, 0.5]).expand(2, 2, 4))
    found = rows(EpipolarBias.from_cameras(cameras, 64, 64, band=band), (8, 8))  # type: ignore[arg-type]
    assert found.isfinite().all()
    if baseline == 0:
        assert (found == 0).all(), "nothing of one is in front of the other: no mask"


def test_slopes_are_drawn_once_per_attention_or_once_per_frame() -> None:
    shapes = []

    def draw(shape: tuple[int, ...]) -> Tensor:
        shapes.append(shape)
        return torch.arange(math.prod(shape)) / 16

    def geometry(view: int, partner: int) -> PairGeometry:
        return PairGeometry.from_homographies(torch.eye(3).repeat(4, 1, 1))

    one = EpipolarBias(geometry, 4, 64, 64).draw_slopes(draw, 3)
    each = EpipolarBias(geometry, 4, 64, 64, slope_per_frame=True).draw_slopes(draw, 3)
    assert shapes == [(1,), (12,)]
    assert torch.equal(one, torch.zeros(3, 4))
    torch.testing.assert_close(each, torch.pi * torch.arange(12).view(3, 4).double() / 16)


def bias_of(views: int = 3) -> EpipolarBias:
    return EpipolarBias.from_cameras(random_rig(7, views, 5, "shared start"), 80, 64)


def test_rows_in_pieces_are_the_whole() -> None:
    bias = bias_of()
    whole = rows(bias, (4, 5), 0.9)
    for frame in range(0, 5, 2):
        for query in range(0, 20, 7):
            frames, queries = slice(frame, min(frame + 2, 5)), slice(query, min(query + 7, 20))
            found = rows(bias, (4, 5), 0.9, frames=frames, queries=queries)
            torch.testing.assert_close(found, whole[frames, queries], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("band", ["soft", "hard"])
def test_several_partners_stand_side_by_side(band: Band) -> None:
    bias = EpipolarBias.from_cameras(random_rig(7, 3, 5, "shared start"), 80, 64, band=band)
    apart = [rows(bias, (4, 5), 0.4, view=1, partners=(p,)) for p in (2, 0)]
    assert torch.equal(rows(bias, (4, 5), 0.4, view=1, partners=(2, 0)), torch.cat(apart, -1))
    assert torch.equal(rows(bias, (4, 5), 0.4, view=1, partners=(0, 2)), torch.cat(apart[::-1], -1))


def test_rows_are_a_pure_function() -> None:
    """What was built does not change under its holder, whatever is built later, with and without gradients."""
    bias = bias_of()
    first = rows(bias, (4, 5), 0.2)
    before = first.clone()
    with torch.enable_grad():
        again = rows(bias, (4, 5), 1.3)
        assert torch.equal(rows(bias, (4, 5), 0.2), before)
    assert torch.equal(first, before)
    assert torch.equal(again[1:], before[1:]), "only pseudo lines depend on the slope"
    assert (again[0] != before[0]).float().mean() > 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_every_dtype_has_its_own_rounding(dtype: torch.dtype) -> None:
    bias = bias_of()
    found = rows(bias, (4, 5), dtype=dtype)
    assert found.dtype == dtype
    assert torch.equal(found, rows(bias, (4, 5)).to(dtype))


def test_geometry_is_asked_once_per_pair() -> None:
    asked = []
    cameras = random_rig(7, 3, 5, "shared start")

    def geometry(view: int, partner: int) -> PairGeometry:
        asked.append((view, partner))
        return pair_geometry(cameras, view, partner, 80, 64)

    bias = EpipolarBias(geometry, 5, 80, 64)
    for size in ((4, 5), (2, 3)):
        for _ in range(2):
            rows(bias, size, partners=(1, 2))
            rows(bias, size, view=1, partners=(0,))
    assert sorted(asked) == [(0, 1), (0, 2), (1, 0)]


@pytest.mark.parametrize("threshold", [0.0, -3.0, math.nan])
def test_impossible_thresholds_are_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match=f"threshold is {threshold}; expected a positive"):
        EpipolarBias.from_cameras(random_rig(0, 2, 2), 64, 64, threshold=threshold)


def test_unknown_bands_are_refused() -> None:
    with pytest.raises(ValueError, match=r"band is 'medium'; expected 'soft'.* or 'hard'"):
        EpipolarBias.from_cameras(random_rig(0, 2, 2), 64, 64, band="medium")  # type: ignore[arg-type]
