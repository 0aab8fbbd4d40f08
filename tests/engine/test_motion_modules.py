"""The torch-only motion modules against diffusers' on the same files, and what their files may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import MotionAdapter
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from safetensors.torch import save_file
from torch import Tensor, nn

from cvd_core.camera_control.injection import CameraAtPixels, CameraMerge
from cvd_core.motion import module as motion
from cvd_core.motion.checkpoint import load_motion_modules, merge_motion_lora
from cvd_core.motion.module import MotionModules
from cvd_core.networks.layout import Site
from cvd_core.weights import diffusers_motion_key
from tests import formula

FRAMES = 5
RANK = 4
MIDDLE = "mid_block.motion_modules.0."
PE = ".transformer_blocks.0.attention_blocks.1.pos_encoder.pe"


class EachFrame(nn.Module):
    """A norm on every frame of ``(B, C, F, H, W)`` alone: diffusers' own takes the clip at once."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, clip: Tensor) -> Tensor:
        return torch.stack([self.norm(frame) for frame in clip.unbind(2)], 2)


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return formula.tensors(formula.key_list("reduced")["mm"])


@pytest.fixture(scope="module")
def file(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("motion") / "v3_sd15_mm.ckpt"
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, path)
    return path


@pytest.fixture(scope="module")
def modules(file: Path) -> MotionModules:
    return load_motion_modules(file)


