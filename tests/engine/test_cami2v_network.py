"""CamI2V's network against diffusers' UNet3DConditionModel with hooks, at random widths: a second implementation."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import UNet3DConditionModel
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from cvd_core.cami2v.camera import CameraBranch
from cvd_core.cami2v.epipolar import EpipolarLines
from cvd_core.cami2v.network import TEXT_TOKENS, DynamiCrafterUNet, Layout
from cvd_core.cami2v.transformers import CameraFeatures
from cvd_core.geometry.cameras import Cameras

FRAMES, SIZE = 3, 64
CONTEXT = 24

_ROOTS = {
    "conv_in.": "input_blocks.0.0.",
    "time_embedding.linear_1.": "time_embed.0.",
    "time_embedding.linear_2.": "time_embed.2.",
    "conv_norm_out.": "out.0.",
    "conv_out.": "out.2.",
    "transformer_in.": "init_attn.0.",
}
_RESNET = {
    "norm1.": "in_layers.0.",
    "conv1.": "in_layers.2.",
    "time_emb_proj.": "emb_layers.1.",
    "norm2.": "out_layers.0.",
    "conv2.": "out_layers.3.",
    "conv_shortcut.": "skip_connection.",
}
_PLACE = re.compile(r"(?:(down|up)_blocks\.(\d)|mid_block)\.([a-z_]+)\.(\d)\.(.+)")
_SLOTS = {"resnets": 0, "temp_convs": 0, "attentions": 1, "temp_attentions": 2}


def released(key: str) -> str:
    """The released name of a parameter of diffusers' network."""
    for theirs, ours in _ROOTS.items():
        if key.startswith(theirs):
            return ours + key.removeprefix(theirs)
    match = _PLACE.fullmatch(key)
    assert match is not None, key
    side, block, kind, index, inside = match[1], int(match[2] or 0), match[3], int(match[4]), match[5]
    if kind == "downsamplers":
        return f"input_blocks.{3 * block + 3}.0.op.{inside.removeprefix('conv.')}"
    if kind == "upsamplers":
        return f"output_blocks.{3 * block + 2}.{1 if block == 0 else 3}.{inside}"
    if kind == "resnets":
        inside = next(new + inside.removeprefix(old) for old, new in _RESNET.items() if inside.startswith(old))
    if kind == "temp_convs":
        inside = f"temopral_conv.{inside}"
    if side is None:
        return f"middle_block.{_SLOTS[kind] or 3 * index}.{inside}"
    number = 3 * block + index
    place = f"input_blocks.{number + 1}" if side == "down" else f"output_blocks.{number}"
    return f"{place}.{_SLOTS[kind]}.{inside}"


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None = None) -> Tensor:
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return scaled_dot_product_attention(q, k, v, None if mask is None else mask[:, None]).transpose(1, 2).flatten(2)


class PictureProcessor:
    """Cross-attention to the text, plus that to the picture's tokens of each frame."""

    def __init__(self, ours: Any, picture: Tensor) -> None:
        self.ours, self.picture = ours, picture

    def __call__(self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, **_: Any) -> Tensor:
        q = attn.to_q(hidden_states)
        text = attend(q, attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states), attn.heads)
        picture = attend(q, self.ours.to_k_ip(self.picture), self.ours.to_v_ip(self.picture), attn.heads)
        scale = 1 if self.ours.alpha is None else torch.tanh(self.ours.alpha) + 1
        return attn.to_out[0](text + scale * picture)


