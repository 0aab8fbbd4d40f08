"""Memory of a network call by arithmetic: every tensor counted while it lives, none of them allocated.

The networks are laid out in half precision on the meta device, where operations give shapes and nothing else; a
dispatch mode adds up the storages that are alive. Attention counts as fused, its matrix never written. What a GPU needs
besides - its context, allocator slack, convolution workspaces - is not in the numbers, nor is anything measured.

    python -m benchmarks.memory
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.harness import arguments, print_table, write_report
from cvd_core.cami2v.ddim import Predicts
from tests import formula

GIGABYTE = 1e9
META = torch.device("meta")


class Alive(TorchDispatchMode):
    """Bytes of the storages that operations made and that are still referred to."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, Tensor) and tensor.device == META:
                self._count(tensor.untyped_storage())
        return found

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        self._known[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        self.now -= self._known.pop(key)


class FusedAttention(TorchFunctionMode):
    """Attention whose matrix is never written, as on a GPU."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is scaled_dot_product_attention:
            named = dict(zip(("query", "key", "value"), args, strict=False)) | (kwargs or {})
            return named["query"].new_empty(*named["query"].shape[:-1], named["value"].shape[-1])
        return func(*args, **(kwargs or {}))


def peak_bytes(call: Callable[[], object]) -> int:
    """The most that is alive at once while ``call`` runs."""
    with torch.no_grad(), FusedAttention(), Alive() as alive:
        call()
    return alive.peak


def weight_bytes(*modules: nn.Module) -> int:
    """Of parameters and buffers."""
    return sum(value.numel() * value.element_size() for module in modules for value in module.state_dict().values())


def cvd(views: int, size: int) -> tuple[int, int]:
    """Weights and peak of a call of CVD: pairs, guidance, 16 frames, the epipolar bias of every pair kept."""
    from diffusers import UNet2DConditionModel

    from cvd_core.camera_control.injection import CameraMerges
    from cvd_core.camera_control.pose_encoder import PoseEncoder
    from cvd_core.engine.sd15.motion import new_motion_unet
    from cvd_core.engine.sd15.unet import CollaborativeUNet
    from cvd_core.geometry.rigs import make_rig
    from cvd_core.sync.bias import EpipolarBias
    from cvd_core.sync.cache import BiasCache
    from cvd_core.sync.context import SyncContext, groups_to_partners
    from cvd_core.sync.module import SyncModules

    frames, side, rows = 16, size // 8, 2 * views
    config = formula.unet_config("full")
    with META:
        network = CollaborativeUNet(
            new_motion_unet(UNet2DConditionModel.from_config(config), frames),
            PoseEncoder(),
            CameraMerges(),
            SyncModules(),
        ).half()
        latents = torch.empty(rows, 4, frames, side, side, dtype=torch.half)
        text = torch.empty(rows, 77, 768, dtype=torch.half)
        camera = [
            torch.empty(views, (side >> i) ** 2, frames, c, dtype=torch.half)
            for i, c in enumerate(config["block_out_channels"])
        ]
    rig = make_rig("circle", views, frames)
    groups = [(view, view + 1) for view in range(0, views, 2)]
    context = SyncContext(
        tuple(range(views)),
        groups_to_partners(groups),
        lambda shape: torch.rand(shape),
        EpipolarBias.from_cameras(rig, size, size),
        branches=2,
        cache=BiasCache(1 << 40),
    )
    return weight_bytes(network), peak_bytes(lambda: network(latents, 500, text, camera, context))


def syncammaster(views: int, width: int, height: int, branches: int) -> tuple[int, int]:
    """Weights and peak of a call of SynCamMaster on Wan 2.1 1.3B, 81 frames; ``branches`` of guidance in one call."""
    from diffusers import WanTransformer3DModel

    from cvd_core.engine.wan.network import SynCamTransformer
    from cvd_core.syncam.module import BLOCKS, HEAD_WIDTH, WIDTH, SynCamModules

    rows, frames = views * branches, 21
    with META:
        wan = WanTransformer3DModel(
            num_attention_heads=WIDTH // HEAD_WIDTH, attention_head_dim=HEAD_WIDTH, ffn_dim=8960, num_layers=BLOCKS
        )
        network = SynCamTransformer(wan, SynCamModules()).bfloat16()
        latents = torch.empty(rows, 16, frames, height // 8, width // 8, dtype=torch.bfloat16)
        text = torch.empty(rows, 512, 4096, dtype=torch.bfloat16)
        time, cameras = torch.empty(rows), torch.empty(rows, frames, 12)
    return weight_bytes(network), peak_bytes(lambda: network(latents, time, text, cameras, views))


def cami2v(width: int, height: int) -> tuple[int, int]:
    """Weights and peak of a call of CamI2V, one guidance branch at a time."""
    from cvd_core.cami2v.camera import SMALLEST_STEPS, CameraBranch
    from cvd_core.cami2v.epipolar import EpipolarLines
    from cvd_core.cami2v.network import FRAMES, DynamiCrafterUNet, Layout
    from cvd_core.cami2v.resampler import Resampler
    from cvd_core.cami2v.transformers import CameraFeatures

    predicts: Predicts = "noise" if width == height else "velocity"
    layout = Layout(learned_scale=predicts == "noise")
    h, w = height // 8, width // 8
    with META:
        network, branch = DynamiCrafterUNet(layout).half(), CameraBranch(layout.widths).half()
        resampler = Resampler().half()
        levels = [torch.empty(1, c, FRAMES, h >> i, w >> i, dtype=torch.half) for i, c in enumerate(layout.widths)]
        fundamental = torch.empty(1, FRAMES, FRAMES, 3, 3, dtype=torch.double)
        lines = EpipolarLines(fundamental, height, width, SMALLEST_STEPS[predicts])
        x, context = (torch.empty(shape, dtype=torch.half) for shape in ((1, 8, FRAMES, h, w), (1, 333, 1024)))
        number = torch.empty(1)
    camera = CameraFeatures(levels, lines)
    weights = weight_bytes(network, branch, resampler)
    return weights, peak_bytes(lambda: network(x, number, context, number, camera))


CARDS = (6, 8, 10, 12, 16, 24, 32, 48, 80)
"""Gigabytes of graphics cards."""
SPARE = 1.0
"""Gigabytes left for what is not counted."""


def main() -> None:
    options = arguments((__doc__ or "").split("\n")[0], repeats=None).parse_args()
    cases: list[tuple[str, str, Callable[[], tuple[int, int]]]] = [
        *(("CVD", f"{v} views, {s}x{s}, 16 frames", partial(cvd, v, s)) for v, s in CVD_CASES),
        *(
            (
                "SynCamMaster",
                f"{v} views, 832x480, 81 frames" + ("" if b == 2 else ", one branch at a time"),
                partial(syncammaster, v, 832, 480, b),
            )
            for v, b in ((2, 1), (2, 2), (4, 1))
        ),
        *(("CamI2V", f"{w}x{h}, 16 frames", partial(cami2v, w, h)) for w, h in ((256, 256), (512, 320))),
    ]
    rows = []
    for method, what, count in cases:
        weights, peak = (n / GIGABYTE for n in count())
        whole = weights + peak
        card = next((f"{size} GB" for size in CARDS if whole + SPARE <= size), "more")
        rows.append({"method": method, "call": what, "weights": weights, "peak": peak, "card": card})
    print_table(
        [["method", "one network call", "weights GB", "call GB", "card"]]
        + [[str(r["method"]), str(r["call"]), f"{r['weights']:.1f}", f"{r['peak']:.1f}", str(r["card"])] for r in rows]
    )
    write_report(options.json, "memory", {}, rows)


CVD_CASES = ((2, 256), (4, 256), (6, 256), (2, 384), (2, 512))


if __name__ == "__main__":
    main()
