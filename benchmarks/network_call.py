"""Where the time of one sampling step goes: whole network calls, clocked by kind of layer.

The network is AnimateDiff's with CameraCtrl and CVD's modules, at Stable Diffusion 1.5's widths or the reduced ones of
the tests, with random weights in float32: only its speed is of interest. 16 frames, classifier-free guidance.

    python -m benchmarks.network_call --size full --resolution 256 --json network_call.json
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.harness import Clock, arguments, machine, print_table, write_report
from cvd_core.camera_control.injection import CameraMerges
from cvd_core.camera_control.pose_encoder import PoseEncoder
from cvd_core.engine.sd15.motion import build_motion_unet
from cvd_core.engine.sd15.unet import CollaborativeUNet
from cvd_core.geometry.plucker import plucker_embedding
from cvd_core.geometry.rigs import make_rig
from cvd_core.networks.layout import sites
from cvd_core.networks.sd15 import LATENT_STRIDE
from cvd_core.sync.bias import EpipolarBias
from cvd_core.sync.cache import BiasCache
from cvd_core.sync.context import SyncContext, groups_to_partners
from cvd_core.sync.module import SyncModules
from tests import formula

FRAMES = 16
BRANCHES = 2
TEXT_TOKENS = 77
MOTION, SYNC = "motion modules", "sync modules"


def random_network(size: formula.Size) -> CollaborativeUNet:
    """The whole network; weights are scaled so that activations keep their size."""
    from diffusers import UNet2DConditionModel

    keys, config = formula.key_list(size), formula.unet_config(size)
    widths = tuple(config["block_out_channels"])
    with torch.device("meta"):
        base = UNet2DConditionModel.from_config(config)
        merges, sync = CameraMerges(widths), SyncModules(widths)
    encoder = PoseEncoder(widths)  # not empty: its position tables are no parameters
    for part in (base, merges, sync):
        part.to_empty(device="cpu")
    motion = {
        key: formula.sinusoids(*shape[1:]) if key.endswith(".pe") else torch.empty(shape)
        for key, shape in keys["mm"].items()
    }
    unet = build_motion_unet(base, motion, file="random motion module")
    network = CollaborativeUNet(unet, encoder, merges, sync).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for name, weight in network.named_parameters():
        if weight.dim() > 1:
            bound = (3 / weight[0].numel()) ** 0.5
            weight.uniform_(-bound, bound, generator=generator)
        else:
            weight.fill_(1.0 if name.endswith("weight") else 0.0)
    return network


@dataclass
class Step:
    """One network call on all views, under a matching of pairs (0 1) (2 3) ..., as sampling makes it."""

    network: CollaborativeUNet
    views: int
    resolution: int

    def __post_init__(self) -> None:
        cameras = make_rig("circle", self.views, FRAMES)
        side, self.generator = self.resolution // LATENT_STRIDE, torch.Generator().manual_seed(0)
        rows = self.views * BRANCHES
        self.latents = torch.randn(rows, 4, FRAMES, side, side, generator=self.generator)
        text_width = self.network.unet.config.cross_attention_dim
        self.text = torch.randn(rows, TEXT_TOKENS, text_width, generator=self.generator)
        with torch.no_grad():
            self.camera = self.network.encode_cameras(plucker_embedding(cameras, self.resolution, self.resolution))
        self.bias = EpipolarBias.from_cameras(cameras, self.resolution, self.resolution)
        self.cache = BiasCache()

    def __call__(self) -> Tensor:
        groups = [(view, view + 1) for view in range(0, self.views, 2)]
        context = SyncContext(
            tuple(range(self.views)),
            groups_to_partners(groups),
            self._slopes,
            self.bias,
            branches=BRANCHES,
            cache=self.cache,
        )
        with torch.no_grad():
            return self.network(self.latents, 500, self.text, self.camera, context)

    def _slopes(self, shape: tuple[int, ...]) -> Tensor:
        return torch.rand(shape, generator=self.generator)


def watch_all(network: CollaborativeUNet) -> Clock:
    clock = Clock()
    assert network.sync is not None
    places = sites(network.widths)
    clock.watch(MOTION, (network.motion_module(site) for site in places))
    clock.watch(SYNC, (network.sync.at(site) for site in places))
    blocks = [*network.unet.down_blocks, network.unet.mid_block, *network.unet.up_blocks]
    clock.watch("spatial attention", (a for block in blocks for a in getattr(block, "attentions", [])))
    clock.watch("resnets", (resnet for block in blocks for resnet in block.resnets))
    return clock


def main() -> None:
    parser = arguments((__doc__ or "").split("\n")[0], repeats=2)
    parser.add_argument("--size", choices=("reduced", "full"), default="full", help="widths of the network")
    parser.add_argument("--views", type=int, default=2, help="even number of views (default 2)")
    parser.add_argument("--resolution", type=int, default=128, help="pixels of a side (default 128)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    about = machine()
    print(", ".join(f"{key}: {value}" for key, value in about.items()), flush=True)
    network = random_network(options.size)
    step = Step(network, options.views, options.resolution)
    if not step().isfinite().all():  # this call also builds the biases, as the first one of a run does
        raise RuntimeError("the random network's output is not finite; its speed would mean nothing")
    clock = watch_all(network)
    totals = []
    for _ in range(options.repeats):
        start = time.perf_counter()
        step()
        totals.append(time.perf_counter() - start)
    seconds = {kind: clock.fastest(kind) for kind in clock.seconds}
    seconds["everything else"] = max(min(totals) - sum(seconds.values()), 0.0)
    whole = sum(seconds.values())
    print(
        f"one network call, {options.views} views x {FRAMES} frames, guidance, {options.resolution} px, {options.size}"
    )
    print_table(
        [["part", "seconds", "share"], *([kind, f"{s:.2f}", f"{s / whole:.0%}"] for kind, s in seconds.items())]
    )
    ratio = seconds[SYNC] / seconds[MOTION]
    print(f"sync modules / motion modules: {ratio:.2f}")
    settings = {name: getattr(options, name) for name in ("size", "views", "resolution")}
    write_report(options.json, "network_call", about, {**settings, "seconds": seconds, "sync / motion": ratio})


if __name__ == "__main__":
    main()