def camera_hook(block: Any, camera: CameraFeatures) -> Callable[[nn.Module, Any, Tensor], Tensor]:
    """What the camera adds beside a temporal transformer's first attention, with one dense mask."""

    def add(_: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        n = inputs[0]  # (h * w, F, C), one video
        pixels = len(n)
        height = width = int(pixels**0.5)
        level = next(x for x in camera.levels if x.shape[-1] == width)
        c = n + level[0].flatten(2).permute(2, 1, 0)
        added = block.pluker_projection(c)
        if block.epipolar is not None and camera.lines is not None:
            attention = block.epipolar.epipolar_attn
            flat = c.transpose(0, 1).flatten(0, 1)[None]
            seen = torch.cat([attention.register_tokens, flat], 1)
            mask = torch.cat(list(camera.lines.masks((height, width), n.device) or ()), 1)
            mask = torch.cat([torch.ones(1, mask.shape[1], 4, dtype=torch.bool), mask], -1)
            heads = flat.shape[-1] // HEAD[0]
            y = attend(attention.to_q(flat), attention.to_k(seen), attention.to_v(seen), heads, mask)
            added = added + attention.to_out[0](y)[0].unflatten(0, (FRAMES, pixels)).transpose(0, 1)
        return output + added

    return add


HEAD = [32]


@pytest.mark.parametrize("camera", ["none", "plucker", "epipolar"])
@pytest.mark.parametrize("seed", [0, 1])
@torch.no_grad()
def test_network_is_diffusers_with_hooks(seed: int, camera: str) -> None:
    choose = random.Random(3 * seed + len(camera))
    torch.manual_seed(seed)
    HEAD[0] = choose.choice((16, 32))
    widths = tuple(32 * choose.randint(1, 4) for _ in range(4))
    layout = Layout(widths, HEAD[0], CONTEXT, learned_scale=seed == 0, camera=camera)  # type: ignore[arg-type]
    ours = DynamiCrafterUNet(layout).eval()
    for name, value in ours.named_parameters():
        if value.ndim < 2:
            nn.init.normal_(value, 1.0 if "norm" in name and name.endswith("weight") else 0.0, 0.1)
        elif "register_tokens" in name:
            nn.init.normal_(value)
    oracle = UNet3DConditionModel(
        in_channels=8,
        out_channels=4,
        block_out_channels=widths,
        attention_head_dim=HEAD[0],
        cross_attention_dim=CONTEXT,
        norm_num_groups=32,
    ).eval()
    state = ours.state_dict()
    renamed = {key: state[released(key)].view(value.shape) for key, value in oracle.state_dict().items()}
    oracle.load_state_dict(renamed)
    extra = ("fps_embedding.", "_ip.", ".alpha", "pluker_projection", "epipolar")
    left = {key for key in state if not any(name in key for name in extra)}
    assert left == {released(key) for key in renamed}  # nothing else differs

    x = torch.randn(1, 8, FRAMES, SIZE // 8, SIZE // 8)
    text, picture = torch.randn(1, TEXT_TOKENS, CONTEXT), torch.randn(FRAMES, 16, CONTEXT)
    features = None
    if camera != "none":
        c2w = torch.eye(4, dtype=torch.float64).repeat(1, FRAMES, 1, 1)
        c2w[0, :, 0, 3] = torch.linspace(0, 0.7, FRAMES)
        cameras = Cameras(c2w, torch.tensor([0.7, 0.7, 0.5, 0.5], dtype=torch.float64).expand(1, FRAMES, 4))
        noise = torch.randn(1, FRAMES, FRAMES, 3)
        lines = EpipolarLines.of(cameras, SIZE, SIZE, noise) if camera == "epipolar" else None
        features = CameraFeatures(CameraBranch(widths)(cameras, SIZE, SIZE, None).levels, lines)
    for name, module in oracle.named_modules():
        if name.endswith("transformer_blocks.0.attn2") and ".attentions." in name:
            place = ours.get_submodule(released(f"{name}.x").removesuffix(".x"))
            module.set_processor(PictureProcessor(place, picture))
        if features is not None and name.endswith("transformer_blocks.0.attn1") and ".temp_attentions." in name:
            block = ours.get_submodule(released(f"{name}.x").removesuffix(".attn1.x"))
            module.register_forward_hook(camera_hook(block, features))
    rate = torch.tensor([7.0])
    angles = rate[:, None] * torch.exp(-torch.arange(widths[0] // 2) * torch.log(torch.tensor(1e4)) / (widths[0] // 2))
    embedded = ours.fps_embedding(torch.cat([angles.cos(), angles.sin()], -1))
    oracle.time_embedding.register_forward_hook(lambda _module, _inputs, output: output + embedded)

    found = ours(x, torch.tensor([400]), torch.cat([text, picture.flatten(0, 1)[None]], 1), rate, features)
    expected = oracle(x, 400, encoder_hidden_states=text, return_dict=False)[0]
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)
    if features is not None:
        plain = ours(x, torch.tensor([400]), torch.cat([text, picture.flatten(0, 1)[None]], 1), rate)
        assert (plain - found).abs().max() > 1e-2
