"""CamI2V's geometry, network, sampler and files, beside the recorded numbers of tests/golden."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import kornia
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cvd_core.cami2v.camera import CameraBranch, relative_path
from cvd_core.cami2v.checkpoint import load_picture_to_video, networks_of
from cvd_core.cami2v.ddim import DDIM, NoiseSchedule, ddim_timesteps
from cvd_core.cami2v.epipolar import REGISTERS, EpipolarAttention, EpipolarLines
from cvd_core.cami2v.guidance import camera_weight, guide_text_and_camera
from cvd_core.cami2v.network import FRAMES, DynamiCrafterUNet, Layout
from cvd_core.cami2v.picture import clip_pixels
from cvd_core.cami2v.resampler import Resampler
from cvd_core.geometry.cameras import Cameras
from cvd_core.networks.tiles import tile_length
from cvd_core.video.stills import fit_picture

DATA = Path(__file__).parents[1] / "golden" / "data" / "cami2v"
SMALL = Layout((32, 64), 32, 64)


def path(frames: int = FRAMES) -> Cameras:
    """A camera that goes sideways."""
    c2w = torch.eye(4, dtype=torch.float64).repeat(1, frames, 1, 1)
    c2w[0, :, 0, 3] = torch.linspace(0, 1, frames, dtype=torch.float64)
    return Cameras(c2w, torch.tensor([0.7, 0.7, 0.5, 0.5], dtype=torch.float64).expand(1, frames, 4))


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_keys_are_the_released_ones() -> None:
    keys = json.loads((DATA / "cami2v_keys_full.json").read_text())
    with torch.device("meta"):
        parts = {
            "model.diffusion_model.": DynamiCrafterUNet(),
            "pose_encoder.": CameraBranch(Layout().widths).pose_encoder,
            "image_proj_model.": Resampler(),
        }
    for learned, absent in ((True, set()), (False, set(keys["absent_in_512"]))):
        with torch.device("meta"):
            parts["model.diffusion_model."] = DynamiCrafterUNet(Layout(learned_scale=learned))
        found = {prefix + k: list(v.shape) for prefix, m in parts.items() for k, v in m.state_dict().items()}
        expected = {key: shape for key, shape in keys["keys_256"].items() if key not in absent}
        assert found == expected
        state = {key: torch.empty(shape, device="meta") for key, shape in expected.items()}
        loaded = networks_of(state, file="cami2v.pt")
        assert loaded.label == f"CamI2V {256 if learned else 512}"
        assert loaded.unet.layout == Layout(learned_scale=learned)
        del state["model.diffusion_model.output_blocks.11.1.norm.bias"]
        with pytest.raises(ValueError, match=r"missing 1: output_blocks.11.1.norm.bias"):
            networks_of(state, file="cami2v.pt")


def test_masks_are_where_pixels_are_near_their_lines() -> None:
    """Against points in the world: what a pixel sees at any depth projects near its line, and the mask is its band."""
    width, height, step = 64, 48, 8
    rig = path()
    lines = EpipolarLines.of(rig, width, height, normal(1, FRAMES, FRAMES, 3))
    masks = list(lines.masks((height // step, width // step), torch.device("cpu")) or ())
    K = rig.K(width, height)[0, 0].numpy()
    columns, rows = width // step, height // step
    p = np.array([3 * step + step / 2 - 0.5, 2 * step + step / 2 - 0.5, 1])
    ray = np.linalg.inv(K) @ p
    far, near = (K @ (depth * ray - np.array([1.0, 0, 0])) for depth in (1e6, 0.5))  # frame 15 stands at x = 1
    a, b = far[:2] / far[2], near[:2] / near[2]
    across = np.array([-(b - a)[1], (b - a)[0]]) / np.linalg.norm(b - a)
    for row in range(rows):
        for column in range(columns):
            q = np.array([column, row]) * step + step / 2 - 0.5
            distance = abs(across @ (q - a))
            if abs(distance - step * math.sqrt(2) / 2) > 1e-3:
                allowed = bool(masks[0][0, 2 * columns + 3, 15 * rows * columns + row * columns + column])
                assert allowed == (distance < step * math.sqrt(2) / 2)


def test_attention_by_frames_is_attention_at_once() -> None:
    """The chunks of queries give what one call with the whole mask gives; keys outside the mask have no effect."""
    attention = EpipolarAttention(64, 32).requires_grad_(False)
    nn.init.normal_(attention.epipolar_attn.register_tokens)
    size = (3, 4)
    lines = EpipolarLines.of(path(), 32, 24, normal(1, FRAMES, FRAMES, 3))
    x = normal(2, FRAMES, 12, 64)
    found = attention(x, lines, size)
    inner = attention.epipolar_attn
    flat = x.flatten(1, 2)
    seen = torch.cat([inner.register_tokens.expand(2, -1, -1), flat], 1)
    mask = torch.cat(list(lines.masks(size, x.device) or ()), 1)
    whole = torch.cat([torch.ones(1, FRAMES * 12, 4, dtype=torch.bool), mask], -1)
    q, k, v = (layer(t) for layer, t in ((inner.to_q, flat), (inner.to_k, seen), (inner.to_v, seen)))
    scores = torch.einsum("nlhc,nshc->nhls", *(t.unflatten(-1, (2, 32)) for t in (q, k))) / 32**0.5
    weights = scores.masked_fill(~whole[:, None], -torch.inf).softmax(-1)
    expected = inner.to_out[0](torch.einsum("nhls,nshc->nlhc", weights, v.unflatten(-1, (2, 32))).flatten(-2))
    torch.testing.assert_close(found.flatten(1, 2), expected, atol=1e-5, rtol=1e-5)
    unmasked = EpipolarLines(lines.fundamental, 24, 32, smallest_step=9)
    assert unmasked.masks(size, x.device) is None
    assert float((attention(x, unmasked, size) - found).abs().max()) > 1e-3


def zoom() -> Cameras:
    """A camera that goes ahead, then stands: along diagonals of the maps distances equal the limit of the mask."""
    ahead = path()
    c2w = torch.eye(4, dtype=torch.float64).repeat(1, FRAMES, 1, 1)
    c2w[0, :, 2, 3] = torch.linspace(0, 1, FRAMES, dtype=torch.float64).clamp(max=0.8)
    return Cameras(c2w, ahead.intrinsics)


@pytest.mark.parametrize("size", [(3, 4), (8, 12)])
def test_attention_in_tiles_is_attention_under_the_masks(size: tuple[int, int]) -> None:
    """Two videos with and without guidance; the masks of tiles are bit for bit those of whole frames."""
    attention = EpipolarAttention(64, 32).requires_grad_(False)
    nn.init.normal_(attention.epipolar_attn.register_tokens)
    both = Cameras(torch.cat([path().c2w, zoom().c2w]), path().intrinsics.expand(2, -1, -1))
    lines = EpipolarLines.of(both, 8 * size[1], 8 * size[0], normal(2, FRAMES, FRAMES, 3), attention="dense")
    tiled = replace(lines, attention="sparse")
    x = normal(4, FRAMES, size[0] * size[1], 64)
    dense, sparse = attention(x, lines, size), attention(x, tiled, size)
    torch.testing.assert_close(sparse, dense, rtol=0, atol=1e-5)
    assert float((dense[0] - dense[1]).abs().max()) > 1e-3
    plans = tiled.plans(size, x.device)
    assert plans is tiled.plans(size, x.device)
    always = torch.ones(size[0] * size[1], REGISTERS, dtype=torch.bool)
    for frame, whole in enumerate(lines.masks(size, x.device) or ()):
        for video in range(2):
            mask, plan = plans[video][frame]
            assert plan.order.sort().values.tolist() == list(range(size[0] * size[1]))
            expected = torch.cat([always, whole[video]], 1)
            for queries, kept in zip(plan.order.split(tile_length(len(plan.order))), plan.kept, strict=True):
                assert torch.equal(mask.mask(queries, kept.nonzero()[:, 0]), expected[queries][:, kept])
                assert not bool(expected[queries][:, ~kept].any())


def test_tiles_pass_over_most_of_a_video() -> None:
    lines = EpipolarLines.of(path(), 256, 256, normal(1, FRAMES, FRAMES, 3))
    plans = lines.plans((16, 16), torch.device("cpu"))[0]
    assert float(torch.stack([plan.kept.double().mean() for _, plan in plans]).mean()) < 0.35


def inputs(rows: int = 1, latent: tuple[int, int] = (8, 8)) -> tuple[Tensor, ...]:
    context = normal(rows, 77 + FRAMES * 16, SMALL.context, seed=1)
    return normal(rows, 8, FRAMES, *latent), torch.full((rows,), 500), context, torch.full((rows,), 3)


@pytest.fixture(scope="module")
def network() -> DynamiCrafterUNet:
    torch.manual_seed(0)
    made = DynamiCrafterUNet(SMALL).eval().requires_grad_(False)
    for name, value in made.named_parameters():
        if value.ndim < 2:
            nn.init.normal_(value, 1.0 if name.endswith("norm.weight") else 0.0, 0.1)
    return made


@pytest.fixture(scope="module")
def branch() -> CameraBranch:
    torch.manual_seed(0)
    return CameraBranch(SMALL.widths).eval().requires_grad_(False)


def test_strength_zero_is_dynamicrafter_bit_for_bit(network: DynamiCrafterUNet, branch: CameraBranch) -> None:
    noise = normal(1, FRAMES, FRAMES, 3)
    full, none = (branch(path(), 64, 64, noise, strength=s) for s in (1.0, 0.0))
    plain = network(*inputs())
    assert torch.equal(network(*inputs(), none), plain)
    assert not torch.allclose(network(*inputs(), full), plain, atol=1e-3)


def test_rows_of_a_batch_do_not_touch(network: DynamiCrafterUNet, branch: CameraBranch) -> None:
    """Guidance branches batched with one camera, and rectangles."""
    camera = branch(path(), 96, 64, normal(1, FRAMES, FRAMES, 3))
    both = network(*inputs(2, (8, 12)), camera)
    for row in range(2):
        alone = network(*(t[row : row + 1] for t in inputs(2, (8, 12))), camera)
        torch.testing.assert_close(both[row : row + 1], alone, atol=1e-5, rtol=1e-4)


def test_calls_that_do_not_fit(network: DynamiCrafterUNet, branch: CameraBranch) -> None:
    x, t, context, rate = inputs()
    with pytest.raises(ValueError, match=r"333 tokens; expected 205 for 8 frames"):
        network(x[:, :, :8], t, context, rate)
    with pytest.raises(ValueError, match="latents are 7x8; expected multiples of 2"):
        network(x[..., :7], t, context, rate)
    with pytest.raises(ValueError, match="no camera features for maps of 8x8; there are 12x8"):
        network(x, t, context, rate, branch(path(), 96, 64, None))
    plain = DynamiCrafterUNet(Layout((32, 64), 32, 64, camera="none"))
    with pytest.raises(ValueError, match="DynamiCrafter without camera"):
        plain(x, t, context, rate, branch(path(), 64, 64, None))


@pytest.mark.parametrize("reference", range(FRAMES))
def test_paths_are_seen_from_the_reference_frame(reference: int) -> None:
    found = relative_path(path(), reference, 0.5)
    assert torch.equal(found.c2w[0, reference], torch.eye(4, dtype=torch.float64))
    expected = 0.5 * (torch.arange(FRAMES, dtype=torch.float64) - reference) / 15
    torch.testing.assert_close(found.c2w[0, :, 0, 3], expected)


def test_paths_that_have_no_such_frame() -> None:
    with pytest.raises(ValueError, match="8 frames; CamI2V makes exactly 16"):
        relative_path(path(8))
    with pytest.raises(ValueError, match="reference frame is 16; expected 0 to 15"):
        relative_path(path(), 16)


def test_a_standing_camera_has_lines_from_its_noise() -> None:
    c2w = torch.eye(4, dtype=torch.float64).repeat(1, FRAMES, 1, 1)
    still = Cameras(c2w, path().intrinsics)
    a, b = (EpipolarLines.of(still, 64, 64, normal(1, FRAMES, FRAMES, 3, seed=s)) for s in (0, 1))
    first = [torch.cat(list(lines.masks((8, 8), torch.device("cpu")) or ())) for lines in (a, a, b)]
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])
    own = first[0][0, torch.arange(64), torch.arange(64)]
    assert bool(own.all())  # a line through the pixel itself


@pytest.mark.parametrize("steps", [1, 3, 7, 25, 300, 999, 1000])
@pytest.mark.parametrize("spacing", ["uniform", "uniform_trailing"])
def test_any_number_of_steps(steps: int, spacing: str) -> None:
    times = ddim_timesteps(steps, spacing)  # type: ignore[arg-type]
    assert len(times) == steps
    assert times == sorted(set(times), reverse=True)
    assert 0 <= times[-1] <= times[0] <= 999


@pytest.mark.parametrize("predicts", ["noise", "velocity"])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_a_true_prediction_leads_to_the_clean_sample(predicts: str, eta: float) -> None:
    """With the exact noise (or velocity) of one sample at every step, x0 is that sample, scaled as the model's is."""
    schedule = NoiseSchedule.of(predicts)  # type: ignore[arg-type]
    sampler = DDIM(schedule, 10, eta=eta)
    clean, x = normal(1, 4, seed=3), normal(1, 4, seed=4)
    if predicts == "noise":
        here = sampler.alpha_bars(0)[0]
        x = here**0.5 * clean + (1 - here) ** 0.5 * x
    for step in range(10):
        here = sampler.alpha_bars(step)[0]
        noise = (x - here**0.5 * clean) / (1 - here) ** 0.5
        prediction = noise if predicts == "noise" else here**0.5 * noise - (1 - here) ** 0.5 * clean
        x, found = sampler.advance(step, x, prediction, normal(1, 4, seed=5 + step))
        times = [*sampler.timesteps, sampler.timesteps[-1]]
        scale = schedule.scales[times[step + 1]] / schedule.scales[times[step]]
        torch.testing.assert_close(found, clean * scale, atol=2e-5, rtol=1e-4)


