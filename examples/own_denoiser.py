"""The paper's sampling with a denoiser of your own: ``python examples/own_denoiser.py``.

The "network" here knows the answer: every view shows its own number, and views of a group agree on their mean. So after
sampling, views that met often are close to each other, and one can see what a pair strategy does.
"""

import torch
from torch import Tensor

import cvd_core
from cvd_core.sampling.collaborate import NetworkCall

SHAPE = (4, 2, 4, 4)
"""Channels, frames, height and width of a view's latents."""


def main(views: int = 6, steps: int = 10) -> dict[str, float]:
    """Spread of the views' means for each way of pairing, 1 being that of the views by themselves."""
    own = torch.arange(views, dtype=torch.float32) - (views - 1) / 2
    spreads = {}
    pairings = {
        "one random matching": cvd_core.Pairing(),
        "two matchings": cvd_core.Pairing("multi-partition", partitions=2),
        "all pairs": cvd_core.Pairing("exhaustive"),
        "all at once": cvd_core.Pairing("joint"),
    }
    for name, pairing in pairings.items():
        draws = cvd_core.SeededDraws(0)
        solver = cvd_core.DiffusersSolver("ddim", steps, draws.solver_noise)

        def denoise(step: int, latents: Tensor, call: NetworkCall, solver: cvd_core.DiffusersSolver = solver) -> Tensor:
            """The noise in ``(len(call.views), C, F, h, w)`` latents, if clean ones were the group's mean."""
            clean = torch.cat([own[list(group)].mean().repeat(len(group)) for group in call.groups])
            level = solver.level(step)
            return (latents - level.signal * clean.view(-1, 1, 1, 1, 1)) / level.noise

        start = draws.latents((views, *SHAPE)) * solver.initial_noise
        done = cvd_core.sample_together(denoise, start, solver, draws, pairing=pairing)
        spreads[name] = float(done.mean((1, 2, 3, 4)).std() / own.std())
        print(f"{name:<20} {len(pairing.calls(views))} network calls a step, spread {spreads[name]:.3f}")
    return spreads


if __name__ == "__main__":
    main()
