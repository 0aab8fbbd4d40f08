"""Runs that several processes make together: the same as one process makes, and none left waiting."""

from __future__ import annotations

import copy
import multiprocessing
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as distributed
from torch import Tensor

from cvd_core.engine.sd15.denoise import denoise
from cvd_core.engine.sd15.unet import CollaborativeUNet
from cvd_core.runs.record import RunRecord
from cvd_core.sampling.collaborate import NetworkCall, predict_together, sample_together
from cvd_core.sampling.draws import SeededDraws
from cvd_core.sampling.pairs import Pairing
from cvd_core.sampling.recurrence import Recurrence
from cvd_core.sampling.settings import Settings
from cvd_core.sampling.team import ALONE, Team
from cvd_core.video.files import read_video
from tests import formula
from tests.core.strategies import random_rig
from tests.golden.networks import golden_unet

ROOT = Path(__file__).parents[2]
FORK = multiprocessing.get_context("fork")
FRAMES = 2
CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "pair": (2, {}),
    "pair without guidance and mask": (2, {"guidance": 1.0, "band": "none"}),
    "triple": (3, {"steps": 1}),
    "partition of four": (4, {}),
    "partition of five, repeated": (5, {"recurrence": Recurrence(2), "guidance": 1.0}),
    "partitions of six": (6, {"pairing": Pairing("multi-partition", 2), "guidance": 1.0}),
    "exhaustive": (4, {"pairing": Pairing("exhaustive"), "guidance": 1.0}),
    "exhaustive, odd": (5, {"pairing": Pairing("exhaustive"), "steps": 1, "guidance": 1.0}),
    "joint": (4, {"pairing": Pairing("joint")}),
    "one view": (1, {"steps": 1}),
    "noise at every step": (2, {"sampler": "euler_ancestral", "guidance": 1.0}),
}


@cache
def network() -> CollaborativeUNet:
    """In float64: rounding, which the made-up weights amplify, then stays below what float32 latents show."""
    return copy.deepcopy(golden_unet()).double()


def sampled(name: str, team: Team = ALONE, views_per_pass: int | None = None) -> Tensor:
    """The latents of a case."""
    views, changes = CASES[name]
    settings = Settings(("a",), **{"width": 64, "height": 64, "steps": 2, "guidance": 3.0, **changes})
    if views_per_pass is not None:
        pairing = settings.pairing
        settings = Settings(
            **{**vars(settings), "pairing": Pairing(pairing.strategy, pairing.partitions, views_per_pass)}
        )
    text = formula.noise("test_team/text", (views, 2 if settings.guidance > 1 else 1, 77, 64))
    rig = random_rig(3, views, FRAMES, "shared start")
    return denoise(network(), rig, text, settings, SeededDraws(1), team=team)


