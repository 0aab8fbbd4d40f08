"""What SynCamMaster's modules cost on Wan: their time against the base's own self-attention, and peak memory.

The transformer has the width of Wan 2.1 1.3B but few of its 30 blocks, which all cost the same; weights are random, for
only their speed is of interest. The arithmetic ratio says how many multiplications the modules add for each of those in
the base's self-attention: five projections and attention over the V h w tokens of a latent frame against four
projections and attention over all f h w tokens of a view.

    python -m benchmarks.syncam_cost --views 2 --json syncam_cost.json
    python -m benchmarks.syncam_cost --width 832 --height 480 --frames 81 --blocks 1 --repeats 1   # the released size
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from benchmarks.harness import Clock, arguments, machine, peak_memory, print_table, write_report
from cvd_core.engine.wan.network import SynCamTransformer
from cvd_core.networks.sd15 import LATENT_STRIDE
from cvd_core.syncam.cameras import camera_embedding, latent_frames
from cvd_core.syncam.module import HEAD_WIDTH, WIDTH, SynCamModules
from cvd_core.syncam.presets import preset_cameras

PATCH = 2
TEXT_TOKENS = 512
FFN_WIDTH = 8960
OWN, ADDED = "the base's self-attention", "SynCamMaster's modules"
LIMIT = 1.3
"""Measured over arithmetic ratio that the project allows itself."""


@dataclass(frozen=True)
class Size:
    """One network call.

    Attributes:
        views: V.
        width, height, frames: of the videos.
        blocks: of the transformer.
        channels: its width.
        synchronised: with modules.
    """

    views: int
    width: int
    height: int
    frames: int
    blocks: int
    channels: int = WIDTH
    synchronised: bool = True

    @property
    def tokens(self) -> int:
        """Of a latent frame."""
        stride = LATENT_STRIDE * PATCH
        return (self.width // stride) * (self.height // stride)

    @property
    def arithmetic_ratio(self) -> float:
        """Multiplications of a module over those of the base's self-attention."""
        d, t, f = self.channels, self.tokens, latent_frames(self.frames)
        return (5 * d + 2 * self.views * t) / (4 * d + 2 * f * t)


class Call:
    """A network call on all views of one scene, one guidance branch, in float32 on the CPU."""

    def __init__(self, size: Size) -> None:
        heads = max(1, size.channels // HEAD_WIDTH)
        transformer = WanTransformer3DModel(
            num_layers=size.blocks,
            num_attention_heads=heads,
            attention_head_dim=size.channels // heads,
            ffn_dim=FFN_WIDTH * size.channels // WIDTH,
        )
        modules = SynCamModules(size.blocks, size.channels, heads) if size.synchronised else None
        self.network = SynCamTransformer(transformer, modules).eval().requires_grad_(False)
        generator = torch.Generator().manual_seed(0)
        for weight in self.network.parameters():
            weight.normal_(0, 0.02, generator=generator)
        self.views = size.views
        self.cameras = camera_embedding(preset_cameras("az", size.frames, size.views))
        shape = (size.views, 16, latent_frames(size.frames), size.height // LATENT_STRIDE, size.width // LATENT_STRIDE)
        self.latents = torch.randn(shape, generator=generator)
        self.text = torch.randn(size.views, TEXT_TOKENS, transformer.config.text_dim, generator=generator)

    def __call__(self) -> Tensor:
        time = torch.full((self.views,), 500.0)
        with torch.no_grad():
            found: Tensor = self.network(self.latents, time, self.text, self.cameras, self.views)
        return found


class MeasuredCall:
    """A call whose result stays in the process that measures it."""

    def __init__(self, size: Size) -> None:
        self.call = Call(size)

    def __call__(self) -> None:
        self.call()


def clocked(size: Size, repeats: int) -> dict[str, float]:
    """Seconds of both kinds of layer in one network, each layer's fastest call, summed over the blocks."""
    call = Call(size)
    call()
    clock = Clock()
    assert call.network.sync is not None
    clock.watch(OWN, (block.attn1 for block in call.network.transformer.blocks))
    clock.watch(ADDED, call.network.sync.blocks)
    for _ in range(repeats):
        call()
    return {kind: clock.fastest(kind) for kind in (OWN, ADDED)}


def peaks(size: Size) -> dict[str, int]:
    """Bytes by which a call grows a process at most."""
    plain = {"synchronised": False}
    sizes = {
        f"{size.views} views together": size,
        f"{size.views} videos in one call, without modules": Size(**vars(size) | plain),
        "one video after the other": Size(**vars(size) | plain | {"views": 1}),
    }
    return {name: peak_memory(MeasuredCall, of) for name, of in sizes.items()}


def main() -> None:
    parser = arguments((__doc__ or "").split("\n")[0], repeats=3)
    parser.add_argument("--views", type=int, default=2, help="videos of the scene (default 2)")
    parser.add_argument("--width", type=int, default=320, help="pixels (default 320)")
    parser.add_argument("--height", type=int, default=192, help="pixels (default 192)")
    parser.add_argument("--frames", type=int, default=33, help="4n + 1 (default 33)")
    parser.add_argument("--blocks", type=int, default=2, help="of the transformer's 30 (default 2)")
    parser.add_argument("--channels", type=int, default=WIDTH, help=f"of a token (default {WIDTH})")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    about = machine()
    print(", ".join(f"{key}: {value}" for key, value in about.items()), flush=True)
    size = Size(options.views, options.width, options.height, options.frames, options.blocks, options.channels)
    seconds = clocked(size, options.repeats)
    measured = seconds[ADDED] / seconds[OWN]
    factor = measured / size.arithmetic_ratio
    print(f"{size.views} views of {size.width}x{size.height}, {size.frames} frames, {size.blocks} blocks")
    print_table([["part", "seconds"], *([kind, f"{value:.3f}"] for kind, value in seconds.items())])
    print(f"measured {measured:.3f}, by arithmetic {size.arithmetic_ratio:.3f}: {factor:.2f} times (limit {LIMIT})")
    memory = peaks(size)
    print_table([["peak memory of a call", "MB"], *([name, f"{value / 1e6:,.0f}"] for name, value in memory.items())])
    results = {**vars(size), "seconds": seconds, "measured ratio": measured, "arithmetic ratio": size.arithmetic_ratio}
    write_report(options.json, "syncam_cost", about, {**results, "factor": factor, "peak bytes": memory})


if __name__ == "__main__":
    main()
