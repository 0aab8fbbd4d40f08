"""CamI2V's epipolar attention on a processor: peak memory and, with ``--time``, seconds, by how masks are handled.

in tiles: what the network does, tokens that are masked out are passed over; frame by frame: a mask for the queries of
one frame at a time; one mask: of all frames, as the released code makes it; no mask: every token looks at every other,
which is another result. Float32, one video of 16 frames, each number from a fresh process; times take turns.

    python -m benchmarks.epipolar_masks
    python -m benchmarks.epipolar_masks --time --repeats 3
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from benchmarks.harness import arguments, interleaved, machine, peak_memory, print_table, write_report
from cvd_core.cami2v.camera import relative_path
from cvd_core.cami2v.epipolar import EpipolarAttention, EpipolarLines
from cvd_core.cami2v.network import FRAMES, Layout
from cvd_core.geometry.rigs import make_rig
from cvd_core.sampling.draws import SeededDraws

MEGABYTE = 1e6
CASES = ((256, 256, 8), (256, 256, 16), (512, 320, 16), (512, 320, 32))
"""Picture size and picture pixels per token; the 512 model has no mask at 8."""
KINDS = ("in tiles", "frame by frame", "one mask", "no mask")


@dataclass(frozen=True)
class WholeMask(EpipolarLines):
    """The mask of all frames at once."""

    def masks(self, tokens: tuple[int, int], device: torch.device) -> Iterator[Tensor] | None:
        found = super().masks(tokens, device)
        return None if found is None else iter([torch.cat(list(found), 1)])


class Prepared:
    """An attention on random numbers; call it to evaluate it.

    Args:
        kind: of :data:`KINDS`.
        width, height: of the picture.
        step: picture pixels per token.
    """

    def __init__(self, kind: str, width: int, height: int, step: int) -> None:
        widths = Layout().widths
        channels = widths[min(step.bit_length() - 4, len(widths) - 1)]
        rig = relative_path(make_rig("stereo", 1, FRAMES, baseline=1.0, aspect=width / height))
        noise = SeededDraws(0).lines((1, FRAMES, FRAMES, 3))
        lines = EpipolarLines.of(rig, width, height, noise, attention="sparse" if kind == "in tiles" else "dense")
        if kind == "no mask":
            lines = replace(lines, smallest_step=height + 1)
        if kind == "one mask":
            lines = WholeMask(lines.fundamental, height, width, attention="dense")
        self.lines = lines
        self.size = (height // step, width // step)
        self.attention = EpipolarAttention(channels, Layout().head_width).requires_grad_(False)
        x = torch.randn(1, FRAMES, self.size[0] * self.size[1], channels, generator=torch.Generator().manual_seed(0))
        self.x = x.flatten(1, 2)[:, None] if kind == "one mask" else x  # as many parts of queries as masks

    def __call__(self) -> Tensor:
        out: Tensor = self.attention(self.x, self.lines, self.size)
        return out


def main() -> None:
    parser = arguments((__doc__ or "").split("\n")[0], repeats=3)
    parser.add_argument("--time", action="store_true", help="also time the attentions, the first call left out")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    about = machine()
    rows = []
    for width, height, step in CASES:
        row: dict[str, object] = {"size": f"{width}x{height}", "step": step, "tokens": width * height // step**2}
        for kind in KINDS:
            row[f"{kind}, MB"] = round(peak_memory(Prepared, kind, width, height, step) / MEGABYTE)
        if options.time:
            calls = {kind: partial(Prepared(kind, width, height, step)) for kind in KINDS}
            taken = interleaved(calls, options.repeats + 1)
            row |= {f"{kind}, s": round(min(seconds[1:]), 2) for kind, seconds in taken.items()}
        rows.append(row)
    print_table([list(rows[0]), *([str(value) for value in row.values()] for row in rows)])
    write_report(options.json, "epipolar_masks", about, rows)


if __name__ == "__main__":
    main()