def with_middle(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same as v2 has it, with a module in the middle."""
    last = "down_blocks.3.motion_modules.1."
    return state | {MIDDLE + k.removeprefix(last): v for k, v in state.items() if k.startswith(last)}


def written(state: dict[str, Tensor], path: Path) -> Path:
    save_file({key: value.clone() for key, value in state.items()}, path)
    return path


def reference(state: dict[str, Tensor], prefix: str, channels: int) -> AnimateDiffTransformer3D:
    """diffusers' class with the weights of one module."""
    theirs = AnimateDiffTransformer3D(
        num_attention_heads=8,
        attention_head_dim=channels // 8,
        in_channels=channels,
        norm_num_groups=32,
        cross_attention_dim=None,
        activation_fn="geglu",
        attention_bias=False,
        positional_embeddings="sinusoidal",
        num_positional_embeddings=32,
    )
    mapped = {diffusers_motion_key(key): v for key, v in state.items() if not key.endswith("blocks.1.pos_encoder.pe")}
    theirs.load_state_dict({k.removeprefix(prefix): v for k, v in mapped.items() if k.startswith(prefix)})
    theirs.norm = EachFrame(theirs.norm)
    return theirs.eval()


@torch.no_grad()
def test_equal_to_diffusers_at_every_site(state: dict[str, Tensor], modules: MotionModules) -> None:
    for site in modules.sites:
        theirs = reference(state, f"{site.direction}_blocks.{site.block}.motion_modules.{site.layer}.", site.channels)
        x = formula.noise(f"motion/{site}", (2 * FRAMES, site.channels, 3, 4))
        expected = theirs(x, num_frames=FRAMES)
        torch.testing.assert_close(modules.at(site)(x, FRAMES), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_clips_of_a_batch_do_not_meet(modules: MotionModules) -> None:
    module = modules.at(modules.sites[0])
    x = formula.noise("motion/clips", (3 * FRAMES, 32, 4, 4))
    together = module(x, FRAMES)
    apart = torch.cat([module(clip, FRAMES) for clip in x.split(FRAMES)])
    torch.testing.assert_close(together, apart)
    assert (module(x, 3 * FRAMES) - together).abs().max() > 1e-2
    with pytest.raises(ValueError, match="batch of 15; expected a multiple of 4"):
        module(x, 4)


@torch.no_grad()
def test_the_pixels_per_pass_change_nothing(modules: MotionModules, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a camera that two branches share: passes that end inside one view, and inside one branch."""
    site = modules.sites[0]
    x = formula.noise("motion/passes", (4 * FRAMES, 32, 4, 4))
    merge = CameraMerge(32)
    camera = CameraAtPixels(merge, formula.noise("motion/camera", (2 * 16, FRAMES, 32)), 0.7)
    whole = modules.at(site)(x, FRAMES, camera)
    monkeypatch.setattr(motion, "PIXELS", 7)
    torch.testing.assert_close(modules.at(site)(x, FRAMES, camera), whole)
    branches = [modules.at(site)(half, FRAMES, camera) for half in x.split(2 * FRAMES)]
    torch.testing.assert_close(torch.cat(branches), whole)
    assert (whole - modules.at(site)(x, FRAMES)).abs().max() > 1e-3


def test_a_middle_module(state: dict[str, Tensor], tmp_path: Path) -> None:
    modules = load_motion_modules(written(with_middle(state), tmp_path / "mm_sd_v15_v2.safetensors"))
    assert modules.middle is not None
    assert modules.middle.site is None
    x = formula.noise("motion/middle", (FRAMES, 64, 2, 2))
    last = modules.at(Site("down", 3, 1, 64, 3))
    with torch.no_grad():
        assert torch.equal(modules.middle(x, FRAMES), last(x, FRAMES))


@pytest.mark.parametrize("frames", [24, 64])
def test_the_file_decides_the_frames(state: dict[str, Tensor], tmp_path: Path, frames: int) -> None:
    longer = {k: formula.sinusoids(frames, v.shape[2]) if k.endswith(".pe") else v for k, v in state.items()}
    assert load_motion_modules(written(longer, tmp_path / "mm.safetensors")).positions == frames


def test_a_diffusers_adapter_is_the_same(modules: MotionModules, state: dict[str, Tensor], tmp_path: Path) -> None:
    adapter = MotionAdapter(block_out_channels=(32, 64, 64, 64), use_motion_mid_block=False)
    mapped = {diffusers_motion_key(key): v for key, v in state.items() if not key.endswith("blocks.1.pos_encoder.pe")}
    adapter.load_state_dict(mapped)
    adapter.save_pretrained(tmp_path)
    found = load_motion_modules(tmp_path / "diffusion_pytorch_model.safetensors").state_dict()
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], value) for key, value in state.items())


@torch.no_grad()
def test_position_tables_that_a_file_leaves_out_are_computed(
    state: dict[str, Tensor], modules: MotionModules, tmp_path: Path
) -> None:
    """AnimateLCM's files: the module is the same as with AnimateDiff's own tables, in both layouts, up to 64 frames."""
    bare = {k: v for k, v in state.items() if not k.endswith(".pe")}
    diffusers = {diffusers_motion_key(key): value for key, value in bare.items()}
    site = modules.sites[0]
    x = formula.noise("motion/lcm", (FRAMES, site.channels, 2, 2))
    for name, tensors in (("lcm", bare), ("lcm-diffusers", diffusers)):
        found = load_motion_modules(written(tensors, tmp_path / f"{name}.safetensors"))
        assert found.positions == 64
        table = found.state_dict()["down_blocks.0.motion_modules.0.temporal_transformer" + PE]
        torch.testing.assert_close(table, formula.sinusoids(64, site.channels), atol=1e-5, rtol=0)
        torch.testing.assert_close(found.at(site)(x, FRAMES), modules.at(site)(x, FRAMES), atol=1e-5, rtol=1e-5)
    half = written({k: v.half() for k, v in bare.items()}, tmp_path / "half.safetensors")
    assert load_motion_modules(half, dtype=torch.float16).positions == 64


def test_files_of_another_kind(state: dict[str, Tensor], tmp_path: Path) -> None:
    sync = written(formula.tensors(formula.key_list("reduced")["epi"]), tmp_path / "CVD.safetensors")
    with pytest.raises(ValueError, match="look like a CVD sync module"):
        load_motion_modules(sync)
    key = "up_blocks.2.motion_modules.1.temporal_transformer.proj_out.bias"
    short = written({k: v for k, v in state.items() if k != key}, tmp_path / "short.safetensors")
    with pytest.raises(ValueError, match=f"missing 1: {key}"):
        load_motion_modules(short)


def lora(state: dict[str, Tensor], blocks: str = "") -> dict[str, Tensor]:
    """A motion LoRA on every attention of a state's modules."""
    made = {}
    for key, value in state.items():
        base, _, last = key.removesuffix(".weight").removesuffix(".0").rpartition(".")
        if last in ("to_q", "to_k", "to_v", "to_out") and key.endswith("weight") and key.startswith(blocks):
            name = f"{base}.processor.{last}_lora"
            made[f"{name}.down.weight"] = formula.weight(f"{name}.down", [RANK, value.shape[1]])
            made[f"{name}.up.weight"] = formula.weight(f"{name}.up", [value.shape[0], RANK])
    return made


def test_a_motion_lora_is_merged(file: Path, state: dict[str, Tensor], tmp_path: Path) -> None:
    made = lora(state)
    modules = load_motion_modules(file)
    assert merge_motion_lora(modules, written(made, tmp_path / "zoom.safetensors"), 0.5) == 160
    for key, value in modules.state_dict().items():
        stem = key.removesuffix(".weight").removesuffix(".0")
        base, _, last = stem.rpartition(".")
        name = f"{base}.processor.{last}_lora"
        change: Any = 0
        if key.endswith("weight") and f"{name}.up.weight" in made:
            change = 0.5 * made[f"{name}.up.weight"] @ made[f"{name}.down.weight"]
            assert change.abs().max() > 1e-3
        torch.testing.assert_close(value, state[key] + change)


def test_motion_loras_that_do_not_fit(file: Path, state: dict[str, Tensor], tmp_path: Path) -> None:
    modules = load_motion_modules(file)
    v2 = written(lora(with_middle(state)), tmp_path / "v2_lora_ZoomIn.safetensors")
    with pytest.raises(ValueError, match=r"does not fit .* 8 of its 168 layers.*mm_sd_v15_v2"):
        merge_motion_lora(modules, v2)
    half = {key: value for key, value in lora(state).items() if "down_blocks.0" not in key or ".down." in key}
    with pytest.raises(ValueError, match="only one of the two matrices"):
        merge_motion_lora(modules, written(half, tmp_path / "half.safetensors"))
    with pytest.raises(ValueError, match="is not an AnimateDiff motion LoRA"):
        merge_motion_lora(modules, file)
    assert all(torch.equal(value, state[key]) for key, value in modules.state_dict().items())
