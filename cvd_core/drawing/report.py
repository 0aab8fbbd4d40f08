"""The HTML report of an evaluation: one file, no scripts, nothing fetched."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from cvd_core import __version__
from cvd_core.drawing.camera_plot import COLORS, plain_label
from cvd_core.drawing.contact_sheet import contact_sheet, sheet_frames
from cvd_core.evaluation.camera_measures import PATHS
from cvd_core.evaluation.footage import Footage
from cvd_core.evaluation.results import Measure, Plot, Results
from cvd_core.files import atomic_path
from cvd_core.geometry.cameras import Cameras

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_THUMBNAIL = 144
"""Pixels of the longer side."""
_ARROWS = {"lower": " ↓", "higher": " ↑", "": ""}

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2937; margin: 0 auto; max-width: 66rem; padding: 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 0 0 1rem; }
dt { color: #6b7280; } dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .8rem .25rem 0; text-align: right; border-bottom: 1px solid #e5e7eb; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } thead th { color: #6b7280; font-weight: 600; }
img { max-width: 100%; height: auto; display: block; margin: .8rem 0; }
ul { padding-left: 1.2rem; color: #4b5563; } footer { margin-top: 2.5rem; color: #6b7280; font-size: .85rem; }
"""


def write_report(results: Results, footage: Footage, path: str | os.PathLike[str]) -> None:
    """Write the report, whole or not at all. Every text from outside is escaped."""
    with atomic_path(path) as temporary:
        temporary.write_text(report_html(results, footage), encoding="utf-8")


def report_html(results: Results, footage: Footage) -> str:
    """The report's text."""
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in results.facts.items())
    notes = "".join(f"<li>{escape(text)}</li>" for text in results.notes)
    frames = sheet_frames(footage.videos.shape[1])
    sheet = io.BytesIO()
    contact_sheet(footage.videos, frames, _THUMBNAIL).save(sheet, "PNG")
    caption = f"One row per view; frames {', '.join(map(str, frames))}."
    parts = [
        f"<h1>Evaluation of {escape(', '.join(footage.cameras.names))}</h1>",
        f"<dl>{facts}</dl>",
        _image(sheet.getvalue(), "image/png", caption),
        f"<p>{caption} Arrows say which way is better.</p>",
        f"<ul>{notes}</ul>" if notes else "",
        *(_group(results, group) for group in results.groups),
        f"<footer>cvd {escape(__version__)}. What each number means: docs/evaluation.md.</footer>",
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>CVD evaluation</title>\n'
        f"<style>{_STYLE}</style></head><body>\n" + "\n".join(filter(None, parts)) + "\n</body></html>\n"
    )


def _group(results: Results, group: str) -> str:
    pictures = [_svg(draw_plot(plot), plot.title) for plot in results.plots if plot.group == group]
    if group == PATHS and results.paths:
        pictures.append(_svg(draw_paths(results.paths), "Commanded and estimated camera paths"))
    return f"<h2>{escape(group)}</h2>\n{_table(results, group)}\n" + "\n".join(pictures)


def _table(results: Results, group: str) -> str:
    """Measures down, subjects across."""
    subjects = results.subjects(group)
    cells: dict[str, dict[str, Measure]] = {}
    for m in results.measures:
        if m.group == group:
            cells.setdefault(m.name, {})[m.subject] = m
    head = "".join(f"<th>{escape(subject)}</th>" for subject in subjects)
    rows = []
    for name, row in cells.items():
        better = next(iter(row.values())).better
        texts = [escape(row[subject].text) if subject in row else "" for subject in subjects]
        values = "".join(f"<td>{text}</td>" for text in texts)
        rows.append(f"<tr><td>{escape(name)}{_ARROWS[better]}</td>{values}</tr>")
    return (
        f'<div class="wide"><table><thead><tr><th></th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def draw_plot(plot: Plot) -> Figure:
    """A curve or point cloud; colours and dashes as in drawings of cameras."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6.4, 5.4) if plot.points else (8.4, 3.4), layout="constrained")
    axes = figure.add_subplot()
    for i, (name, (x, y)) in enumerate(plot.lines.items()):
        style = "" if plot.points else ("-", "--", ":")[i // len(COLORS) % 3]
        axes.plot(x, y, f"o{style}", color=COLORS[i % len(COLORS)], markersize=3.5, label=plain_label(name))
    if plot.points:
        axes.axline((0, 0), slope=1, color="#9ca3af", linewidth=1, zorder=1)
        axes.set_aspect("equal", adjustable="datalim")
    else:
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(title=plot.title, xlabel=plot.x_label, ylabel=plot.y_label)
    axes.grid(color="#e5e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=9, ncols=1 + (len(plot.lines) - 1) // 8)
    return figure


def draw_paths(paths: Sequence[tuple[Cameras, Cameras]]) -> Figure:
    """Commanded (lines) and estimated (dashes, dots) path of every view, from above and from behind the cameras."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.6), layout="constrained")
    for axes, title, across, up in zip(
        figure.subplots(1, 2), ("From above", "From behind the cameras"), (0, 0), (2, 1), strict=True
    ):
        for i, (true, estimated) in enumerate(paths):
            color = COLORS[i % len(COLORS)]
            for cameras, style, kind in ((true, "-", "commanded"), (estimated, "o--", "estimated")):
                path, name = cameras.centers[0].numpy(), plain_label(f"{cameras.names[0]}, {kind}")
                axes.plot(path[:, across], path[:, up], style, color=color, markersize=3.5, linewidth=1.6, label=name)
        axes.set(title=title, xlabel="x (right)", ylabel="z (forward)" if up == 2 else "y (down)")
        axes.set_aspect("equal", adjustable="datalim")
        axes.grid(color="#e5e7eb", linewidth=0.8)
        axes.set_axisbelow(True)
        if up == 1:
            axes.invert_yaxis()
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    figure.suptitle("Camera paths, each scaled to a largest translation of 1")
    return figure


def _svg(figure: Figure, text: str) -> str:
    """A figure as a picture in the page; as such it cannot run anything."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return _image(file.getvalue().encode(), "image/svg+xml", text)


def _image(data: bytes, kind: str, text: str) -> str:
    return f'<img src="data:{kind};base64,{base64.b64encode(data).decode()}" alt="{escape(text)}">'