def test_guidance_of_the_camera() -> None:
    c, u, n = (normal(1, 4, 3, seed=s) for s in range(3))
    plain = guide_text_and_camera(c, u, None, guidance=7.5, rescale=0)
    torch.testing.assert_close(plain, u + 7.5 * (c - u))
    assert torch.equal(guide_text_and_camera(c, u, n, guidance=7.5, rescale=0), plain)
    twice = guide_text_and_camera(c, u, n, guidance=7.5, camera_guidance=2, weight=0.5, rescale=0)
    torch.testing.assert_close(twice, plain + 0.5 * (c - n))
    assert camera_weight("constant", 3) == 1
    assert camera_weight("cosine", 999) == 1
    assert camera_weight("cosine", 0) == pytest.approx(0)


@pytest.mark.parametrize("size", [(320, 512), (256, 256), (225, 900), (100, 300), (224, 224), (1024, 1024)])
def test_clip_pixels_are_kornias(size: tuple[int, int]) -> None:
    """The released code prepares its pictures with kornia."""
    picture = normal(2, 3, *size).clamp(-1, 1)
    square = kornia.geometry.resize(picture, (224, 224), interpolation="bicubic", align_corners=True, antialias=True)
    mean, std = torch.tensor([0.48145466, 0.4578275, 0.40821073]), torch.tensor([0.26862954, 0.26130258, 0.27577711])
    expected = kornia.enhance.normalize((square + 1) / 2, mean, std)
    torch.testing.assert_close(clip_pixels(picture), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(64, 64), (100, 60), (60, 100), (40, 300), (129, 128)])
