"""Every sampling method on a diffusion whose exact score is known, alone and under recurrence."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from cvd_core.engine.solvers import SOLVERS, DiffusersSolver, most_steps
from cvd_core.sampling.collaborate import NetworkCall, sample_together
from cvd_core.sampling.draws import SeededDraws
from cvd_core.sampling.recurrence import Recurrence

MEAN, STD = 0.8, 0.5
ALPHA_BAR = torch.cumprod(1 - torch.linspace(0.00085, 0.012, 1000, dtype=torch.float64), 0)
STOCHASTIC = {"euler_ancestral", "dpmpp_2m_sde", "lcm"}
OF_SCORES = [name for name in SOLVERS if name != "lcm"]
"""Those that integrate a diffusion; the other one wants a model that jumps to its end."""


def make(name: str, steps: int = 20, seed: int = 0) -> DiffusersSolver:
    return DiffusersSolver(name, steps, SeededDraws(seed).solver_noise)


def exact_noise(solver: DiffusersSolver) -> Callable[[int, Tensor, NetworkCall], Tensor]:
    """The best possible prediction of the noise for data N(MEAN, STD^2), from the input and the timestep alone."""

    def predict(step: int, x: Tensor, batch: NetworkCall) -> Tensor:
        alpha_bar = float(ALPHA_BAR[int(solver.timestep(step))])
        return math.sqrt(1 - alpha_bar) * (x - math.sqrt(alpha_bar) * MEAN) / (alpha_bar * STD**2 + 1 - alpha_bar)

    return predict


@pytest.mark.parametrize("name", OF_SCORES)
@pytest.mark.parametrize("times", [1, 3])
def test_sampling_converges_to_the_data(name: str, times: int) -> None:
    """Wrong levels, a wrong input scale or a memory of renoised passes would shift the mean or the spread."""
    solver, draws = make(name, 250), SeededDraws(1)
    first = solver.level(0)
    shape = (2, 10_000)
    data = MEAN + STD * SeededDraws(2).latents(shape)
    start = first.signal * data + first.noise * draws.latents(shape)
    found = sample_together(exact_noise(solver), start, solver, draws, recurrence=Recurrence(times))
    assert float(found.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(found.std()) == pytest.approx(STD, rel=0.07)


@pytest.mark.parametrize("name", OF_SCORES)
def test_recurrence_does_not_inflate_the_spread(name: str) -> None:
    """The paper's six-view setting, R = 6 at 25 steps: few steps lose some variance, none may gain any."""
    solver, draws = make(name, 25), SeededDraws(1)
    start = draws.latents((2, 10_000)) * solver.initial_noise
    found = sample_together(exact_noise(solver), start, solver, draws, recurrence=Recurrence(6))
    assert 0.65 * STD < float(found.std()) < 1.02 * STD


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_a_consistency_model_gives_the_data_after_any_number_of_steps(steps: int, times: int) -> None:
    """With the exact consistency function of data N(MEAN, STD^2), alone and under recurrence."""
    solver, draws = make("lcm", steps), SeededDraws(1)

    def predict(step: int, x: Tensor, call: NetworkCall) -> Tensor:
        alpha_bar = float(ALPHA_BAR[int(solver.timestep(step))])
        a, s = math.sqrt(alpha_bar), math.sqrt(1 - alpha_bar)
        x0 = MEAN + STD * (x - a * MEAN) / math.sqrt(alpha_bar * STD**2 + 1 - alpha_bar)
        return (x - a * x0) / s

    found = sample_together(predict, draws.latents((2, 20_000)), solver, draws, recurrence=Recurrence(times))
    assert float(found.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(found.std()) == pytest.approx(STD, rel=0.03)


@pytest.mark.parametrize("name", SOLVERS)
def test_levels_are_those_of_the_training_diffusion(name: str) -> None:
    solver = make(name)
    for step in range(solver.steps):
        alpha_bar = float(ALPHA_BAR[int(solver.timestep(step))])
        level = solver.level(step)
        assert level.noise / level.signal == pytest.approx(math.sqrt(1 / alpha_bar - 1), rel=1e-4)
        variance_preserving = level.signal**2 + level.noise**2
        assert variance_preserving == pytest.approx(1) or level.signal == 1
        # what the network is shown has its training scale
        shown = solver.scale_input(step, torch.tensor([1.0]))
        assert float(shown) == pytest.approx(1 / math.sqrt(variance_preserving), rel=1e-5)
        solver.advance(step, torch.zeros(1, 2), torch.zeros(1, 2), final=True)
    assert (solver.level(solver.steps).signal, solver.level(solver.steps).noise) == (1, 0)


@pytest.mark.parametrize("name", SOLVERS)
def test_progress_is_the_hosts_fraction_of_the_noise_schedule(name: str) -> None:
    """ComfyUI's percent_to_sigma: the logarithm of sigma, interpolated at the timestep 999 (1 - fraction)."""
    solver = make(name)
    log_sigmas = (1 / ALPHA_BAR - 1).log().numpy() / 2
    found = [solver.progress(step) for step in range(solver.steps)]
    assert found == sorted(found)
    for step, fraction in enumerate(found):
        sigma = math.exp(np.interp(999 * (1 - fraction), np.arange(1000), log_sigmas))
        level = solver.level(step)
        assert sigma == pytest.approx(level.noise / level.signal, rel=1e-4)


@pytest.mark.parametrize("name", SOLVERS)
def test_initial_noise_is_the_spread_of_the_first_level(name: str) -> None:
    level = make(name).level(0)
    assert make(name).initial_noise == pytest.approx(math.hypot(level.signal, level.noise), rel=1e-3)


def test_ddim_is_its_formula() -> None:
    solver = make("ddim", 25)
    assert [int(solver.timestep(i)) for i in range(25)] == list(range(961, 0, -40))
    x, noise = torch.randn(2, 50, dtype=torch.float64)
    for step, t in enumerate(range(961, 0, -40)):
        now, after = ALPHA_BAR[t], ALPHA_BAR[t - 40] if t > 40 else torch.tensor(1.0)
        x0 = (x - (1 - now).sqrt() * noise) / now.sqrt()
        expected = after.sqrt() * x0 + (1 - after).sqrt() * noise
        torch.testing.assert_close(solver.advance(step, x, noise, final=True), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_repeated_pass_leaves_no_trace(name: str) -> None:
    """Whatever a pass that will be repeated predicted, the run goes on as if it had not been."""

    def run(discarded: float) -> Tensor:
        solver, x = make(name, 8), torch.linspace(-2, 2, 5)[None]
        for step in range(8):
            for final in (False, False, True):
                shown = solver.scale_input(step, x)
                prediction = torch.sin(shown) if final else torch.full_like(shown, discarded)
                moved = solver.advance(step, x, prediction, final=final)
            x = moved
        return x

    assert torch.equal(run(0.0), run(50.0))


@pytest.mark.parametrize("name", ["ddim", "euler"])
def test_repeating_a_step_with_the_same_input_is_running_it_once(name: str) -> None:
    once, twice = make(name, 8), make(name, 8)
    x = y = torch.linspace(-2, 2, 5)[None]
    for step in range(8):
        x = once.advance(step, x, torch.sin(once.scale_input(step, x)), final=True)
        twice.advance(step, y, torch.sin(twice.scale_input(step, y)), final=False)
        y = twice.advance(step, y, torch.sin(twice.scale_input(step, y)), final=True)
    assert torch.equal(x, y)


@pytest.mark.parametrize("name", ["dpmpp_2m", "dpmpp_2m_sde", "unipc"])
def test_multistep_samplers_use_their_history_except_after_a_renoising(name: str) -> None:
    """What was predicted one step earlier matters to the next step, but not to a sample that was renoised since."""
    x = torch.linspace(-2, 2, 5)[None]

    def second_step(earlier: float, *, repeated: bool) -> Tensor:
        solver = make(name, 8)
        solver.advance(0, x, torch.full_like(x, earlier), final=True)
        for final in [False, True] if repeated else [True]:
            moved = solver.advance(1, x, torch.sin(x), final=final)
        return moved

    assert not torch.allclose(second_step(0.0, repeated=False), second_step(1.0, repeated=False), atol=1e-2)
    assert torch.equal(second_step(0.0, repeated=True), second_step(1.0, repeated=True))


@pytest.mark.parametrize("name", SOLVERS)
def test_only_the_runs_own_generator_is_used(name: str) -> None:
    def states() -> list[object]:
        return [torch.get_rng_state().tolist(), repr(np.random.get_state()), random.getstate()]  # noqa: NPY002

    def run(seed: int) -> Tensor:
        solver, x = make(name, 6, seed), torch.linspace(-2, 2, 50)[None]
        for step in range(6):
            x = solver.advance(step, x, torch.sin(solver.scale_input(step, x)), final=True)
        return x

    before = states()
    first = run(1)
    assert states() == before
    torch.manual_seed(99)
    assert torch.equal(run(1), first)
    assert torch.equal(run(2), first) == (name not in STOCHASTIC)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_single_step_returns_data_and_not_the_noise_it_starts_with(name: str) -> None:
    """The best guess from noise alone is the mean of the data; leading spacing would return the noise, spread by 1."""
    solver = make(name, 1)
    start = SeededDraws(1).latents((2, 10_000)) * solver.initial_noise
    found = sample_together(exact_noise(solver), start, solver, SeededDraws(1))
    assert float(found.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(found.std()) < 0.05


def test_unknown_samplers_are_refused() -> None:
    with pytest.raises(ValueError, match="sampler is 'heun'; expected one of ddim, euler,"):
        make("heun")


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("steps", [0, -1, None, 1000, 10**8])
def test_impossible_step_counts_are_refused(name: str, steps: int | None) -> None:
    steps = most_steps(name) + 2 if steps is None else steps
    with pytest.raises(ValueError, match=f"steps is {steps}; expected 1 to {most_steps(name)}"):
        make(name, steps)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("steps", [1, 2, None])
def test_few_and_many_steps_run_through(name: str, steps: int | None) -> None:
    steps = steps or most_steps(name)
    solver, x = make(name, steps), torch.linspace(-2, 2, 5)[None]
    times = [float(solver.timestep(step)) for step in range(steps)]
    assert times == sorted(times, reverse=True)
    assert len(set(times)) == steps, "no timestep twice"
    for step in range(steps):
        x = solver.advance(step, x, torch.sin(solver.scale_input(step, x)), final=True)
    assert x.isfinite().all()
