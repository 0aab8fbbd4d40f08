"""What a sync module needs to know about the network call it takes part in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from cvd_core.networks.tiles import AttentionKind
from cvd_core.sync.bias import EpipolarBias
from cvd_core.sync.cache import BiasCache
from cvd_core.sync.slopes import Slopes, SlopeTape

Layout = Literal["view branch", "branch view"]
SyncBranches = Literal["both", "conditional"]
"""Which branches of classifier-free guidance are synchronised."""
Partners = Mapping[int, tuple[int, ...]]


@dataclass(frozen=True)
class Exchange:
    """Views of one network call that several processes evaluate together, each some of them.

    Attributes:
        views: all views of the call.
        gather: makes rows of all of them, in this order, of rows of this process' views; every process must ask.
    """

    views: tuple[int, ...]
    gather: Callable[[Tensor], Tensor]


@dataclass
class SyncContext:
    """One call of the network on some of the views.

    Attributes:
        views: id of each view in the batch, in batch order.
        partners: for every view, the views it attends to - all of them in this batch or within reach.
        branches: 1, or 2 with classifier-free guidance (cond and uncond in one batch).
        layout: order of the batch axis, frames innermost: ``[v0u v0c v1u ...]`` or ``[v0u v1u ... v0c v1c ...]``.
        slopes: source of pseudo-line slopes.
        bias: None leaves the attention unmasked (the paper's ablation "w/o Epi").
        cache: what the calls of a run keep of their masks; None builds every mask where it is used.
        strength: factor on what the modules add; 0 disconnects the views.
        synced: places of the branches that are synchronised; None: all. The others pass through.
        attention: whether masked attention passes over keys that are masked out; the same result within rounding.
        exchange: reaches views that other processes evaluate; None: all views of the call are in this batch.
        positions: where keys and values of a view are among those that :meth:`reached` returns.
    """

    views: tuple[int, ...]
    partners: Partners
    slopes: Slopes
    bias: EpipolarBias | None
    branches: int = 1
    layout: Layout = "view branch"
    strength: float = 1.0
    synced: tuple[int, ...] | None = None
    cache: BiasCache | None = None
    attention: AttentionKind = "auto"
    exchange: Exchange | None = None
    positions: dict[int, int] = field(init=False)

    def __post_init__(self) -> None:
        reached = self.views if self.exchange is None else self.exchange.views
        self.positions = {view: i for i, view in enumerate(reached)}
        if len(self.positions) < len(reached) or len(set(self.views)) < len(self.views):
            raise ValueError(f"views {list(self.views)} of one network call are not distinct")
        for view in self.views:
            missing = [p for p in self.partners.get(view, ()) if p not in self.positions or p == view]
            if missing:
                raise ValueError(
                    f"view {view} is to attend to {missing}, but the batch holds views {list(reached)}; "
                    "partners are other views of the same batch"
                )
        alone = [view for view in self.views if not self.partners.get(view)]
        if alone and len(alone) < len(self.views):
            raise ValueError(f"views {alone} have no partner while others of the same batch do; run them separately")

    @property
    def synchronised(self) -> bool:
        """Whether the views of this batch attend to each other at all."""
        return self.strength != 0 and self.synced != () and bool(self.partners.get(self.views[0]))

    def reached(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values ``(V', ...)`` of all views within reach, from those ``(V, ...)`` of this batch."""
        if self.exchange is None:
            return keys, values
        keys, values = self.exchange.gather(torch.stack([keys, values], 1)).unbind(1)
        return keys, values

    def repeatable(self) -> Callable[[], SyncContext]:
        """Gives this context for each evaluation of one module: a second one has the slopes of the first."""
        tape = SlopeTape(self.slopes)

        def context() -> SyncContext:
            tape.rewind()
            return replace(self, slopes=tape)

        return context


def groups_to_partners(groups: Sequence[Sequence[int]]) -> dict[int, tuple[int, ...]]:
    """Every view attends to all others of its group: a pair to each other, a triple to both, all views jointly."""
    return {view: tuple(other for other in group if other != view) for group in groups for view in group}
