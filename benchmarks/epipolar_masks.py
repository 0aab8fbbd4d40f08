"""CamI2V's epipolar attention: memory of masks made frame by frame against one mask of all frames, and time.

Memory is that of one attention in half precision, queries, keys and values included, counted by arithmetic as
``benchmarks.memory`` does. With ``--time``, also seconds per call on the processor in float32, masked against
unmasked, taking turns.

    python -m benchmarks.epipolar_masks
    python -m benchmarks.epipolar_masks --time --repeats 5
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from benchmarks.harness import arguments, interleaved, machine, print_table, write_report
from benchmarks.memory import META, peak_bytes
from cvd_core.cami2v.camera import relative_path
from cvd_core.cami2v.epipolar import EpipolarAttention, EpipolarLines
from cvd_core.cami2v.network import FRAMES, Layout
from cvd_core.geometry.rigs import make_rig
from cvd_core.sampling.draws import SeededDraws

MEGABYTE = 1e6
SIZES = ((256, 256), (512, 320))


@dataclass(frozen=True)
class WholeMask(EpipolarLines):
    """The mask of all frames at once, as the released code makes it."""

    def masks(self, tokens: tuple[int, int], device: torch.device) -> Iterator[Tensor] | None:
        found = super().masks(tokens, device)
        return None if found is None else iter([torch.cat(list(found), 1)])


@dataclass(frozen=True)
class NoMask(EpipolarLines):
    """Every token looks at every other."""

    def masks(self, tokens: tuple[int, int], device: torch.device) -> Iterator[Tensor] | None:
        return None


KINDS = {"frame by frame": EpipolarLines, "one mask": WholeMask, "no mask": NoMask}


class OneCall(EpipolarAttention):
    """The attention with all queries in as many parts as there are masks."""

    def forward(self, x: Tensor, lines: EpipolarLines, tokens: tuple[int, int]) -> Tensor:
        if isinstance(lines, WholeMask):
            x = x.flatten(1, 2)[:, None]
        return super().forward(x, lines, tokens)


def memory(kind: type[EpipolarLines], width: int, height: int, step: int, channels: int) -> int:
    """Peak bytes of an attention on maps of ``step`` picture pixels per token."""
    size = (height // step, width // step)
    with META:
        attention = OneCall(channels, Layout().head_width).half()
        x = torch.empty(1, FRAMES, size[0] * size[1], channels, dtype=torch.half)
        lines = kind(torch.empty(1, FRAMES, FRAMES, 3, 3, dtype=torch.double), height, width)
    return peak_bytes(lambda: attention(x, lines, size))


def calls(width: int, height: int, step: int, channels: int) -> dict[str, partial[Tensor]]:
    """The same attention on real numbers, with each kind of mask."""
    size = (height // step, width // step)
    rig = relative_path(make_rig("stereo", 1, FRAMES, baseline=1.0, aspect=width / height))
    lines = EpipolarLines.of(rig, width, height, SeededDraws(0).lines((1, FRAMES, FRAMES, 3)))
    attention = OneCall(channels, Layout().head_width).requires_grad_(False)
    x = torch.randn(1, FRAMES, size[0] * size[1], channels, generator=torch.Generator().manual_seed(0))
    return {
        name: partial(attention, x, kind(lines.fundamental, height, width), size)
        for name, kind in KINDS.items()
        if name != "one mask"
    }


def main() -> None:
    parser = arguments((__doc__ or "").split("\n")[0], repeats=3)
    parser.add_argument("--time", action="store_true", help="also time masked against unmasked attention")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    about = machine()
    rows = []
    for width, height in SIZES:
        for step, channels in zip((8, 16, 32, 64), (*Layout().widths[:3], Layout().widths[2]), strict=True):
            row: dict[str, object] = {"size": f"{width}x{height}", "step": step, "tokens": width * height // step**2}
            row |= {name: memory(kind, width, height, step, channels) / MEGABYTE for name, kind in KINDS.items()}
            if options.time:
                taken = interleaved(calls(width, height, step, channels), options.repeats)
                row |= {f"{name}, s": min(seconds) for name, seconds in taken.items()}
            rows.append(row)
    heads = list(rows[0])
    shown = [
        [
            f"{v:.0f}"
            if isinstance(v, float) and not k.endswith("s")
            else f"{v:.2g}"
            if isinstance(v, float)
            else str(v)
            for k, v in row.items()
        ]
        for row in rows
    ]
    print_table([[f"{h}, MB" if h in KINDS else h for h in heads], *shown])
    write_report(options.json, "epipolar_masks", about, rows)


if __name__ == "__main__":
    main()
