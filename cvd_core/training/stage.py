"""What the training loop needs from a stage."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

StageBatch = Mapping[str, Tensor]
"""Everything that a stage computes its loss from, by name."""


class Stage(nn.Module, ABC):
    """Networks of one stage of training: makes its batches and computes its loss.

    Parameters with ``requires_grad`` are trained; all others are only used. A batch depends on nothing but the step and
    the positions asked for, so a run can go on from any step and several processes can share it.
    """

    @abstractmethod
    def batch(self, step: int, positions: Sequence[int]) -> StageBatch:
        """Samples ``positions`` of the global batch of ``step``, with all random numbers that the loss needs."""

    @abstractmethod
    def forward(self, batch: StageBatch) -> dict[str, Tensor]:
        """``{"loss": scalar}`` and further scalars for the metrics."""

    def prepare(self) -> None:
        """Make the data that the batches are taken from, if need be; may take long."""

    def enable_gradient_checkpointing(self) -> None:
        """Compute activations again for gradients instead of keeping them, where there is much to save."""

    def finish(self) -> None:
        """Leave the networks as others expect them."""

    def trained(self) -> list[tuple[str, nn.Parameter]]:
        """The parameters this stage trains, by name."""
        return [(name, p) for name, p in self.named_parameters() if p.requires_grad]


class FrozenBaseStage(Stage):
    """A stage of modules added to a base that stays as it is, with the encoders around it: nothing drops out."""

    def train(self, mode: bool = True) -> FrozenBaseStage:
        """Nothing here behaves otherwise in training, but a text encoder may have dropout."""
        return super().train(False)