def test_pictures_cover_the_video(size: tuple[int, int]) -> None:
    """The centre stays the centre, nothing is squeezed, and a picture of the right size is not touched."""
    rows, columns = (torch.arange(n, dtype=torch.float32) + 0.5 - n / 2 for n in size)
    picture = torch.stack([rows[:, None].expand(size), columns.expand(size), torch.zeros(size)])[None]
    found = fit_picture(picture, 128, 64)
    assert found.shape == (1, 3, 64, 128)
    step = min(size[0] / 64, size[1] / 128)
    slopes = [
        float(found[0, 0, 40, 64] - found[0, 0, 24, 64]) / 16,
        float(found[0, 1, 32, 80] - found[0, 1, 32, 48]) / 32,
    ]
    assert slopes == pytest.approx([step, step], rel=0.02)
    centre = found[0, :2, 31:33, 63:65].mean((1, 2))
    assert centre.abs().max() <= 0.51 * step  # half a pixel where an odd number of them is cut off
    assert torch.equal(fit_picture(found, 128, 64), found)


@pytest.mark.parametrize("size", [(1, 100_000), (100_000, 1), (4, 200)])
def test_strips_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"has {size[1]}x{size[0]} pixels, so 64x64 would show less than a 16th"):
        fit_picture(torch.zeros(1, 3, *size), 64, 64)


