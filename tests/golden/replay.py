"""Replay golden files through the project's code: ``python -m tests.golden.replay DIR [--host]``.

Any folder of files in the golden format will do: the check is chosen by a file's kind (the part of its name before the
first underscore) and by the arrays in it. Prints a row per file and exits with 1 if any deviates by more than its
tolerance. With ``--host``, run by the Python that ComfyUI runs with, the whole networks go through ComfyUI and the
nodes' samplers instead of the engine: unet_* and sample_* through its UNet and AnimateDiff-Evolved's motion and camera
modules, cami2v_unet_* and cami2v_sample_* through its models and guiders.

The column "float32" is the reproducibility of the case itself: how far the network's own output moves when GroupNorm
takes its variance in one pass (PyTorch's kernel for channels-last tensors) instead of two (its kernel for others), both
in float32. Where this exceeds the tolerance, the recorded numbers depend on the processor that recorded them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import torch
from torch import Tensor

from tests.golden.case import Case, Outcome

Checks = Mapping[str, Callable[[Case], Outcome | None]]
"""By kind; None for a case that the checked code has no call for."""

KINDS = ("geometry", "mask", "module", "schedule", "unet", "sample", "syncam", "cami2v")
NETWORK_KINDS = ("unet", "sample")
HOST_KINDS = (*NETWORK_KINDS, "cami2v")


@cache
def engine_checks() -> Checks:
    """The core and its engine on diffusers."""
    from tests.golden.cami2v import replay_cami2v
    from tests.golden.geometry import replay_geometry, replay_mask, replay_module
    from tests.golden.networks import replay_sample, replay_schedule, replay_unet
    from tests.golden.syncam import replay_syncam

    found = (
        replay_geometry,
        replay_mask,
        replay_module,
        replay_schedule,
        replay_unet,
        replay_sample,
        replay_syncam,
        replay_cami2v,
    )
    return dict(zip(KINDS, found, strict=True))


@cache
def host_checks() -> Checks:
    """ComfyUI with AnimateDiff-Evolved, whose Python need not have diffusers.

    Raises:
        ValueError: there is no ComfyUI, or this is not its Python.
    """
    from tests.nodes.host_process import Host, host_folder, why_no_host

    if why := why_no_host():
        raise ValueError(why)
    host = Host(host_folder())
    from tests.golden.cami2v_host import replay_cami2v
    from tests.golden.host import replay_sample, replay_unet

    found = (replay_unet, replay_sample, replay_cami2v)
    return {kind: partial(check, host) for kind, check in zip(HOST_KINDS, found, strict=True)}


def golden_files(folder: Path, kinds: Sequence[str] = KINDS) -> list[Path]:
    """The replayable files of a folder.

    Raises:
        ValueError: there are none.
    """
    files = [path for path in sorted(folder.glob("*.npz")) if path.stem.partition("_")[0] in kinds]
    if not files:
        raise ValueError(f"{folder} holds no golden files ({', '.join(f'{kind}_*.npz' for kind in kinds)})")
    return files


def replay(path: Path, checks: Checks) -> Outcome | None:
    """Run the check of one golden file."""
    case = Case(path)
    return checks[case.kind](case)


@contextmanager
def one_pass_group_norm() -> Iterator[None]:
    """Let GroupNorm of 4-D tensors run PyTorch's channels-last kernel, which takes the variance as E[x^2] - E[x]^2."""
    plain = torch.nn.functional.group_norm

    def channels_last(x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        if x.ndim == 4:
            n, c, h, w = x.shape
            # empty_strided because memory_format leaves a 1x1 map as it is
            x = torch.empty_strided((n, c, h, w), (c * h * w, 1, c * w, c), dtype=x.dtype).copy_(x)
        return plain(x, groups, weight, bias, eps)

    torch.nn.functional.group_norm = channels_last  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.nn.functional.group_norm = plain


def float32_reproducibility(path: Path, checks: Checks) -> float | None:
    """How far the case's own output moves between two float32 kernels of GroupNorm; None where there is no network."""
    if Case(path).kind not in NETWORK_KINDS:
        return None
    plain = replay(path, checks)
    with one_pass_group_norm():
        other = replay(path, checks)
    return None if plain is None or other is None else float((plain.found - other.found).abs().max())


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.golden.replay", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder with golden .npz files")
    parser.add_argument("--host", action="store_true", help="whole networks, through ComfyUI (run by its Python)")
    options = parser.parse_args(argv)
    torch.manual_seed(0)  # nothing may depend on it; a fixed start makes a violation repeatable
    try:
        files = golden_files(options.folder, HOST_KINDS if options.host else KINDS)
        checks = host_checks() if options.host else engine_checks()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    failed = skipped = 0
    print(f"{'file':36} {'max abs error':>13} {'tolerance':>10} {'float32':>9}")
    for path in files:
        outcome = replay(path, checks)
        if outcome is None:
            skipped += 1
            print(f"{path.stem:36} {'':34} no such call", flush=True)
            continue
        noise = None if outcome.ok else float32_reproducibility(path, checks)
        failed += not outcome.ok
        shown = "" if noise is None else f"{noise:9.1e}"
        verdict = "ok" if outcome.ok else "FAIL"
        print(f"{path.stem:36} {outcome.error:13.2e} {outcome.tolerance:10.1e} {shown:>9} {verdict}", flush=True)
    count = len(files) - skipped
    print(f"{count - failed} of {count} within tolerance")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
