"""What the benchmarks share: the machine's description, timing, peak memory, tables and the JSON report."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cvd_core.files import atomic_path


def arguments(description: str, repeats: int | None) -> argparse.ArgumentParser:
    """A parser with the options every benchmark has; ``repeats`` is None where calls are not repeated."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (default 2)")
    if repeats is not None:
        words = f"measured calls of each kind (default {repeats})"
        parser.add_argument("--repeats", type=int, default=repeats, help=words)
    add_json(parser)
    return parser


def add_json(parser: argparse.ArgumentParser) -> None:
    """The option of :func:`write_report`."""
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the numbers to this file")


def machine() -> dict[str, Any]:
    """What the numbers depend on; ask before measuring. A load well above 0 means that something else is running."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "date": date.today().isoformat(),
        "load at start": round(os.getloadavg()[0], 2),
    }


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def interleaved(variants: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of every call, the variants taking turns, so that a slow moment of the machine hits all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(repeats):
        for name, run in variants.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def peak_memory(prepare: Callable[..., Callable[[], object]], *args: object) -> int:
    """Bytes by which the resident memory of a fresh process grows at most while it runs ``prepare(*args)()``."""
    return in_fresh_process(_without_result, prepare, *args)[0]


def _without_result(prepare: Callable[..., Callable[[], object]], *args: object) -> Callable[[], None]:
    run = prepare(*args)

    def call() -> None:
        run()

    return call


def in_fresh_process(prepare: Callable[..., Callable[[], object]], *args: object) -> tuple[int, Any]:
    """Run ``prepare(*args)()`` in a fresh process.

    Args:
        prepare: a module-level function or class; what it holds when it returns does not count as memory of the run.

    Returns:
        bytes by which the resident memory grows at most during the run, and what the run returns.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_report_peak, args=(sender, torch.get_num_threads(), prepare, args))
    process.start()
    sender.close()
    try:
        peak, result = receiver.recv()
        return int(peak), result
    except EOFError:
        raise RuntimeError(
            f"the process that measures {prepare.__name__} ended early; is there enough memory?"
        ) from None
    finally:
        process.join()


def _report_peak(
    sender: Connection, threads: int, prepare: Callable[..., Callable[[], object]], args: Sequence[object]
) -> None:
    torch.set_num_threads(threads)
    run = prepare(*args)
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again from here
    before = _resident("VmRSS")
    result = run()
    sender.send((_resident("VmHWM") - before, result))


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(field + ":"))


class Clock:
    """Seconds spent in each watched module, call by call."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[list[float]]] = {}

    def watch(self, kind: str, modules: Iterable[nn.Module]) -> None:
        """Clock what the modules compute themselves; hooks that others put on them do not count."""
        for module in modules:
            calls: list[float] = []
            self.seconds.setdefault(kind, []).append(calls)
            self._hook(module, calls)

    def _hook(self, module: nn.Module, calls: list[float]) -> None:
        start = 0.0

        def begin(_module: nn.Module, _inputs: Any) -> None:
            nonlocal start
            start = time.perf_counter()

        def end(_module: nn.Module, _inputs: Any, _output: Any) -> None:
            calls.append(time.perf_counter() - start)

        module.register_forward_pre_hook(begin)
        module.register_forward_hook(end, prepend=True)

    def fastest(self, kind: str) -> float:
        """Each module's fastest call, summed: the figure that other programs on the machine disturb least."""
        return sum(min(calls) for calls in self.seconds[kind])


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Rows of text in columns, the first one the heading; numbers to the right of the first column."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for i, row in enumerate(rows):
        print("  ".join([row[0].ljust(widths[0]), *(x.rjust(w) for x, w in zip(row[1:], widths[1:], strict=True))]))
        if i == 0:
            print("  ".join("-" * w for w in widths))


def write_report(path: Path | None, name: str, about: Mapping[str, Any], results: object) -> None:
    """The machine and the results as JSON, if a path is given."""
    if path is not None:
        with atomic_path(path) as temporary:
            report = {"benchmark": name, "machine": about, "results": results}
            temporary.write_text(json.dumps(report, indent=2) + "\n")