def save(path: Path, layout: Layout, *, camera_only: bool = False, wrap: str = "") -> None:
    parts = {"model.diffusion_model.": DynamiCrafterUNet(layout), "image_proj_model.": Resampler(20, 24, 64, 12, 2, 1)}
    if layout.camera != "none":
        parts["pose_encoder."] = CameraBranch(layout.widths).pose_encoder
    state = {prefix + key: value for prefix, part in parts.items() for key, value in part.state_dict().items()}
    state |= {"betas": torch.zeros(10), "first_stage_model.decoder.conv_in.weight": torch.zeros(1)}
    if camera_only:
        trained = ("pose_encoder", "pluker_projection", "epipolar")
        state = {key: value for key, value in state.items() if any(name in key for name in trained)}
    torch.save({wrap: state} if wrap else state, path)


@pytest.mark.parametrize(("learned", "size"), [(True, 256), (False, 512)])
@pytest.mark.parametrize(
    ("camera", "name"), [("none", "DynamiCrafter"), ("plucker", "CameraCtrl on DynamiCrafter"), ("epipolar", "CamI2V")]
)
def test_files_are_told_apart(tmp_path: Path, learned: bool, size: int, camera: str, name: str) -> None:
    layout = Layout((32, 64), 32, 64, learned, camera)  # type: ignore[arg-type]
    save(tmp_path / "model.pt", layout, wrap="module" if learned else "state_dict")
    loaded = load_picture_to_video(tmp_path / "model.pt", head_width=32)
    assert loaded.label == f"{name} {size}"
    assert loaded.unet.layout == layout
    assert (loaded.camera is None) == (camera == "none")