def in_team(count: int, store: Path, work: Callable[[Team], Any]) -> list[Any]:
    """What ``work`` returns in each of ``count`` connected processes."""

    def run(rank: int) -> None:
        torch.set_num_threads(1)
        distributed.init_process_group("gloo", init_method=f"file://{store}/store", rank=rank, world_size=count)
        torch.save(work(Team(rank, count)), store / f"{rank}.pt")
        distributed.destroy_process_group()

    store.mkdir()
    processes = [FORK.Process(target=run, args=(rank,)) for rank in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(240)
    assert [process.exitcode for process in processes] == [0] * count
    return [torch.load(store / f"{rank}.pt", weights_only=True) for rank in range(count)]


@pytest.fixture(scope="module", params=[2, pytest.param(3, marks=pytest.mark.slow)])
def teams(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, list[Any]]:
    """All cases in so many processes."""
    count = request.param
    store = tmp_path_factory.mktemp("team") / "exchange"
    return count, in_team(count, store, lambda team: {name: sampled(name, team) for name in CASES})


@pytest.mark.parametrize("name", CASES)
def test_a_team_makes_what_one_process_makes(teams: tuple[int, list[Any]], name: str) -> None:
    _, found = teams
    expected = sampled(name)
    torch.testing.assert_close(found[0][name], expected, rtol=0, atol=1e-6 * float(expected.abs().max()))
    assert all(torch.equal(other[name], found[0][name]) for other in found[1:])


@pytest.mark.parametrize("name", ["partition of four", "exhaustive"])
def test_a_pair_per_process_is_exactly_a_pair_per_call(teams: tuple[int, list[Any]], name: str) -> None:
    count, found = teams
    if count > 2:
        pytest.skip("two pairs for three processes: their views are spread")
    assert torch.equal(found[0][name], sampled(name, views_per_pass=2))


@pytest.mark.parametrize("count", range(1, 8))
@pytest.mark.parametrize("items", range(1, 8))
def test_work_is_divided_evenly_and_answered_once(count: int, items: int) -> None:
    names = [f"item {i}" for i in range(items)]
    team = [Team(rank, count) for rank in range(count)]
    own = [member.own(names) for member in team]
    assert len({len(part) for part in own}) == 1
    assert len(own[0]) == -(-items // count)
    assert all(len(set(part)) == len(part) for part in own)
    assert [name for part in own for name in part][:items] == names
    answered = [name for member, part in zip(team, own, strict=True) for name in part[: member.firsts(items)]]
    assert answered == names


def test_a_network_that_cannot_be_divided_refuses_too_many_processes() -> None:
    def unused(latents: Tensor, call: NetworkCall) -> Tensor:
        raise AssertionError

    schedule = Pairing().rounds(4, SeededDraws(0))
    with pytest.raises(ValueError, match=r"3 processes for 2 groups of views .* start at most 2"):
        predict_together(unused, torch.zeros(4, 1), schedule, SeededDraws(0), None, Team(0, 3))


def test_a_lost_process_is_told(tmp_path: Path) -> None:
    """Process 1 ends in the second step; 0 has to notice in its exchange."""

    def work(team: Team) -> str:
        solver_step = -1

        def predict(step: int, latents: Tensor, call: NetworkCall) -> Tensor:
            nonlocal solver_step
            solver_step = step
            if step == 1 and team.rank == 1:
                raise KeyboardInterrupt
            return latents

        solver, draws = _solver(), SeededDraws(0)
        try:
            sample_together(predict, draws.latents((4, 2)), solver, draws, team=team)
        except KeyboardInterrupt:
            return "interrupted"
        except ConnectionError as error:
            return f"step {solver_step}: {error}"
        return "finished"

    told, interrupted = in_team(2, tmp_path / "exchange", work)
    assert interrupted == "interrupted"
    assert told.startswith("step 1: another process of this run has ended")


def _solver() -> Any:
    from cvd_core.engine.solvers import DiffusersSolver

    return DiffusersSolver("ddim", 3, SeededDraws(0).solver_noise)


# the command

RUN = ["--rig", "circle", "--views", "4", "--prompt", "a red ball", "--device", "cpu", "--seed", "3"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def launch(*words: object) -> list[str]:
    """``cvd generate`` in two processes."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return [*launcher, "-m", "cvd_core.cli", "generate", *RUN, *map(str, words)]


@pytest.mark.slow
def test_torchrun_makes_one_run(tmp_path: Path) -> None:
    command = launch("--steps", 2, "--out", tmp_path / "two")
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(str(tmp_path / "two" / "run.json")) == 1
    assert done.stderr.count("makes the videos: balls") == 1
    record = RunRecord.load(tmp_path / "two" / "run.json")
    assert (record.device, record.versions["processes"]) == ("cpu", "2")
    command = [sys.executable, "-m", "cvd_core.cli", "generate", "--from", str(tmp_path / "two" / "run.json")]
    command += ["--views-per-pass", "2", "--out", str(tmp_path / "one")]
    alone = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=240)
    assert alone.returncode == 0, alone.stderr
    assert "the earlier run was made with processes 2, now none" in alone.stderr
    for path in (tmp_path / "one").glob("*.mp4"):
        assert torch.equal(read_video(path)[0], read_video(tmp_path / "two" / path.name)[0])


@pytest.mark.slow
def test_a_dying_process_ends_the_run_with_a_line(tmp_path: Path) -> None:
    process = subprocess.Popen(
        launch("--steps", 400, "--out", tmp_path / "out"),
        cwd=ROOT,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    assert process.stderr is not None
    said = b""
    while not re.search(rb"step [1-9]", said):
        chunk = os.read(process.stderr.fileno(), 4096)
        assert chunk, said
        said += chunk
    workers = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    rank = {int(dict(_environment(pid))["RANK"]): pid for pid in workers if "RANK" in dict(_environment(pid))}
    os.kill(rank[1], signal.SIGKILL)
    said += process.communicate(timeout=120)[1]
    assert process.returncode != 0
    assert b"cvd: error: another process of this run has ended" in said or b"cvd: terminated" in said
    assert not list(tmp_path.rglob("*.mp4"))
    assert not (tmp_path / "out").exists()


def _environment(pid: int) -> list[tuple[str, str]]:
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return [(name, value) for name, _, value in (entry.partition("=") for entry in entries) if name]
