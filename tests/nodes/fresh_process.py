"""Runs that must have nothing behind them: ``python -m tests.nodes.fresh_process NAME OUT`` writes what came out.

Tests call :func:`run_fresh`, which starts this with the Python they run in.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from tests.nodes.host_process import PACK, Host, host_folder


def run_fresh(name: str, folder: Path) -> Any:
    """What the run ``name`` gives in a process of its own.

    Raises:
        RuntimeError: it failed; the message holds what it printed.
    """
    out = folder / f"{name}.pt"
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # the number decides how sums are rounded
    done = subprocess.run(
        [sys.executable, "-m", "tests.nodes.fresh_process", name, str(out)],
        cwd=PACK,
        env=os.environ | threads,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{name}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return torch.load(out, weights_only=True)


def plain_runs() -> dict[str, torch.Tensor]:
    """The host's own sampler on the first view: AnimateDiff+CameraCtrl, and the checkpoint alone."""
    host = Host(host_folder())
    from tests.nodes.runs import Scene, plain_results

    return plain_results(Scene(host, size=64))


def without_animatediff() -> dict[str, Any]:
    """Registered nodes, and the error of a sampler in a graph that never had a motion module."""
    host = Host(host_folder(), others=())
    from tests.nodes.runs import Scene
    from tests.nodes.test_bad_graphs import execute

    scene = Scene(host, size=64, steps=1)
    done = execute(scene, model=scene.synced(model=scene.base))
    return {"nodes": sorted(host.nodes.NODE_CLASS_MAPPINGS), "error": done.error, "failed": done.failed_node}


def without_torchvision() -> dict[str, Any]:
    """The pack's nodes where the host has torchvision - newer ones import much of it - and the pack finds none."""
    sys.path.insert(0, str(host_folder()))
    import comfy.options  # noqa: F401 - lets cli_args ignore this program's arguments
    from comfy.cli_args import args

    args.cpu = True
    for name in ("comfy.sd", "comfy.samplers", "comfy_api.latest", "latent_preview"):
        importlib.import_module(name)
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    sys.meta_path.insert(0, _NoTorchvision())
    spec = importlib.util.spec_from_file_location("pack", PACK / "__init__.py", submodule_search_locations=[str(PACK)])
    assert spec is not None
    assert spec.loader is not None
    pack = importlib.util.module_from_spec(spec)
    sys.modules["pack"] = pack
    spec.loader.exec_module(pack)

    async def node_ids() -> list[str]:
        extension = await pack.comfy_entrypoint()
        return sorted(node.define_schema().node_id for node in await extension.get_node_list())

    return {"nodes": asyncio.run(node_ids())}


class _NoTorchvision(MetaPathFinder):
    def find_spec(self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> None:
        if fullname.partition(".")[0] == "torchvision":
            raise ImportError(f"{fullname} is not there")


RUNS: dict[str, Callable[[], Any]] = {
    run.__name__: run for run in (plain_runs, without_animatediff, without_torchvision)
}

if __name__ == "__main__":
    torch.save(RUNS[sys.argv[1]](), sys.argv[2])