def test_trained_parts_over_dynamicrafter(tmp_path: Path) -> None:
    save(tmp_path / "base.pt", Layout((32, 64), 32, 64, camera="none"))
    save(tmp_path / "camera.pt", SMALL, camera_only=True)
    with pytest.raises(ValueError, match=r"only the camera's part.*give DynamiCrafter's file as the base"):
        load_picture_to_video(tmp_path / "camera.pt", head_width=32)
    assert load_picture_to_video(tmp_path / "camera.pt", tmp_path / "base.pt", head_width=32).label == "CamI2V 256"


def test_another_kind_of_file(tmp_path: Path) -> None:
    torch.save({"down_blocks.0.motion_modules.0.weight": torch.ones(3)}, tmp_path / "mm.pt")
    with pytest.raises(ValueError, match="no DynamiCrafter or CamI2V file"):
        load_picture_to_video(tmp_path / "mm.pt")


def test_files_that_do_not_go_together(tmp_path: Path) -> None:
    for name, learned in (("256", True), ("512", False)):
        save(tmp_path / f"{name}.pt", Layout((32, 64), 32, 64, learned, "none"))
    whole = tmp_path / "cami2v512.pt"
    save(whole, Layout((32, 64), 32, 64, False))
    with pytest.raises(ValueError, match=r"goes with the 512 model, .*256.pt is the 256 model"):
        load_picture_to_video(whole, tmp_path / "256.pt", head_width=32)
    assert load_picture_to_video(whole, tmp_path / "512.pt", head_width=32).label == "CamI2V 512"
    with pytest.raises(
        ValueError, match=r"512.pt is not what CamI2V trained .* looks? like a DynamiCrafter checkpoint"
    ):
        load_picture_to_video(tmp_path / "512.pt", tmp_path / "256.pt", head_width=32)
    torch.save({"encoder_conv_in.weight": torch.ones(3), "x.qkv_merge.weight": torch.ones(3)}, tmp_path / "cc.ckpt")
    with pytest.raises(ValueError, match=r"cc.ckpt is not what CamI2V trained .* like a CameraCtrl checkpoint"):
        load_picture_to_video(tmp_path / "cc.ckpt", tmp_path / "256.pt", head_width=32)
