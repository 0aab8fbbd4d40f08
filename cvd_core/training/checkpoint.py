"""Checkpoints of a stage: everything that training needs to go on as if it had not stopped."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import ConfigDict, Field, Strict, TypeAdapter
from pydantic.dataclasses import dataclass as checked_dataclass
from torch import Tensor

from cvd_core.declared import read_declared
from cvd_core.files import atomic_path
from cvd_core.training.stage import Stage

CHECKPOINT = "checkpoint.pt"
"""The file of a stage, in the folder of its name."""

_checked = ConfigDict(arbitrary_types_allowed=True, extra="forbid")


@checked_dataclass(frozen=True, eq=False, config=_checked)
class OptimizerState:
    """The optimizer's own ``state_dict``: moments by the parameter's number, and its settings."""

    state: dict[int, dict[str, Tensor]]
    param_groups: list[dict[str, Any]]


@checked_dataclass(frozen=True, eq=False, config=_checked)
class Checkpoint:
    """A stage after ``step`` steps.

    Attributes:
        step: steps that are done.
        weights: of the trained parameters by name.
        buffers: of the stage by name.
        average: of the weights, see :class:`.loop.Average`.
        optimizer: its state.
    """

    step: Annotated[int, Strict(), Field(ge=0)]
    weights: dict[str, Tensor]
    buffers: dict[str, Tensor]
    average: dict[str, Tensor]
    optimizer: OptimizerState


_CHECKPOINT = TypeAdapter(Checkpoint)
_OTHER = "continue with the configuration it was started with"


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint. Tensors are mapped from the file and take memory only when they are used.

    Raises:
        ValueError: the file is damaged, or is not a checkpoint of a stage.
    """
    instead = "put back a copy of it, or remove it to train this stage from its start"
    try:
        values = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except OSError:
        raise
    except Exception as error:  # damaged bytes make the unpickler stumble in any way
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} cannot be read ({reason[:100]}); {instead}") from error
    try:
        return read_declared(_CHECKPOINT, values)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a checkpoint of a training stage ({error}); {instead}") from error


@dataclass(frozen=True, eq=False)
class Progress:
    """What a checkpoint is saved from and loaded into.

    Attributes:
        stage: its trained parameters and buffers.
        average: of the trained parameters, by name.
        optimizer: over the trained parameters, in their order.
    """

    stage: Stage
    average: Mapping[str, Tensor]
    optimizer: torch.optim.Optimizer

    def save(self, path: Path, step: int) -> None:
        """Write a checkpoint, whole or not at all."""
        state = {
            "step": step,
            "weights": {name: p.detach() for name, p in self.stage.trained()},
            "buffers": dict(self.stage.named_buffers()),
            "average": dict(self.average),
            "optimizer": self.optimizer.state_dict(),
        }
        with atomic_path(path) as temporary:
            torch.save(state, temporary)

    def load(self, path: Path) -> int:
        """Continue from a checkpoint; returns the steps that are done.

        Raises:
            ValueError: the checkpoint is damaged or of other networks.
        """
        checkpoint = load_checkpoint(path)
        trained = dict(self.stage.trained())
        check_shapes(path, "trained weights", checkpoint.weights, trained)
        check_shapes(path, "buffers", checkpoint.buffers, dict(self.stage.named_buffers()))
        check_shapes(path, "averaged weights", checkpoint.average, dict(self.average))
        moments = {str(number): state for number, state in checkpoint.optimizer.state.items()}
        for key in ("exp_avg", "exp_avg_sq") if moments else ():
            found = {number: state[key] for number, state in moments.items() if key in state}
            expected = {str(number): parameter for number, parameter in enumerate(trained.values())}
            check_shapes(path, f"the optimizer's {key}", found, expected)
        with torch.no_grad():
            for name, parameter in trained.items():
                parameter.copy_(checkpoint.weights[name])
            for name, buffer in self.stage.named_buffers():
                buffer.copy_(checkpoint.buffers[name])
            for name, value in self.average.items():
                value.copy_(checkpoint.average[name])
        try:
            # a copy: the optimizer writes to its state, which is mapped from the file
            self.optimizer.load_state_dict(
                {"state": deepcopy(checkpoint.optimizer.state), "param_groups": checkpoint.optimizer.param_groups}
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} holds the state of another optimizer ({error}); {_OTHER}") from error
        return checkpoint.step


def load_average(stage: Stage, path: Path) -> None:
    """Give a stage's networks the averaged weights, and the buffers, of a checkpoint.

    Raises:
        ValueError: the checkpoint is damaged or of other networks.
    """
    checkpoint = load_checkpoint(path)
    trained, buffers = dict(stage.trained()), dict(stage.named_buffers())
    check_shapes(path, "averaged weights", checkpoint.average, trained)
    check_shapes(path, "buffers", checkpoint.buffers, buffers)
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(checkpoint.average[name])
        for name, buffer in buffers.items():
            buffer.copy_(checkpoint.buffers[name])


def check_shapes(path: Path, what: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless both hold tensors of the same names and shapes."""
    if found.keys() != expected.keys():
        one = min(found.keys() ^ expected.keys())
        raise ValueError(
            f"{path} holds {len(found)} {what}, this configuration has {len(expected)}; only one of them has {one}; "
            f"{_OTHER}"
        )
    for name, value in expected.items():
        if found[name].shape != value.shape:
            raise ValueError(
                f"{path} holds {what} {name} of shape {tuple(found[name].shape)}, this configuration has "
                f"{tuple(value.shape)}; {_OTHER}"
            )
