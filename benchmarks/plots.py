"""Pictures of the benchmarks' numbers for README."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from benchmarks.consistency import Estimate
from cvd_core.files import atomic_path

COLOUR, FAINT = "#2563eb", "#9ca3af"
MARKERS = "osD^vP*X"
Curve = list[tuple[float, Estimate]]


def draw_bars(path: Path, panels: Mapping[str, Mapping[str, Estimate]]) -> None:
    """A panel per title, a bar with its interval per name; the first bar is what the others are held against."""
    figure = Figure(figsize=(4.2 * len(panels), 3.2), layout="constrained")
    for i, (axes, bars) in enumerate(_panels(figure, panels)):
        found, places = list(bars.values()), range(len(bars))
        colours = [FAINT, *[COLOUR] * (len(bars) - 1)]
        error = {"capsize": 3, "linewidth": 1}
        axes.barh(places, [e.value for e in found], xerr=_reach(found), color=colours, error_kw=error)
        axes.set_yticks(places, list(bars) if i == 0 else [""] * len(bars))
        axes.invert_yaxis()
        axes.grid(color="#e5e7eb", linewidth=0.8, axis="x")
    _save(figure, path)


def draw_curves(path: Path, panels: Mapping[str, Mapping[str, Curve]], x_label: str, y_label: str) -> None:
    """A panel per title, in it a line through ``(x, estimate)`` per name, which looks the same in all panels."""
    figure = Figure(figsize=(4.2 * len(panels), 3.8), layout="constrained")
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    legend: dict[str, Artist] = {}
    for i, (axes, lines) in enumerate(_panels(figure, panels)):
        for name, points in lines.items():
            x, found = [at for at, _ in points], [estimate for _, estimate in points]
            y, place = [e.value for e in found], names.index(name)
            axes.errorbar(
                x,
                y,
                _reach(found),
                marker=MARKERS[place],
                color=f"C{place}",
                markersize=4,
                capsize=2,
                linewidth=1.2,
                label=name,
            )
        legend |= {name: handle for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)}
        axes.set(xlabel=x_label, ylabel=y_label if i == 0 else "", xscale="log")
        for formatter in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
            formatter(ScalarFormatter())
        axes.tick_params(axis="x", which="both", labelsize=8)
        axes.set_ylim(bottom=0)
        axes.grid(color="#e5e7eb", linewidth=0.8)
    handles, labels = list(legend.values()), list(legend)
    figure.legend(handles, labels, loc="outside lower center", ncols=len(names), frameon=False, fontsize=9)
    _save(figure, path)


T = TypeVar("T")


def _panels(figure: Figure, panels: Mapping[str, T]) -> Iterator[tuple[Axes, T]]:
    """Axes side by side with their titles and contents."""
    for axes, (title, content) in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels.items(), strict=True):
        axes.set_title(title, fontsize=10)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        yield axes, content


def _reach(found: list[Estimate]) -> list[list[float]]:
    """How far the intervals reach below and above."""
    return [[e.value - e.low for e in found], [e.high - e.value for e in found]]


def _save(figure: Figure, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
