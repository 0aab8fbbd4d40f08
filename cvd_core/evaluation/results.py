"""What an evaluation found, and its files for programs: JSON and CSV."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from cvd_core.files import atomic_path
from cvd_core.geometry.cameras import Cameras

FORMAT = "cvd evaluation"
VERSION = 1


@dataclass(frozen=True)
class Measure:
    """One number.

    Attributes:
        group: what kind of measure.
        subject: the view, the pair of views, or ``all``.
        name: of the measure.
        value: NaN where it is undefined.
        unit: may be empty.
        better: ``lower`` or ``higher``, empty where neither is.
    """

    group: str
    subject: str
    name: str
    value: float
    unit: str = ""
    better: str = ""

    @property
    def text(self) -> str:
        """The value with its unit for people, or a dash."""
        return f"{self.value:.4g} {self.unit}".strip() if math.isfinite(self.value) else "-"


@dataclass(frozen=True)
class Plot:
    """Lines over the frames, or points.

    Attributes:
        group: as in :class:`Measure`.
        title, x_label, y_label: texts.
        lines: x and y values by name; NaN where undefined.
        points: no lines between them, and a diagonal where both are equal.
    """

    group: str
    title: str
    x_label: str
    y_label: str
    lines: Mapping[str, tuple[list[float], list[float]]]
    points: bool = False


@dataclass
class Results:
    """Everything one evaluation found.

    Attributes:
        facts: what was evaluated, by name.
        measures: all numbers.
        plots: all curves.
        paths: commanded and estimated path of every view where structure from motion found one (that of the first
            successful trial), both canonical; without pure rotations.
        notes: what was left out and why, and what to know about the numbers.
    """

    facts: dict[str, str]
    measures: list[Measure] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)
    paths: list[tuple[Cameras, Cameras]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, group: str, subject: str, values: Iterable[tuple[str, float, str, str]]) -> None:
        """Add measures given as name, value, unit and what is better."""
        self.measures += [Measure(group, subject, *value) for value in values]

    def value(self, group: str, subject: str, name: str) -> float:
        """The number of one measure; KeyError if there is none."""
        for m in self.measures:
            if (m.group, m.subject, m.name) == (group, subject, name):
                return m.value
        raise KeyError((group, subject, name))

    @property
    def groups(self) -> list[str]:
        """Groups in the order they were measured."""
        return list(dict.fromkeys(m.group for m in self.measures))

    def subjects(self, group: str) -> list[str]:
        """Of a group: ``all`` first, if it is there, then the others as they were measured."""
        found = dict.fromkeys(m.subject for m in self.measures if m.group == group)
        return sorted(found, key=lambda subject: subject != "all")

    def to_json(self) -> str:
        """Facts, notes, measures and curves; null where a number is undefined or infinite."""
        values = {
            "format": FORMAT,
            "version": VERSION,
            "facts": self.facts,
            "notes": self.notes,
            "measures": [asdict(m) for m in self.measures],
            "plots": [asdict(plot) for plot in self.plots],
            "paths": [
                {"view": true.names[0], "commanded": true.c2w[0].tolist(), "estimated": estimated.c2w[0].tolist()}
                for true, estimated in self.paths
            ],
        }
        return json.dumps(_finite(values), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def save_json(self, path: str | os.PathLike[str]) -> None:
        """Write :meth:`to_json`, whole or not at all."""
        with atomic_path(path) as temporary:
            temporary.write_text(self.to_json(), encoding="utf-8")

    def save_csv(self, path: str | os.PathLike[str]) -> None:
        """One line per measure; an empty value where it is undefined. Whole or not at all."""
        with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("group", "subject", "measure", "value", "unit", "better"))
            for m in self.measures:
                number = repr(m.value) if math.isfinite(m.value) else ""
                writer.writerow((m.group, m.subject, m.name, number, m.unit, m.better))


def over_frames(values: Tensor) -> tuple[list[float], list[float]]:
    """A curve of ``(F,)`` values over their frame numbers."""
    return [float(f) for f in range(len(values))], values.tolist()


def mean(values: Sequence[float]) -> float:
    """Mean of the numbers that are defined; NaN if there are none."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
