"""Loading a state dict into a module with every difference named."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from cvd_core.weights.kinds import Kind, describe_keys, identify_tensors, where_it_belongs


def load_exact(
    module: nn.Module, state: Mapping[str, Tensor], *, file: str, what: str, dtype: torch.dtype | None = None
) -> None:
    """Load ``state`` into ``module``: the same keys and shapes, no more and no less.

    The module takes the tensors over without a copy when their dtype fits, so it may be built on the meta device and
    ``state`` may be mapped from a file. Devices are those of ``state``.

    Args:
        module: receives the tensors; its own are dropped.
        state: parameters and persistent buffers by name.
        file: the file's name, for the message.
        what: what the tensors are, for the message: "sync-module".
        dtype: floating-point tensors are cast to it; None keeps them.

    Raises:
        ValueError: keys are missing, unexpected or of another shape. The message names the first of each, counts them,
            and says what the keys look like if they are another kind of model's. The module is then unchanged.
    """
    expected = module.state_dict()
    missing = expected.keys() - state.keys()
    unexpected = state.keys() - expected.keys()
    shared = expected.keys() & state.keys()
    misshaped = {key for key in shared if expected[key].shape != state[key].shape}
    problems = []
    if missing:
        problems.append(f"missing {len(missing)}: {describe_keys(missing)}")
    if unexpected:
        problems.append(f"unexpected {len(unexpected)}: {describe_keys(unexpected)}")
    if misshaped:
        shapes = [f"{key} {tuple(state[key].shape)} instead of {tuple(expected[key].shape)}" for key in misshaped]
        problems.append(f"of another shape {len(misshaped)}: {describe_keys(shapes)}")
    if problems:
        fitting = len(shared) - len(misshaped)
        found = f"{file} holds {fitting} of {len(expected)} {what} tensors; {'; '.join(problems)}"
        raise ValueError(f"{found}. {_advice(state, fitting, misshaped)}")
    taken = {key: value.to(dtype) if value.is_floating_point() else value for key, value in state.items()}
    module.load_state_dict(taken, assign=True)


def _advice(state: Mapping[str, Tensor], fitting: int, misshaped: set[str]) -> str:
    if misshaped:
        return "It was made for a network of other widths; use files of one family"
    info = identify_tensors(state)
    if not fitting and info.kind is not Kind.UNKNOWN:
        return f"Its keys look like {info.label}. {where_it_belongs(info.kind)}"
    return "It is incomplete or of another version; use the official file"
