"""One 320-channel sync module: this project's, dense and sparse, against the way CVD's released code evaluates it.

The comparison row ("released") does what the released inference code does, in the same order, written anew: at each of
the two attentions the epipolar bias is built in float32 for every (view, branch, frame), scanned for NaNs, copied for
each of the 8 heads, and handed to PyTorch's fused attention. Copies of more than ``COPIED_BYTES`` are made in turns:
the released code needs 2.1 GB of them for two views at 256 pixels and would need 34 GB at 512, where besides it leaves
the partner's tokens out on these maps; the row does not.

Ours is timed with its masks built, as all network calls of a run but the first find it ("dense", "sparse"), and while
building them ("first call"). Mask bytes are those that one attention holds, copies included; for "sparse" they are the
plans. Peak memory includes building them.

    python -m benchmarks.sync_module --views 2 --resolutions 256 --json sync_module.json
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final, cast

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.harness import arguments, interleaved, machine, peak_memory, print_table, write_report
from cvd_core.geometry.epipolar import feature_pixels, pair_geometry
from cvd_core.geometry.rigs import make_rig
from cvd_core.networks.sd15 import HEADS, LATENT_STRIDE
from cvd_core.networks.tiles import AttentionKind
from cvd_core.sync.bias import EpipolarBias
from cvd_core.sync.cache import BiasCache
from cvd_core.sync.context import SyncContext, groups_to_partners
from cvd_core.sync.module import CrossViewAttention, SyncBlock, SyncModule

CHANNELS = 320
BRANCHES = 2
THRESHOLD = 3.0
COPIED_BYTES = 2 << 30
TOLERANCE = 1e-3
CPU = torch.device("cpu")
RELEASED: Final = "released"
DENSE: Final = "dense"
SPARSE: Final = "sparse"


@dataclass
class Case:
    """Inputs of all evaluations: views on a circle, matched in pairs (0 1) (2 3) ...

    Attributes:
        resolution: pixels of a side; the maps have an eighth of them.
        device, dtype: of features and weights.
    """

    views: int
    resolution: int
    frames: int
    device: torch.device = CPU
    dtype: torch.dtype = torch.float32
    x: Tensor = field(init=False)  # (V * B * F, C, h, w)
    module: SyncModule = field(init=False)
    slope: Tensor = field(init=False)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.side = self.resolution // LATENT_STRIDE
        shape = (self.views * BRANCHES * self.frames, CHANNELS, self.side, self.side)
        self.x = torch.randn(shape, generator=generator).to(self.device, self.dtype)
        self.slope = torch.rand(1, generator=generator)
        self.module = SyncModule(CHANNELS).eval().requires_grad_(False)
        for name, weight in self.module.named_parameters():
            if weight.dim() > 1:
                weight.normal_(0, weight.shape[1] ** -0.5, generator=generator)
            else:
                weight.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
        self.module.to(self.device, self.dtype)
        self.cameras = make_rig("circle", self.views, self.frames)

    @property
    def partners(self) -> list[int]:
        return [view ^ 1 for view in range(self.views)]


class Ours:
    """The module of this project; what it keeps of its masks lives as long as a run does."""

    def __init__(self, case: Case, attention: AttentionKind) -> None:
        self.case = case
        self.attention = attention
        self._forget()

    def _forget(self) -> None:
        case = self.case
        self.bias = EpipolarBias.from_cameras(case.cameras, case.resolution, case.resolution, threshold=THRESHOLD)
        self.cache = BiasCache()

    def first_call(self) -> Tensor:
        """As the first network call of a run, which has yet to build the masks."""
        self._forget()
        return self()

    @torch.no_grad()
    def __call__(self) -> Tensor:
        views = range(self.case.views)
        groups = [(view, view + 1) for view in views[::2]]
        context = SyncContext(
            tuple(views),
            groups_to_partners(groups),
            self._slopes,
            self.bias,
            BRANCHES,
            cache=self.cache,
            attention=self.attention,
        )
        return cast(Tensor, self.case.module(self.case.x, context))

    def _slopes(self, shape: tuple[int, ...]) -> Tensor:
        return self.case.slope.expand(shape)

    def mask_bytes(self) -> int:
        return self.cache.size


class Released:
    """The same weights, evaluated as the released code does."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.copied_bytes = self.bias_bytes = 0
        pairs = enumerate(case.partners)
        sides = (case.resolution, case.resolution)
        geometry = [pair_geometry(case.cameras, view, partner, *sides) for view, partner in pairs]
        self.fundamental = torch.stack([g.fundamental for g in geometry]).to(case.device)  # (V, F, 3, 3)
        rows = torch.arange(case.views * BRANCHES * case.frames).view(case.views, -1)
        self.partner_rows = rows[case.partners].flatten()

    @torch.no_grad()
    def __call__(self) -> Tensor:
        transformer, x, side = self.case.module.epi_transformer, self.case.x, self.case.side
        y = transformer.norm(x).permute(0, 2, 3, 1).reshape(len(x), side * side, CHANNELS)
        y = transformer.proj_in(y)
        block = cast(SyncBlock, transformer.transformer_blocks[0])
        for norm, attention in zip(block.norms, block.attention_blocks, strict=True):
            y = self._attend(cast(CrossViewAttention, attention), norm(y)) + y
        y = block.ff(block.ff_norm(y)) + y
        y = transformer.proj_out(y)
        return y.reshape(len(x), side, side, CHANNELS).permute(0, 3, 1, 2).contiguous() + x

    def _attend(self, attention: CrossViewAttention, z: Tensor) -> Tensor:
        others = z[self.partner_rows]
        q, k, v = (x.unflatten(-1, (HEADS, -1)).transpose(1, 2) for x in self._projections(attention, z, others))
        step = max(1, COPIED_BYTES // (4 * HEADS * z.shape[1] ** 2))
        parts = []
        for first in range(0, len(z), step):
            rows = slice(first, first + step)
            bias = self._bias(rows)
            copied = bias.to(z.dtype)[:, None].expand(-1, HEADS, -1, -1).contiguous()
            self.bias_bytes, self.copied_bytes = bias.nbytes, copied.nbytes
            parts.append(scaled_dot_product_attention(q[rows], k[rows], v[rows], copied))
        out = torch.cat(parts).transpose(1, 2).flatten(2)
        return cast(Tensor, attention.to_out[0](out))

    @staticmethod
    def _projections(attention: CrossViewAttention, z: Tensor, others: Tensor) -> tuple[Tensor, ...]:
        return attention.to_q(z), attention.to_k(others), attention.to_v(others)

    def _bias(self, rows: slice) -> Tensor:
        """``(rows, N, N)``; rows are ordered view, branch, frame."""
        case = self.case
        pixels = feature_pixels(case.resolution, case.resolution, case.side, case.side).float().to(case.device)
        angle = math.pi * case.slope.to(case.device)
        normal = torch.cat([angle.cos(), angle.sin()])
        through = torch.cat([normal.expand(len(pixels), 2), -(pixels[:, :2] @ normal)[:, None]], -1)
        lines = pixels @ self.fundamental.float().mT  # (V, F, N, 3)
        lines[:, 0] = through
        lines = lines[:, None].expand(-1, BRANCHES, -1, -1, -1).flatten(0, 2)[rows]
        distance = (lines @ pixels.T).abs() / (lines[..., :2].norm(dim=-1, keepdim=True) + 1e-6)
        tau = THRESHOLD / (case.resolution // 2) * distance.amax((1, 2), keepdim=True)
        bias = -(distance - tau).clamp(min=0) * 3 / (tau + 1e-6)
        if bias.isnan().any() or bias.isinf().any():
            bias = bias.nan_to_num(0, 0, 0)
        return bias

    def mask_bytes(self) -> int:
        return self.bias_bytes + self.copied_bytes


def prepare(variant: str, views: int, resolution: int, frames: int) -> Callable[[], object]:
    """One of the variants on inputs of its own, for a process of its own."""
    return variants(Case(views, resolution, frames))[variant]


def variants(case: Case) -> dict[str, Released | Ours]:
    return {RELEASED: Released(case), DENSE: Ours(case, DENSE), SPARSE: Ours(case, SPARSE)}


def measure(views: int, resolution: int, frames: int, repeats: int) -> list[dict[str, Any]]:
    """One row per variant: seconds (fastest and median call), mask bytes and peak memory.

    Raises:
        RuntimeError: the evaluations do not agree.
    """
    size = (views, resolution, frames)
    kinds = variants(Case(*size))
    peaks = {name: peak_memory(prepare, name, *size) for name in kinds}
    reference = kinds[RELEASED]()
    differences = {name: float((kind() - reference).abs().max()) for name, kind in kinds.items() if name != RELEASED}
    if not max(differences.values()) <= TOLERANCE:
        raise RuntimeError(f"{views} views: the evaluations differ by {differences}, more than {TOLERANCE}")
    masks = {name: kind.mask_bytes() for name, kind in kinds.items()}
    calls: dict[str, Callable[[], object]] = dict(kinds)
    for name in (DENSE, SPARSE):
        calls[f"{name}, first call"] = cast(Ours, kinds[name]).first_call
    seconds = interleaved(calls, repeats)
    return [
        {
            "views": views,
            "resolution": resolution,
            "frames": frames,
            "evaluation": name,
            "fastest s": min(times),
            "median s": median(times),
            "mask bytes": masks[name.partition(",")[0]],
            "peak bytes": peaks[name.partition(",")[0]],
            "largest difference": differences.get(name.partition(",")[0]),
        }
        for name, times in seconds.items()
    ]


def show(rows: list[dict[str, Any]]) -> None:
    """Print a table with the ratios to the comparison row."""
    first = rows[0]
    title = f"{first['views']} views, {first['resolution']} px, {first['frames']} frames"
    table = [[title, "fastest s", "median s", "times faster", "mask MB", "peak MB", "difference"]]
    for row in rows:
        seconds = [f"{row[key]:.2f}" for key in ("fastest s", "median s")]
        faster = f"{first['median s'] / row['median s']:.2f}"
        sizes = [f"{row[f'{key} bytes'] / 1e6:.0f}" for key in ("mask", "peak")]
        difference = "" if row["largest difference"] is None else f"{row['largest difference']:.0e}"
        table.append([row["evaluation"], *seconds, faster, *sizes, difference])
    print_table(table)
    print(flush=True)


def main() -> None:
    parser = arguments((__doc__ or "").split("\n")[0], repeats=3)
    parser.add_argument("--views", type=int, nargs="+", default=[2], help="even numbers of views (default 2)")
    parser.add_argument("--resolutions", type=int, nargs="+", default=[256], help="pixels of a side (default 256)")
    parser.add_argument("--frames", type=int, default=16, help="frames of a view (default 16)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    about = machine()
    print(", ".join(f"{key}: {value}" for key, value in about.items()), flush=True)
    results = []
    for resolution in options.resolutions:
        for views in options.views:
            rows = measure(views, resolution, options.frames, options.repeats)
            show(rows)
            results += rows
    write_report(options.json, "sync_module", about, results)


if __name__ == "__main__":
    main()
