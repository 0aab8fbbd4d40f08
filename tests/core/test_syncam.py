"""SynCamMaster's cameras, presets, positions and modules."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cvd_core.geometry.cameras import Cameras
from cvd_core.sampling.flow import FlowEuler
from cvd_core.syncam.cameras import TRAINED_FOCAL, beyond_training, camera_embedding, latent_frames
from cvd_core.syncam.checkpoint import load_syncam
from cvd_core.syncam.module import MultiViewSync, SynCamModules
from cvd_core.syncam.novel_view import guide_novel_view, velocity_to, with_reference
from cvd_core.syncam.presets import PRESETS, SUBJECT_DISTANCE, preset_cameras
from cvd_core.syncam.rope import ViewGrid, rotate

DATA = Path(__file__).parents[1] / "golden" / "data" / "syncam"


def moved(rig: Cameras, rotation: Rotation, shift: np.ndarray) -> Cameras:
    """The same rig elsewhere in the world."""
    world = torch.eye(4, dtype=torch.float64)
    world[:3, :3] = torch.from_numpy(rotation.as_matrix())
    world[:3, 3] = torch.from_numpy(shift)
    return Cameras(world @ rig.c2w, rig.intrinsics)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_the_released_ones(name: str) -> None:
    with np.load(DATA / "syncam_cameras.npz") as golden:
        expected = torch.from_numpy(golden[f"{name}_f32"])
    found = camera_embedding(preset_cameras(name, 81))
    torch.testing.assert_close(found, expected, atol=5e-5, rtol=0)  # the recording is rounded to 0.1 mm and 1e-6


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 5), st.sampled_from(sorted(PRESETS)))
def test_the_embedding_does_not_depend_on_the_world(seed: int, views: int, name: str) -> None:
    rng = np.random.default_rng(seed)
    rig = preset_cameras(name, 9, views)
    elsewhere = moved(rig, Rotation.random(random_state=seed), rng.normal(size=3))
    found = camera_embedding(elsewhere)
    torch.testing.assert_close(found, camera_embedding(rig), atol=1e-6, rtol=0)
    assert found.shape == (views, 3, 12)
    identity = torch.eye(4)[:3].flatten().expand(3, -1)
    torch.testing.assert_close(found[0], identity, atol=1e-6, rtol=0)


def test_a_group_is_relative_to_its_own_first_view() -> None:
    rig = preset_cameras("az", 5, 4)
    group = camera_embedding(rig, [2, 0])
    alone = camera_embedding(rig.select([2, 0]))
    torch.testing.assert_close(group, alone)
    there, back = (
        torch.cat([m[1, 0], torch.tensor([0.0, 0, 0, 1])]).view(4, 4) for m in (camera_embedding(rig, [0, 2]), group)
    )
    torch.testing.assert_close(there @ back, torch.eye(4), atol=1e-6, rtol=0)


def test_moving_cameras_are_taken_at_every_fourth_frame() -> None:
    rig = preset_cameras("dis", 9, 2)
    c2w = rig.c2w.clone()
    c2w[1, :, 2, 3] = -torch.arange(9, dtype=torch.float64)
    found = camera_embedding(Cameras(c2w, rig.intrinsics))
    assert found[1, :, 11].tolist() == [0, -2, -4]  # metres 0, 4, 8 in units of two


@pytest.mark.parametrize("frames", [0, 2, 4, 80])
def test_frames_that_wan_cannot_make(frames: int) -> None:
    with pytest.raises(ValueError, match=r"4n \+ 1"):
        latent_frames(frames)


def test_what_the_weights_were_not_trained_for() -> None:
    assert beyond_training(preset_cameras("az", 5)) == []
    assert "45 degrees of azimuth" in beyond_training(preset_cameras("az", 5, 2, 45))[0]
    assert "20 degrees of elevation" in beyond_training(preset_cameras("el", 5))[0]
    assert "4 views attend" in beyond_training(preset_cameras("az", 5, 4))[0]
    assert beyond_training(preset_cameras("az", 5, 4), 2) == []
    both_sides = preset_cameras("az", 5, 3, 50).select([1, 0, 2])
    assert "50 degrees of azimuth" in beyond_training(both_sides, 2)[0], "the outer views meet too"
    assert beyond_training(both_sides, 2, with_first_only=True) == []
    rig = preset_cameras("dis", 5)
    wide = Cameras(rig.c2w, rig.intrinsics * torch.tensor([0.5, 0.5, 1, 1]))
    assert "sees 89 degrees" in beyond_training(wide)[0]
    c2w = rig.c2w.clone()
    c2w[:, 1:, 0, 3] += 0.1
    assert "the cameras move" in beyond_training(Cameras(c2w, rig.intrinsics))[0]


def test_all_views_of_a_preset_look_at_the_subject() -> None:
    rig = preset_cameras("az", 1, 5, 120)
    assert float(rig.intrinsics[0, 0, 0]) == pytest.approx(TRAINED_FOCAL)
    subject = torch.tensor([0, 0, SUBJECT_DISTANCE, 1], dtype=torch.float64)
    seen = torch.linalg.solve(rig.c2w[:, 0], subject.expand(5, 4)[..., None])[..., 0]
    torch.testing.assert_close(seen, subject.expand(5, 4))


def test_positions_are_wans_with_views_in_place_of_time() -> None:
    from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed

    views, height, width, channels = 3, 4, 5, 128
    cos, sin = WanRotaryPosEmbed(channels, (1, 2, 2), 64)(torch.empty(1, 16, views, 2 * height, 2 * width))
    found = ViewGrid(views, 7, height, width).rotations(channels, torch.device("cpu"))
    torch.testing.assert_close(found[..., 0], cos.flatten(0, 2)[:, ::2].float(), atol=1e-6, rtol=0)
    torch.testing.assert_close(found[..., 1], sin.flatten(0, 2)[:, 1::2].float(), atol=1e-6, rtol=0)


def test_rotations_turn_pairs_and_keep_lengths() -> None:
    x = torch.randn(2, 3, 60, 12, generator=torch.Generator().manual_seed(0))
    turned = rotate(x, ViewGrid(3, 1, 4, 5).rotations(12, x.device))
    torch.testing.assert_close(turned.unflatten(-1, (-1, 2)).norm(dim=-1), x.unflatten(-1, (-1, 2)).norm(dim=-1))
    torch.testing.assert_close(turned[..., 0, :], x[..., 0, :])  # the first token of view 0 does not turn
    assert float((turned - x).abs().max()) > 0.1


def module(width: int = 24, heads: int = 2) -> MultiViewSync:
    torch.manual_seed(0)
    made = MultiViewSync(width, heads).requires_grad_(False)
    torch.nn.init.normal_(made.modulation_mvs)
    return made


def call(views: int, frames: int = 2, groups: int = 1, width: int = 24) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(groups * views, frames * 6, width, generator=generator)
    modulation = torch.randn(groups * views, 6, width, generator=generator)
    cameras = torch.randn(groups * views, frames, 12, generator=generator)
    return x, modulation, cameras


def test_scenes_of_one_batch_do_not_see_each_other_and_frames_neither() -> None:
    sync, grid = module(), ViewGrid(3, 2, 2, 3)
    x, modulation, cameras = call(3, groups=2)
    both = sync(x, modulation, cameras, grid)
    torch.testing.assert_close(both[3:], sync(x[3:], modulation[3:], cameras[3:], grid))
    changed = x.clone()
    changed[0, 6:, 0] += 3  # the second frame of view 0
    moved_by = (sync(changed, modulation, cameras, grid) - both).abs().amax(-1)
    assert float(moved_by[:3, :6].max()) < 1e-6
    assert float(moved_by[3:].max()) < 1e-6
    assert float(moved_by[1:3, 6:].min()) > 1e-5  # every token of the other views sees it


def test_a_zero_projector_adds_nothing() -> None:
    sync = module()
    torch.nn.init.zeros_(sync.projector.weight)
    torch.nn.init.zeros_(sync.projector.bias)
    assert not sync(*call(2), ViewGrid(2, 2, 2, 3)).any()


def test_batches_that_do_not_fit_the_grid() -> None:
    sync = module()
    x, modulation, cameras = call(3)
    with pytest.raises(ValueError, match="3 videos; expected a multiple of the 2 views"):
        sync(x, modulation, cameras, ViewGrid(2, 2, 2, 3))
    with pytest.raises(ValueError, match="in-context reference frames"):
        sync(x, modulation, cameras, ViewGrid(3, 3, 2, 3))
    with pytest.raises(ValueError, match=r"cameras have shape \(3, 1, 12\)"):
        sync(x, modulation, cameras[:, :1], ViewGrid(3, 2, 2, 3))


def test_the_keys_are_the_released_ones() -> None:
    released = json.loads((DATA / "syncam_keys_1p3b.json").read_text())
    with torch.device("meta"):
        state = SynCamModules().state_dict()
    assert len(state) == released["extra_keys"]
    assert sum(value.numel() for value in state.values()) == released["extra_params"]
    first = {key: list(value.shape) for key, value in state.items() if key.startswith("blocks.0.")}
    assert first == released["block0"]


def released_file(path: Path, blocks: int = 2, width: int = 8) -> dict[str, torch.Tensor]:
    """A pickle like the released one: modules within a whole Wan, in bfloat16."""
    state = {f"{key}": value.bfloat16() for key, value in SynCamModules(blocks, width, 2).state_dict().items()}
    wan = {f"blocks.{i}.self_attn.norm_q.weight": torch.ones(width, dtype=torch.bfloat16) for i in range(blocks)}
    torch.save(state | wan, path)
    return state


def test_modules_out_of_the_released_file(tmp_path: Path) -> None:
    state = released_file(tmp_path / "step20000.ckpt")
    modules = load_syncam(tmp_path / "step20000.ckpt", head_width=4)
    assert modules.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[key]) for key, value in modules.state_dict().items())
    assert modules.blocks[0].mvs_attn.heads == 2  # type: ignore[union-attr, operator]


def test_conversion_leaves_wan_behind(tmp_path: Path) -> None:
    from cvd_core.weights import convert_checkpoint, identify, read_checkpoint

    state = released_file(tmp_path / "step20000.ckpt")
    convert_checkpoint(tmp_path / "step20000.ckpt", tmp_path / "syncam.safetensors")
    converted = read_checkpoint(tmp_path / "syncam.safetensors")
    assert converted.tensors.keys() == state.keys()
    assert identify(converted).label == "SynCamMaster modules"


def test_files_of_another_kind_are_named(tmp_path: Path) -> None:
    wan = {"blocks.0.self_attn.norm_q.weight": torch.ones(8), "blocks.0.self_attn.q.weight": torch.ones(8, 8)}
    torch.save(wan, tmp_path / "wan.pt")
    with pytest.raises(ValueError, match=r"looks? like a Wan 2 video model"):
        load_syncam(tmp_path / "wan.pt")
    torch.save(wan | {"blocks.0.cam_encoder.weight": torch.ones(8, 12)}, tmp_path / "recam.pt")
    with pytest.raises(ValueError, match="ReCamMaster"):
        load_syncam(tmp_path / "recam.pt")
    state = released_file(tmp_path / "cut.pt")
    del state["blocks.1.projector.bias"]
    torch.save(state, tmp_path / "cut.pt")
    with pytest.raises(ValueError, match=r"missing 1: blocks\.1\.projector\.bias"):
        load_syncam(tmp_path / "cut.pt", head_width=4)
    torch.save(state | {"blocks.0.modulation_mvs": torch.tensor(1.0)}, tmp_path / "flat.pt")
    with pytest.raises(ValueError, match=r"blocks\.0\.modulation_mvs \(\) instead of"):
        load_syncam(tmp_path / "flat.pt", head_width=4)


# a given video as view 0


def test_the_reference_takes_the_place_of_view_0_alone() -> None:
    x, reference = torch.randn(5, 2, 3), torch.randn(2, 2, 3)
    found = with_reference(x, reference, [0, 1, 2, 0, 1])
    assert torch.equal(found[[0, 3]], reference)
    assert torch.equal(found[[1, 2, 4]], x[[1, 2, 4]])
    assert torch.equal(with_reference(x[:2], reference[:1], [2, 1]), x[:2])  # a pair without view 0
    with pytest.raises(ValueError, match=r"shape \(2, 2, 2\) for 5 views"):
        with_reference(x, reference[..., :2], [0, 1, 2, 0, 1])


@given(st.floats(0, 10), st.floats(0, 10))
def test_guidance_of_video_and_text_is_the_papers(video: float, text: float) -> None:
    nothing, seen, both = torch.randn(3, 4, dtype=torch.float64)
    found = guide_novel_view(nothing, seen, both, video_guidance=video, text_guidance=text)
    weights = torch.tensor([1 - video, video - text, text], dtype=torch.float64)  # Eq. 7 with its terms collected
    torch.testing.assert_close(found, weights @ torch.stack([nothing, seen, both]), atol=1e-12, rtol=1e-12)
    alone = guide_novel_view(nothing, seen, both, video_guidance=1, text_guidance=1)
    torch.testing.assert_close(alone, both)


@pytest.mark.parametrize("steps", [1, 3, 50])
def test_the_reference_stays_noised_on_the_way_and_is_itself_at_the_end(steps: int) -> None:
    solver, clean, noise = FlowEuler(steps), torch.randn(2, 3), torch.randn(2, 3)
    x = noise
    for step in range(steps):
        level = solver.level(step)
        torch.testing.assert_close(x, level.signal * clean + level.noise * noise, atol=1e-5, rtol=1e-5)
        x = solver.advance(step, x, velocity_to(x, clean, level.noise), final=True)
    torch.testing.assert_close(x, clean, atol=1e-5, rtol=1e-5)
