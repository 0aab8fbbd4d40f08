"""One 320-channel sync module on 32x32 features: this project's against a plain evaluation of the same weights.

The plain evaluation does what CVD's released inference code does, in the same order (16 frames, classifier-free
guidance, 256x256 images): at each of the two attentions the epipolar bias is built anew in float32 for every (view,
branch, frame), copied for each of the 8 heads, and added in an explicit baddbmm, softmax, bmm. Scores of more than
``PLAIN_ROWS`` rows are computed in turns, since six views would not fit into ordinary memory otherwise.

Ours is timed twice: with its biases built, as all network calls of a run but the first find it, and while building
them. Mask bytes are those that one attention holds, copies included; peak memory includes building the biases.

    python -m benchmarks.sync_module --json sync_module.json
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import median
from typing import Any, cast

import torch
from torch import Tensor

from benchmarks.harness import arguments, interleaved, machine, peak_memory, print_table, write_report
from cvd_core.geometry.epipolar import feature_pixels, pair_geometry
from cvd_core.geometry.rigs import make_rig
from cvd_core.networks.sd15 import HEADS
from cvd_core.sync.bias import EpipolarBias
from cvd_core.sync.cache import BiasCache
from cvd_core.sync.context import SyncContext, groups_to_partners
from cvd_core.sync.module import CrossViewAttention, SyncBlock, SyncModule

CHANNELS = 320
FRAMES = 16
BRANCHES = 2
IMAGE = 256
SIDE = 32
THRESHOLD = 3.0
PLAIN_ROWS = 64
TOLERANCE = 1e-3


@dataclass
class Case:
    """Inputs of both evaluations: ``views`` on a circle, matched in pairs (0 1) (2 3) ..."""

    views: int
    x: Tensor = field(init=False)  # (V * B * F, C, h, w)
    module: SyncModule = field(init=False)
    slope: Tensor = field(init=False)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(self.views * BRANCHES * FRAMES, CHANNELS, SIDE, SIDE, generator=generator)
        self.slope = torch.rand(1, generator=generator)
        self.module = SyncModule(CHANNELS).eval().requires_grad_(False)
        for name, weight in self.module.named_parameters():
            if weight.dim() > 1:
                weight.normal_(0, weight.shape[1] ** -0.5, generator=generator)
            else:
                weight.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
        self.cameras = make_rig("circle", self.views, FRAMES)

    @property
    def partners(self) -> list[int]:
        return [view ^ 1 for view in range(self.views)]


class Ours:
    """The module of this project; the bias lives as long as a run does."""

    def __init__(self, views: int) -> None:
        self.case = Case(views)
        self._forget()

    def _forget(self) -> None:
        self.bias = EpipolarBias.from_cameras(self.case.cameras, IMAGE, IMAGE, threshold=THRESHOLD)
        self.cache = BiasCache()

    def first_call(self) -> Tensor:
        """As the first network call of a run, which has yet to build the biases."""
        self._forget()
        return self()

    @torch.no_grad()
    def __call__(self) -> Tensor:
        views = range(self.case.views)
        groups = [(view, view + 1) for view in views[::2]]
        context = SyncContext(
            tuple(views), groups_to_partners(groups), self._slopes, self.bias, BRANCHES, cache=self.cache
        )
        return cast(Tensor, self.case.module(self.case.x, context))

    def _slopes(self, shape: tuple[int, ...]) -> Tensor:
        return self.case.slope.expand(shape)

    def mask_bytes(self) -> int:
        return self.cache.size


class Plain:
    """The same weights, evaluated as the released code does."""

    def __init__(self, views: int) -> None:
        self.case = case = Case(views)
        self.bias_bytes = 0
        pairs = enumerate(case.partners)
        geometry = [pair_geometry(case.cameras, view, partner, IMAGE, IMAGE) for view, partner in pairs]
        self.fundamental = torch.stack([g.fundamental for g in geometry])  # (V, F, 3, 3)
        rows = torch.arange(views * BRANCHES * FRAMES).view(views, -1)
        self.partner_rows = rows[case.partners].flatten()

    @torch.no_grad()
    def __call__(self) -> Tensor:
        transformer, x = self.case.module.epi_transformer, self.case.x
        y = transformer.norm(x).permute(0, 2, 3, 1).reshape(len(x), SIDE * SIDE, CHANNELS)
        y = transformer.proj_in(y)
        block = cast(SyncBlock, transformer.transformer_blocks[0])
        for norm, attention in zip(block.norms, block.attention_blocks, strict=True):
            y = self._attend(cast(CrossViewAttention, attention), norm(y)) + y
        y = block.ff(block.ff_norm(y)) + y
        y = transformer.proj_out(y)
        return y.reshape(len(x), SIDE, SIDE, CHANNELS).permute(0, 3, 1, 2).contiguous() + x

    def _attend(self, attention: CrossViewAttention, z: Tensor) -> Tensor:
        others = z[self.partner_rows]
        q, k, v = (
            _heads_first(x) for x in (attention.to_q(z), attention.to_k(others), attention.to_v(others))
        )  # (rows * heads, N, C / heads)
        bias = self._bias()
        copied = bias.repeat_interleave(HEADS, dim=0)
        self.bias_bytes = bias.nbytes + copied.nbytes
        step, scale = PLAIN_ROWS * HEADS, q.shape[-1] ** -0.5
        parts = []
        for i in range(0, len(q), step):
            part = slice(i, i + step)
            scores = torch.baddbmm(copied[part], q[part], k[part].transpose(1, 2), alpha=scale)
            parts.append(torch.bmm(scores.softmax(-1), v[part]))
        out = torch.cat(parts) if len(parts) > 1 else parts[0]
        out = out.view(-1, HEADS, *out.shape[1:]).transpose(1, 2).flatten(2)
        return cast(Tensor, attention.to_out[0](out))

    def _bias(self) -> Tensor:
        """``(rows, N, N)`` for rows view, branch, frame."""
        pixels = feature_pixels(IMAGE, IMAGE, SIDE, SIDE).float()
        angle = math.pi * self.case.slope
        normal = torch.cat([angle.cos(), angle.sin()])
        through = torch.cat([normal.expand(len(pixels), 2), -(pixels[:, :2] @ normal)[:, None]], -1)
        lines = pixels @ self.fundamental.float().mT  # (V, F, N, 3)
        lines[:, 0] = through
        lines = lines[:, None].expand(-1, BRANCHES, -1, -1, -1).flatten(0, 2)
        distance = (lines @ pixels.T).abs() / (lines[..., :2].norm(dim=-1, keepdim=True) + 1e-6)
        tau = THRESHOLD / (IMAGE // 2) * distance.amax((1, 2), keepdim=True)
        bias = -(distance - tau).clamp(min=0) * 3 / (tau + 1e-6)
        return bias.nan_to_num(0, 0, 0)

    def mask_bytes(self) -> int:
        return self.bias_bytes


def _heads_first(x: Tensor) -> Tensor:
    """``(rows, N, C)`` -> ``(rows * heads, N, C / heads)``."""
    return x.unflatten(-1, (HEADS, -1)).transpose(1, 2).flatten(0, 1)


def measure(views: int, repeats: int) -> list[dict[str, Any]]:
    """One row per variant: seconds (fastest and median call), mask bytes and peak memory.

    Raises:
        RuntimeError: the two evaluations do not agree.
    """
    peaks = {"plain": peak_memory(Plain, views), "ours": peak_memory(Ours, views)}
    plain, ours = Plain(views), Ours(views)
    difference = float((plain() - ours()).abs().max())
    if not difference <= TOLERANCE:
        raise RuntimeError(f"{views} views: the two evaluations differ by {difference:.1e}, more than {TOLERANCE}")
    masks = {"plain": plain.mask_bytes(), "ours": ours.mask_bytes()}
    seconds = interleaved({"plain": plain, "ours, first call": ours.first_call, "ours": ours}, repeats)
    return [
        {
            "views": views,
            "evaluation": name,
            "fastest s": min(times),
            "median s": median(times),
            "mask bytes": masks[name.partition(",")[0]],
            "peak bytes": peaks[name.partition(",")[0]],
            "largest difference": difference,
        }
        for name, times in seconds.items()
    ]


def main() -> None:
    parser = arguments((__doc__ or "").split("\n")[0], repeats=5)
    parser.add_argument("--views", type=int, nargs="+", default=[2, 6], help="even numbers of views (default 2 6)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    about = machine()
    print(", ".join(f"{key}: {value}" for key, value in about.items()), flush=True)
    results = []
    for views in options.views:
        rows = measure(views, options.repeats)
        results += rows
        plain, ours = rows[0], rows[-1]
        table = [[f"{views} views", "fastest s", "median s", "mask MB", "peak MB"]]
        for row in rows:
            seconds = [f"{row[key]:.2f}" for key in ("fastest s", "median s")]
            table.append(
                [row["evaluation"], *seconds, *(f"{row[f'{key} bytes'] / 1e6:.0f}" for key in ("mask", "peak"))]
            )
        print_table(table)
        speed, mask = plain["median s"] / ours["median s"], plain["mask bytes"] / ours["mask bytes"]
        print(f"{speed:.2f}x faster, masks 1/{mask:.0f}, outputs differ by at most {plain['largest difference']:.1e}\n")
    write_report(options.json, "sync_module", about, results)


if __name__ == "__main__":
    main()
